"""Bytes on their way between this machine and a bucket: counted, digested, and with their holes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tieline.stores.base import StoreTrouble, Why, shown
from tieline.stores.copying import CHUNK, write_all


class Sent:
    """Chunks on their way: how many bytes they were, and their digest."""

    def __init__(self, chunks: Iterator[bytes], *, digest: bool) -> None:
        self._chunks = chunks
        self._digest = hashlib.sha256() if digest else None
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            if self._digest is not None:
                self._digest.update(chunk)
            if chunk:
                yield chunk

    @property
    def sha256(self) -> str | None:
        """In hex, of what was sent; None where nobody asked for it."""
        return self._digest.hexdigest() if self._digest is not None else None


def pieces(source: int, size: int, local: Path) -> Iterator[bytes]:
    """The first ``size`` bytes of an open file (fewer if it shrinks)."""
    position = 0
    while position < size:
        try:
            data = os.pread(source, min(CHUNK, size - position), position)
        except OSError as error:
            raise StoreTrouble(
                Why.SOURCE, f"cannot read {shown(str(local))!r} to save it: {error.strerror}", "check the disk"
            ) from error
        if not data:
            return
        position += len(data)
        yield data


def write_with_holes(target: int, start: int, data: bytes) -> None:
    """Write bytes at a place; what is all zeros stays a hole."""
    view = memoryview(data)
    for place in range(0, len(data), CHUNK):
        piece = view[place : place + CHUNK]
        if not any(piece[:1]) and bytes(piece).count(0) == len(piece):
            continue
        write_all(target, bytes(piece), start + place)
