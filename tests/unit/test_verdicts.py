"""What answers mean for notifications: over, or tried again, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tieline.app.verdicts import FEW, FIRST, GIVE_UP, LONGEST, verdict
from tieline.channels.base import Answer, Outcome, Target, Traits
from tieline.model.notification import Delivery, EventFacts, Notification
from tieline.model.run import Status
from tieline.runs.sending import Ended

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACTS = EventFacts("u", 1, NOW, Status.FAILED, 1, "train", "p", "default", "job", "process", NOW)
A, B = Target("a", "first"), Target("b", "second", 1)


def told(attempts: int = 1, age: timedelta = timedelta(), reached: tuple[str, ...] = ()) -> Notification:
    return Notification(
        7, "team", "default", "failed", Delivery.SENDING, FACTS, attempts, NOW - age, NOW, reached=reached
    )


def ended(
    *answers: tuple[Target, Answer], keyed: bool = False, one: Notification | None = None, seed: int = 1
) -> Ended:
    return verdict([one or told()], answers, Traits(keyed=keyed), NOW, Random(seed))


def says(outcome: Outcome, **more: object) -> Answer:
    return Answer(outcome, "200", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "keyed", "state"),
    [
        (Outcome.DELIVERED, False, Delivery.DELIVERED),
        (Outcome.REFUSED, False, Delivery.FAILED),
        (Outcome.REFUSED, True, Delivery.FAILED),
        (Outcome.LATER, False, Delivery.PENDING),
        (Outcome.LATER, True, Delivery.PENDING),
        (Outcome.UNSURE, True, Delivery.PENDING),
        (Outcome.UNSURE, False, Delivery.UNKNOWN),
    ],
)
def test_one_target(outcome: Outcome, keyed: bool, state: Delivery) -> None:
    found = ended((A, says(outcome)), keyed=keyed)
    assert (found.state, found.outcome, found.ids) == (state, outcome.value, (7,))
    assert (found.next_at is None) == state.is_over


@pytest.mark.parametrize("attempts", range(1, 40))
def test_backoff_doubles_with_jitter_up_to_a_limit(attempts: int) -> None:
    whole = min(LONGEST, FIRST * 2 ** (attempts - 1))
    pauses = []
    for seed in range(50):
        found = ended((A, says(Outcome.LATER)), one=told(attempts), seed=seed)
        assert found.next_at is not None
        pauses.append((found.next_at - NOW).total_seconds())
    assert whole / 2 <= min(pauses) < max(pauses) <= whole


@pytest.mark.parametrize("seconds", [1.0, 5.0, 90.0, 3600.0])
def test_what_the_service_asks_for_is_kept(seconds: float) -> None:
    found = ended((A, says(Outcome.LATER, retry_after=seconds, busy=True)), one=told(20))
    assert found.next_at is not None
    assert seconds <= (found.next_at - NOW).total_seconds() <= seconds + min(1, seconds / 10)
    assert found.paused_until == found.next_at, "the whole channel waits"


def test_only_a_busy_service_pauses_its_channel() -> None:
    assert ended((A, says(Outcome.LATER))).paused_until is None


def test_it_is_given_up_after_a_day() -> None:
    assert ended((A, says(Outcome.LATER)), one=told(9, GIVE_UP - timedelta(hours=1))).state is Delivery.PENDING
    found = ended((A, says(Outcome.LATER, reason="nothing listens")), one=told(9, GIVE_UP))
    assert found.state is Delivery.FAILED
    assert found.reason == "given up after 9 attempts in a day: nothing listens"
    too_long = says(Outcome.LATER, retry_after=2 * 86400.0)
    assert ended((A, too_long)).state is Delivery.FAILED


def test_of_two_targets_the_one_that_has_it_is_left_alone() -> None:
    first = ended((A, says(Outcome.DELIVERED)), (B, says(Outcome.LATER)))
    assert (first.state, first.reached) == (Delivery.PENDING, ("a",))
    second = ended((B, says(Outcome.DELIVERED)), one=told(2, reached=first.reached))
    assert (second.state, second.reached) == (Delivery.DELIVERED, ("a", "b"))


@pytest.mark.parametrize(("outcome", "state"), [(Outcome.REFUSED, Delivery.FAILED), (Outcome.UNSURE, Delivery.UNKNOWN)])
def test_of_two_targets_what_one_refused_is_not_forgotten(outcome: Outcome, state: Delivery) -> None:
    first = ended((A, says(outcome)), (B, says(Outcome.LATER)))
    assert first.state is Delivery.PENDING
    second = ended((B, says(Outcome.DELIVERED)), one=told(2, reached=first.reached))
    assert second.state is state


@pytest.mark.parametrize("asked", [0.0, 0.3])
def test_a_service_that_asks_for_no_pause_is_not_asked_without_one(asked: float) -> None:
    answer = says(Outcome.LATER, retry_after=asked, busy=True)
    pauses = []
    for attempts in range(1, 12):
        next_at = ended((A, answer), one=told(attempts)).next_at
        assert next_at is not None
        pauses.append((next_at - NOW).total_seconds())
    assert pauses[0] >= FIRST / 2
    assert pauses[-1] >= LONGEST / 2


def test_a_new_one_is_not_given_up_with_an_old_one() -> None:
    found = verdict([told(age=GIVE_UP), told()], [(A, says(Outcome.LATER))], Traits(), NOW, Random(1))
    assert found.state is Delivery.PENDING


def test_a_machine_that_was_off_for_days_does_not_give_up_at_once() -> None:
    later = (A, says(Outcome.LATER))
    assert ended(later, one=told(1, age=3 * GIVE_UP)).state is Delivery.PENDING
    assert ended(later, one=told(FEW, age=3 * GIVE_UP)).state is Delivery.FAILED
