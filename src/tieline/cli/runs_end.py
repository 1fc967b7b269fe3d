"""``tieline runs stop`` and ``rm``: ending runs, and forgetting them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tieline.cli.options import runs_argument
from tieline.cli.terminal import has_colour, out, printable, say

if TYPE_CHECKING:
    from tieline.app.home import HomeFolder
    from tieline.model.run import Run
    from tieline.runs.record import Record

GRACE = 10.0


@click.command(short_help="Stop runs.")
@runs_argument
@click.option("--grace", type=click.FloatRange(0), default=GRACE, metavar="SECONDS",
              help=f"Between TERM and KILL. Default: {GRACE:g}.")  # fmt: skip
@click.option("--now", is_flag=True, help="KILL at once: no grace.")
@click.option("--no-wait", is_flag=True, help="Ask, and don't wait for the end.")
def stop(wanted: tuple[str, ...], grace: float, now: bool, no_wait: bool) -> None:
    """Stop runs: TERM, then KILL after the grace; outputs and logs are saved. Waits until they have ended.

    \b
    tieline runs stop last --grace 60
    """
    from tieline.app.home import HomeFolder
    from tieline.app.runs import stop as ask
    from tieline.cli.records import opened_record

    home = HomeFolder.find()
    with opened_record(home) as record:
        runs = _found(record, wanted)
        asked = [run for run in runs if ask(home, record, run, 0.0 if now else grace)]
        for run in runs:
            if run not in asked:
                out(f"{run.uuid[:8]} {printable(run.name)}: had ended: {run.status.value}")
        for run in asked:
            if no_wait:
                out(f"{run.uuid[:8]} {printable(run.name)}: a stop was asked for")
            else:
                _wait(home, record, run)


def _found(record: Record, wanted: tuple[str, ...]) -> list[Run]:
    """All of them are looked up before anything is done to one."""
    from tieline.app.lookup import find_run

    return list({run.uuid: run for run in (find_run(record, ref) for ref in wanted)}.values())


def _wait(home: HomeFolder, record: Record, run: Run) -> None:
    from tieline.app.runs import wait
    from tieline.cli.summary import headline

    ended = wait(home, record, run)
    out(f"{run.uuid[:8]} {printable(run.name)}: {headline(ended, colour=has_colour(sys.stdout))}")
    sys.stdout.flush()


@click.command(short_help="Forget runs, with their outputs and logs.")
@runs_argument
@click.option("--keep-artifacts", is_flag=True, help="Leave the outputs and logs in the store.")
@click.option("--force", "-f", is_flag=True, help="Stop what is still running first.")
def rm(wanted: tuple[str, ...], keep_artifacts: bool, force: bool) -> None:
    """Forget runs that have ended: the record, the work folder, and the outputs and logs in the store.

    \b
    tieline runs rm 3f2a9c1e
    """
    from tieline.app.home import HomeFolder
    from tieline.app.runs import remove
    from tieline.app.runs import stop as ask
    from tieline.cli.records import opened_record

    home = HomeFolder.find()
    with opened_record(home) as record:
        runs = _found(record, wanted)
        for run in runs if force else ():
            if ask(home, record, run, GRACE):
                say(f"stopping {run.uuid[:8]} {printable(run.name)}")
        for run in runs:
            if force:
                _ended(home, record, run)
            remove(home, record, record.get(run.uuid), keep_artifacts=keep_artifacts)
            out(f"{run.uuid[:8]} {printable(run.name)}: removed")


def _ended(home: HomeFolder, record: Record, run: Run) -> None:
    from tieline.app.runs import wait

    wait(home, record, run)
