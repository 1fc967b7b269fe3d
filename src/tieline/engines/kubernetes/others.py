"""Ending the job's sidecars on a cluster that has none of its own: else a pod, and so its Job, would never end.

The containers of such a pod share their processes (``shareProcessNamespace``); the first of all is the pod's own, which
stays. The collector calls this when the main container has ended: what is left beside it are sidecars.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

ENDS_SIDECARS = "TIELINE_ENDS_SIDECARS"
"""Tells the collector that it is to do this."""
FIRST = 1
POLL = 0.05
PROC = Path("/proc")


def end_others(grace: float) -> int:
    """TERM to every process of the pod but this container's own, KILL after ``grace`` seconds; how many there were."""
    found = _others()
    for pid in found:
        _send(pid, signal.SIGTERM)
    until = time.monotonic() + grace
    while (left := _others()) and time.monotonic() < until:
        time.sleep(POLL)
    for pid in left:
        _send(pid, signal.SIGKILL)
    return len(found)


def _others() -> list[int]:
    """Living processes that are neither the pod's first, nor this one, nor came from this one."""
    parents = dict(filter(None, (_parent(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())))
    return [pid for pid in parents if pid != FIRST and not _is_ours(pid, parents)]


def _is_ours(pid: int, parents: dict[int, int]) -> bool:
    own = os.getpid()
    while pid not in (own, 0) and pid in parents:
        pid = parents[pid]
    return pid == own


def _parent(pid: int) -> tuple[int, int] | None:
    """The process and its parent; None for one that is gone, or ended and only not waited for yet."""
    try:
        state, parent = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else (pid, int(parent))


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.kill(pid, number)
