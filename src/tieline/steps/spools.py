"""Spools: the raw files that a run's programs write to, and reading them on, whole lines at a time, redacted.

A program can empty its own spool: ``echo x > /dev/stderr`` truncates a standard error that is a file. What was read
before is safe; reading goes on from the new beginning, with offsets that go on counting, and :attr:`Tail.cuts` tells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.steps.redaction import Redactor
from tieline.stores import shown

CAP = 8 * 1024 * 1024
"""The most raw bytes of one piece."""
PORTION = 1024 * 1024
"""Of a piece that need not be large: memory of this size is used again and again, and is in the processor's cache."""
HOLD_BYTES = 64 * 1024
HOLD_SECONDS = 1.0
"""How much, and how long, of a line without an end is waited for while its writer lives."""


def emptied_mark(spool: Path) -> Path:
    """A file that is there from when the spool's saver has seen that it was emptied: only the saver knows since then
    which raw offset the spool's first byte has."""
    return spool.with_name(f"{spool.name}.emptied")


@dataclass(frozen=True, slots=True)
class Spool:
    """Where one program's stdout and stderr go. ``name``: main, init-…, sidecar-…; a plain file name."""

    name: str
    path: Path

    def __post_init__(self) -> None:
        if self.name in ("", ".", "..") or self.name.endswith(".log") or "/" in self.name or "\0" in self.name:
            raise StepFailed.of(
                Code.BAD_NAME, f"{shown(self.name)!r} cannot be the name of a log", "rename the program"
            )


@dataclass(frozen=True, slots=True)
class Piece:
    """The redacted bytes of the raw range ``start`` to ``end``."""

    start: int
    end: int
    data: bytes
    is_full: bool
    """Whether more is likely to be there at once. A smaller piece reached the spool's end, as it was then."""


class Tail:
    """Reads a spool on from a raw offset."""

    def __init__(
        self, path: Path, start: int, redactor: Callable[[], Redactor], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._clock = path, clock
        self._make_redactor, self._redactor = redactor, redactor()
        self._start = self._read = start  # of what is given next; of what the redactor is fed next
        self._base = 0  # the offset that the spool's first byte has, after it was emptied
        self._waiting_since: float | None = None
        self.cuts = 0
        """How often the spool was emptied by the program itself."""

    @property
    def left(self) -> int:
        """About how many raw bytes are there to be read. Raises OSError."""
        try:
            return self._path.stat().st_size - (self._read - self._base)
        except FileNotFoundError:
            return 0

    def next(self, *, final: bool = False, most: int | None = None) -> Piece | None:
        """What there is to give now, ``most`` raw bytes (:data:`CAP`); None when nothing is.

        It ends with a line's end, except where a line is too long, or too old, or ``final``: nothing follows then.
        """
        most = min(most or CAP, CAP)
        raw = self._raw(final, most)
        if raw is None:
            return None
        data, at_end = raw
        out = self._redactor.feed(data)
        self._read += len(data)
        if final and at_end:
            out += self._redactor.flush()
            self._redactor = self._make_redactor()
        end = self._read - self._redactor.held
        if end == self._start and not out:
            return None
        piece = Piece(self._start, end, out, is_full=len(data) >= most - HOLD_BYTES)
        self._start = end
        return piece

    def _raw(self, final: bool, most: int) -> tuple[bytes, bool] | None:
        """The raw bytes to go on with, and whether the spool ends there; None: wait."""
        try:
            with self._path.open("rb", buffering=0) as stream:
                size = os.fstat(stream.fileno()).st_size
                if size < self._read - self._base:
                    self._base, self.cuts = self._read, self.cuts + 1
                position = self._read - self._base
                data = os.pread(stream.fileno(), most, position) if size > position else b""
        except FileNotFoundError:
            return None
        at_end = position + len(data) >= size
        if final and at_end:
            return (data, True) if data or self._redactor.held else None
        cut = data.rfind(b"\n") + 1
        rest = len(data) - cut
        if rest >= HOLD_BYTES or (rest and not cut and self._has_waited()):
            cut = len(data)
        if not cut:
            return None
        self._waiting_since = None
        return data[:cut], False

    def _has_waited(self) -> bool:
        """Whether the unfinished line that is there has been there for long."""
        if self._waiting_since is None:
            self._waiting_since = self._clock()
        return self._clock() - self._waiting_since >= HOLD_SECONDS
