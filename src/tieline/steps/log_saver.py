"""Saving one spool to the store while its program runs, and putting the log together in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from tieline.steps.ahead import Ahead
from tieline.steps.manifest import Entry, digest_of
from tieline.steps.redaction import Redactor
from tieline.steps.segments import LogFolder, Segment, Whole
from tieline.steps.spools import CAP, PORTION, Piece, Spool, Tail, emptied_mark
from tieline.stores import Saved, Store, StoreTrouble, Why, shown

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
        self.size = 0
        """How many raw bytes were in them."""
        self._tries_at_once = True
        self._cuts_told = 0

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
            self._tell_cuts(tail)
        piece = self._pending
        if piece is None:
            return False
        segment = Segment(piece.start, piece.end, len(piece.data))
        self._store.save_bytes(piece.data, self._folder.segment_key(segment))
        self._segments.append(segment)
        self._pending = None
        self._counted(piece.end - piece.start)
        if len(self._segments) >= MERGED:
            with suppress(StoreTrouble):  # the lines are saved; how many files they lie in can wait
                self._merge()
        return is_old or piece.is_full

    def save_new(self, is_over: Callable[[], bool]) -> None:
        """Save what is there now. What comes meanwhile is left to the next time, or to :meth:`save_rest`, which sends
        it only once; so is all the rest when ``is_over``."""
        goal = self.size + self._ready().left
        while self.save() and self.size < goal and not is_over():
            continue

    def save_rest(self, gives_up: Callable[[], bool] = lambda: False) -> None:
        """Save what is left, for nobody writes any more: all of it in the one plain file, so that it is sent only once.
        That is tried once; if it fails, piece by piece, going on each time from where it failed. ``gives_up``: asked
        before that."""
        self._save_in_one(gives_up)
        while self.save(final=True):
            continue

    def _save_in_one(self, gives_up: Callable[[], bool]) -> None:
        tail = self._ready()
        self._pending = self._pending or tail.next(final=True)
        self._tell_cuts(tail)
        if self._pending is None or tail.cuts or not self._tries_at_once:
            return
        self._tries_at_once = False
        before, whole_before = self._pending.start, self._whole
        try:
            self._make_whole(self._left(tail))
            self._counted(self._whole.end - before)
        except StoreTrouble:  # piece by piece it may go better; if not, that says why
            if gives_up():
                raise
        finally:
            if self._whole is whole_before:  # what was taken is to be taken again
                self._tail = Tail(self.spool.path, before, self._redactor)
            self._pending = None

    def put_together(self) -> None:
        """Make the log one plain file, and remove its segments. Only after everything is saved."""
        self._ready()
        if not (self._segments or self._whole.exists or self.spool.path.exists()):
            return  # the program never ran
        if self._segments or not self._whole.exists:
            self._make_whole(iter(()))
        for segment in self._folder.found():
            if segment.end <= self._whole.end:
                self._store.delete(self._folder.segment_key(segment))

    def _make_whole(self, more: Iterator[Piece]) -> None:
        """Write the one plain file, of what is saved and ``more``."""
        end = self._segments[-1].end if self._segments else self._whole.end

        def chunks() -> Iterator[bytes]:
            nonlocal end
            yield from self._all()
            for piece in more:
                end = piece.end
                yield piece.data

        with Ahead(chunks()) as ahead:
            counted = _Counted(iter(ahead))
            saved = self._store.save_chunks(counted, self._folder.whole_key)
        whole = Whole(end, saved.size, counted.lines, exists=True)
        self._store.save_bytes(whole.as_bytes(), self._folder.mark_key)
        self.saved = saved
        self._whole, self._segments = whole, []

    def _left(self, tail: Tail) -> Iterator[Piece]:
        piece = self._pending
        while piece is not None:
            yield piece
            piece = tail.next(final=True, most=PORTION)

    def _tell_cuts(self, tail: Tail) -> None:
        if tail.cuts > self._cuts_told:
            self._cuts_told = tail.cuts
            with suppress(OSError):  # whoever follows sees for itself, in most cases
                emptied_mark(self.spool.path).touch(mode=0o600)

    def _counted(self, raw: int) -> None:
        self.count, self.size = self.count + 1, self.size + raw

    def _ready(self) -> Tail:
        """Where to go on: known after the first look at the store."""
        if self._tail is None:
            chain = self._folder.chain(self._is_good)
            self._whole, self._segments = chain.whole, chain.segments
            self._tail = Tail(self.spool.path, chain.end, self._redactor)
        return self._tail

    def _is_good(self, key: str, size: int) -> bool:
        """Whether what an owner before this one left is what it sent: it may have been killed before it had compared
        the two, where the store itself does not."""
        if self._store.checks:
            return True
        try:
            return sum(map(len, self._chunks(key, size))) == size
        except StoreTrouble as error:
            if error.why not in (Why.DAMAGED, Why.NOT_FOUND):
                raise
            return False

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
        try:
            self._store.save_bytes(data, self._folder.segment_key(wide))
        except StoreTrouble:
            with suppress(StoreTrouble):  # what is there of it may be damaged, and would be read instead of the others
                self._store.delete(self._folder.segment_key(wide))
            raise
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
        if size:
            raise StoreTrouble(
                Why.DAMAGED, f"{size} bytes at the end of {shown(key)!r} are missing", "see who writes there"
            )

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
