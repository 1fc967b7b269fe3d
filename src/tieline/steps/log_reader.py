"""Reading a log out of the store, whole or as it grows, while it is being saved, merged and put together."""

from __future__ import annotations

from collections.abc import Iterator

from tieline.steps.segments import LogFolder
from tieline.stores import Store, StoreTrouble, Why, shown

CHUNK = 1024 * 1024
_TRIES = 20  # times that something has to be missing, one after the other, before it is believed to be lost


class LogReader:
    """Reads one log on. Its position counts saved bytes, which mean the same before and after every merge."""

    def __init__(self, store: Store, prefix: str, name: str) -> None:
        self._folder = LogFolder(store, prefix, name)
        self.offset = 0
        self.raw_end: int | None = None
        """Where in the raw spool the end of what was read is; None: not known."""

    def poll(self) -> Iterator[bytes]:
        """What is new since the last call, in chunks. Raises :class:`StoreTrouble` when the store cannot be read."""
        for attempt in range(_TRIES):
            try:
                yield from self._new()
            except StoreTrouble as error:
                # A segment that was listed is merged by now, or a file was written anew: look again, from where we are.
                if error.why not in (Why.NOT_FOUND, Why.CHANGED) or attempt == _TRIES - 1:
                    raise
            else:
                return

    def _new(self) -> Iterator[bytes]:
        chain = self._folder.chain()
        parts = [(self._folder.whole_key, chain.whole.size)]
        parts += [(self._folder.segment_key(segment), segment.size) for segment in chain.segments]
        start, self.raw_end = 0, None
        for key, size in parts:
            end = start + size
            if self.offset < end:
                yield from self._part(key, self.offset - start, size)
            start = end
        if chain.has_gap:
            gap = f"a part of the log {shown(self._folder.key)!r} is missing from byte {chain.end} of its spool"
            raise StoreTrouble(Why.NOT_FOUND, gap, "see what is in that folder")
        self.raw_end = chain.end if self.offset == chain.saved else None

    def _part(self, key: str, skip: int, size: int) -> Iterator[bytes]:
        with self._folder.store.open(key, offset=skip) as stream:
            left = size - skip
            while left and (data := stream.read(min(CHUNK, left))):
                left -= len(data)
                self.offset += len(data)
                yield data


def log_tail(store: Store, prefix: str, name: str, most: int) -> bytes:
    """The last bytes, at most so many, of what is saved of a log by now; from the beginning of a line."""
    reader = LogReader(store, prefix, name)
    size = LogFolder(store, prefix, name).chain().saved
    reader.offset = max(0, size - most)
    cut = reader.offset > 0
    data = b"".join(reader.poll())
    return data.partition(b"\n")[2] if cut else data


def read_logs(store: Store, prefix: str, name: str) -> Iterator[bytes]:
    """All that is saved of a log by now, in chunks."""
    return LogReader(store, prefix, name).poll()
