"""When trying again ends."""

import threading

import pytest

from tieline.steps.retrying import Backoff, GivingUp, Patience, persistently
from tieline.stores import StoreTrouble, Why

AWAY = StoreTrouble(Why.UNREACHABLE, "nothing answers")
FORBIDDEN = StoreTrouble(Why.FORBIDDEN, "not allowed")
EXPIRED = StoreTrouble(Why.NOT_AUTHENTICATED, "the login has expired", again=True)


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
    assert [limit.wait([AWAY]) is None for _ in range(3)] == [False, False, True]
    limit.told(True)
    assert limit.wait([AWAY]) is not None


def test_seconds_since_the_first_failure_after_some_progress_count() -> None:
    clock = Clock()
    limit = GivingUp(Patience(attempts=100, seconds=10), None, clock)
    clock.now += 1000
    assert not limit.is_over  # slow, and nothing failed
    limit.told(True)
    clock.now += 1000
    limit.told(False)
    assert not limit.is_over  # a large file went forward for so long, and then broke
    assert limit.wait([AWAY]) is not None
    clock.now += 9
    limit.told(False)
    assert not limit.is_over
    clock.now += 1
    assert limit.is_over
    assert limit.wait([AWAY]) is None


def test_a_timeout_is_a_timeout_whatever_goes_well() -> None:
    clock = Clock()
    limit = GivingUp(Patience(attempts=100, seconds=1000), 5.0, clock)
    clock.now += 4.9
    wait = limit.wait([AWAY])
    assert wait == pytest.approx(0.1)
    clock.now += 0.1
    limit.told(True)
    assert limit.is_over


def test_what_cannot_pass_is_given_up_when_nothing_else_fails() -> None:
    limit = GivingUp(Patience(), None, Clock())
    assert limit.wait([FORBIDDEN, AWAY]) is not None
    assert limit.wait([FORBIDDEN]) is None


def test_an_expired_login_is_tried_once_more_each_time_that_something_worked() -> None:
    limit = GivingUp(Patience(), None, Clock())
    assert limit.wait([AWAY, EXPIRED]) is not None  # not because of it
    for _ in range(2):
        assert limit.wait([EXPIRED, FORBIDDEN]) is not None
        assert limit.wait([EXPIRED]) is None
        limit.told(True)


def test_a_stop_makes_a_long_patience_short() -> None:
    clock, asked = Clock(), False
    limit = GivingUp(Patience(None, 300), None, clock, lambda: asked)
    limit.told(False)
    clock.now += 60
    assert not limit.is_over
    asked = True
    assert limit.is_over
    assert limit.wait([AWAY]) is None
    limit.told(True)
    limit.told(False)
    clock.now += 9
    assert not limit.is_over
    limit.told(True)
    clock.now += 120  # one save stood still for so long
    limit.told(False)
    assert limit.is_over


def test_failures_that_nobody_counts_have_their_time_too() -> None:
    clock = Clock()
    limit = GivingUp(Patience(None, 10), None, clock)
    clock.now += 1000  # a listing took so long, and then broke
    assert limit.wait([AWAY]) is not None
    clock.now += 10
    assert limit.wait([AWAY]) is None


class Action:
    """Fails with these, one after the other, and then works."""

    def __init__(self, *failures: StoreTrouble) -> None:
        self.failures, self.calls = list(failures), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


SOON = Patience(None, 0.5)


def test_an_action_is_tried_until_it_works() -> None:
    action, heard = Action(AWAY, AWAY), list[StoreTrouble]()
    assert persistently(action, patience=SOON, told=heard.append) == "done"
    assert (action.calls, heard) == (3, [AWAY, AWAY])


@pytest.mark.parametrize(("failures", "calls"), [([FORBIDDEN], 1), ([EXPIRED, EXPIRED], 2), ([AWAY] * 1000, None)])
def test_an_action_is_given_up_with_its_last_reason(failures: list[StoreTrouble], calls: int | None) -> None:
    action = Action(*failures)
    with pytest.raises(StoreTrouble) as raised:
        persistently(action, patience=SOON)
    assert raised.value is failures[0]
    assert action.calls == calls if calls else 2 <= action.calls < 100


def test_an_action_that_goes_forward_is_not_given_up() -> None:
    action = Action(*[AWAY] * 8)
    assert persistently(action, patience=Patience(None, 0.2), progress=lambda: action.calls) == "done"


def test_a_stop_ends_the_waiting() -> None:
    cancel, action = threading.Event(), Action(*[AWAY] * 1000)
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(StoreTrouble):
        persistently(action, cancel=cancel, patience=Patience(None, 3600))
    assert cancel.is_set()
    seen = action.calls
    with pytest.raises(StoreTrouble):
        persistently(action, cancel=cancel, patience=Patience(None, 3600))
    assert action.calls == seen + 1
