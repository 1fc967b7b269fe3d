"""What can go wrong: each error says what was asked for, what there is, and what to do. None has a value in it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class TielineError(Exception):
    """All errors of this package."""


class NotInJob(TielineError, RuntimeError):
    """This process is not a job, so nothing is bound and nothing is kept."""


class NotText(TielineError, ValueError):
    """An entry that is not UTF-8 was asked for as text."""


class _Unknown(TielineError, KeyError):
    def __str__(self) -> str:  # KeyError's own shows its message in quotes
        return str(self.args[0])


class UnknownConnection(_Unknown):
    """The job has no connection of that name."""


class UnknownEntry(_Unknown):
    """The connection has no entry of that name."""


def not_in_job(variable: str) -> NotInJob:
    """For a variable that every job has, and this process has not."""
    by_hand = (
        "; to try it by hand, set SERVICE_BINDING_ROOT to a folder that has one folder per connection, with one file "
        "per entry"
    )
    return NotInJob(
        f"there is no {variable} in the environment, so this is not a job of Tieline: start it with 'tieline run "
        f"JOB.yaml'{by_hand if variable == 'SERVICE_BINDING_ROOT' else f', or set {variable} to try it by hand'}"
    )


def unknown_connection(name: str, bound: Iterable[str]) -> UnknownConnection:
    """Names the nearest connection, and all that are bound."""
    there = sorted(bound)
    listed = f"bound are {', '.join(there)}" if there else "none is bound"
    return UnknownConnection(
        f"this job has no connection {name!r}{_nearest(name, there)}; {listed}; a job asks for a connection under "
        "run.connections in its file"
    )


def unknown_entry(connection: str, entry: str, entries: Iterable[str]) -> UnknownEntry:
    """Names the nearest entry, and all that there are."""
    there = sorted(entries)
    listed = f"it has {', '.join(there)}" if there else "it has none at all"
    return UnknownEntry(f"the connection {connection!r} has no entry {entry!r}{_nearest(entry, there)}; {listed}")


def _nearest(name: str, there: list[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, there, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
