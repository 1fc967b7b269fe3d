"""What a transition may do to a run, and what it changes: pure, so that it can be read and tested alone.

:data:`tieline.model.run.TRANSITIONS` says which states follow which; here are the rules that need more than the
two states: attempts, the times, and the one way back from ``failed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tieline.errors import Code, RecordError, TielineError
from tieline.model.run import TRANSITIONS, Outcome, Run, Status


@dataclass(frozen=True, slots=True)
class Transition:
    """What is asked of a run. ``attempt`` is the number that the asker counts with, None where it does not."""

    to: Status
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    outcome: Outcome | None = None
    attempt: int | None = None
    code: Sequence[dict[str, str]] | None = None


def next_attempt(run: Run, to: Status) -> int:
    """Attempts count up in one place only: when a retry starts."""
    return run.attempt + 1 if _is_retry(run, to) else run.attempt


def check(run: Run, asked: Transition) -> None:
    """Raise :class:`RecordError` (``bad-transition``) where the run may not go there."""
    to = asked.to
    if to not in TRANSITIONS[run.status]:
        allowed = ", ".join(status for status in Status if status in TRANSITIONS[run.status])
        follows = f"from here it can become: {allowed}" if allowed else "it has ended for good"
        raise _refusal(run, to, follows)
    if run.status is Status.FAILED and run.reason != Code.OUTPUTS_NOT_SAVED:
        raise _refusal(
            run,
            to,
            f"it failed for the reason {run.reason or 'unknown'!r}; only a run that failed with "
            f"{Code.OUTPUTS_NOT_SAVED.value!r} has something left to save",
        )
    expected = next_attempt(run, to)
    if asked.attempt not in (None, expected):
        raise _refusal(
            run, to, f"attempt {asked.attempt} was named, and this would be attempt {expected}; read the run again"
        )


def changes(run: Run, asked: Transition, at: datetime) -> dict[str, Any]:
    """The fields of the run that an allowed transition changes."""
    changed: dict[str, Any] = {
        "status": asked.to,
        "reason": asked.reason,
        "message": asked.message,
        "attempt": next_attempt(run, asked.to),
        "updated_at": at,
    }
    if _is_retry(run, asked.to):
        changed |= {"outcome": None, "exit_code": None}
    if asked.to is Status.RUNNING and run.started_at is None:
        changed["started_at"] = at
    if asked.to.is_final or run.status.is_final:
        changed["finished_at"] = at if asked.to.is_final else None
    given = {"exit_code": asked.exit_code, "outcome": asked.outcome, "code": asked.code}
    return changed | {field: value for field, value in given.items() if value is not None}


def _is_retry(run: Run, to: Status) -> bool:
    return run.status is Status.RETRYING and to is Status.STARTING


def _refusal(run: Run, to: Status, hint: str) -> TielineError:
    return RecordError.of(
        Code.BAD_TRANSITION, f"run {run.uuid} is {run.status.value} and cannot become {to.value}", hint
    )
