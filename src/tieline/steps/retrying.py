"""How long to wait before trying again, and when to give up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of the end of a run: ``attempts`` in a row without any progress, and ``seconds`` since the last."""

    attempts: int = 5
    seconds: float = 10.0


class Backoff:
    """Waits that double from ``first`` to ``longest`` seconds, each shortened by chance by up to a quarter.

    By chance, so that many runs that lost one store do not all come back to it at the same moment.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self.failures = 0

    def next(self) -> float:
        """The wait after one more failure, in seconds."""
        wait = min(self._longest, self._first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return wait * random.uniform(0.75, 1.0)  # noqa: S311 - no secret

    def reset(self) -> None:
        """It worked."""
        self.failures = 0


class GivingUp:
    """Whether the end of a run has tried for long enough, by its :class:`Patience` and an absolute deadline."""

    def __init__(self, patience: Patience, timeout: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience, self._clock = patience, clock
        now = clock()
        self._deadline = None if timeout is None else now + timeout
        self._progress, self._failing = now, False
        self._backoff = Backoff(0.25, max(patience.seconds / 2, 0.0))

    def told(self, ok: bool) -> None:
        """Something was saved, or could not be."""
        self._failing = not ok
        if ok:
            self._progress = self._clock()
            self._backoff.reset()

    @property
    def is_over(self) -> bool:
        """Whether time is up: to be asked between two saves, too."""
        now = self._clock()
        late = self._deadline is not None and now >= self._deadline
        return late or (self._failing and now - self._progress >= self._patience.seconds)

    def wait(self) -> float | None:
        """Seconds to wait before the next attempt; None: give up."""
        if self.is_over or self._backoff.failures + 1 >= self._patience.attempts:
            return None
        wait = self._backoff.next()
        if self._deadline is not None:
            wait = min(wait, max(0.0, self._deadline - self._clock()))
        return wait
