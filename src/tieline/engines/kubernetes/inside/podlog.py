"""A container's log as ``pods/log`` gives it with timestamps, put together again over any number of connections.

Every line comes as ``2006-01-02T15:04:05.999999999Z text``. A connection may break anywhere; the next one asks for what
is not older than a second before the last line (the API knows whole seconds only), and what was had already is left
out: all up to the last line, which the nanoseconds of its time tell from others.

What the kubelet does not say has to be inferred:

* A line of more than 16 KiB is kept in parts. Kubelets before 1.23 put a time before each part, later ones before the
  first: a time exactly 16 KiB after the last one is no text.
* One of the program's two pipes that ends within a line has the other's next line put right behind it, with its time
  (before 1.23; later without, and then nobody can tell). A time within a line, not before the line's own, is that.
* A log file that is full is put away, and only the newest one is read. When the last line is not there any more
  after a break, or when so long a time is missing in a busy log as a whole file covers, lines may be gone: a
  :class:`Gap`. So they may where the first line that can be had is so much later than the container that a whole file
  had room before it, at the rate at which the next ones came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

_STAMP = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) "
_PREFIX = re.compile(_STAMP)
_PREFIXES = re.compile(rb"(?m)^" + _STAMP)
_WITHIN = re.compile(rb"(?<=[^\n])" + _STAMP)
DAY = len("2006-01-02T")
PART = 16 * 1024
"""The runtime cuts longer lines into parts of so many bytes."""
LONG = 4 * 1024 * 1024
"""Of a line without an end, so much is waited for before it is given."""
SECOND = 1_000_000_000
_NEWLINE = 0x0A
LATE = SECOND // 10
"""So much later than it should be, a line that was had already does not come any more."""
JUMP = 5 * SECOND // 2
"""The kubelet looks every ten seconds whether a log file is full (newer ones may be told: every three): a file that was
missed covers no less."""
FILE = 4 * 1024 * 1024
"""No kubelet is expected to put a smaller log file away (by default: 10 MiB)."""
TAIL = 4096
"""Of a long line, so much of its end is remembered."""
RECENT = 64
"""So many lines are remembered, to tell how many of one moment are alike."""
MOST_SAID = 10


@dataclass(frozen=True, slots=True)
class Gap:
    """Between these two times (nanoseconds since 1970) lines may be missing."""

    after: int
    before: int
    where: str = "here"

    @property
    def words(self) -> str:
        seconds = max(0, self.before - self.after) / SECOND
        return (
            f"lines may be missing {self.where}: the cluster put a log file away before it was read to its end "
            f"(between {_clock(self.after)} and {_clock(self.before)}, {seconds:.1f} s)"
        )


@dataclass(slots=True)
class _Last:
    """The last whole line that was taken, as it came, and how many that are the same were taken just before.

    ``tail``: of a line in parts only its beginning and its end are kept; the beginning may not come a second time.
    """

    raw: bytes = b""
    time: int = 0
    count: int = 0
    tail: bytes = b""


@dataclass(slots=True)
class PodLog:
    """Puts one container's log together. ``gaps`` and ``said`` (the kubelet's own words in the stream) only grow."""

    gaps: list[Gap] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    size: int = 0
    """How many bytes came in all that were not had before, times included."""
    began: int = 0
    """When the container began, as far as that is known: the second, in nanoseconds since 1970."""
    _last: _Last = field(default_factory=_Last)
    _recent: list[tuple[bytes, bytes]] = field(default_factory=list)
    _pending: bytearray = field(default_factory=bytearray)
    _unfinished: bytes = b""  # the time of a line of which a part was given before its end came
    _given: int = 0  # bytes of its text that were given
    _skip: int = 0  # how many of those are still to come on this connection
    _is_rest: bool = False  # whether what is kept of it is not its beginning
    _again: bytearray | None = None  # what came of a new connection while the last line is looked for
    _looked: int = 0  # so much of it needs no second look
    _is_whole: bool = True  # whether the connection before was read to its end
    _opened: int = 0
    _asked: int = 0  # when the first connection was there
    _received: int = 0
    _file: int = 0  # bytes since the last gap
    _first: tuple[int, int] | None = None  # the first line's time, and how many bytes came before it
    _is_beginning: bool = True  # whether it is still to be seen if that was the log's first one

    @property
    def since(self) -> str | None:
        """What the next connection is to ask for; None: all."""
        time = _time_of(self._unfinished) if self._unfinished else self._last.time
        if not time:
            return None
        return datetime.fromtimestamp(time // SECOND - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def is_before(self, time: int) -> bool:
        """Whether there is something, and all of it was printed before this time."""
        return 0 < self._last.time < time

    @property
    def is_looking(self) -> bool:
        """Whether it is not known yet where a new connection goes on."""
        return bool(self._again)

    def begin(self, now: int, *, whole: bool) -> None:
        """A new connection. ``whole``: the one before was quiet when it was given up: nothing was lost with it."""
        self._pending.clear()
        self._opened = now
        self._asked = self._asked or now
        self._is_whole = whole
        self._skip, self._is_rest = self._given, False
        self._again = bytearray() if self._last.raw or self._unfinished else None
        self._looked = 0

    def restart(self) -> None:
        """Another container has taken this one's place: its log begins anew."""
        self._pending.clear()
        self._last, self._again = _Last(), None
        self._recent = []
        self._first, self._is_beginning, self._asked = None, True, 0
        self._line_ended()

    def feed(self, data: bytes, now: int) -> bytes:
        """What came, at a time in nanoseconds; what it adds to the program's output."""
        if self._again is not None:
            return self._resume(data, now)
        self._pending += data
        cut = self._pending.rfind(b"\n", len(self._pending) - len(data)) + 1
        if not cut:
            return self._unended(now, final=False) if len(self._pending) > LONG else b""
        block = bytes(self._pending[:cut])
        del self._pending[:cut]
        return self._taken(block, now)

    def end(self, now: int, *, final: bool) -> bytes:
        """The connection has ended. ``final``: and so has the program, so that a line without an end is one."""
        out = b""
        if final and self._again is not None:
            out = self._unfound(now)
        if final and self._pending:
            out += self._unended(now, final=True)
        return out

    def quiet(self, now: int) -> bytes:
        """Nothing has come for a while: what is looked for does not come any more."""
        return self._unfound(now) if self._again else b""

    # --- lines

    def _taken(self, block: bytes, now: int) -> bytes:
        """The text of whole lines, which are new, and what is to be said before it."""
        self.size += len(block)
        self._file += len(block)
        text, count = _PREFIXES.subn(b"", block)
        lines = block.split(b"\n")
        lines.pop()
        late = self._late(lines, len(block)) if self._is_beginning else b""
        return late + self._text_of(lines, text, count, now)

    def _text_of(self, lines: list[bytes], text: bytes, count: int, now: int) -> bytes:
        if count != len(lines) or self._unfinished or max(map(len, lines)) > PART:
            return self._one_by_one(lines, now)
        first, last = _time_of(lines[0]), _time_of(lines[-1])
        if last - first >= JUMP:
            return self._one_by_one(lines, now)
        if any(day in text for day in {lines[0][:DAY], lines[-1][:DAY]}) and _WITHIN.search(text):
            return self._one_by_one(lines, now)
        mark = self._jumped(first, now)
        self._noted(lines, last, now)
        return mark + text

    def _one_by_one(self, lines: list[bytes], now: int) -> bytes:
        """The same where something is unusual."""
        out: list[bytes] = []
        for line in lines:
            if not _PREFIX.match(line):
                self._say(line)
                continue
            out += (self._jumped(_time_of(line), now), self._rest_of(line, now), b"\n")
            self._noted([line], _time_of(line), now)
        return b"".join(out)

    def _rest_of(self, line: bytes, now: int) -> bytes:
        """The text of a line, without what was given before it had an end."""
        if not self._unfinished:
            return _apart(joined(line), _time_of(line), now)
        text = joined(line, is_rest=self._is_rest)
        text = text[self._skip :] if line.startswith(self._unfinished) else text
        self._line_ended()
        return text

    def _line_ended(self) -> None:
        self._unfinished, self._given, self._skip, self._is_rest = b"", 0, 0, False

    def _unended(self, now: int, *, final: bool) -> bytes:
        """What can be given of a line that has no end yet: all, or its whole parts. What is given is not kept."""
        line = bytes(self._pending)
        stamp = _PREFIX.match(line)
        self._pending.clear()
        if stamp is None:
            self._say(line)
            return b""
        if final:
            return self._rest_of(line, now)
        if self._unfinished != stamp[0]:
            self._line_ended()
            self._unfinished = stamp[0]
        parts = list(_parts(line, stamp.end(), is_rest=self._is_rest))
        text = b"".join(line[start:stop] for start, stop in parts[:-1])
        self._pending += stamp[0] + line[parts[-2][1] :]
        self._is_rest = True
        out, self._skip = text[self._skip :], max(0, self._skip - len(text))
        self._given += len(out)
        return out

    def _say(self, line: bytes) -> None:
        """The kubelet's own words: a few of them tell enough."""
        if line and len(self.said) < MOST_SAID:
            self.said.append(line[:TAIL])

    def _noted(self, lines: list[bytes], time: int, now: int) -> None:
        latest = [_told_apart(line) for line in lines[-RECENT:]]
        self._recent = [*self._recent, *latest][-RECENT:]
        raw, tail = latest[-1]
        self._last = _Last(raw, time, self._recent.count(latest[-1]), tail)
        self._received = now

    def _jumped(self, time: int, now: int) -> bytes:
        """A mark, where a whole file may have been missed: a jump, though what is after it was there in good time."""
        del now
        last = self._last.time
        if last and time - last >= JUMP and self._received >= time and self._file >= FILE:
            return self._mark(Gap(last, time))
        return b""

    def _late(self, lines: list[bytes], size: int) -> bytes:
        """A mark, where a whole file may have been put away before anybody asked for the first one."""
        self._first = self._first or (_time_of(lines[0]), self.size - size)
        first, before = self._first
        if self.size - before < FILE:
            return b""
        self._is_beginning = False
        spent = _time_of(lines[-1]) - first
        if first <= self._asked and self.began and first - self.began - SECOND >= spent:
            return self._mark(Gap(self.began, first, "at the beginning"))
        return b""

    def _mark(self, gap: Gap) -> bytes:
        self.gaps.append(gap)
        self._file = 0
        return f"[tieline: {gap.words}]\n".encode()

    # --- a new connection

    def _resume(self, data: bytes, now: int) -> bytes:
        """Leave out what was had already."""
        assert self._again is not None, "somebody is looking for the last line"  # noqa: S101
        again = self._again
        again += data
        if self._unfinished and again.startswith(self._unfinished):
            return self._found(0, now)
        found = _after(again, self._last, self._looked)
        if found is not None:
            return self._found(found, now)
        end = again.rfind(b"\n")
        if self._last.count == 1 and not self._last.tail:
            self._looked = max(0, end - len(self._last.raw))
        newest = _time_of(bytes(again[again.rfind(b"\n", 0, end) + 1 : end])) if end > 0 else 0
        return self._unfound(now) if newest > self._last.time + LATE else b""

    def _found(self, at: int, now: int) -> bytes:
        """What is after ``at`` is new."""
        rest, self._again = bytes(self._again or b"")[at:], None
        return self.feed(rest, now) if rest else b""

    def _unfound(self, now: int) -> bytes:
        """The last line is gone: all that came is new, and something may be missing before it."""
        rest, self._again = bytes(self._again or b""), None
        self._line_ended()
        stamp = _PREFIX.match(rest)
        mark = b""
        if stamp is not None:
            time = _time_of(rest)
            is_late = time - self._last.time >= JUMP and time < self._opened
            mark = b"" if self._is_whole and not is_late else self._mark(Gap(self._last.time, time))
            self._file = 0
        elif not rest and not self._is_whole and self._last.time:  # not even the last line is there any more
            mark = self._mark(Gap(self._last.time, now))
        return mark + (self.feed(rest, now) if rest else b"")


