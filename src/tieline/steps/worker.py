"""A thread that does one step again and again, and sleeps between as long as the step says."""

from __future__ import annotations

import threading
from collections.abc import Callable

AFTER_A_BUG = 5.0  # seconds


class Worker(threading.Thread):
    """Runs ``step`` until it is stopped. A daemon: it never keeps a process alive that wants to end."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self._wake = threading.Event()
        self.is_stopping = False
        self.bug: BaseException | None = None

    def run(self) -> None:
        """The thread."""
        while not self.is_stopping:
            try:
                wait = self._step()
            except Exception as error:  # the end of the run does the same work, and lets it out
                self.bug, wait = error, AFTER_A_BUG
            self._wake.wait(wait)
            self._wake.clear()

    def poke(self) -> None:
        """End the present sleep."""
        self._wake.set()

    def stop(self) -> None:
        """End after the step that is under way."""
        self.is_stopping = True
        self._wake.set()
