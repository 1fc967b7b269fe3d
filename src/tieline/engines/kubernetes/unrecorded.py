"""A record that cannot be written now, because its disk is full: the run goes on in its cluster, and nothing is lost.

The cluster keeps what there is to be recorded, so it is tried again for a while, after the trash was removed. Then the
command ends and says why; the next one that finds room brings the record up to date.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tieline.engines.base import Listener
from tieline.engines.folders import TRASH, RunFolder, remove_tree
from tieline.errors import Code, RecordError
from tieline.model.run import Run

if TYPE_CHECKING:
    from tieline.runs.record import Record

PATIENCE = 10.0
"""Seconds for which it is tried."""


@dataclass(slots=True)
class Unrecorded:
    """What is not recorded of one run, and since when."""

    record: Record
    folder: RunFolder
    listener: Listener
    _since: float = 0.0

    def failed(self, run: Run, error: RecordError) -> Run:
        """The run as the record has it. Raises RecordError where trying again is no use, or has been for long."""
        now = time.monotonic()
        if not self._since:
            self._since = now
            self.listener.note(f"the run goes on, and cannot be recorded now: {error}")
        if error.code != Code.HOME_UNUSABLE or now >= self._since + PATIENCE:
            raise error
        for path in self._trash():
            remove_tree(path)
        with suppress(RecordError):  # it cannot be read now either
            return self.record.get(run.uuid)
        return run

    def done(self) -> None:
        """It was recorded."""
        self._since = 0.0

    def _trash(self) -> list[Path]:
        with suppress(OSError):  # there is none
            return list((self.folder.root.parent / TRASH).iterdir())
        return []


def unwritten(folder: RunFolder, error: OSError) -> RecordError:
    """What is told of a run's folder that cannot be written."""
    text = f"{folder.root}: cannot be written: {error.strerror or error}"
    return RecordError.of(Code.HOME_UNUSABLE, text, "check that disk, and that it is not full")
