"""Taking over a run that nobody owns: whoever gets its lock may end it, or bring its record up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tieline.engines.folders import RunFolder
from tieline.errors import NotFound
from tieline.model.run import Run
from tieline.runs.locks import RunLock

if TYPE_CHECKING:
    from tieline.runs.record import Record


@contextmanager
def owned(record: Record, folder: RunFolder, uuid: str) -> Iterator[Run | None]:
    """The run as it is recorded, its lock held meanwhile; None where somebody else holds it, or it is removed."""
    folder.create()
    lock = RunLock.try_acquire(folder.lock)
    if lock is None:
        yield None
        return
    with lock:
        try:
            run = record.get(uuid)
        except NotFound:  # removed meanwhile, and its folder was made again just now
            folder.remove()
            yield None
            return
        yield run
