"""Saving one spool to the store while its program runs, and putting the log together in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from tieline.steps.manifest import Entry, digest_of
from tieline.steps.redaction import Redactor
from tieline.steps.segments import LogFolder, Segment, Whole
from tieline.steps.spools import CAP, Piece, Spool, Tail
from tieline.stores import Saved, Store, StoreTrouble

MERGED = 32
"""So many small segments become one, so that a job of a month does not leave a million files."""

_CHUNK = 1024 * 1024


class LogSaver:
    """The only writer of one log. Any method may raise a store's trouble, and be called again afterwards.

    It goes on where the store's log ends: whatever was killed, each line is saved once, in order.
    """

    def __init__(self, store: Store, prefix: str, spool: Spool, redactor: Callable[[], Redactor]) -> None:
        self.spool = spool
        self._folder = LogFolder(store, prefix, spool.name)
        self._store, self._redactor = store, redactor
        self._tail: Tail | None = None
        self._pending: Piece | None = None
        self._whole = Whole()
        self._segments: list[Segment] = []
        self.count = 0
        """How many segments this saver has saved."""
        self.saved: Saved | None = None
        """The one plain file, where this saver put it together."""

    @property
    def cuts(self) -> int:
        """How often the program emptied its own log."""
        return self._tail.cuts if self._tail else 0

    @property
    def lines(self) -> int:
        """How many lines the log has; known once it is put together."""
        return self._whole.lines

    @property
    def whole_key(self) -> str | None:
        """Where the one plain file is; None as long as there is none."""
        return self._folder.whole_key if self._whole.exists else None

    def save(self, *, final: bool = False) -> bool:
        """Save the next piece; whether more is there at once. ``final``: to the end, for nobody writes any more."""
        tail = self._ready()
        is_old = self._pending is not None
        if self._pending is None:
            self._pending = tail.next(final=final)
        piece = self._pending
        if piece is None:
            return False
        segment = Segment(piece.start, piece.end, len(piece.data))
        self._store.save_bytes(piece.data, self._folder.segment_key(segment))
        self._segments.append(segment)
        self._pending = None
        self.count += 1
        if len(self._segments) >= MERGED:
            with suppress(StoreTrouble):  # the lines are saved; how many files they lie in can wait
                self._merge()
        return is_old or piece.is_full

    def put_together(self) -> None:
        """Make the log one plain file, and remove its segments. Only after everything is saved."""
        self._ready()
        if not (self._segments or self._whole.exists or self.spool.path.exists()):
            return  # the program never ran
        if self._segments or not self._whole.exists:
            counted = _Counted(self._all())
            saved = self._store.save_chunks(counted, self._folder.whole_key)
            end = self._segments[-1].end if self._segments else self._whole.end
            whole = Whole(end, saved.size, counted.lines, exists=True)
            self._store.save_bytes(whole.as_bytes(), self._folder.mark_key)
            self.saved = saved
            self._whole, self._segments = whole, []
        for segment in self._folder.found():
            if segment.end <= self._whole.end:
                self._store.delete(self._folder.segment_key(segment))

    def _ready(self) -> Tail:
        """Where to go on: known after the first look at the store."""
        if self._tail is None:
            chain = self._folder.chain()
            self._whole, self._segments = chain.whole, chain.segments
            self._tail = Tail(self.spool.path, chain.end, self._redactor)
        return self._tail

    def _merge(self) -> None:
        """Make one of the last segments, as many as fit under the cap, if they are many."""
        count = size = 0
        for segment in reversed(self._segments):
            if size + segment.size > CAP:
                break
            count, size = count + 1, size + segment.size
        if count < MERGED:
            return
        small = self._segments[-count:]
        wide = Segment(small[0].start, small[-1].end, size)
        data = b"".join(self._read(self._folder.segment_key(segment)) for segment in small)
        self._store.save_bytes(data, self._folder.segment_key(wide))
        self._segments[-count:] = [wide]
        for segment in small:
            self._store.delete(self._folder.segment_key(segment))

    def _all(self) -> Iterator[bytes]:
        if self._whole.size:
            yield from self._chunks(self._folder.whole_key, self._whole.size)
        for segment in self._segments:
            yield from self._chunks(self._folder.segment_key(segment), segment.size)

    def _chunks(self, key: str, size: int) -> Iterator[bytes]:
        with self._store.open(key) as stream:
            while size and (data := stream.read(min(_CHUNK, size))):
                size -= len(data)
                yield data

    def _read(self, key: str) -> bytes:
        with self._store.open(key) as stream:
            return stream.read()


def log_entries(store: Store, savers: Iterable[LogSaver], prefix: str) -> Iterator[Entry]:
    """The logs that are put together, as the manifest tells them. Raises StoreTrouble."""
    for saver in savers:
        key, saved = saver.whole_key, saver.saved
        if key is None:
            continue
        if saved is None:  # another process put it together
            found = store.stat(key)
            size, sha256 = digest_of(store, key)
            saved = Saved(size, found.mtime_ns if found is not None else 0, sha256)
        path = key[len(prefix.strip("/")) :].lstrip("/")
        yield Entry(path, saved.size, saved.sha256, saved.mtime_ns, saved.mtime_ns)


class _Counted:
    """Chunks, and how many lines they were."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._last = b"\n"
        self._ends = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._ends += chunk.count(b"\n")
            self._last = chunk[-1:] or self._last
            yield chunk

    @property
    def lines(self) -> int:
        """Lines so far; one without an end counts."""
        return self._ends + (self._last != b"\n")
