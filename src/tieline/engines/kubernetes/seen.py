"""What a run's Job and its pods say about the run: the one place that reads them. Pure.

A pod is one attempt. Each is seen for itself (how far it is, how it ended, what its containers said); then all of
them, with the Job, are the run. The job's own end counts, as on the process engine: what the collector says of saving
can only make a failure of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tieline.engines.kubernetes.attempts import Attempt, attempt_of, deleted_at, in_order, numbered, numbered_replicas
from tieline.engines.kubernetes.hopeless import hopeless
from tieline.engines.kubernetes.names import DOMAIN
from tieline.engines.kubernetes.reasons import Object, conditions, could_not_start, event_words, said
from tieline.engines.kubernetes.services import is_scaled_down
from tieline.engines.kubernetes.times import LATE, moment
from tieline.engines.outcomes import stopped, timed_out
from tieline.errors import Code
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Status

STOPPED = f"{DOMAIN}stopped"
"""The Job's annotation that says when a stop was asked for."""
GIVEN_UP = f"{DOMAIN}given-up"
"""The annotation that says when, and after a space why, somebody ended a run that could never begin."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, as its cluster has it. ``status``: of the newest attempt; final: the run has ended, with ``outcome``.
    ``why``: what ends it from outside: a stop, or its time is over. ``hopeless``: how it is to be ended, for it cannot
    begin."""

    status: Status
    attempts: tuple[Attempt, ...] = ()
    outcome: Outcome | None = None
    waiting: str = ""
    why: Outcome | None = None
    hopeless: Outcome | None = None

    @property
    def attempt(self) -> int:
        return self.attempts[-1].number if self.attempts else 1


def seen(
    plan: Plan,
    job: Object | None,
    pods: Iterable[Object],
    *,
    known: Sequence[str] = (),
    attempt: int = 1,
    events: Iterable[Object] = (),
    is_gone: bool = False,
    is_stopped: bool = False,
    now: datetime | None = None,
) -> Seen:
    """The run of this plan. ``job`` None: not looked at (or, with ``is_gone``, not there any more); ``known``: the uids
    of its pods, in their order, as far as they are known; ``attempt``: the one that the record is at;
    ``is_stopped``: whether a stop was asked for, as far as the record knows. Without ``now`` nobody judges what may
    still begin."""
    ordered, events = in_order(pods, known), list(events)
    why = why_gone(plan, ordered, is_stopped=is_stopped) if is_gone else why_ended(plan, job)
    number = numbered if plan.service is None else numbered_replicas
    attempts = number([attempt_of(plan, pod, why) for pod in ordered], known)
    waiting = attempts[-1].waiting if attempts and not attempts[-1].is_over else ""
    if not attempts or waiting or attempts[-1].status in (Status.QUEUED, Status.STARTING):
        waiting = waiting or event_words(events)
    outcome, cause = _end(plan, job, attempts, why, attempt, is_gone=is_gone), why[0] if why is not None else None
    if outcome is not None:
        return Seen(outcome.status, tuple(attempts), outcome, why=cause)
    if not attempts:
        return Seen(Status.STOPPING if why is not None else Status.QUEUED, (), None, waiting, cause)
    last = attempts[-1]
    hope = None if why is not None or now is None else _hopeless(plan, attempts, ordered, now, events)
    return Seen(Status.RETRYING if last.is_over else last.status, tuple(attempts), None, waiting, cause, hope)


def _hopeless(
    plan: Plan, attempts: Sequence[Attempt], pods: Iterable[Object], now: datetime, events: Sequence[Object]
) -> Outcome | None:
    """How a run ends none of whose pods can begin, or end. A service is left alone that has begun anywhere."""
    live = {attempt.uid for attempt in attempts if not attempt.is_over}
    found = [hopeless(pod, now, events) for pod in pods if pod["metadata"]["uid"] in live]
    if plan.service is not None and any(attempt.started_at is not None for attempt in attempts):
        return None
    return found[0] if found and all(found) else None


# --- the job


