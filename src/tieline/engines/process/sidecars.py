"""Sidecars: programs that start with the main one, beside it, and are ended after it."""

from __future__ import annotations

import time

from tieline.engines.base import SIDECARS_GRACE, Listener
from tieline.engines.process.programs import Guarded


class Sidecars:
    """Those that are running. How one ends says nothing about the run; that it ended early is told."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._running: list[Guarded] = []

    def add(self, program: Guarded) -> None:
        self._running.append(program)

    def look(self) -> None:
        """Tell of those that have ended before the main program."""
        for program in list(self._running):
            ended = program.poll()
            if ended is not None:
                self._running.remove(program)
                how = ended.error or f"exit code {ended.exit_code}"
                self._listener.note(f"{program.name} ended before the main program ({how})")

    def end(self, grace: float) -> None:
        """TERM to all, and KILL to those that have not ended after the grace."""
        for program in self._running:
            program.terminate()
        until = time.monotonic() + min(grace, SIDECARS_GRACE)
        for program in self._running:
            if program.wait(max(0.0, until - time.monotonic())) is None:
                program.kill()
        for program in self._running:
            program.end()
