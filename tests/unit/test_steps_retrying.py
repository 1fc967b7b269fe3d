"""When trying again ends."""

import pytest

from tieline.steps.retrying import Backoff, GivingUp, Patience


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_waits_grow_to_a_limit_and_start_anew_after_a_success() -> None:
    backoff = Backoff(1.0, 4.0)
    waits = [backoff.next() for _ in range(50)]
    for wait, most in zip(waits, [1.0, 2.0, 4.0] + [4.0] * 47, strict=True):
        assert most * 0.75 <= wait <= most
    backoff.reset()
    assert backoff.next() <= 1.0


def test_attempts_without_progress_are_counted() -> None:
    limit = GivingUp(Patience(attempts=3, seconds=60), None, Clock())
    limit.told(False)
    assert [limit.wait() is None for _ in range(3)] == [False, False, True]
    limit.told(True)
    assert limit.wait() is not None


def test_seconds_since_the_last_progress_count_as_soon_as_something_failed() -> None:
    clock = Clock()
    limit = GivingUp(Patience(attempts=100, seconds=10), None, clock)
    clock.now += 1000
    assert not limit.is_over  # slow, and nothing failed
    limit.told(True)
    clock.now += 9
    limit.told(False)
    assert not limit.is_over
    clock.now += 1
    assert limit.is_over
    assert limit.wait() is None


def test_a_timeout_is_a_timeout_whatever_goes_well() -> None:
    clock = Clock()
    limit = GivingUp(Patience(attempts=100, seconds=1000), 5.0, clock)
    clock.now += 4.9
    wait = limit.wait()
    assert wait == pytest.approx(0.1)
    clock.now += 0.1
    limit.told(True)
    assert limit.is_over
