"""What holds for every command: help, the version at once, errors told in one way, and colours only for people."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_harness import Cli

from tieline import __version__, errors
from tieline.cli import exits
from tieline.cli.lazy import LazyGroup
from tieline.cli.root import cli as root
from tieline.errors import Code, TielineError
from tieline.model.run import Run, Status

HEAVY = ("sqlalchemy", "alembic", "rich", "jinja2")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def imported(cli: Cli, *words: str) -> set[str]:
    """The top-level packages that a command imports."""
    argv = [sys.executable, "-X", "importtime", *cli.argv(*words)[1:]]
    done = subprocess.run(argv, cwd=cli.root, env=cli.env, capture_output=True, text=True, check=True)
    lines = [line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {name.split(".")[0] for name in lines}


def test_the_version_is_told_without_importing_anything(cli: Cli) -> None:
    assert cli("--version").out == f"tieline {__version__}\n"
    assert cli("-V").out == cli("--version").out
    assert imported(cli, "--version") & {"click", "pydantic", "yaml", *HEAVY} == set()


def test_check_imports_nothing_that_only_running_needs(cli: Cli) -> None:
    cli.write("tieline.yaml", "connections:\n- {name: d, kind: host_path, schema: {hostPath: /d, mountPath: /d}}\n")
    assert imported(cli, "check", "tieline.yaml", cli.job("true")) & set(HEAVY) == set()


def test_tieline_alone_says_how_to_begin(cli: Cli) -> None:
    shown = cli().out
    assert "Getting started:" in shown
    assert all(f"  {number}. " in shown for number in (1, 2, 3))
    assert all(name in shown for name in root.entries)
    assert cli("--help").out == shown


def commands(group: LazyGroup = root, path: str = "tieline") -> Iterator[tuple[str, str, click.Command]]:
    for name, entry in group.entries.items():
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{path} {name}", entry.help, command
        if isinstance(command, LazyGroup):
            yield from commands(command, f"{path} {name}")


def test_every_command_has_its_help_and_an_example() -> None:
    for path, line, command in commands():
        assert command.help, path
        if not isinstance(command, LazyGroup):
            assert command.short_help == line, path
            assert "\b\n" in command.help, f"{path} has no example"
            assert "tieline" in command.help.split("\b\n")[1], f"{path} has no example"


def test_help_of_a_command_lists_the_exit_codes(cli: Cli) -> None:
    shown = " ".join(cli("run", "--help").out.split())
    assert "Exit codes: the job's own; else 0 succeeded" in shown
    assert "143 stopped" in shown


def test_an_unknown_command_is_told_with_the_nearest(cli: Cli) -> None:
    assert "there is no command 'chek'; did you mean 'check'?" in cli("chek", code=2).err
    assert "did you mean 'logs'?" in cli("runs", "log", code=2).err


def test_errors_are_json_where_json_is_wanted(cli: Cli) -> None:
    done = cli("runs", "show", "nobody", "--output", "json", code=66)
    [error] = json.loads(done.err)["errors"]
    assert (error["code"], done.out) == ("run-not-found", "")
    usage = json.loads(cli("check", "-o", "json", "--nonsense", code=2).err)["errors"][0]
    assert usage["code"] == "usage"


UNEXPECTED = """
import sys
from tieline.app.home import HomeFolder
from tieline.cli.entry import enter, leave
def boom(environ=None): raise LookupError("what nobody expected")
HomeFolder.find = boom
leave(enter(["runs", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("debug", [False, True])
def test_the_unexpected_is_told_in_a_paragraph(cli: Cli, debug: bool) -> None:
    env = {**cli.env, "TIELINE_DEBUG": "1" if debug else "0"}
    done = subprocess.run([sys.executable, "-c", UNEXPECTED], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == exits.INTERNAL
    assert ("Traceback" in done.stderr) == debug
    assert "LookupError: what nobody expected" in done.stderr
    assert "please report it" in done.stderr
    assert "TIELINE_DEBUG=1" in done.stderr


def test_a_reader_that_goes_away_is_no_error(cli: Cli) -> None:
    script = f"{sys.executable} -m tieline schema catalog | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], env=cli.env, cwd=cli.root, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (exits.BROKEN_PIPE, b"")


def test_a_full_disk_is_told(cli: Cli) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            cli.argv("kinds"), env=cli.env, cwd=cli.root, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, "Traceback" in done.stderr) == (exits.INTERNAL, False)
    assert "No space left on device" in done.stderr


def test_colours_are_for_terminals(cli: Cli) -> None:
    cli.write("bad.yaml", "kind: component\nrun: {kind: jab}\n")
    assert "\x1b[" not in cli("check", "bad.yaml", code=65).out
    assert "\x1b[" in cli("check", "bad.yaml", code=65, FORCE_COLOR="1").out
    assert "\x1b[" not in cli("check", "bad.yaml", code=65, FORCE_COLOR="1", NO_COLOR="1").out
    assert "\x1b[31m" in cli.on_terminal("check", "bad.yaml")


def test_every_error_has_an_exit_code_of_the_table() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TielineError)]
    assert {kind.exit_code for kind in kinds} <= set(exits.TABLE)


def ended(status: Status, reason: str = "", exit_code: int | None = None) -> Run:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    return Run("u", "n", "p", "ns", "job", "process", status, 1, now, now, reason=reason, exit_code=exit_code)


@pytest.mark.parametrize(
    ("run", "interrupted", "code"),
    [
        (ended(Status.SUCCEEDED, exit_code=0), False, 0),
        (ended(Status.SUCCEEDED, exit_code=0), True, 0),
        (ended(Status.FAILED, Code.EXIT_CODE, 3), False, 3),
        (ended(Status.FAILED, Code.SIGNALLED, 137), False, 137),
        (ended(Status.FAILED, Code.TIMEOUT, 124), False, 124),
        (ended(Status.FAILED, Code.OUTPUTS_NOT_SAVED, 0), False, 73),
        (ended(Status.FAILED, Code.STEP_FAILED, 1), False, 74),
        (ended(Status.FAILED, Code.CLONE_FAILED), False, 74),
        (ended(Status.FAILED, Code.SUPERVISOR_DIED), False, 70),
        (ended(Status.STOPPED, Code.STOPPED, 143), False, 143),
        (ended(Status.STOPPED, Code.STOPPED, 143), True, 130),
    ],
)
def test_how_a_run_ended_gives_the_exit_code(run: Run, interrupted: bool, code: int) -> None:
    assert exits.exit_code(run, interrupted=interrupted) == code
