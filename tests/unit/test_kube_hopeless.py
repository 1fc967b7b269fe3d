"""What can never begin, and what may: by what a pod says that it waits for, for how long, and what its events tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from test_kube_seen import RUNNING, T0, ended, job, plan, pod, waits

from tieline.engines.kubernetes.hopeless import PATIENCE, is_unclear
from tieline.engines.kubernetes.inside.pods import state_of
from tieline.engines.kubernetes.reasons import Object
from tieline.engines.kubernetes.seen import Seen, seen
from tieline.errors import Code
from tieline.model.plan import ServicePorts
from tieline.model.run import Status

BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)
SOON, LATE = BEGAN + timedelta(seconds=1), BEGAN + PATIENCE
NOT_FOUND = 'rpc error: code = NotFound desc = failed to pull image "main:1": main:1: not found'
REFUSALS = [
    NOT_FOUND,
    'failed to resolve reference "main:1": pull access denied, repository does not exist or may require authorization: '
    "server message: insufficient_scope: authorization failed",
    'Head "https://r.example/v2/main/manifests/1": no basic auth credentials',
    "unexpected status from HEAD request to https://r.example/v2/main/manifests/1: 403 Forbidden",
    "unexpected status code https://r.example/v2/main/manifests/1: 401 Unauthorized",
    "Error response from daemon: manifest for main:1 not found: manifest unknown: manifest unknown",
    "denied: requested access to the resource is denied",
]
TROUBLES = [
    "dial tcp: lookup r.example on 10.0.0.2:53: no such host",
    "dial tcp 10.0.0.1:443: i/o timeout",
    "dial tcp 10.0.0.1:443: connect: permission denied",
    "unexpected status code https://r.example/v2/main/manifests/1: 429 Too Many Requests",
    "unexpected status from HEAD request to https://r.example/v2/main/manifests/1: 503 Service Unavailable",
    "context deadline exceeded",
]
"""What runtimes say of registries that don't answer; above, of those that do."""
AWAY = "dial tcp 10.0.0.1:443: connect: connection refused"


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return pod(main=waits(reason, message), phase="Pending", status={"startTime": T0, **more})


def look(*pods: Object, now: datetime, events: tuple[Object, ...] = ()) -> Seen:
    return seen(plan(), job(), pods, now=now, events=events)


def failed(message: str) -> Object:
    return {"reason": "Failed", "message": f'Failed to pull image "main:1": {message}'}


AT_ONCE = [
    (waiting("InvalidImageName", "couldn't parse"), "'main:1' is no name of an image (the job)"),
    (waiting("ErrImageNeverPull", "x"),
     "the image 'main:1' is not on the node, and its imagePullPolicy is Never (the job)"),
    (waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
     "the job can't be made: container has runAsNonRoot and image will run as root"),
]  # fmt: skip
IN_THE_END = [
    (waiting("ErrImagePull", NOT_FOUND), f"the image 'main:1' can't be pulled (the job): {NOT_FOUND}"),
    (waiting("ImagePullBackOff", f'Back-off pulling image "main:1": ErrImagePull: {NOT_FOUND}'), "the image 'main:1' "),
    (waiting("ErrImagePull", "pull access denied, repository does not exist"), "the image 'main:1' can't be pulled"),
    (waiting("CreateContainerConfigError", 'secret "nope" not found'),
     'the job can\'t be made: secret "nope" not found; for more than 5 minutes'),
]  # fmt: skip
NEVER = [
    waiting("ErrImagePull", AWAY),
    waiting("ImagePullBackOff", 'Back-off pulling image "main:1"'),
    waiting("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"),
    waiting("ContainerCreating"),
    pod(main=RUNNING, status={"startTime": T0}),
    pod(phase="Pending", node=""),
]


@pytest.mark.parametrize(("one", "words"), AT_ONCE)
def test_what_nothing_can_mend_is_ended_at_once(one: dict[str, Any], words: str) -> None:
    outcome = look(one, now=SOON).hopeless
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.message) == (Status.FAILED, Code.STEP_FAILED, words)


@pytest.mark.parametrize(("one", "words"), IN_THE_END)
def test_what_somebody_may_mend_has_its_time(one: dict[str, Any], words: str) -> None:
    assert look(one, now=LATE - timedelta(seconds=1)).hopeless is None
    outcome = look(one, now=LATE).hopeless
    assert outcome is not None
    assert outcome.message.startswith(words)
    assert outcome.message.endswith("; for more than 5 minutes")


