"""Carries one command line out, and turns whatever happens into words for a person (or JSON) and an exit code.

Nothing else of the command line catches errors: a command raises, and here it is told, once and the same way.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

import click

from tieline.cli import exits
from tieline.cli.problems import show_problems
from tieline.cli.terminal import json_text, prepare_streams, printable, say
from tieline.errors import Code, Place, Problem, TielineError

COMPLETE = "_TIELINE_COMPLETE"


def enter(argv: Sequence[str]) -> int:
    """Carry the command line out; the exit code."""
    _without_plugins()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, it would hide how git and others end
    prepare_streams()
    if instruction := os.environ.get(COMPLETE):
        return _complete(instruction)
    try:
        code = _invoke(argv)
        sys.stdout.flush()
        return code
    except BaseException as error:
        return _told(error, as_json=wants_json(argv))


def leave(code: int) -> NoReturn:
    """End the process. Taking a finished interpreter apart object by object is a tenth of a short command's time."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # nobody can be told
    os._exit(code)


def _without_plugins() -> None:
    """A command's forms take no plugins of pydantic's. Looking for some reads the metadata of every package that is
    installed, and imports ``email`` for that: a twentieth of a short command's time."""
    loader = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules.setdefault(loader.__name__, loader)


def _invoke(argv: Sequence[str]) -> int:
    from tieline.app.command import command
    from tieline.cli.root import cli

    with command(lambda words: None if wants_json(argv) else say(f"tieline: {printable(words)}")):
        with cli.make_context("tieline", list(argv)) as context:
            result = cli.invoke(context)
        sys.stdout.flush()
    return result if isinstance(result, int) else exits.OK


def _complete(instruction: str) -> int:
    from click.shell_completion import shell_complete

    from tieline.cli.root import cli

    return shell_complete(cli, {}, "tieline", COMPLETE, instruction)


def wants_json(argv: Sequence[str]) -> bool:
    """Whether errors are to be JSON too; asked of the bare command line, which may be wrong itself."""
    pairs = zip(argv, [*argv[1:], ""], strict=True)
    return any(
        word in ("--output=json", "-ojson", "-o=json") or (word in ("--output", "-o") and value == "json")
        for word, value in pairs
    )


def _told(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else exits.INTERNAL
    if isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EPIPE):
        _silence_stdout()
        return exits.BROKEN_PIPE
    if os.environ.get("TIELINE_DEBUG", "0") not in ("", "0"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        say("interrupted")
        return exits.INTERRUPTED
    problems, code = _problems(error)
    _show(problems, as_json=as_json)
    return code


def _problems(error: BaseException) -> tuple[Sequence[Problem], int]:
    """Any error as problems, and the exit code that says what sort of error it is."""
    if isinstance(error, TielineError):
        return error.problems or (Problem(Code.INTERNAL, str(error)),), error.exit_code
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "tieline"
        message = error.format_message().rstrip(".")
        return (Problem(Code.USAGE, f"{message}", f"see `{path} --help`"),), exits.USAGE
    if isinstance(error, click.ClickException):
        return (Problem(Code.USAGE, error.format_message()),), error.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = Place(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else Place()
        return (Problem(Code.INTERNAL, error.strerror, "check the path, its rights and the disk", place),), 70
    return (_unexpected(error),), exits.INTERNAL


def _unexpected(error: BaseException) -> Problem:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    spot = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})" if trace else ""
    return Problem(
        Code.INTERNAL,
        f"something unexpected went wrong: {type(error).__name__}: {error}{spot}",
        "this is a defect in Tieline, not in your files; please report it, with the command and with what it prints "
        "after `export TIELINE_DEBUG=1`",
    )


def _show(problems: Sequence[Problem], *, as_json: bool) -> None:
    try:
        if as_json:
            say(json_text({"errors": [problem.as_json() for problem in problems]}, sys.stderr))
        else:
            show_problems(problems, sys.stderr, prefix="tieline: ")
    except OSError:  # nobody can be told
        _silence_stdout()


def _silence_stdout() -> None:
    """What is left in the buffer has no reader; Python would complain about it at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
