"""How far something has come that may take long: whoever does it counts here, whoever shows it looks now and then."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Amount:
    """What is done, of how much; both zero as long as it is not known."""

    files: int = 0
    bytes: int = 0
    all_files: int = 0
    all_bytes: int = 0


class Meter:
    """Counts, from any number of threads. Nobody waits for whoever looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._amount = Amount()

    def begin(self, files: int, size: int) -> None:
        """So much is to be done; what was counted before is forgotten."""
        with self._lock:
            self._amount = Amount(0, 0, files, size)

    def add(self, size: int, files: int = 0) -> None:
        """So many more bytes are done, and so many files with them."""
        with self._lock:
            now = self._amount
            self._amount = Amount(now.files + files, now.bytes + size, now.all_files, now.all_bytes)

    def look(self) -> Amount:
        """What is done by now."""
        return self._amount