def _told_apart(line: bytes) -> tuple[bytes, bytes]:
    """A line as it is looked for later: all of it; of one in parts its time and its end."""
    stamp = _PREFIX.match(line)
    return (stamp[0], line[-TAIL:]) if len(line) > PART and stamp is not None else (line, b"")


def _apart(text: bytes, time: int, now: int) -> bytes:
    """A line with another one behind it: what a program prints of its own times is older than the line's."""
    return _WITHIN.sub(lambda found: b"\n" if time <= _nanoseconds(found) <= now + SECOND else found[0], text)


def joined(line: bytes, *, is_rest: bool = False) -> bytes:
    """The text of one line, its parts put together; without its time. ``is_rest``: parts before these were given."""
    stamp = _PREFIX.match(line)
    begin = stamp.end() if stamp else 0
    if len(line) - begin <= PART and not is_rest:
        return line[begin:]
    return b"".join(line[start:stop] for start, stop in _parts(line, begin, is_rest=is_rest))


def _parts(line: bytes, begin: int, *, is_rest: bool) -> Iterator[tuple[int, int]]:
    """Where the text of each part is. ``is_rest``: there may be a time before the first, too."""
    at, is_first = begin, not is_rest
    while at < len(line) or is_first:
        stamp = None if is_first else _PREFIX.match(line, at)
        at = stamp.end() if stamp else at
        yield at, min(at + PART, len(line))
        at, is_first = at + PART, False


