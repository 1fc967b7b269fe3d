"""The places of a queue in a cluster: what they are called, and whose holder does not need one any more."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kube_plans import planned, versions

from tieline.engines.kubernetes.leases import (
    MANY,
    Held,
    held_of,
    lease_name,
    lease_of,
    left_by,
    queue_key,
    renewal,
    selecting,
)
from tieline.engines.kubernetes.names import LONGEST, RUN, is_label_value
from tieline.engines.kubernetes.queueing import waiting_words
from tieline.engines.kubernetes.seen import STOPPED
from tieline.model.plan import Plan

A, B = "a" * 32, "b" * 32
JOB = "kind: component\nqueue: gpu\nrun: {kind: job, container: {image: i}}"
QUEUES = "queues: {gpu: {concurrency: 2}}"


def plan() -> Plan:
    return planned(JOB, QUEUES)


def held(run: str = A, **more: Any) -> Held:
    return Held(f"tieline-queue.gpu.{run[0]}", f"uid-{run[0]}", "7", run, **more)


def job(run: str, *conditions: str) -> dict[str, Any]:
    status = {"conditions": [{"type": name, "status": "True"} for name in conditions]}
    return {"kind": "Job", "metadata": {"labels": {RUN: run}}, "status": status}


def pod(run: str, phase: str) -> dict[str, Any]:
    return {"metadata": {"labels": {RUN: run}}, "status": {"phase": phase}}


def deployment(run: str, replicas: int, *, stopped: bool, pods: int = 0, observed: int = 2) -> dict[str, Any]:
    meta = {"labels": {RUN: run}, "generation": 2, "annotations": {STOPPED: "now"} if stopped else {}}
    status = {"observedGeneration": observed, "replicas": pods}
    return {"kind": "Deployment", "metadata": meta, "spec": {"replicas": replicas}, "status": status}


def test_a_place_is_a_valid_lease_and_is_read_again() -> None:
    made = lease_of(plan(), "team-a", 1)
    for version in versions():
        kubernetes_validate.validate(made, version, strict=True)
    assert made["metadata"]["name"] == "tieline-queue.gpu.1"
    there = {**made, "metadata": {**made["metadata"], "uid": "u", "resourceVersion": "3"}}
    assert held_of(there) == Held("tieline-queue.gpu.1", "u", "3", plan().run.uuid, "a run", False, 30)
    assert renewal(held_of(there))["metadata"] == {"uid": "u"}


def test_a_lease_that_somebody_else_wrote_is_held_by_nobody_we_know() -> None:
    found = held_of({"metadata": {"name": "x", "uid": "u"}, "spec": None})
    assert (found.run, found.seconds) == ("", 30)
    assert left_by([found], [], [], []) == []
    assert left_by([found], [], [], [found]) == [found]


@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=2, unique=True))
def test_no_two_queues_share_their_places(names: list[str]) -> None:
    one, other = (queue_key(name) for name in names)
    assert one != other
    assert all(is_label_value(key) for key in (one, other))
    assert all(len(part) <= LONGEST for name in names for part in lease_name(name, 99_999).split("."))


@pytest.mark.parametrize(
    ("owners", "pods", "is_left"),
    [
        ([job(A)], [], False),
        ([job(A)], [pod(A, "Running")], False),
        ([job(A)], [pod(A, "Failed")], False),  # there may be another attempt
        ([job(A, "Complete")], [pod(A, "Succeeded")], True),
        ([job(A, "Failed")], [pod(A, "Failed")], True),
        ([job(A, "Failed")], [pod(A, "Running")], False),  # it has been stopped, and its grace is not over
        ([job(A, "Failed")], [pod(B, "Running")], True),
        ([job(A, "FailureTarget")], [], False),
        ([job(A, "Suspended")], [], False),
        ([job(B, "Complete")], [], False),  # another's
        ([], [], False),  # it is about to make its Job
        ([deployment(A, 1, stopped=False)], [], False),
        ([deployment(A, 0, stopped=False)], [], False),  # somebody may scale it up again
        ([deployment(A, 0, stopped=True)], [], True),
        ([deployment(A, 0, stopped=True, pods=1)], [], False),
        ([deployment(A, 0, stopped=True, observed=1)], [], False),
        ([deployment(A, 0, stopped=True)], [pod(A, "Running")], False),
    ],
)
def test_whose_place_is_free(owners: list[Any], pods: list[Any], is_left: bool) -> None:
    assert left_by([held()], owners, pods, []) == ([held()] if is_left else [])


def test_who_has_no_job_is_robbed_only_after_a_silence_and_never_while_its_pods_end() -> None:
    assert left_by([held(), held(B)], [], [], [held()]) == [held()]
    assert left_by([held()], [], [pod(A, "Running")], [held()]) == []
    assert left_by([held()], [job(A)], [], [held()]) == [], "it says nothing any more once its Job is there"


def test_what_is_asked_for_of_the_holders() -> None:
    assert selecting([B, A, A, ""]) == f"{RUN} in ({A},{B})"
    of_all = selecting(f"{number:032x}" for number in range(MANY + 1))
    assert of_all == "app.kubernetes.io/managed-by=tieline"
    assert selecting(["no label, is it"]) == of_all


def test_what_is_said_to_who_waits() -> None:
    begin = "it waits for a place in the queue 'gpu' (at most 2 at once)"
    assert waiting_words(plan(), [], []) == begin
    assert waiting_words(plan(), [held(name="x")], []) == f"{begin}: aaaaaaaa x has it"
    many = [held(name=str(number)) for number in range(5)]
    assert waiting_words(plan(), many, []) == f"{begin}: aaaaaaaa 0, aaaaaaaa 1, aaaaaaaa 2 and 2 more have it"
