"""What one pod of a run says: how far its attempt is, how it ended, what its containers said; and which number it has.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tieline.engines.kubernetes.gaps import with_gaps
from tieline.engines.kubernetes.names import COLLECTOR, MAIN
from tieline.engines.kubernetes.reasons import (
    Object,
    all_statuses,
    away_words,
    is_node_away,
    lost_words,
    main_ended,
    message_of,
    own_step_failed,
    step_ended,
    waiting_words,
)
from tieline.engines.kubernetes.services import end_of_pod, main_state, restart_words
from tieline.engines.kubernetes.times import moment
from tieline.errors import Code
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Status

FINAL_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pod. ``outcome``: how the job ended in it, None while it has not; ``is_over``: nothing runs any more, and all
    is said. ``waiting``: why it does not go on; ``leaving``: why its pod is about to go. ``steps`` and ``collected``:
    what our containers said."""

    uid: str
    pod: str
    number: int
    status: Status
    outcome: Outcome | None = None
    is_over: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waiting: str = ""
    leaving: str = ""
    steps: tuple[Mapping[str, Any], ...] = ()
    collected: Mapping[str, Any] | None = None
    replaced: bool = False  # the cluster itself makes another pod, whatever the number of retries

    @property
    def code(self) -> tuple[dict[str, str], ...]:
        """The exact commits that were checked out."""
        return tuple(dict(item) for message in self.steps for item in message.get("code") or ())


def in_order(pods: Iterable[Object], known: Sequence[str]) -> list[Object]:
    """A run's pods: those that are known in the order in which they were seen, then as they were made. Within a second
    the collectors count by uid (``inside/pods.py``), and so does this."""

    def key(pod: Object) -> tuple[int, str, str]:
        uid = pod["metadata"]["uid"]
        place = known.index(uid) if uid in known else len(known)
        return place, pod["metadata"].get("creationTimestamp") or "", uid

    return sorted(pods, key=key)


def numbered(attempts: Sequence[Attempt], known: Sequence[str]) -> list[Attempt]:
    """Their numbers: what the collector says; else their place among those that are known, and after the one before."""
    found: list[Attempt] = []
    for attempt in attempts:
        least = found[-1].number + 1 if found else 1
        found.append(replace(attempt, number=max(_said(attempt), _place(attempt, known), least)))
    return found


def numbered_replicas(attempts: Sequence[Attempt], known: Sequence[str]) -> list[Attempt]:
    """The numbers of pods that go on side by side: what the collector says, in whatever order they were seen. Who has
    not said it yet keeps its place, or gets the one that another has left by what it said."""
    numbers: dict[str, int] = {}
    for attempt in attempts:
        if _said(attempt) and _said(attempt) not in numbers.values():
            numbers[attempt.uid] = _said(attempt)
    left = sorted({_place(attempt, known) for attempt in attempts if attempt.uid in numbers} - {0, *numbers.values()})
    for attempt in attempts:
        if attempt.uid not in numbers:
            place, taken = _place(attempt, known), set(numbers.values())
            free = [number for number in (place, *left, len(known) + 1) if number and number not in taken]
            numbers[attempt.uid] = free[0] if free else max(taken) + 1
    return sorted((replace(attempt, number=numbers[attempt.uid]) for attempt in attempts), key=lambda one: one.number)


def _said(attempt: Attempt) -> int:
    return int((attempt.collected or {}).get("attempt") or 0)


def _place(attempt: Attempt, known: Sequence[str]) -> int:
    """Among those that are known; 0: it is new."""
    return known.index(attempt.uid) + 1 if attempt.uid in known else 0


def attempt_of(plan: Plan, pod: Object, why: tuple[Outcome, datetime | None] | None = None) -> Attempt:
    """One pod, seen for itself. ``why``: what ended the job from outside."""
    statuses = {status["name"]: status for status in all_statuses(pod)}
    over = is_over(pod, statuses)
    stays = plan.service is not None and not over and not _is_deleted(pod)  # whatever ends in it is begun again
    main = main_state(statuses.get(MAIN)) if stays else (statuses.get(MAIN) or {}).get("state") or {}
    collected = message_of(_ended_state(statuses.get(COLLECTOR)))
    own = None if stays else _own_outcome(pod, main.get("terminated"))
    if plan.service is None:
        outcome = _explained(pod, own, main.get("terminated"), why, over=over)
    else:
        outcome = end_of_pod(pod, own, why[0] if why is not None else None, is_over=over)
    if over:
        outcome = _saved(plan, outcome, collected, statuses.get(COLLECTOR))
        outcome = with_gaps(outcome, collected)
    status = outcome.status if over and outcome else _status(pod, main, outcome, why)
    steps = [message_of(_ended_state(found)) for name, found in statuses.items() if name.startswith("tieline-steps-")]
    ran = main.get("running") or main.get("terminated") or {}
    return Attempt(
        uid=pod["metadata"]["uid"],
        pod=pod["metadata"]["name"],
        number=0,
        status=status,
        outcome=outcome,
        is_over=over,
        started_at=moment(ran.get("startedAt")) if _has_run(main) else None,
        ended_at=_last_end(statuses),
        waiting=_waiting(pod, over=over, stays=stays),
        leaving=lost_words(pod) if why is None and not over and _is_deleted(pod) else "",
        steps=tuple(step for step in steps if step is not None),
        collected=collected,
        replaced=over
        and _is_deleted(pod)
        and not _is_failed(pod)
        and outcome is not None
        and outcome.reason == Code.POD_LOST,
    )