def _after(data: bytearray, last: _Last, begin: int) -> int | None:
    """Where that begins which follows the last line that was taken; None: it is not there (yet)."""
    if last.tail:
        return _after_long(data, last)
    at, left, needle = begin, last.count, last.raw + b"\n"
    while (at := data.find(needle, at)) >= 0:
        is_line = at == 0 or data[at - 1] == _NEWLINE
        at += len(needle)
        left -= is_line
        if not left:
            return at
    return None


def _after_long(data: bytearray, last: _Last) -> int | None:
    """The same for a line in parts. The first line of all may have lost its first ones: they are too old."""
    at, left = 0, last.count
    while (end := data.find(b"\n", at)) >= 0:
        is_cut = at == 0 and _time_of(bytes(data[:64])) > last.time
        left -= (is_cut or data.startswith(last.raw, at)) and data.endswith(last.tail, at, end)
        at = end + 1
        if not left:
            return at
    return None


def _time_of(line: bytes) -> int:
    """Nanoseconds since 1970 of a line's time; 0 where it has none."""
    stamp = _PREFIX.match(line)
    return 0 if stamp is None else _nanoseconds(stamp)


def _nanoseconds(stamp: re.Match[bytes]) -> int:
    return _seconds(stamp[1], stamp[3]) * SECOND + int((stamp[2] or b"0").ljust(9, b"0"))


@lru_cache(maxsize=8)
def _seconds(whole: bytes, zone: bytes) -> int:
    """Of a time without its fraction."""
    return int(datetime.fromisoformat((whole + zone).decode().replace("Z", "+00:00")).timestamp())


def _clock(time: int) -> str:
    return datetime.fromtimestamp(time / SECOND, UTC).strftime("%H:%M:%S.%f")[:-3]
