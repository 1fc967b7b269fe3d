"""The record as every command that looks at runs opens it: what dead tieline processes left is ended first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tieline.app.home import HomeFolder
from tieline.cli.options import answers_in_json, looks_in_clusters
from tieline.cli.terminal import printable, say
from tieline.engines.base import Silent
from tieline.errors import TielineError

if TYPE_CHECKING:
    from tieline.engines.base import Listener
    from tieline.model.run import Run
    from tieline.runs.record import Record


SOON = 1.0
"""Seconds that may pass without a word."""


class Recovered(Silent):
    """Remembers the runs that a recovery ended, and says what else it has to say."""

    def __init__(self, said: Callable[[str], object] = say) -> None:
        self.runs: list[Run] = []
        self.said = said

    def status(self, run: Run) -> None:
        if run.status.is_final and run.engine == "process":
            self.runs.append(run)

    def note(self, message: str) -> None:
        self.said(f"tieline: {printable(message)}")


@contextmanager
def opened_record(home: HomeFolder, but: str = "") -> Iterator[Record]:
    """The record, up to date (``but`` for this run); with the runs that only a cluster knows, where that was asked
    for."""
    from tieline.app.runs import opened

    recovered = Recovered()
    find = _finder(home, recovered) if looks_in_clusters() else None
    with opened(home, recovered, find=find, but=but) as record:
        if recovered.runs and not answers_in_json():
            say(f"tieline: {_words(recovered.runs)}")
        yield record


def see_to_others(home: HomeFolder, but: str = "") -> None:
    """End what dead tieline processes left, and bring all runs up to date, but for this one."""
    with opened_record(home, but):
        pass


class Beside:
    """The same beside a run that has begun: whoever waits for its pod need not wait for this."""

    def __init__(self, home: HomeFolder, uuid: str, said: Callable[[str], object]) -> None:
        self._home, self._uuid, self._recovered = home, uuid, Recovered(said)
        self._thread = threading.Thread(target=self._see_to, name="others", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def finish(self, waits: Callable[[str], object]) -> None:
        """Wait until it is done, if it was begun; ``waits`` is told where that takes a moment."""
        if self._thread.ident is not None:
            self._thread.join(SOON)
            if self._thread.is_alive():
                waits("  seeing to runs that other tieline processes left")
                self._thread.join()

    def _see_to(self) -> None:
        from tieline.app.runs import opened

        try:
            with opened(self._home, self._recovered, but=self._uuid):
                if self._recovered.runs:
                    self._recovered.said(f"tieline: {_words(self._recovered.runs)}")
        except TielineError as error:  # the next command tries it, too
            self._recovered.said(f"tieline: runs of other processes could not be seen to: {error}")


def _finder(home: HomeFolder, listener: Listener) -> Callable[[Record], None]:
    import click

    from tieline.app.deployment import load_deployment
    from tieline.app.kube_finding import find_all

    asked = click.get_current_context().params.get("namespace")
    deployment = load_deployment(None, home)
    return lambda record: find_all(home, record, deployment, asked, listener)


def _words(runs: list[Run]) -> str:
    named = ", ".join(f"{run.uuid[:8]} {printable(run.name)} ({run.status.value})" for run in runs[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    what = (
        "a run whose tieline process had died"
        if len(runs) == 1
        else f"{len(runs)} runs whose tieline processes had died"
    )
    return f"ended {what}: {named}{more}"
