"""Masks secrets in a stream of bytes: linear in its length, whatever the number of secrets (Aho-Corasick).

Nearly all of a log is looked through for hooks only (:mod:`tieline.secrets.hooks`), and for the needles themselves only
where a hook is.

The stream may be cut anywhere, also inside of a value: what may be the beginning of one is held back until it is known.
Binary output passes as it is, but for the values in it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from tieline.secrets.hooks import around, hooks_of
from tieline.secrets.needles import SHORTEST
from tieline.secrets.secret import HIDDEN

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

MASK = HIDDEN.encode()
LARGE = 64 * 1024
"""Bytes of all needles beyond which their automaton is made smaller and slower: it would take 500 times as many."""
DENSE = 256
"""Where there is a hook for so many bytes, all of them are looked through for needles at once."""
KEPT = 4
"""So many times the longest needle may be held back."""


class Masker:
    """Finds needles. Made once, and used by any number of streams and threads.

    ``needles``: without line ends, see :mod:`tieline.secrets.needles`.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        self._needles = sorted(set(needles))
        self.longest = max(map(len, self._needles), default=0)
        self._heads = frozenset(needle[:1] for needle in self._needles)
        self._hooks = _automaton(hooks_of(self._needles))

    @property
    def identity(self) -> bytes:
        """The same for two that mask the same, and for no others. It is a secret itself."""
        return hashlib.sha256(b"\n".join(self._needles)).digest()

    def redactor(self) -> StreamRedactor:
        """A redactor for one stream."""
        return StreamRedactor(lambda: self)

    def plus(self, other: Masker) -> Masker:
        """Finds what either of them finds."""
        return Masker([*self._needles, *other._needles])

    def mask(self, data: bytes) -> bytes:
        """Bytes that are whole, without the needles."""
        return _without(data, _merged(self.matches(data)), len(data))

    def matches(self, data: bytes) -> list[tuple[int, int]]:
        """Where needles are, by their beginnings."""
        if self._hooks is None or not (hooks := self._hooks.find_matches_as_indexes(data)):
            return []
        parts = around(data, hooks, self.longest) if len(hooks) * DENSE < len(data) else ((0, len(data)),)
        find = self._finding
        found = [
            (at + start, at + end) for at, stop in parts for _, start, end in find(data[at:stop], overlapping=True)
        ]
        found.sort()
        return found

    @cached_property
    def _finding(self) -> Callable[..., list[tuple[int, int, int]]]:
        """Finds the needles themselves. Made when the first hook is found: it takes a while."""
        automaton = _automaton(self._needles)
        assert automaton is not None, "there is no hook without a needle"  # noqa: S101
        return automaton.find_matches_as_indexes

    def open_at(self, data: bytes) -> int:
        """From where on the end of the data may be the beginning of a needle; its length where it can't be."""
        line = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1  # no needle goes beyond the end of a line
        for start in range(max(line, len(data) - self.longest + 1), len(data)):
            if data[start : start + 1] in self._heads and self._begins(data[start:]):
                return start
        return len(data)

    def _begins(self, beginning: bytes) -> bool:
        at = bisect_left(self._needles, beginning)
        return at < len(self._needles) and self._needles[at].startswith(beginning)


def _automaton(needles: Sequence[bytes]) -> BytesAhoCorasick | None:
    if not needles:
        return None
    from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

    small = sum(map(len, needles)) <= LARGE
    how = Implementation.DFA if small else Implementation.ContiguousNFA
    return BytesAhoCorasick(needles, matchkind=MatchKind.Standard, implementation=how)


class StreamRedactor:
    """One stream. See :class:`tieline.steps.redaction.Redactor`. It holds little: at most some needles' length.

    ``masker``: asked whenever there is something to mask; a later one has all needles of those before it.
    """

    def __init__(self, masker: Callable[[], Masker]) -> None:
        self._masker, self._rest = masker, b""
        self._covered = 0
        """How many bytes of the rest belong to a value that is masked already."""

    @property
    def held(self) -> int:
        """How many raw bytes are still inside."""
        return len(self._rest)

    def feed(self, data: bytes) -> bytes:
        """Take ``data``; give what can't be a part of a value any more."""
        buffer = self._rest + data if self._rest else data
        masker = self._masker()
        return self._given(masker, buffer, masker.open_at(buffer))

    def flush(self) -> bytes:
        """Give all that is left: nothing follows. The beginning of a value that was cut off there is masked, too."""
        rest, masker = self._rest, self._masker()
        end = masker.open_at(rest)
        if len(rest) - end < SHORTEST:
            return self._given(masker, rest, len(rest))
        given = self._given(masker, rest, end)
        self._rest, self._covered = b"", 0
        return given if given.endswith(MASK) else given + MASK

    def _given(self, masker: Masker, buffer: bytes, end: int) -> bytes:
        """What is before ``end``, masked; the rest is kept. It is not parted inside of a value, because whoever goes on
        after a crash knows nothing of its beginning; except where values overlap without end."""
        matches = masker.matches(buffer)
        if end < len(buffer):
            end = _before(matches, end, len(buffer) - KEPT * masker.longest)
        covered = self._covered
        spans = _merged([(0, covered), *matches] if covered else matches)
        self._rest = buffer[end:]
        self._covered = next((stop - end for start, stop in spans if start < end < stop), 0)
        if covered and end == 0:
            self._covered = spans[0][1]
        return _without(buffer, spans, end, was_covered=bool(covered))


def _before(matches: Sequence[tuple[int, int]], end: int, least: int) -> int:
    """The last place up to ``end`` that is inside of no match; not before ``least``."""
    moved = True
    while moved:
        moved = False
        for start, stop in matches:
            if least <= start < end < stop:
                end, moved = start, True
    return end


def _merged(matches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Matches that overlap, as one."""
    merged: list[tuple[int, int]] = []
    for start, end in matches:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _without(data: bytes, spans: Sequence[tuple[int, int]], end: int, *, was_covered: bool = False) -> bytes:
    """The data up to ``end``, masked. ``was_covered``: the first span's mask was given before."""
    if not spans:
        return data[:end] if end < len(data) else data
    pieces: list[bytes] = []
    at = 0
    for number, (start, stop) in enumerate(spans):
        if start >= end:
            break
        pieces += (data[at:start], b"" if was_covered and number == 0 else MASK)
        at = stop
    pieces.append(data[at:end])
    return b"".join(pieces)