@pytest.mark.parametrize("one", NEVER)
def test_what_gets_better_by_itself_is_waited_for(one: dict[str, Any]) -> None:
    assert look(one, now=LATE + timedelta(days=1)).hopeless is None


@pytest.mark.parametrize("words", REFUSALS)
def test_what_a_registry_refuses(words: str) -> None:
    assert look(waiting("ErrImagePull", words), now=LATE).hopeless is not None


@pytest.mark.parametrize("words", TROUBLES)
def test_a_registry_that_does_not_answer(words: str) -> None:
    assert look(waiting("ErrImagePull", words), now=LATE).hopeless is None


def test_nobody_judges_without_a_clock() -> None:
    assert seen(plan(), job(), [AT_ONCE[0][0]]).hopeless is None


def test_events_tell_why_while_the_node_waits() -> None:
    one = waiting("ImagePullBackOff", 'Back-off pulling image "main:1"')
    outcome = look(
        one, now=LATE, events=(failed(NOT_FOUND), {"reason": "Failed", "message": "ImagePullBackOff"})
    ).hopeless
    assert outcome is not None
    assert outcome.message.endswith(f": {failed(NOT_FOUND)['message']}; for more than 5 minutes")
    assert look(one, now=LATE, events=(failed(AWAY),)).hopeless is None
    other = {"reason": "Failed", "message": 'Failed to pull image "other:1": not found'}
    assert look(one, now=LATE, events=(other,)).hopeless is None
    assert is_unclear(one, LATE)
    assert not is_unclear(one, SOON)
    assert not is_unclear(AT_ONCE[0][0], LATE)


def test_the_time_begins_when_the_container_could_have_begun() -> None:
    """Steps before it may take hours."""
    at = (LATE - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    initialized = [{"type": "Initialized", "status": "True", "lastTransitionTime": at}]
    late = waiting("ErrImagePull", NOT_FOUND, conditions=initialized)
    assert look(late, now=LATE).hopeless is None
    assert look(late, now=LATE + timedelta(minutes=4)).hopeless is not None
    inits = {"init-a": ended(at=at), "init-b": waits("ErrImagePull", NOT_FOUND)}
    second = pod(main=waits("PodInitializing"), phase="Pending", init=inits, status={"startTime": T0})
    assert look(second, now=LATE).hopeless is None
    assert look(second, now=LATE + timedelta(minutes=4)).hopeless is not None


def test_a_collector_that_cannot_begin_ends_the_run_beside_the_job() -> None:
    """What the job does is not saved, and its pod would never end."""
    one = pod(main=RUNNING, collector=waits("ErrImageNeverPull"), phase="Pending", status={"startTime": T0})
    found = look(one, now=SOON)
    assert found.waiting.endswith("its imagePullPolicy is Never (Tieline's collector)")
    assert found.hopeless is not None
    assert found.hopeless.message == found.waiting


def test_inside_the_pod_nobody_waits_for_what_cannot_begin() -> None:
    for one, _ in (*AT_ONCE, *IN_THE_END):
        assert state_of(one, "main").is_stuck
    for one in (waiting("ContainerCreating"), waiting("PodInitializing"), pod(main=RUNNING), pod(main=ended())):
        assert not state_of(one, "main").is_stuck


def test_one_that_was_given_up_has_failed_with_what_was_seen() -> None:
    gone = pod(main=waits("InvalidImageName"), phase="Pending", metadata={"deletionTimestamp": T0}, deleted=True)
    owner = job("Failed", "DeadlineExceeded", given_up=f"{T0} 'a b' is no name of an image (the job)")
    for pods in ([gone], []):
        found = seen(plan(max_retries=3, timeout=1), owner, pods)
        assert found.outcome is not None
        assert found.hopeless is None
        outcome = found.outcome
        assert (outcome.reason, outcome.message) == (Code.STEP_FAILED, "'a b' is no name of an image (the job)")


def test_a_service_is_given_up_only_before_it_has_begun_anywhere() -> None:
    served = plan().model_copy(update={"service": ServicePorts(ports=(80,))})
    owner = {"metadata": {}, "spec": {"replicas": 2}, "status": {"replicas": 2}}
    stuck = AT_ONCE[0][0]
    assert seen(served, owner, [stuck], now=SOON).hopeless is not None
    assert seen(served, owner, [stuck, pod(2, RUNNING)], now=SOON).hopeless is None
    elsewhere = pod(2, phase="Pending", node="")
    assert seen(served, owner, [stuck, elsewhere], now=SOON).hopeless is None
