"""``tieline runs outputs get`` and ``verify``: outputs brought here, or read where they are; by the manifest, both."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.app import command
from tieline.cli import exits
from tieline.cli.layout import aligned, files, size
from tieline.cli.moving import shown
from tieline.cli.options import output_option, run_argument
from tieline.cli.runs_outputs import attempt_option, looked_up
from tieline.cli.terminal import out, out_json, page, printable, say

if TYPE_CHECKING:
    from tieline.app.outputs_get import Fetched
    from tieline.app.outputs_verify import Verified
    from tieline.model.run import Run


@contextmanager
def ctrl_c() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C: what is under way ends soon, and whole; what has not begun is not waited for. The
    second ends the command at once: a request that stands still is waited for by nobody."""
    cancel = threading.Event()

    def asked(number: int, frame: Any) -> None:
        del number, frame
        if cancel.is_set():
            os._exit(exits.INTERRUPTED)
        cancel.set()
        command.stop()

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


@click.command(short_help="Copy outputs into a folder here, checked.")
@run_argument
@click.argument("paths", nargs=-1, metavar="[PATH]…")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="The folder, made if needed. Default: one named for the run.")  # fmt: skip
@attempt_option
def get(run: str, paths: tuple[str, ...], to: Path | None, attempt: int | None) -> int:
    """Copy outputs (all, or these files and folders) into a folder here; what is there by the same name is replaced.

    What is there already, with the digest that the run's manifest says, is not fetched again, and a large file goes on
    where an earlier command stopped. Each file that is fetched is checked.

    \b
    tieline runs outputs get last model.npz plots --to results
    """
    from tieline.app.outputs_get import fetch
    from tieline.errors import Code, StepFailed
    from tieline.steps.meter import Meter

    found, plan, number = looked_up(run, attempt)
    folder = to or Path(f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', found.name).strip('-.')}-{found.uuid[:8]}")
    meter = Meter()
    try:
        with ctrl_c() as cancel, shown("fetching", meter):
            fetched = fetch(plan, found, number, paths, folder.absolute(), meter=meter, cancel=cancel)
    except StepFailed as error:
        if error.code != Code.STOPPED:
            raise
        say(f"stopped; what is in {folder} is whole, and the same command goes on from there")
        return exits.INTERRUPTED
    for line in _fetched_words(fetched):
        say(line)
    out(str(folder))
    return exits.OK


def _fetched_words(fetched: Fetched) -> Iterator[str]:
    copied = fetched.copied
    for note in copied.notes:
        yield f"note: {printable(note)}"
    if fetched.went_on:
        yield f"{size(fetched.went_on)} of large files were here from an earlier time"
    if not fetched.has_manifest:
        yield "not checked: the run has no manifest"
    elif fetched.unchecked:
        yield f"{files(fetched.unchecked)} not checked: the manifest says nothing of them"
    here = f", {fetched.here:,} of them here already" if fetched.here else ""
    yield f"{files(copied.files)}, {size(copied.bytes)}{here}, in:"


@click.command(short_help="Check the store against the run's manifest.")
@run_argument
@click.option("--quick", is_flag=True, help="Only names and sizes: no file is read.")
@attempt_option
@output_option
def verify(run: str, quick: bool, attempt: int | None, output: str) -> int:
    """Check that the store has what the run saved: no file missing, none too many, every byte as it was.

    Exits with 76 where that is not so. Of a run under way, what its manifest says by now is checked.

    \b
    tieline runs outputs verify last
    """
    from tieline.app.outputs_verify import verify as check
    from tieline.errors import Code, StepFailed
    from tieline.steps.meter import Meter

    found, plan, number = looked_up(run, attempt)
    meter = Meter()
    try:
        with ctrl_c() as cancel, shown("checking", meter):
            verified = check(plan, found, number, quick=quick, meter=meter, cancel=cancel)
    except StepFailed as error:
        if error.code != Code.STOPPED:
            raise
        say("stopped; nothing was changed")
        return exits.INTERRUPTED
    is_short = found.status.is_final and not verified.complete
    if output == "json":
        out_json(_as_json(found, number, verified, quick=quick))
    else:
        page(aligned(((each.what.value, each.path, each.detail) for each in verified.findings), indent=0))
        for line in _verified_words(found, verified, quick=quick):
            say(line)
    return exits.DAMAGED if verified.findings or is_short else exits.OK


def _verified_words(run: Run, verified: Verified, *, quick: bool) -> Iterator[str]:
    from tieline.app.outputs import can_push

    if not verified.complete and run.status.is_final:
        rest = f"; tieline runs outputs push {run.uuid[:8]}" if can_push(run) else ""
        yield f"the manifest is not complete: not everything was saved{rest}"
    elif not verified.complete:
        newer = f"; {verified.newer:,} newer in the store" if verified.newer else ""
        yield f"the run is under way: this is what its manifest says by now, and not all{newer}"
    if verified.undigested and not quick:
        yield f"{files(verified.undigested)} without a digest: only sizes were compared"
    what = "sizes compared" if quick else "every byte read"
    amount = f"{files(verified.files)}, {size(verified.bytes)}, {what}"
    count = len(verified.findings)
    yield f"{amount}: {f'{count:,} not as saved' if count else 'all as saved'}"


def _as_json(run: Run, attempt: int, verified: Verified, *, quick: bool) -> dict[str, Any]:
    return {
        "run": run.uuid, "attempt": attempt, "complete": verified.complete, "quick": quick, "files": verified.files,
        "bytes": verified.bytes, "withoutDigest": verified.undigested, "newer": verified.newer,
        "findings": [{"path": each.path, "what": each.what.value, "detail": each.detail} for each in verified.findings],
    }  # fmt: skip
