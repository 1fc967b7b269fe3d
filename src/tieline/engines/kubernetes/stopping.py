"""Stopping a run in its cluster. The Job stays, for the record: its deadline is set to now, and it says why."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tieline.engines.kubernetes.api import DEPLOYMENTS, JOBS, PODS, Api, Object
from tieline.engines.kubernetes.launch import again
from tieline.engines.kubernetes.names import DOMAIN, RUN, object_name
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.engines.kubernetes.seen import GIVEN_UP, STOPPED

OVERDUE = f"{DOMAIN}overdue"
"""The Job's annotation that says when somebody saw that its time was over, and that nothing ended it."""
KUBERNETES_GRACE = 30
"""Of a pod that does not say; Tieline's do."""
SAVING = 5
"""Seconds on top of the grace, for the collector: it has to save what the job wrote last."""
SCALING, PAUSE = 10.0, 0.2
"""Seconds for which the cluster is waited for to end a service's pods; between two looks."""


def stop(api: Api, namespace: str, uuid: str, grace: float, *, is_service: bool = False) -> bool:
    """Have the cluster end the run: TERM, then KILL after the grace. False where it has no such run (any more).
    Raises ClusterError."""
    try:
        _end(api, namespace, uuid, {STOPPED: datetime.now(UTC).isoformat()}, is_service=is_service)
    except ClusterError as error:
        if error.why is Why.MISSING:
            return False
        raise
    with suppress_forbidden():
        hurry(api, namespace, uuid, grace, is_service=is_service)
    return True


def give_up(api: Api, namespace: str, uuid: str, words: str, *, is_service: bool = False) -> None:
    """Have the cluster end a run that can never begin; why stays with it, for whoever looks. Raises ClusterError."""
    with suppress_forbidden():
        note = f"{datetime.now(UTC).isoformat()} {words}"
        _end(api, namespace, uuid, {GIVEN_UP: note}, is_service=is_service)


def remind(api: Api, namespace: str, uuid: str) -> None:
    """Have the Job's controller look at the time: it does whenever something of the Job changes. Raises
    ClusterError."""
    with suppress_forbidden():
        change = {"metadata": {"annotations": {OVERDUE: datetime.now(UTC).isoformat()}}}
        api.patch(JOBS, namespace, object_name(uuid), change)


def _end(api: Api, namespace: str, uuid: str, notes: dict[str, str], *, is_service: bool) -> None:
    change: dict[str, object] = {"metadata": {"annotations": notes}}
    change["spec"] = {"replicas": 0} if is_service else {"activeDeadlineSeconds": 1}
    again(lambda: api.patch(DEPLOYMENTS if is_service else JOBS, namespace, object_name(uuid), change))


@contextmanager
def suppress_forbidden() -> Iterator[None]:
    """Whoever may not delete pods cannot shorten their grace; the run is stopped all the same. Whoever may not change a
    Job cannot end one that waits for ever."""
    try:
        yield
    except ClusterError as error:
        if error.why is not Why.FORBIDDEN:
            raise


def hurry(api: Api, namespace: str, uuid: str, grace: float, *, is_service: bool = False) -> None:
    """Give the run's pods no more than this grace. Raises ClusterError.

    Those of a service only once the cluster itself is ending them: it would replace one that is deleted before.
    """
    seconds = math.ceil(grace) + SAVING
    until = time.monotonic() + SCALING
    while True:
        pods = [pod for pod in api.list(PODS, namespace, {RUN: uuid})["items"] if _has_more(pod, seconds)]
        ready = [pod for pod in pods if not is_service or pod["metadata"].get("deletionTimestamp")]
        if len(ready) == len(pods) or time.monotonic() > until:
            break
        time.sleep(PAUSE)
    for pod in ready:
        again(lambda name=pod["metadata"]["name"]: api.delete(PODS, namespace, name, grace=seconds))  # type: ignore[misc]


def _has_more(pod: Object, seconds: int) -> bool:
    """Whether a pod has not ended, and would have more time to end."""
    own, left = pod["spec"].get("terminationGracePeriodSeconds"), pod["metadata"].get("deletionGracePeriodSeconds")
    given = left if left is not None else own if own is not None else KUBERNETES_GRACE
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") and int(given) > seconds
