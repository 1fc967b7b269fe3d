"""What the pods of a service say of it: nothing that ends in them ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_kube_seen import RUNNING, STOPPED, T0, T1, T2, ended, plan, pod, says, seen, waits

from tieline.engines.kubernetes.seen import Seen
from tieline.errors import Code
from tieline.model.plan import ServicePorts
from tieline.model.run import Status

AGAIN = waits("CrashLoopBackOff", "back-off 10s restarting failed container")


def look(*pods: dict[str, Any], owner: dict[str, Any] | None = None, is_gone: bool = False) -> Seen:
    served = plan().model_copy(update={"service": ServicePorts(ports=(80,))})
    return seen(served, None if is_gone else owner or deployment(), pods, is_gone=is_gone)


def deployment(*, stopped: bool = False, left: int = 1, observed: int = 2) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "d", "generation": 2, "annotations": {STOPPED: T1} if stopped else {}}
    status = {"observedGeneration": observed, **({"replicas": left} if left else {})}
    return {"metadata": meta, "spec": {"replicas": 0 if stopped else 1}, "status": status}


def begun_again(state: dict[str, Any], last: dict[str, Any] | None, count: int, **more: Any) -> dict[str, Any]:
    found = pod(1, state, **more)
    status = next(one for one in found["status"]["containerStatuses"] if one["name"] == "main")
    status |= {"restartCount": count, **({"lastState": last} if last else {})}
    return found


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (begun_again(RUNNING, None, 0), ""),
        (begun_again(RUNNING, ended(3), 1),
         "the job exited with 3; restarted 1 time: it is begun again whenever it ends"),
        (begun_again(ended(0), None, 0),
         "the job ended by itself; restarted not yet: it is begun again whenever it ends"),
        (begun_again(AGAIN, ended(3), 4),
         "the job exited with 3; restarted 4 times: the cluster waits before it begins again"),
    ],
)  # fmt: skip
def test_a_container_that_is_begun_again(found: dict[str, Any], words: str) -> None:
    shown = look(found)
    assert (shown.status, shown.outcome, shown.waiting) == (Status.RUNNING, None, words)
    assert shown.attempts[0].started_at is not None


def test_steps_that_fail_again_and_again() -> None:
    error = {"code": "no-such-thing", "message": "there is no such branch", "hint": ""}
    step = {**AGAIN}
    found = pod(1, waits("PodInitializing"), init={"tieline-steps-1": step}, phase="Pending")
    status = found["status"]["initContainerStatuses"][0]
    status |= {"restartCount": 2, "lastState": ended(70, message=says(error=error))}
    shown = look(found)
    assert (shown.status, shown.outcome) == (Status.STARTING, None)
    assert shown.waiting == "there is no such branch; restarted 2 times: the cluster waits before it begins again"


def gone(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "deleted": True}


def test_a_pod_that_is_lost_is_replaced() -> None:
    lost = gone(pod(1, ended(0)))
    shown = look(lost)
    assert (shown.status, shown.outcome) == (Status.RETRYING, None)
    assert shown.attempts[0].outcome is not None
    assert shown.attempts[0].outcome.reason == Code.POD_LOST
    shown = look(lost, pod(2, RUNNING))
    assert (shown.status, shown.attempt) == (Status.RUNNING, 2)


def test_a_stop() -> None:
    owner = deployment(stopped=True)
    deleted = pod(1, RUNNING)
    deleted["metadata"] |= {"deletionTimestamp": T2, "deletionGracePeriodSeconds": 60}
    assert look(deleted, owner=owner).status is Status.STOPPING
    for last in (ended(0), ended(3, at=T0), AGAIN):  # whatever it ended with before: it was stopped
        shown = look(gone(pod(1, last)), owner=owner)
        assert (shown.status, shown.outcome and shown.outcome.reason) == (Status.STOPPED, Code.STOPPED)
    shown = look(gone(pod(1, ended(0))), pod(2, RUNNING), owner=owner)
    assert shown.outcome is None, "a pod is left"


@pytest.mark.parametrize(("observed", "left", "over"), [(2, 0, True), (1, 0, False), (2, 1, False)])
def test_a_stop_whose_pods_nobody_saw_end(observed: int, left: int, over: bool) -> None:
    shown = look(owner=deployment(stopped=True, observed=observed, left=left))
    assert (shown.outcome is not None) is over
    assert shown.status is (Status.STOPPED if over else Status.STOPPING)


def test_a_deployment_that_is_gone() -> None:
    shown = look(is_gone=True)
    assert shown.outcome is not None
    assert "the run's Deployment is gone from the cluster: it was deleted before" in shown.outcome.message
    assert replace(shown).status is Status.FAILED


def saying(number: int, said: int, second: str, uid: str) -> dict[str, Any]:
    """A replica that has ended, and says which attempt it was."""
    meta = {"uid": uid, "name": f"svc-{number}", "creationTimestamp": second, "deletionTimestamp": T2}
    return pod(number, ended(143), collector=ended(0, message=says(attempt=said)), metadata=meta, deleted=True)


@pytest.mark.parametrize("known", [[], ["u1"], ["u2"], ["u1", "u2"], ["u2", "u1"]])
def test_two_replicas_are_two_attempts_in_whatever_order_they_were_seen(known: list[str]) -> None:
    """Both were made within one second: their collectors count by uid, and are not heard before they end."""
    served = plan().model_copy(update={"service": ServicePorts(ports=(80,))})
    ends = [saying(1, 2, T0, "u2"), saying(2, 1, T0, "u1")]
    running = [{**one, "status": pod(1, RUNNING, collector=RUNNING)["status"], "deleted": False} for one in ends]
    for pods in (running, [ends[0], running[1]], [running[0], ends[1]], ends):
        numbers = [attempt.number for attempt in seen(served, deployment(), pods, known=known).attempts]
        assert numbers == [1, 2], (known, pods)
    said = {one.uid: one.number for one in seen(served, deployment(), ends, known=known).attempts}
    assert said == {"u1": 1, "u2": 2}


def test_a_replica_that_was_replaced_leaves_its_number_behind() -> None:
    served = plan().model_copy(update={"service": ServicePorts(ports=(80,))})
    pods = [pod(2, RUNNING), pod(3, RUNNING)]
    assert [one.number for one in seen(served, deployment(), pods, known=["u1", "u2"]).attempts] == [2, 3]
    both = [pod(2, RUNNING), pod(3, RUNNING), pod(4, RUNNING)]
    assert [one.number for one in seen(served, deployment(), both, known=["u1", "u2", "u3"]).attempts] == [2, 3, 4]
