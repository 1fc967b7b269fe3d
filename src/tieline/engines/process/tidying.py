"""What is removed when a run has ended, and when: never before it is saved, and never in a half."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from tieline.engines.folders import EXPIRES, TRASH, RunFolder, remove_tree
from tieline.errors import Code
from tieline.model.plan import Plan
from tieline.model.run import Outcome


def tidy(folder: RunFolder, plan: Plan, final: Outcome) -> Path | None:
    """Put away what is saved; keep the work folder as long as ``ttl`` says, and everything that could not be saved.
    Files with secrets go in any case.

    Before the end is recorded: a process that is killed afterwards leaves nothing behind but trash. Where that is, for
    :func:`~tieline.engines.folders.remove_tree`, which may take its time.
    """
    from tieline.engines.process.bound import remove_bound  # late: every command sweeps, and few end a run

    remove_bound(plan)
    if final.reason == Code.OUTPUTS_NOT_SAVED:
        return None
    for attempt in folder.attempts():
        attempt.remove_spools()
    with suppress(OSError):  # what cannot be put away stays, and does no harm
        if not plan.ending.ttl:
            return folder.put_away(folder.context)
        folder.expires.parent.mkdir(mode=0o700, exist_ok=True)
        folder.expires.write_text(str(time.time() + plan.ending.ttl))
    return None


def tidy_attempt(folder: RunFolder, number: int, *, wholly: bool) -> Path | None:
    """Put away what is saved of an attempt that another one follows; ``wholly``: also the work folder, for its room."""
    folder.attempt(number).remove_spools()
    if wholly:
        with suppress(OSError):  # the next attempt tries it again, and fails
            return folder.put_away(folder.context)
    return None


def sweep_expired(runs: Path, now: float | None = None) -> int:
    """Remove the work folders whose ``ttl`` is over, how many; and the trash that killed processes left."""
    moment = time.time() if now is None else now
    removed = 0
    for mark in _entries(runs / EXPIRES):
        if _expires(mark) > moment:
            continue
        folder = RunFolder(runs / mark.name)
        with suppress(OSError):
            folder.put_away(folder.context)
            mark.unlink(missing_ok=True)
            removed += 1
    for path in _entries(runs / TRASH):
        remove_tree(path)
    return removed


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _expires(mark: Path) -> float:
    try:
        return float(mark.read_text())
    except ValueError:  # the disk was full: how long the folder is to be kept is not known, and it takes room
        return 0.0
    except OSError:
        return float("inf")
