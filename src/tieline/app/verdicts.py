"""What the answers to one message mean for the notifications that it told: over, or tried again, and when. Pure.

The rules (docs/notifications.md has them for people): what was certainly not taken is tried again, after the time that
the service asks for or with exponential backoff and jitter, for a day. What may have been taken is tried again only
where sending it twice has the effect of once; elsewhere it is ``unknown``. What was refused is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from tieline.channels.base import Answer, Outcome, Target, Traits
from tieline.model.notification import Delivery, Notification
from tieline.runs.outbox import NOT_AGAIN
from tieline.runs.sending import Ended

GIVE_UP = timedelta(hours=24)
FEW = 8
"""Attempts after which a notification that is older than that is given up."""
FIRST, LONGEST = 1.0, 300.0
"""Seconds before the second attempt, and the longest pause between two."""
REFUSED, UNSURE = f"refused{NOT_AGAIN}", f"unsure{NOT_AGAIN}"
"""In front of a target that is not tried again, among those that were reached."""


def verdict(
    told: Sequence[Notification],
    answers: Sequence[tuple[Target, Answer]],
    traits: Traits,
    now: datetime,
    chance: Random,
    seconds: float | None = None,
) -> Ended:
    """How sending a message ended, that told these notifications and went to each of these targets."""
    ids = tuple(one.id for one in told)
    if not answers:  # every target had its end before
        return Ended(ids, _final(told[0].reached), Outcome.DELIVERED, reached=told[0].reached)
    again = [answer for _, answer in answers if _is_worth(answer, traits)]
    reached = (*told[0].reached, *(_reached(target, answer) for target, answer in answers if answer not in again))
    worst = max((answer for _, answer in answers), key=lambda answer: _ORDER.index(answer.outcome))
    reason = _reason(worst, len(answers))
    if not again:
        state = _final(reached)
        return Ended(ids, state, worst.outcome, worst.status, reason, seconds, reached=reached)
    pause = _pause(again, max(one.attempts for one in told), chance)
    next_at = now + timedelta(seconds=pause)
    if all(_is_given_up(one, now, next_at) for one in told):  # a new one is not given up with an old one
        given_up = f"given up after {told[0].attempts} attempts in a day: {reason}"
        return Ended(ids, Delivery.FAILED, worst.outcome, worst.status, given_up, seconds, reached=reached)
    paused = next_at if any(answer.busy for answer in again) else None
    return Ended(ids, Delivery.PENDING, worst.outcome, worst.status, reason, seconds, next_at, paused, reached)


_ORDER = (Outcome.DELIVERED, Outcome.LATER, Outcome.UNSURE, Outcome.REFUSED)


def _is_given_up(one: Notification, now: datetime, next_at: datetime) -> bool:
    """After a day; a machine that was off all that time tries a few times first, for its network may not be up yet."""
    end = one.created_at + GIVE_UP
    return next_at > end and (now <= end or one.attempts >= FEW)


def _is_worth(answer: Answer, traits: Traits) -> bool:
    return answer.outcome is Outcome.LATER or (answer.outcome is Outcome.UNSURE and traits.keyed)


def _reached(target: Target, answer: Answer) -> str:
    prefix = {Outcome.REFUSED: REFUSED, Outcome.UNSURE: UNSURE}.get(answer.outcome, "")
    return prefix + target.id


def _final(reached: Sequence[str]) -> Delivery:
    if any(one.startswith(REFUSED) for one in reached):
        return Delivery.FAILED
    return Delivery.UNKNOWN if any(one.startswith(UNSURE) for one in reached) else Delivery.DELIVERED


def _reason(answer: Answer, targets: int) -> str:
    """For a person; of several targets, the worst one's."""
    words = f"{answer.reason}; {answer.hint}" if answer.reason and answer.hint else answer.reason or answer.hint
    return f"one of {targets} targets: {words}" if targets > 1 and words else words


def _pause(answers: Sequence[Answer], attempts: int, chance: Random) -> float:
    """Seconds: what the service asks for, and a little more so that not all come back in one moment; else backoff. That
    too where it asks for next to nothing (0, a date that is past): it would be asked without a pause, for a day."""
    asked = max((answer.retry_after for answer in answers if answer.retry_after is not None), default=0.0)
    if asked >= FIRST:
        return asked + chance.uniform(0, min(1.0, asked / 10))
    return max(asked, min(LONGEST, FIRST * 2.0 ** min(attempts - 1, 20)) * chance.uniform(0.5, 1))
