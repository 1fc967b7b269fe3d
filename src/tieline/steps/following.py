"""Following a log as it grows: on the machine that carries the run out from its spool, at once; else out of the store.

The stored log is the truth. What the spool gives ahead of it is remembered, so that the store takes over at any moment
(the run has ended, the spool was emptied or is gone) and is given on only from where it goes beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os.path import exists
from pathlib import Path

from tieline.steps.log_reader import LogReader
from tieline.steps.redaction import Redactor
from tieline.steps.spools import PORTION, Tail, emptied_mark

KEPT = 1024 * 1024
"""Bytes given ahead of the store that are compared with it; of those before, the number counts."""

Trusted = Callable[[], Callable[[], Redactor] | None]
"""Asked when the spool is there: what makes a redactor that masks all that the run's own masks; None: nobody can."""


class Follower:
    """One log of one attempt. ``spool``: where its raw bytes are, if that is on this machine."""

    def __init__(self, reader: LogReader, spool: Path | None, trusted: Trusted) -> None:
        self._reader, self._spool, self._trusted = reader, spool, trusted
        self._tail: Tail | None = None
        self._ahead = bytearray()  # what was given, from the reader's offset on

    @property
    def is_near(self) -> bool:
        """Whether the spool is read: to look costs next to nothing."""
        return self._tail is not None

    def poll(self) -> Iterator[bytes]:
        """What is new. Raises :class:`StoreTrouble` when the store cannot be read."""
        if self._tail is None:
            yield from self.stored()
            self._begin()
        if self._tail is not None:
            yield from self._printed(self._tail)

    def stored(self) -> Iterator[bytes]:
        """What is new in the store: all there will be, once the attempt has ended. Raises :class:`StoreTrouble`."""
        for chunk in self._reader.poll():
            if new := self._not_given(chunk):
                yield new

    def _begin(self) -> None:
        """Go on from the spool where the store ends, if that is possible."""
        spool, start = self._spool, self._reader.raw_end
        if spool is None or start is None or not exists(spool):
            return
        redactor = None if exists(emptied_mark(spool)) else self._trusted()
        if redactor is None:
            self._spool = None
        else:
            self._tail = Tail(spool, start, redactor)

    def _printed(self, tail: Tail) -> Iterator[bytes]:
        """What is new in the spool. Where that is of no use any more, the store is read from the next look on."""
        try:
            while not self._is_lost and (piece := tail.next(most=PORTION)) and not tail.cuts:
                yield self._given(piece.data)
            self._spool = None if tail.cuts else self._spool
        except OSError:  # it is not ours to read: the store has it too, a little later
            self._spool = None
        if self._is_lost:
            self._tail = None

    @property
    def _is_lost(self) -> bool:
        """Whether the spool cannot be read on. Where it was emptied, only who saves it knows how offsets go on."""
        return self._spool is None or not exists(self._spool) or exists(emptied_mark(self._spool))

    def _given(self, data: bytes) -> bytes:
        """Remember that this was given ahead of the store."""
        self._ahead += data
        if (more := len(self._ahead) - KEPT) > 0:
            del self._ahead[:more]
            self._reader.offset += more
        return data

    def _not_given(self, chunk: bytes) -> bytes:
        """What of the store's next bytes was not given yet; where it is other than what was printed, all from there."""
        if not self._ahead:
            return chunk
        both = min(len(chunk), len(self._ahead))
        if chunk[:both] == self._ahead[:both]:
            del self._ahead[:both]
            return chunk[both:]
        same = next(at for at in range(both) if chunk[at] != self._ahead[at])
        self._ahead.clear()
        return chunk[same:]
