"""The API's times, and a run's deadline by them. Pure.

A Job's controller ends its pods when ``activeDeadlineSeconds`` have passed. Before 1.25 it forgets that at times: it
sets an alarm when it sees the Job for the first time; where it does not see its own note of that yet, it notes a later
start; and the one alarm then comes a moment too early. It looks at the time again whenever the Job or a pod of it
changes. So whoever looks at a run that is late changes something (:func:`is_overdue`); where nobody looks, the pod
changes by itself (:func:`ready_after`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from tieline.model.plan import Plan

LATE = 5
"""Seconds after a run's deadline in which its cluster should have ended it."""
READY_LATE = 10
"""The same for a pod, whose clock begins a little later than its Job's."""
GIVES_UP, PATIENCE = "TIELINE_GIVES_UP", 1800
"""How a collector is told after how many seconds it gives up that has never reached the API server: longer than a
control plane takes to be renewed, for it cannot see main's end."""
LONGEST = 2**31 - 1
"""Seconds that a probe may be put off."""


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time of the API."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def ready_after(plan: Plan) -> int | None:
    """Seconds after which a pod's collector is called ready: nobody waits for that, but it changes the pod."""
    if plan.ending.timeout is None or plan.service is not None:
        return None
    return min(plan.ending.timeout + READY_LATE, LONGEST)


def is_overdue(plan: Plan, owner: Mapping[str, Any] | None, pods: Iterable[Mapping[str, Any]], now: datetime) -> bool:
    """Whether a job's time was over some seconds ago. Its clock begins with the Job: with the first of its pods at the
    latest."""
    if plan.ending.timeout is None or plan.service is not None:
        return False
    told = [((owner or {}).get("status") or {}).get("startTime")]
    told += [pod["metadata"].get("creationTimestamp") for pod in pods]
    begun = min((time for time in map(moment, told) if time is not None), default=None)
    return begun is not None and now >= begun + timedelta(seconds=plan.ending.timeout + LATE)
