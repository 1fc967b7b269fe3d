"""Ctrl-C and the other signals that ask a command to end, as the run's two controls: stop properly, or now.

The handlers write with ``os.write``: a signal may come while the main thread is inside a stream's own write.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from tieline.cli import exits
from tieline.engines.base import Controls, Flag

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Signals:
    """While it is entered, signals that ask this process to end are handled; one that it was told to ignore (nohup) is
    still ignored."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        """A signal came."""

    def __enter__(self) -> Self:
        for number in ASKING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


class Stopping(_Signals):
    """While it is entered, signals stop the run instead of this process.

    A first Ctrl-C ends the job with TERM, and KILL after the grace; a second one kills it; a third one leaves at once:
    what was flushed is on disk, and the next command saves it. When the run is over, a first one leaves telling people
    of it to others, after the message that is under way; a second one leaves at once.
    """

    def __init__(self, controls: Controls) -> None:
        super().__init__()
        self.controls = controls
        self.interrupts = 0
        self.is_over = False  # the run is: only people are to be told of it
        self._leaving = False

    @property
    def interrupted(self) -> bool:
        """Whether it was Ctrl-C that asked for the stop."""
        return self.interrupts > 0

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self._interrupt()
        else:
            self.controls.stop.set()

    def _interrupt(self) -> None:
        self.interrupts += 1
        if self.is_over:
            if self._leaving:
                os._exit(exits.INTERRUPTED)
            self._leaving = True
            _tell("ending the message that is under way… (Ctrl-C again to leave at once; it is sent again then)")
            return
        if self.interrupts == 1:
            _tell(f"stopping… (KILL after {self.controls.grace:g} s; Ctrl-C again to kill now)")
            self.controls.stop.set()
        elif self.interrupts == 2:
            _tell("killing… (Ctrl-C again to leave at once; the next tieline command saves what is left)")
            self.controls.stop.set()
            self.controls.now.set()
        else:
            os._exit(exits.INTERRUPTED)


class Ending(_Signals):
    """While it is entered, signals that ask a command to end are noticed, and what is under way is finished; a second
    Ctrl-C ends it at once."""

    def __init__(self) -> None:
        super().__init__()
        self._flag = Flag()

    def is_asked(self) -> bool:
        return self._flag.is_set()

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self._flag.is_set() and number == signal.SIGINT:
            os._exit(exits.INTERRUPTED)
        self._flag.set()


def _tell(text: str) -> None:
    start = "\r\x1b[K" if os.isatty(sys.stderr.fileno()) else ""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), f"{start}tieline: {text}\n".encode())
