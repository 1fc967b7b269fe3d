"""What happens to a run, recorded as far as the disk lets us: tried again where it is full, and noted for a recovery.

What a run leaves to throw away (spools that are saved, its work folder) is often what fills the disk. So the record is
tried again after the trash was removed; and how the run ended is written into a file whose room was taken when the
run began, for who recovers it where the record cannot be written at all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from tieline.engines.folders import RunFolder
from tieline.engines.process import guard
from tieline.engines.process.tidying import sweep_expired
from tieline.errors import Code, RecordError
from tieline.model.run import Outcome, Run, Status
from tieline.runs.record import Record

SOON = 1.0
"""Seconds for which a transition is tried while a program runs: nobody watches it meanwhile."""
PATIENCE = 10.0
"""Seconds for which the end is tried. A record that another program holds is waited for once: that took longer."""
PAUSE = 0.2


def recorded(record: Record, folder: RunFolder, to: Status, move: Callable[[], Run], patience: float) -> Run:
    """Carry out a transition of a run that is ours, after making room where that is needed.

    Raises RecordError where the record cannot be written for so many seconds.
    """
    until = time.monotonic() + patience
    is_first = True
    while True:
        try:
            if not is_first and (run := record.get(folder.root.name)).status is to:
                return run  # the disk failed when it had been written
            return move()
        except RecordError as error:
            if error.code != Code.HOME_UNUSABLE or time.monotonic() >= until:
                raise
        is_first = False
        sweep_expired(folder.root.parent)
        time.sleep(PAUSE)


class Note:
    """How an attempt ended, for a recovery. Where there was no room for it even at the beginning, there is none."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.note
        self._room: guard.Room | None = None
        with suppress(OSError):
            self._room = guard.Room(str(self._path))

    def write(self, attempt: int, outcome: Outcome) -> None:
        if self._room is not None:
            short = outcome.message[: guard.ROOM // 8]  # a character may take six bytes
            with suppress(OSError):
                self._room.fill({**asdict(outcome), "message": short, "attempt": attempt})
                self._room.keep()

    def close(self) -> None:
        if self._room is not None:
            os.close(self._room.file)
            self._room = None


def noted(folder: RunFolder, attempt: int) -> Outcome | None:
    """How this attempt ended, where its supervisor could only note it."""
    try:
        fields = json.loads(folder.note.read_bytes())
        if fields.pop("attempt") != attempt:
            return None
        return Outcome(**{**fields, "status": Status(fields["status"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def forget(folder: RunFolder) -> None:
    """The record knows it now."""
    with suppress(OSError):
        folder.note.unlink()
