"""What is masked in the job's logs grows while the job runs.

A secret that is changed meanwhile reaches the files of the job, and those of this container, which are of the same
Secret: from then on its new values are masked too, and those before it as ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tieline.errors import TielineError
from tieline.secrets.redactor import Masker, StreamRedactor

State = tuple[tuple[str, int], ...]


class GrowingMasker:
    """``masker``: of the values at the beginning; ``read``: makes one of the values now; ``folder``: where there is a
    folder for each secret, which the kubelet changes whenever it writes the secret again."""

    def __init__(self, masker: Masker, read: Callable[[], Masker], folder: Path) -> None:
        self._masker, self._read, self._folder = masker, read, folder
        self._state: State | None = None  # who made the masker may have read before the last change
        self._one_at_a_time = threading.Lock()

    def redactor(self) -> StreamRedactor:
        """A redactor for one stream, that looks for changes whenever it is fed."""
        return StreamRedactor(self.now)

    def now(self) -> Masker:
        """Of all values up to now. A look costs some microseconds."""
        if self._look() != self._state:
            with self._one_at_a_time:
                self._renew()
        return self._masker

    def _renew(self) -> None:
        state = self._look()
        if state == self._state:
            return  # another stream has done it
        with suppress(TielineError, OSError):  # a secret that is being changed, or is gone: the next look tries again
            self._masker = self._masker.plus(self._read())
            self._state = state

    def _look(self) -> State:
        try:
            return tuple(sorted((path.name, path.stat().st_mtime_ns) for path in self._folder.iterdir()))
        except OSError:  # this pod has no secrets, or one is being changed
            return ()
