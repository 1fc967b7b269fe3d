"""Why a run is ended from outside, as its supervisor sees it: somebody asked, or its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tieline.engines.base import Controls
from tieline.engines.process.programs import GUARD_PATIENCE, Ended, Guarded
from tieline.errors import Code

TICK = 0.1


@dataclass(slots=True)
class Limits:
    """A stop comes by the controls of this process (Ctrl-C), or by a file from another (``tieline runs stop``)."""

    controls: Controls
    stop_file: Path
    _deadline: float | None = None

    def begin(self, timeout: float | None) -> None:
        """The timeout counts from now."""
        self._deadline = None if timeout is None else time.monotonic() + timeout

    @property
    def stop(self) -> bool:
        """Whether somebody asked. The file is read each time: a second stop may want it sooner than the first."""
        grace = read_grace(self.stop_file)
        if grace is not None:
            self.controls.grace = grace
            self.controls.stop.set()
        return self.controls.stop.is_set()

    @property
    def late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def why(self) -> Code | None:
        """What it is to be ended for, if it is."""
        if self.stop:
            return Code.STOPPED
        return Code.TIMEOUT if self.late else None

    def pause(self, seconds: float) -> None:
        """Wait so long, or until it is to be ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and self.why is None:
            time.sleep(min(TICK, left))


def read_grace(path: Path) -> float | None:
    """The seconds between TERM and KILL that the one who asked for a stop wrote down; None: nobody did."""
    try:
        return float(path.read_text())
    except OSError:  # it is not there; or cannot be read just now, which is no reason to stop
        return None
    except ValueError:
        return Controls().grace


def watch(
    program: Guarded, limits: Limits, *, ending: Callable[[Code], None], tick: Callable[[], None]
) -> tuple[Ended, Code | None]:
    """Until the program ends: how, and what it was ended for (None: it ended by itself).

    A stop or the deadline ends it: ``ending`` is told, then TERM, grace, KILL. ``tick`` is called now and then.
    """
    why: Code | None = None
    asked_at = 0.0
    while (ended := program.wait(TICK)) is None:
        now_why = limits.why
        if why is None and now_why is not None:
            why, asked_at = now_why, time.monotonic()
            ending(why)
            program.terminate()
        waited = time.monotonic() - asked_at
        if why is not None and (waited >= limits.controls.grace or limits.controls.now.is_set()):
            program.kill()
            if waited >= limits.controls.grace + GUARD_PATIENCE:
                program.kill_guard()
        tick()
    return ended, why