def _waiting(pod: Object, *, over: bool, stays: bool) -> str:
    """What a person should know of a pod that goes on."""
    if is_node_away(pod):
        return away_words(pod)
    if stays:
        return restart_words(pod)
    return "" if over else waiting_words(pod)


def is_over(pod: Object, statuses: Mapping[str, Any]) -> bool:
    """Whether nothing of a pod runs any more; of one whose node is away nobody will ever know."""
    status = pod.get("status") or {}
    if pod.get("deleted") or status.get("phase") in FINAL_PHASES:
        return all((found.get("state") or {}).get("running") is None for found in statuses.values()) or bool(
            pod.get("deleted") or status.get("reason")
        )
    return False


def _own_outcome(pod: Object, terminated: Mapping[str, Any] | None) -> Outcome | None:
    """How the job's own programs ended, or a step before them; None where they have not."""
    if terminated is not None and not _is_unknown(terminated):
        return main_ended(pod, terminated)
    for status in (pod.get("status") or {}).get("initContainerStatuses") or ():
        ended = _ended_state(status)
        if ended is None or status["name"] == COLLECTOR or not ended.get("exitCode"):
            continue
        if status["name"].startswith("tieline-"):
            return own_step_failed(message_of(ended), ended)
        return step_ended(pod, status["name"], ended)
    return None


def _explained(
    pod: Object,
    own: Outcome | None,
    terminated: Mapping[str, Any] | None,
    why: tuple[Outcome, datetime | None] | None,
    *,
    over: bool,
) -> Outcome | None:
    """What ended a program from outside explains its end: a stop, the deadline, the loss of its pod."""
    if own is None:
        if not over:
            return None
        return why[0] if why is not None else Outcome(Status.FAILED, Code.POD_LOST, lost_words(pod))
    ended = moment((terminated or {}).get("finishedAt"))
    if why is not None:
        outcome, at = why
        before = ended is not None and at is not None and ended < at.replace(microsecond=0)
        return own if before else replace(outcome, exit_code=outcome.exit_code or own.exit_code)
    deleted = deleted_at(pod)
    if own.status is Status.FAILED and deleted is not None and (ended is None or ended >= deleted):
        return Outcome(Status.FAILED, Code.POD_LOST, lost_words(pod), own.exit_code)
    return own


def _saved(
    plan: Plan, outcome: Outcome | None, collected: Mapping[str, Any] | None, collector: Mapping[str, Any] | None
) -> Outcome | None:
    """What the collector says of saving can make a failure of it; so can that it says nothing."""
    if outcome is None or not (plan.collect.outputs or plan.collect.logs) or collector is None:
        return outcome
    error = (collected or {}).get("error") or {}
    if error:
        text = f"{error.get('message')}; {error['hint']}" if error.get("hint") else str(error.get("message"))
        return Outcome(Status.FAILED, Code.OUTPUTS_NOT_SAVED, text, outcome.exit_code)
    ended = _ended_state(collector)
    if collected is not None or ended is None:
        return outcome
    if outcome.reason in (Code.POD_LOST, Code.STOPPED, Code.TIMEOUT):
        return replace(outcome, message=f"{outcome.message}; what was printed and written last may not be saved")
    how = ended.get("reason") or f"exit code {ended.get('exitCode')}"
    text = f"Tieline's collector ended ({how}) without saying what it had saved: the last outputs and lines may be lost"
    return Outcome(Status.FAILED, Code.OUTPUTS_NOT_SAVED, text, outcome.exit_code)


def _status(
    pod: Object, main: Mapping[str, Any], outcome: Outcome | None, why: tuple[Outcome, datetime | None] | None
) -> Status:
    """How far a pod is that is not over."""
    if outcome is not None or main.get("terminated") is not None:
        return Status.SAVING
    if why is not None or _is_deleted(pod):
        return Status.STOPPING
    if main.get("running") is not None:
        return Status.RUNNING
    return Status.STARTING if (pod.get("spec") or {}).get("nodeName") else Status.QUEUED


def _has_run(main: Mapping[str, Any]) -> bool:
    terminated = main.get("terminated")
    return main.get("running") is not None or (
        terminated is not None and not _is_unknown(terminated) and terminated.get("startedAt") is not None
    )


def _is_unknown(terminated: Mapping[str, Any]) -> bool:
    """The kubelet found a container gone and does not know how it ended (its node was started anew)."""
    return terminated.get("reason") == "ContainerStatusUnknown"


def _is_deleted(pod: Object) -> bool:
    return bool(pod.get("deleted")) or pod["metadata"].get("deletionTimestamp") is not None


def _is_failed(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Failed"


def deleted_at(pod: Object) -> datetime | None:
    """When the deletion was asked for: ``deletionTimestamp`` is when its grace is over."""
    at = moment(pod["metadata"].get("deletionTimestamp"))
    grace = int(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    return at - timedelta(seconds=grace) if at is not None else None


def _ended_state(status: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    found = ((status or {}).get("state") or {}).get("terminated")
    return found if isinstance(found, Mapping) else None


def _last_end(statuses: Mapping[str, Any]) -> datetime | None:
    ends = [moment((_ended_state(status) or {}).get("finishedAt")) for status in statuses.values()]
    return max((end for end in ends if end is not None), default=None)
