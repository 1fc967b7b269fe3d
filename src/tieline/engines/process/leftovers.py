"""What is left of a run on this machine when nobody watches it any more: found by its mark, and killed.

Every program of a run, every guard and every git carries the run's uuid in its environment, and children inherit it.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from tieline.engines.process import guard
from tieline.engines.process.programs import GUARD_MARKER
from tieline.engines.variables import MARKER

LOOKS = 2
"""So many looks in a row must find nothing: a process that forks and ends during one look is not seen by it."""
PAUSE = 0.01
AT_ONCE = 200
GIVING_UP = 15.0


def processes_of(uuid: str) -> set[int]:
    """Living processes of this machine that carry the run's mark, or descend from one that does; never this one."""
    marked = {int(name) for name in os.listdir("/proc") if name.isdecimal() and _is_marked(name, uuid)}
    marked.discard(os.getpid())
    found = marked | guard.descendants(marked) if marked else marked
    return found - {os.getpid()}


def has_guards(uuid: str) -> bool:
    """Whether a guard of the run is still at work."""
    return any(_is_marked(name, uuid, guards=True) for name in os.listdir("/proc") if name.isdecimal())


def _is_marked(pid: str, uuid: str, *, guards: bool = False) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return False
    return f"{MARKER}={uuid}".encode() in variables and (not guards or f"{GUARD_MARKER}=1".encode() in variables)


def sweep(uuid: str, *, patience: float = 0.0) -> int:
    """Kill what is left of a run, after waiting ``patience`` seconds for its guards to do it; how many were killed."""
    until = time.monotonic() + patience
    while time.monotonic() < until and has_guards(uuid):
        time.sleep(PAUSE)
    until = time.monotonic() + GIVING_UP
    killed: set[int] = set()
    quiet = 0
    while quiet < LOOKS and time.monotonic() < until:
        left = processes_of(uuid)
        quiet = 0 if left else quiet + 1
        if left:
            killed |= _kill(sorted(left)[:AT_ONCE], uuid)
            time.sleep(PAUSE)
    return len(killed)


def _kill(pids: list[int], uuid: str) -> set[int]:
    """KILL those that still are the run's, through handles: a number may be another process's by now."""
    handles = {}
    try:
        for pid in pids:
            with suppress(OSError):
                handles[pid] = os.pidfd_open(pid)
        still = processes_of(uuid) & handles.keys()
        for pid in still:
            with suppress(OSError):  # it has ended, or is another user's
                signal.pidfd_send_signal(handles[pid], signal.SIGKILL)
        return still
    finally:
        for handle in handles.values():
            os.close(handle)
