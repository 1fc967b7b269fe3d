"""What is tried again, how long it is waited before that, and when it is given up: the one place that decides.

A failure says itself whether the same may work soon (:attr:`tieline.stores.StoreTrouble.again`). What may is tried
until nothing has gone forward for a stated time; what may not is given up at once. Below, the client of a bucket tries
a single request three times within some seconds, and no more.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tieline.stores import StoreTrouble, Why

T = TypeVar("T")
LONGEST = 15.0
"""Seconds between two attempts, at the most."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits against failures that may pass: ``attempts`` in a row without any progress (None: any number), and
    ``seconds`` since the first of them: what went forward for an hour before it broke is worth another attempt, too."""

    attempts: int | None = 5
    seconds: float = 10.0


LASTING = Patience(None, 300.0)
"""At the end of a run whose store is a server: hours of work wait for somebody to start it again."""
FETCHING = Patience(None, 120.0)
"""For one file of a run that has not begun: it can begin once more."""
HURRIED = Patience()
"""Once somebody has asked for a stop."""


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
    """Whether it has been tried for long enough, by a :class:`Patience` and an absolute deadline.

    ``is_hurried``: whether somebody has asked for a stop meanwhile; then :data:`HURRIED` is the limit, and counts from
    the last progress: a save that stood still for long is not begun again.
    """

    def __init__(
        self,
        patience: Patience,
        timeout: float | None,
        clock: Callable[[], float] = time.monotonic,
        is_hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        self._patience, self._clock, self._is_hurried = patience, clock, is_hurried
        now = clock()
        self._deadline = None if timeout is None else now + timeout
        self._progress, self._expired = now, 0
        self._failing: float | None = None  # since when
        self._backoff = Backoff(0.25, min(LONGEST, max(patience.seconds / 2, 0.0)))

    def told(self, ok: bool) -> None:
        """Something was saved, or could not be."""
        now = self._clock()
        if ok:
            self._progress, self._failing, self._expired = now, None, 0
            self._backoff.reset()
        elif self._failing is None:
            self._failing = now

    def failed(self) -> bool:
        """Something could not be saved: whether that was all that is tried."""
        self.told(False)
        return self.is_over

    @property
    def is_over(self) -> bool:
        """Whether time is up: to be asked between two saves, too."""
        now = self._clock()
        if self._deadline is not None and now >= self._deadline:
            return True
        if self._failing is None:
            return False
        if self._is_hurried() and now - self._progress >= min(self._patience.seconds, HURRIED.seconds):
            return True
        return now - self._failing >= self._patience.seconds

    def wait(self, failures: Iterable[StoreTrouble]) -> float | None:
        """Seconds to wait before the next attempt, after these failures; None: give up."""
        if self._failing is None:  # what failed was none of what is counted: the clock begins now
            self._failing = self._progress = self._clock()
        if self.is_over or not self._is_one_worth_it(list(failures)):
            return None
        attempts = self._patience.attempts
        if attempts is not None and self._backoff.failures + 1 >= attempts:
            return None
        wait = self._backoff.next()
        if self._deadline is not None:
            wait = min(wait, max(0.0, self._deadline - self._clock()))
        return wait

    def _is_one_worth_it(self, failures: list[StoreTrouble]) -> bool:
        """An expired login is worth one more attempt: with the next login, if there is one."""
        worth = [failure for failure in failures if failure.again]
        if any(failure.why != Why.NOT_AUTHENTICATED for failure in worth):
            return True
        self._expired += bool(worth)
        return bool(worth) and self._expired == 1


def persistently(
    action: Callable[[], T],
    *,
    cancel: threading.Event | None = None,
    patience: Patience = FETCHING,
    progress: Callable[[], object] = lambda: None,
    told: Callable[[StoreTrouble], None] = lambda _: None,
) -> T:
    """What ``action`` returns, tried again while its StoreTrouble may pass; its last one, once it is given up.

    The patience begins with the first failure, and anew whenever what ``progress`` returns has changed since the last:
    a count of bytes that need not be fetched again. ``cancel`` ends the waiting; an action looks at it itself.
    ``told`` hears of each failure that is followed by another attempt.
    """
    before = progress()
    try:
        return action()
    except StoreTrouble as error:
        failure = error
    limit, stop = GivingUp(patience, None), cancel or threading.Event()
    while True:
        now = progress()
        if now != before:
            before = now
            limit.told(True)
        wait = None if stop.is_set() else limit.wait([failure])
        if wait is None:
            raise failure
        told(failure)
        if stop.wait(wait):
            raise failure
        try:
            return action()
        except StoreTrouble as error:
            failure = error
