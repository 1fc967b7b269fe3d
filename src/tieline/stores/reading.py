"""Reading one object in ranges, and never a mixture of two: each range must come from the object that the first one
came from.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

R = TypeVar("R")

PART = 8 * 1024 * 1024
"""Bytes that are asked for, or sent, at once: a request must end within its time on a slow line, too."""
ENOUGH = 5.0
"""Seconds that a range is to take, where the longest does not take less."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which object it was. ``tag`` is the server's own name for its contents (RFC 9110, section 8.8.3)."""

    size: int
    tag: str | None
    written_ns: int


Fetch = Callable[[int, int, Version], memoryview]
"""The bytes of a range (start, end) of exactly that version; raises StoreTrouble where it is another one by now."""


class ObjectReader(io.RawIOBase):
    """The bytes of an object from ``offset`` on. ``first``: those that are here already."""

    def __init__(self, version: Version, fetch: Fetch, first: memoryview, offset: int) -> None:
        super().__init__()
        self._version, self._fetch = version, fetch
        self._here, self._taken = first, 0
        self._next = offset + len(first)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See :class:`io.RawIOBase`."""
        if self._taken == len(self._here) and self._next < self._version.size:
            end = min(self._next + PART, self._version.size)
            self._here, self._taken = self._fetch(self._next, end, self._version), 0
            self._next = end
        count = min(len(buffer), len(self._here) - self._taken)
        buffer[:count] = self._here[self._taken : self._taken + count]
        self._taken += count
        return count


class Ranges:
    """The ranges that an object is fetched in: each about as long as what comes in a few seconds, and at most
    ``longest`` bytes."""

    def __init__(self, size: int, longest: int = PART) -> None:
        self._size, self._longest = size, longest
        self._next, self._length = 0, PART

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while (start := self._next) < self._size:
            self._next = min(start + self._length, self._size)
            yield start, self._next

    def took(self, length: int, seconds: float) -> None:
        """A range of so many bytes took so long."""
        self._length = round(min(max(PART, length / max(seconds, 0.001) * ENOUGH), self._longest))


def in_order(ranges: Ranges, fetch: Callable[[int, int], R], at_once: int, waiting: int = 0) -> Iterator[R]:
    """What ``fetch`` gives for each range of an object, in order; so many are asked for at the same time, and so many
    others may wait for their turn."""

    def timed(start: int, end: int) -> R:
        began = time.monotonic()
        result = fetch(start, end)
        ranges.took(end - start, time.monotonic() - began)
        return result

    pool = ThreadPoolExecutor(at_once, thread_name_prefix="tieline-fetch")
    asked: deque[Future[R]] = deque()
    try:
        for start, end in ranges:
            asked.append(pool.submit(timed, start, end))
            if len(asked) > at_once + waiting:
                yield asked.popleft().result()
        while asked:
            yield asked.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
