"""Chunks that are made in a thread of their own, a little ahead of whoever takes them.

What saves chunks to a bucket asks for the next one from inside of the library's event loop, where nothing may be read
from a bucket; and what reads or masks them need not wait for what sends them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

_DEPTH = 2


class Ahead:
    """Iterates over ``chunks`` from another thread, which has ended when this is left."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._made: queue.Queue[bytes | None] = queue.Queue(_DEPTH)
        self._is_over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._make, name="tieline-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over = True
        while self._thread.is_alive():
            try:  # it may be waiting for room
                self._made.get(timeout=0.01)
            except queue.Empty:  # it is not: it has only to see that it is over
                continue
        self._thread.join()

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self._made.get()) is not None:
            yield chunk
        if self._error is not None:
            raise self._error

    def _make(self) -> None:
        try:
            for chunk in self._chunks:
                self._made.put(chunk)
                if self._is_over:
                    return
        except BaseException as error:  # it is raised where the chunks are taken
            self._error = error
        self._made.put(None)