def why_ended(plan: Plan, job: Object | None) -> tuple[Outcome, datetime | None] | None:
    """What ended the job from outside, if anything did, and when: a stop, or its time was over."""
    if job is None:
        return None
    notes: Mapping[str, str] = job["metadata"].get("annotations") or {}
    if STOPPED in notes:
        return stopped(), moment(notes[STOPPED])
    if GIVEN_UP in notes:
        return could_not_start(notes[GIVEN_UP].partition(" ")[2]), None
    for condition in conditions(job):
        if condition["type"] in ("Failed", "FailureTarget") and condition.get("reason") == "DeadlineExceeded":
            return timed_out(plan), moment(condition.get("lastTransitionTime"))
    return None


def why_gone(plan: Plan, pods: Sequence[Object], *, is_stopped: bool) -> tuple[Outcome, datetime | None] | None:
    """The same of a job that is gone: by when its last pod was deleted, if it was."""
    at = deleted_at(pods[-1]) if pods else None
    if pods and at is None:
        return None
    if is_stopped:
        return stopped(), at
    begun = min((time for pod in pods if (time := moment(pod["metadata"].get("creationTimestamp")))), default=None)
    if begun is None or at is None or plan.ending.timeout is None or plan.service is not None:
        return None
    return (timed_out(plan), at) if at >= begun + timedelta(seconds=plan.ending.timeout - LATE) else None


def has_condition(job: Object) -> bool:
    """Whether a Job says that it has ended."""
    return _condition(job) is not None


def _condition(job: Object | None) -> Mapping[str, Any] | None:
    """The condition that says that the Job has ended."""
    found = conditions(job) if job is not None else []
    return next((c for c in found if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)


def _end(
    plan: Plan,
    job: Object | None,
    attempts: Sequence[Attempt],
    why: tuple[Outcome, datetime | None] | None,
    number: int,
    *,
    is_gone: bool,
) -> Outcome | None:
    """How the run ended; None while it goes on."""
    if plan.service is not None:
        return _end_of_service(job, attempts, why, number, is_gone=is_gone)
    condition, last = _condition(job), attempts[-1] if attempts else None
    if last is not None and not last.is_over:
        return None
    if last is not None and last.outcome is not None:
        failures = sum(1 for attempt in attempts if not attempt.replaced) + max(0, attempts[0].number - 1)
        is_last = not last.replaced and failures > plan.ending.max_retries
        done = last.outcome.status is not Status.FAILED or last.outcome.reason == Code.TIMEOUT
        if done or is_last or condition is not None or why is not None or is_gone:
            return (
                last.outcome
                if done or is_last or why is None
                else replace(why[0], exit_code=why[0].exit_code or last.outcome.exit_code)
            )
        return None
    if condition is not None:
        return _without_pod(condition, why)
    return _gone(why, number) if is_gone else None


def _end_of_service(
    owner: Object | None,
    attempts: Sequence[Attempt],
    why: tuple[Outcome, datetime | None] | None,
    number: int,
    *,
    is_gone: bool,
) -> Outcome | None:
    """A service ends when it was stopped, or its Deployment was deleted, and none of its pods is left."""
    if not all(attempt.is_over for attempt in attempts):
        return None
    last = attempts[-1].outcome if attempts else None
    if is_gone:
        return last or _gone(why, number, "Deployment")
    if why is None or owner is None:
        return None
    if last is not None:
        return last
    return why[0] if is_scaled_down(owner) else None


def _without_pod(condition: Mapping[str, Any], why: tuple[Outcome, datetime | None] | None) -> Outcome:
    """The Job has ended, and its pods are gone: what it says itself is all there is."""
    if why is not None:
        return why[0]
    if condition["type"] == "Complete":
        return Outcome(Status.SUCCEEDED, message="its pod is gone from the cluster", exit_code=0)
    text = f"the job failed ({said(condition.get('message') or condition.get('reason'))}); its pod is gone"
    return Outcome(Status.FAILED, Code.POD_LOST, f"{text}, and with it how it ended")


def _gone(why: tuple[Outcome, datetime | None] | None, number: int, what: str = "Job") -> Outcome:
    if why is not None:
        return why[0]
    ttl = "" if what != "Job" else ", or its ttl was over,"
    text = f"the run's {what} is gone from the cluster: it was deleted{ttl} before anybody had seen it end"
    return Outcome(Status.FAILED, Code.POD_LOST, f"{text} (attempt {number})")
