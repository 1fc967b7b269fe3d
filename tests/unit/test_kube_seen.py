"""What the Job and the pods of a run say of it: as the API has them, turned into states, outcomes and words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.engines.kubernetes.frames import Frames, Resumed, Torn
from tieline.engines.kubernetes.moves import moves
from tieline.engines.kubernetes.reasons import with_loss
from tieline.engines.kubernetes.seen import GIVEN_UP, STOPPED, Seen, seen
from tieline.errors import Code
from tieline.model.access import Volume
from tieline.model.plan import Ending, Identity, Layout, Plan, Program, Store
from tieline.model.run import TRANSITIONS, Run, Status

UUID = "0" * 32
T0, T1, T2 = "2026-01-01T10:00:00Z", "2026-01-01T10:00:05Z", "2026-01-01T10:01:00Z"
NO_ROOM = "0/1 nodes are available: 1 Insufficient cpu."


def plan(**ending: Any) -> Plan:
    identity = Identity(uuid=UUID, name="r", project="p", namespace="n", kind="job", created_at=T0)
    layout = Layout(context_path="/c", artifacts_path="/a", outputs_path="/o", work_path="/w", binding_root="/b")
    store = Store(connection="s", access=Volume(host_path="/s", mount_path="/s"), prefix=UUID)
    return Plan(
        run=identity, catalog_digest="d", engine="kubernetes", layout=layout, store=store,
        main=Program(name="main", working_dir="/w"), ending=Ending(**ending),
    )  # fmt: skip


def ended(code: int = 0, reason: str = "", message: str = "", at: str = T2, started: str | None = T1) -> dict[str, Any]:
    state = {"exitCode": code, "reason": reason or ("Error" if code else "Completed"), "finishedAt": at}
    return {"terminated": {**state, "startedAt": started, "message": message}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


RUNNING: dict[str, Any] = {"running": {"startedAt": T1}}


def says(**words: Any) -> str:
    return json.dumps({"tieline": 1, **words})


def pod(
    number: int = 1, main: dict[str, Any] | None = None, *, phase: str = "Running", init: dict[str, Any] | None = None,
    collector: dict[str, Any] | None = None, node: str = "n1", limits: dict[str, str] | None = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    statuses = [("main", main), ("tieline-collector", collector)]
    status = {
        "phase": phase,
        "initContainerStatuses": [{"name": k, "image": "i", "state": v} for k, v in (init or {}).items()],
        "containerStatuses": [{"name": k, "image": f"{k}:1", "state": v} for k, v in statuses if v],
        **more.pop("status", {}),
    }
    spec = {
        "containers": [{"name": "main", "resources": {"limits": limits or {}}}],
        **({"nodeName": node} if node else {}),
    }
    meta = {"name": f"p{number}", "uid": f"u{number}", "creationTimestamp": f"2026-01-01T10:00:{number:02}Z"}
    return {"metadata": {**meta, **more.pop("metadata", {})}, "spec": spec, "status": status, **more}


def job(
    condition: str = "", reason: str = "", stopped: str = "", message: str = "", given_up: str = ""
) -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True", "reason": reason, "message": message, "lastTransitionTime": T2}]
    annotations = {STOPPED: stopped} if stopped else {GIVEN_UP: given_up} if given_up else {}
    return {"metadata": {"annotations": annotations}, "status": {"conditions": conditions if condition else []}}


SAVED = ended(0, message=says(attempt=1, saved={"files": 2}))


def over(code: int = 0, reason: str = "", number: int = 1, **more: Any) -> dict[str, Any]:
    """A pod that is over, all saved."""
    main = ended(code, reason, more.pop("message", ""))
    return pod(number, main, phase="Failed" if code else "Succeeded", collector=more.pop("collector", SAVED), **more)


# --- how far it is


@pytest.mark.parametrize(
    ("pods", "status"),
    [
        ([], Status.QUEUED),
        ([pod(phase="Pending", node="")], Status.QUEUED),
        ([pod(main=waits("ContainerCreating"), phase="Pending")], Status.STARTING),
        ([pod(main=waits("PodInitializing"), phase="Pending", init={"tieline-steps-1": RUNNING})], Status.STARTING),
        ([pod(main=RUNNING, collector=RUNNING)], Status.RUNNING),
        ([pod(main=ended(), collector=RUNNING)], Status.SAVING),
        ([pod(main=ended(3), collector=RUNNING)], Status.SAVING),
        ([pod(main=RUNNING, collector=RUNNING, metadata={"deletionTimestamp": T2})], Status.STOPPING),
        ([over()], Status.SUCCEEDED),
        ([over(3)], Status.FAILED),
    ],
)
def test_how_far_it_is(pods: list[dict[str, Any]], status: Status) -> None:
    assert seen(plan(), job(), pods).status is status


WAITING = [
    (pod(phase="Pending", node="", status={"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_ROOM}]}),
     f"no node takes the pod: {NO_ROOM}"),
    (pod(main=waits("ErrImagePull", "dial tcp: refused"), phase="Pending"),
     "the image 'main:1' can't be pulled (the job): dial tcp: refused"),
    (pod(main=waits("ImagePullBackOff", 'Back-off pulling image "x"'), phase="Pending"),
     "the image 'main:1' can't be pulled (the job)"),
    (pod(main=waits("InvalidImageName", "couldn't parse"), phase="Pending"),
     "'main:1' is no name of an image (the job)"),
    (pod(main=waits("ErrImageNeverPull", "x"), phase="Pending"),
     "the image 'main:1' is not on the node, and its imagePullPolicy is Never (the job)"),
    (pod(main=waits("CreateContainerConfigError", 'secret "nope" not found'), phase="Pending"),
     'the job can\'t be made: secret "nope" not found'),
    (pod(main=waits("PodInitializing"), phase="Pending", init={"tieline-steps-1": waits("ErrImagePull", "no")}),
     "the image 'i' can't be pulled (Tieline's own steps): no"),
    (pod(main=waits("PodInitializing"), phase="Pending", init={"init-prep": waits("CreateContainerError", "odd")}),
     "step 'prep' waits: CreateContainerError: odd"),
    (pod(main=waits("ContainerCreating"), phase="Pending"), ""),
    (pod(main=RUNNING), ""),
]  # fmt: skip


@pytest.mark.parametrize(("one", "words"), WAITING)
def test_why_it_does_not_go_on(one: dict[str, Any], words: str) -> None:
    assert seen(plan(), None, [one]).waiting == words


def test_events_tell_what_a_pod_does_not() -> None:
    mount = {"reason": "FailedMount", "message": 'secret "nope" not found', "lastTimestamp": T1}
    vague = {"reason": "FailedMount", "message": "timed out waiting for the condition", "lastTimestamp": T2}
    usual = {"reason": "Scheduled", "message": "assigned", "lastTimestamp": T2}
    waiting = pod(main=waits("ContainerCreating"), phase="Pending")
    said = 'a volume can\'t be mounted: secret "nope" not found'
    assert seen(plan(), None, [waiting], events=[usual, mount, vague]).waiting == said
    quota = {"reason": "FailedCreate", "message": "exceeded quota", "lastTimestamp": T1}
    assert seen(plan(), job(), [], events=[quota]).waiting == "the cluster can't make the pod: exceeded quota"
    assert seen(plan(), None, [pod(main=RUNNING)], events=[mount]).waiting == ""


# --- how it ended

ENDS = [
    (over(), Status.SUCCEEDED, "", "", 0),
    (over(3), Status.FAILED, "exit-code", "the job exited with 3", 3),
    (over(137), Status.FAILED, "signalled", "the job was ended by SIGKILL", 137),
    (over(143), Status.FAILED, "signalled", "the job was ended by SIGTERM", 143),
    (over(255), Status.FAILED, "exit-code", "the job exited with 255", 255),
    (over(137, "OOMKilled", limits={"memory": "64Mi"}), Status.FAILED, "signalled",
     "the job was ended by SIGKILL: it ran out of memory (its limit is 64Mi)", 137),
    (over(1, "OOMKilled", limits={"memory": "64Mi"}), Status.FAILED, "exit-code",
     "the job exited with 1; a process of it was killed: out of memory (its limit is 64Mi)", 1),
    (over(137, "OOMKilled"), Status.FAILED, "signalled",
     "the job was ended by SIGKILL: it ran out of memory (the node's)", 137),
    (over(128, "StartError", message='failed to create containerd task: runc: exec: "/nope/x": stat /nope/x: no such '
          "file or directory: unknown"), Status.FAILED, "step-failed",
     "the job could not be started: /nope/x: No such file or directory", 127),
    (over(128, "ContainerCannotRun", message='exec: "/etc": permission denied: unknown'), Status.FAILED, "step-failed",
     "the job could not be started: /etc: Permission denied", 126),
    (pod(phase="Failed", init={"init-prep": ended(2)}, collector=SAVED), Status.FAILED, "step-failed",
     "step 'prep' exited with 2", 2),
    (pod(phase="Failed", init={"tieline-steps-1": ended(70, message=says(
        step="code", error={"code": "clone-failed", "message": "no such host", "hint": "check the url"}))}),
     Status.FAILED, "clone-failed", "no such host; check the url", None),
    (pod(phase="Failed", init={"tieline-steps-1": ended(137, "OOMKilled")}), Status.FAILED, "step-failed",
     "Tieline's own steps ran out of memory, and said no more", None),
    (pod(phase="Failed", init={"tieline-steps-1": ended(1, message="Traceback")}), Status.FAILED, "step-failed",
     "Tieline's own steps exited with 1 (Error), and said no more: Traceback", None),
    (pod(phase="Failed", status={"reason": "Evicted", "message": "The node was low on resource: memory."}),
     Status.FAILED, "pod-lost", "the pod was evicted from its node: The node was low on resource: memory.", None),
    (pod(phase="Failed", status={"reason": "OutOfcpu", "message": "no"}), Status.FAILED, "pod-lost",
     "the node had no room for the pod: no", None),
    (pod(phase="Failed", status={"conditions": [{"type": "DisruptionTarget", "status": "True",
         "reason": "PreemptionByScheduler", "message": "m"}]}), Status.FAILED, "pod-lost",
     "the pod made room for one of a higher priority: m", None),
    (over(0, collector=ended(74, message=says(error={"code": "outputs-not-saved", "message": "403", "hint": "h"}))),
     Status.FAILED, "outputs-not-saved", "403; h", 0),
    (over(0, collector=ended(137, "OOMKilled")), Status.FAILED, "outputs-not-saved",
     "Tieline's collector ended (OOMKilled) without saying what it had saved: the last outputs and lines may be lost",
     0),
]  # fmt: skip


@pytest.mark.parametrize(("one", "status", "reason", "message", "code"), ENDS)
def test_how_it_ended(one: dict[str, Any], status: Status, reason: str, message: str, code: int | None) -> None:
    found = seen(plan(), job("Failed", "BackoffLimitExceeded"), [one])
    assert found.outcome is not None
    outcome = found.outcome
    assert (found.status, outcome.reason, outcome.message, outcome.exit_code) == (status, reason, message, code)
    assert seen(plan(), None, [one]) == found, "without retries the Job need not be asked"


TAKEN_BACK = {"conditions": [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]}
NOT_READY = {"conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
                            {"type": "ContainersReady", "status": "False"}]}  # fmt: skip
DELETED = {"deletionTimestamp": T2, "deletionGracePeriodSeconds": 30}
LOST = "the pod's node 'n1' is lost: it does not answer the cluster"
SOON = datetime.fromisoformat(T2) + timedelta(seconds=5)


def test_a_node_that_is_away_is_told_and_may_come_back() -> None:
    found = seen(plan(), None, [with_loss(pod(main=RUNNING, status=TAKEN_BACK), SOON)])
    assert (found.status, found.waiting) == (Status.RUNNING, "the pod's node 'n1' does not answer the cluster")
    assert seen(plan(), None, [pod(main=RUNNING, status=NOT_READY)]).waiting == ""


@pytest.mark.parametrize(
    ("status", "late", "is_lost"),
    [(TAKEN_BACK, 5, True), (NOT_READY, 5, False), (NOT_READY, 150, True), ({"phase": "Pending"}, 150, True)],
)
def test_of_a_pod_that_was_to_go_nobody_says_the_end(status: dict[str, Any], late: int, is_lost: bool) -> None:
    now = datetime.fromisoformat(T2) + timedelta(seconds=late)
    away = with_loss(pod(main=RUNNING, metadata=DELETED, status=status), now)
    alone = seen(plan(), job(), [away])
    assert alone.status is (Status.RETRYING if is_lost else Status.STOPPING), "the cluster makes another pod"
    gone = seen(plan(), None, [away], is_gone=True)
    assert (gone.outcome.message if gone.outcome else "") == (LOST if is_lost else "")
    was_stopped = seen(plan(), job(stopped=T1), [away])
    assert was_stopped.status is (Status.STOPPED if is_lost else Status.STOPPING)
    beside = seen(plan(), job(), [away, pod(2, RUNNING)])
    assert beside.status is Status.RUNNING
    walked = [move.outcome.message for move in moves(run_of(Status.RUNNING), beside) if move.outcome]
    assert walked[0] == (LOST if is_lost else "the pod was deleted from the cluster")


def test_what_has_ended_before_it_was_removed_is_not_lost() -> None:
    ended_pod = over(3, metadata=DELETED)
    assert with_loss(ended_pod, SOON + timedelta(days=1)) is ended_pod


# --- stops and deadlines


def test_a_stop_explains_the_end() -> None:
    killed = over(143, metadata={"deletionTimestamp": T2}, collector=SAVED)
    outcome = seen(plan(), job("Failed", "DeadlineExceeded", stopped=T1), [killed]).outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.exit_code) == (Status.STOPPED, Code.STOPPED, 143)


def test_a_job_that_had_ended_before_the_stop_has_its_own_end() -> None:
    assert seen(plan(), job(stopped="2026-01-01T10:05:00Z"), [over(3)]).outcome == seen(plan(), None, [over(3)]).outcome
    assert seen(plan(), job(stopped="2026-01-01T10:05:00Z"), [over(0)]).status is Status.SUCCEEDED


def test_one_that_ends_well_on_term_has_not_succeeded() -> None:
    found = seen(plan(), job(stopped=T1), [over(0)])
    assert (found.status, found.outcome and found.outcome.exit_code) == (Status.STOPPED, 0)


def test_a_deadline() -> None:
    late = job("Failed", "DeadlineExceeded")
    outcome = seen(
        plan(timeout=60), late, [pod(main=ended(143), phase="Failed", collector=SAVED, deleted=True)]
    ).outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.exit_code) == (Status.FAILED, Code.TIMEOUT, 124)
    assert outcome.message == "ended after its timeout of 60 s"
    assert seen(plan(timeout=60), late, []).outcome == replace(outcome)
    going = pod(main=RUNNING, metadata={"deletionTimestamp": T2})
    assert seen(plan(timeout=60), late, [going]).status is Status.STOPPING


def test_a_stop_while_nothing_runs() -> None:
    assert seen(plan(), job(stopped=T1), []).status is Status.STOPPING
    assert seen(plan(), job("Failed", "DeadlineExceeded", stopped=T1), []).status is Status.STOPPED
    failed = seen(plan(max_retries=2), job(stopped="2026-01-01T10:05:00Z"), [over(3)])
    assert failed.status is Status.STOPPED


# --- retries, and what is gone


def test_retries() -> None:
    once = seen(plan(max_retries=1), job(), [over(3)])
    assert (once.status, once.attempt, once.outcome) == (Status.RETRYING, 1, None)
    again = seen(plan(max_retries=1), job(), [pod(2, RUNNING), over(3)])
    assert (again.status, again.attempt) == (Status.RUNNING, 2)
    twice = seen(plan(max_retries=1), job(), [over(3), over(4, number=2)])
    assert (twice.status, twice.attempt, twice.outcome and twice.outcome.exit_code) == (Status.FAILED, 2, 4)
    given_up = seen(plan(max_retries=3), job("Failed", "BackoffLimitExceeded"), [over(3)])
    assert given_up.status is Status.FAILED


def test_attempts_keep_their_numbers_when_earlier_pods_are_gone() -> None:
    assert seen(plan(max_retries=3), job(), [pod(3, RUNNING)], known=["u1", "u2", "u3"]).attempt == 3
    told = over(3, number=7, collector=ended(0, message=says(attempt=4)))
    assert seen(plan(max_retries=9), job(), [told]).attempt == 4


def test_a_pod_that_somebody_deleted_is_replaced() -> None:
    meta = {"deletionTimestamp": "2026-01-01T10:01:30Z", "deletionGracePeriodSeconds": 60}
    gone = pod(main=ended(143), metadata=meta, deleted=True, collector=SAVED)
    found = seen(plan(), job(), [gone])
    assert (found.status, found.outcome) == (Status.RETRYING, None)
    [attempt] = found.attempts
    assert attempt.outcome is not None
    assert attempt.outcome.message == "the pod was deleted from the cluster"
    assert seen(plan(), None, [gone], is_gone=True).status is Status.FAILED
    assert seen(plan(), job(), [gone, over(number=2)]).status is Status.SUCCEEDED


def test_a_job_that_is_gone() -> None:
    found = seen(plan(), None, [], is_gone=True)
    assert (found.status, found.outcome and found.outcome.reason) == (Status.FAILED, Code.POD_LOST)
    assert seen(plan(), job("Complete"), []).status is Status.SUCCEEDED


# --- into the record


def run_of(status: Status = Status.CREATED, attempt: int = 1) -> Run:
    now = datetime.now(UTC)
    return Run(
        uuid=UUID, name="r", project="p", namespace="n", kind="job", engine="kubernetes", status=status,
        attempt=attempt, created_at=now, updated_at=now,
    )  # fmt: skip


def path(run: Run, found: Seen) -> list[str]:
    return [move.to.value for move in moves(run, found)]


def test_what_passed_between_two_looks_is_recorded_in_order() -> None:
    assert path(run_of(), seen(plan(), job(), [])) == ["queued"]
    assert path(run_of(), seen(plan(), None, [over()])) == ["starting", "running", "saving", "succeeded"]
    assert path(run_of(Status.QUEUED), seen(plan(), None, [pod(main=RUNNING)])) == ["starting", "running"]
    assert path(run_of(Status.RUNNING), seen(plan(), None, [pod(main=ended(), collector=RUNNING)])) == ["saving"]
    assert path(run_of(Status.SAVING), seen(plan(), None, [over()])) == ["succeeded"]
    two = seen(plan(max_retries=1), job(), [over(3), over(number=2)])
    assert path(run_of(), two) == [
        "starting", "running", "saving", "retrying", "starting", "running", "saving", "succeeded",
    ]  # fmt: skip
    retrying = next(move for move in moves(run_of(Status.SAVING), two) if move.to is Status.RETRYING)
    assert retrying.outcome == two.attempts[0].outcome
    assert path(run_of(), seen(plan(), job(stopped=T1), [])) == ["stopping"]
    assert path(run_of(Status.STOPPING), seen(plan(), job("Failed", stopped=T1), [])) == ["saving", "stopped"]


def test_why_it_is_stopped_is_recorded_with_that() -> None:
    going = pod(main=RUNNING, metadata={"deletionTimestamp": T2})
    assert path(run_of(Status.RUNNING), seen(plan(timeout=60), job(), [going])) == []  # the Job says it a moment later
    late = seen(plan(timeout=60), job("Failed", "DeadlineExceeded"), [going])
    [move] = moves(run_of(Status.RUNNING), late)
    assert (move.to, move.outcome and move.outcome.reason) == (Status.STOPPING, Code.TIMEOUT)
    at_once = seen(plan(), job(stopped=T1), [over(143)])
    assert path(run_of(Status.RUNNING), at_once) == ["stopping", "saving", "stopped"]


CONTAINER = st.sampled_from([None, RUNNING, ended(), ended(3), ended(137, "OOMKilled"), waits("ErrImagePull", "x")])
PODS = st.builds(
    pod,
    st.integers(1, 4), CONTAINER, phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
    collector=st.sampled_from([None, RUNNING, SAVED, ended(74), ended(0, message=says(attempt=3))]),
    node=st.sampled_from(["", "n1"]), init=st.sampled_from([None, {"tieline-steps-1": ended(70)}, {"init-a": RUNNING}]),
    metadata=st.sampled_from([{}, {"deletionTimestamp": T2}]), deleted=st.booleans(),
)  # fmt: skip
JOBS = st.sampled_from([None, job(), job("Complete"), job("Failed", "DeadlineExceeded"), job(stopped=T1),
                        job(given_up=f"{T1} words")])  # fmt: skip


@given(
    st.lists(PODS, max_size=4, unique_by=lambda one: one["metadata"]["uid"]), JOBS, st.booleans(), st.integers(0, 2),
    st.sampled_from([status for status in Status if not status.is_final]), st.integers(1, 3), st.booleans(),
)  # fmt: skip
def test_the_record_allows_whatever_is_seen(
    pods: list[dict[str, Any]],
    one: dict[str, Any] | None,
    gone: bool,
    retries: int,
    status: Status,
    number: int,
    stopped: bool,
) -> None:
    found = seen(
        plan(max_retries=retries, timeout=30), None if gone else one, pods, attempt=number, is_gone=gone,
        is_stopped=stopped, now=datetime.now(UTC),
    )  # fmt: skip
    assert found.status.is_final == (found.outcome is not None)
    at, attempt = status, number
    for move in moves(run_of(status, number), found):
        assert move.to in TRANSITIONS[at], (at, move)
        attempt += at is Status.RETRYING and move.to is Status.STARTING
        assert move.attempt in (None, attempt)
        assert move.outcome is not None or move.to not in (Status.SAVING, *[s for s in Status if s.is_final])
        at = move.to
    if found.outcome is not None:
        assert at is found.outcome.status


# --- the collector's output


def framed(pieces: Sequence[tuple[str, bytes]]) -> bytes:
    out = b""
    for program, data in pieces:
        out += f"={program} {len(data)}\n".encode() + data + (b"" if data.endswith(b"\n") or not data else b"\n")
    return out


PRINTED = st.lists(
    st.tuples(
        st.sampled_from(["main", "init-a b", "sidecar-x"]),
        st.lists(st.sampled_from([b"=main 3\n", b"a", b"\n", b"\xff", b"= "])).map(b"".join),
    )
)


@given(PRINTED, st.data())
def test_frames_come_out_as_they_went_in(pieces: list[tuple[str, bytes]], data: st.DataObject) -> None:
    whole, frames, resumed = framed(pieces), Frames(), Resumed()
    got: dict[str, bytes] = {}
    for _ in range(data.draw(st.integers(0, 3))):  # the line broke so often
        resumed.begin()
        end = data.draw(st.integers(0, len(whole)))
        while end:
            size = data.draw(st.integers(1, end))
            piece, end = whole[:size], end - size
            for program, more in frames.feed(resumed.new(piece)):
                got[program] = got.get(program, b"") + more
            break
    resumed.begin()
    for program, more in frames.feed(resumed.new(whole)):
        got[program] = got.get(program, b"") + more
    wanted: dict[str, bytes] = {}
    for program, printed in pieces:
        wanted[program] = wanted.get(program, b"") + printed
    assert got == {program: printed for program, printed in wanted.items() if printed}


def test_the_collectors_own_word_and_the_end_after_which_nothing_counts() -> None:
    frames = Frames()
    words = [("main", b"hello\n"), ("", b"a word\n")]
    assert list(frames.feed(b"=main 6\nhello\n= 7\na word\n")) == words
    assert not frames.has_ended
    assert list(frames.feed(b"= 0\nrpc error: code = NotFound")) == []  # as a kubelet says in the midst of a log
    assert frames.has_ended
    assert list(frames.feed(b" desc = container not found")) == []


@pytest.mark.parametrize("torn", [b"half of a line\n=main 3\nabc\n", b"=main x\n", b"=" + bytes(600)])
def test_an_output_that_was_rotated_is_noticed(torn: bytes) -> None:
    with pytest.raises(Torn):
        list(Frames().feed(torn))


@pytest.mark.parametrize(
    ("code", "gaps", "files", "words"),
    [
        (0, 0, 0, ""),
        (0, 0, 3, "the cluster began a new log file 3 times while it was read: a few lines of that moment may be"),
        (0, 1, 3, "lines may be missing in one place, which is marked in the log: more was printed than"),
        (3, 2, 4, "the job exited with 3; lines may be missing in 2 places, which are marked in the log: more was"),
    ],
)
def test_lines_that_are_missing_are_told_with_the_end(code: int, gaps: int, files: int, words: str) -> None:
    told = ended(0, message=says(attempt=1, gaps=gaps, files=files))
    outcome = seen(plan(), job(), [over(code, collector=told)]).outcome
    assert outcome is not None
    assert outcome.message.startswith(words)
    assert bool(outcome.message) is bool(words)
