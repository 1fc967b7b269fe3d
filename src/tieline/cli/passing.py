"""Hands a job's own bytes on to whoever reads this command, without making the collector wait for a slow reader.

The collector saves logs and outputs in the same thread that tells what it saved. A pager that stands still must not
stop that, so the bytes wait here, and a thread of their own writes them.
"""

from __future__ import annotations

import os
import threading
from collections import deque

ROOM = 64 * 1024 * 1024
"""Bytes that may wait. Beyond that the one who brings more waits too."""


class Passing:
    """Writes bytes to a descriptor in order. A reader that goes away is noticed once, and never an error.

    No Python stream is between: what one keeps after a failed write would be written, and fail, once more at the end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._open = True
        self._changed = threading.Condition()
        self.gone = False
        """The reader went away: what follows is dropped (it is in the log)."""
        self.ends_line = True
        """Whether the last byte that was passed on ended a line."""
        self._thread = threading.Thread(target=self._work, name="passing", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Pass these bytes on, soon."""
        with self._changed:
            self._changed.wait_for(lambda: self._size < ROOM or self.gone)
            if self.gone or not data:
                return
            self._waiting.append(data)
            self._size += len(data)
            self._changed.notify_all()

    def drain(self) -> None:
        """Until everything that was put has been written, or the reader is gone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._size or self.gone)

    def close(self) -> None:
        """Drain, and end the thread."""
        self.drain()
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while (data := self._next()) is not None:
            try:
                self._write(data)
            except OSError:
                self.gone = True
            with self._changed:
                self.ends_line = data.endswith(b"\n")
                self._size = 0 if self.gone else self._size - len(data)
                self._changed.notify_all()
                if self.gone:
                    return

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            return self._waiting.popleft() if self._waiting else None
