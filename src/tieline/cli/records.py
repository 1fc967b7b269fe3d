"""The record as every command that looks at runs opens it: what dead tieline processes left is ended first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tieline.app.home import HomeFolder
from tieline.app.runs import opened
from tieline.cli.options import answers_in_json
from tieline.cli.terminal import printable, say
from tieline.engines.base import Silent

if TYPE_CHECKING:
    from tieline.model.run import Run
    from tieline.runs.record import Record


class Recovered(Silent):
    """Remembers the runs that a recovery ended."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def status(self, run: Run) -> None:
        if run.status.is_final:
            self.runs.append(run)


@contextmanager
def opened_record(home: HomeFolder) -> Iterator[Record]:
    """The record, up to date."""
    recovered = Recovered()
    with opened(home, recovered) as record:
        if recovered.runs and not answers_in_json():
            say(f"tieline: {_words(recovered.runs)}")
        yield record


def _words(runs: list[Run]) -> str:
    named = ", ".join(f"{run.uuid[:8]} {printable(run.name)} ({run.status.value})" for run in runs[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    what = (
        "a run whose tieline process had died"
        if len(runs) == 1
        else f"{len(runs)} runs whose tieline processes had died"
    )
    return f"ended {what}: {named}{more}"
