"""A bound on the bytes that are in memory at once, however many files are saved or fetched side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """So many bytes for all threads together. Who asks for more than there ever is gets in alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken = 0
        self._freed = threading.Condition()

    @contextmanager
    def taking(self, count: int) -> Iterator[bool]:
        """Wait until there is room, and have it; whether it had to be waited for. Not for who has some already: two
        such would wait for each other."""
        if count < self.most // 64:  # with any number of threads that there are, next to nothing
            yield False
            return
        count = min(count, self.most)
        with self._freed:
            waited = self._taken + count > self.most
            self._freed.wait_for(lambda: self._taken + count <= self.most)
            self._taken += count
        try:
            yield waited
        finally:
            with self._freed:
                self._taken -= count
                self._freed.notify_all()
