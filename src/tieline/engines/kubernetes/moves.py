"""From where the record has a run to where its cluster has it: the transitions between, in the record's own order.

Nobody watches a run all the time, so several may have passed since the last look; each is recorded with the time at
which the cluster says that it happened. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tieline.engines.kubernetes.attempts import Attempt
from tieline.engines.kubernetes.seen import Seen
from tieline.errors import Code
from tieline.model.run import Outcome, Run, Status

ENDING = (Status.STOPPING, Status.SAVING)
BEFORE = (Status.CREATED, Status.QUEUED)
UNSEEN = Outcome(Status.FAILED, Code.POD_LOST, "nobody saw this attempt's pod end, and it is gone from the cluster")

BESIDE = Outcome(Status.SUCCEEDED, message="it goes on beside the next one: both are replicas of a service")


@dataclass(frozen=True, slots=True)
class Move:
    """One transition to record. ``outcome``: of the attempt with ``saving``, of the run with a final state."""

    to: Status
    outcome: Outcome | None = None
    at: datetime | None = None
    attempt: int | None = None


def moves(run: Run, seen: Seen) -> list[Move]:
    """What is to be recorded of a run that has not ended; empty where nothing is new."""
    return list(_Walk(run).through(seen)) if not run.status.is_final else []


class _Walk:
    def __init__(self, run: Run) -> None:
        self.status, self.number, self.is_service = run.status, run.attempt, run.kind == "service"
        self.ended: dict[int, Outcome] = {}

    def through(self, seen: Seen) -> Iterator[Move]:
        self.ended = {attempt.number: attempt.outcome or self._unended(attempt) for attempt in seen.attempts}
        for attempt in seen.attempts:
            if attempt.number < self.number:
                continue
            yield from self._to_attempt(attempt)
            yield from self._within(attempt, seen.why)
        if seen.outcome is not None:
            yield from self._end(seen.outcome, seen.attempts[-1] if seen.attempts else None)
        elif seen.status is Status.RETRYING and self.status is Status.SAVING:
            last = seen.attempts[-1].outcome
            yield self._move(Status.RETRYING, last, at=seen.attempts[-1].ended_at)
        elif not seen.attempts and seen.status is Status.STOPPING:
            yield from self._stopping(seen.why)
        elif seen.status is Status.QUEUED and self.status is Status.CREATED:
            yield self._move(Status.QUEUED)

    def _unended(self, attempt: Attempt) -> Outcome:
        """What is told of an attempt that has not ended when the next one has begun."""
        if attempt.leaving:
            return Outcome(Status.FAILED, Code.POD_LOST, attempt.leaving)
        return BESIDE if self.is_service else UNSEEN

    def _to_attempt(self, attempt: Attempt) -> Iterator[Move]:
        """End the attempts before this one: whatever became of them, there is another one now."""
        while self.number < attempt.number:
            if self.status is not Status.RETRYING:
                outcome = self.ended.get(self.number, UNSEEN)
                if self.status is not Status.SAVING:
                    yield self._move(Status.SAVING, outcome)
                yield self._move(Status.RETRYING, outcome)
            if attempt.number == self.number + 1 and attempt.status is Status.QUEUED:
                return  # it waits for a node: the attempt begins when it has one
            yield self._move(Status.STARTING, attempt=self.number + 1)
            self.number += 1

    def _within(self, attempt: Attempt, why: Outcome | None) -> Iterator[Move]:
        if attempt.number != self.number or self.status in (Status.SAVING, Status.RETRYING):
            return  # this attempt's end is recorded already
        has_ended = attempt.outcome is not None and (attempt.is_over or attempt.status is Status.SAVING)
        if attempt.status is Status.QUEUED:
            if self.status is Status.CREATED:
                yield self._move(Status.QUEUED)
            return
        if self.status in BEFORE and (attempt.started_at is not None or attempt.status is Status.STARTING):
            yield self._move(Status.STARTING)
        if attempt.started_at is not None and self.status is Status.STARTING:
            yield self._move(Status.RUNNING, at=attempt.started_at)
        ended_by = attempt.outcome.reason if has_ended and attempt.outcome is not None else None
        if attempt.status is Status.STOPPING or (why is not None and ended_by == why.reason):
            yield from self._stopping(why)
        if has_ended:
            yield self._move(Status.SAVING, attempt.outcome)

    def _stopping(self, why: Outcome | None) -> Iterator[Move]:
        """Of a pod that goes, and nobody knows why yet, nothing is told: the Job says it a moment later."""
        if self.status not in ENDING and why is not None:
            yield self._move(Status.STOPPING, Outcome(why.status, why.reason))

    def _end(self, outcome: Outcome, last: Attempt | None) -> Iterator[Move]:
        if self.status is not Status.SAVING:
            yield self._move(Status.SAVING, outcome)
        yield self._move(outcome.status, outcome, at=last.ended_at if last is not None else None)

    def _move(
        self,
        to: Status,
        outcome: Outcome | None = None,
        *,
        at: datetime | None = None,
        attempt: int | None = None,
    ) -> Move:
        self.status = to
        return Move(to, outcome, at, attempt)
