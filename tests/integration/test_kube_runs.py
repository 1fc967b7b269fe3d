"""Runs on a real cluster from the submitting machine: seen as they go, stopped, found again, gone without a trace."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from kube_requests import PREFLIGHT, counted
from kube_runs import KILLER, PATIENCE, There, ns, shell, there
from secrets_kube import kube

from servers.processes import eventually
from tieline.engines.kubernetes.api import JOBS, PODS
from tieline.engines.kubernetes.names import RUN, object_name
from tieline.model.run import Status
from tieline.runs.record import Record

__all__ = ["kube", "ns", "there"]


def test_a_run_from_its_file_to_its_outputs_and_away(there: There) -> None:
    before = there.there()
    file = there.job("echo one; echo out > $TIELINE_OUTPUTS/a.txt; sleep 1; printf two", init=[{"file": {
        "filename": "note.txt", "content": "hello"}}])  # fmt: skip
    out, err = there.run(file)
    assert out == "one\ntwo"
    assert "succeeded" in err
    assert "5 bytes" in err, "the step is told"
    assert "1 file, 4 B, all checked" in err
    assert there("runs", "logs", "last")[0] == "one\ntwo"
    shown = there.show()
    assert [event["status"] for event in shown["events"] if event["status"] != "queued"] == [
        "created", "starting", "running", "saving", "succeeded",
    ]  # fmt: skip
    there("runs", "rm", "last")
    assert there.becomes(before)
    assert list(there.store.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "container", "code", "reason", "words"),
    [
        ("exit 3", {}, 3, "exit-code", "the job exited with 3"),
        ("kill -TERM $$; sleep 5", {"command": ["sh", "-c", "trap - TERM; exit 143"]}, 143, "signalled", "SIGTERM"),
        ("x=a; while true; do x=$x$x; done", {"resources": {"limits": {"memory": "24Mi"}}}, 137, "signalled",
         "it ran out of memory (its limit is 24Mi)"),
        ("", {"command": ["/nowhere/x"]}, 74, "step-failed", "could not be started: /nowhere/x"),
    ],
)  # fmt: skip
def test_how_it_fails(
    there: There, script: str, container: dict[str, object], code: int, reason: str, words: str
) -> None:
    there.run(there.job(script, container=container), code=code)
    shown = there.show()
    assert (shown["status"], shown["reason"]) == ("failed", reason)
    assert words in shown["message"]


def test_why_it_does_not_begin(there: There) -> None:
    run = there.begin(there.job("true", container={"image": "docker.io/local/nothere:1"}))
    shown = there.shown(lambda run: run["message"], run)
    assert shown["status"] == "starting"
    assert "the image 'docker.io/local/nothere:1' can't be pulled (the job)" in shown["message"]
    there("runs", "stop", run, "--now")
    assert there.show(run)["status"] == "stopped"


def test_retries(there: There) -> None:
    script = "echo try $TIELINE_RUN_UUID; [ -e /store/again ] && exit 0; exit 4"
    there.run(there.job(script, termination={"maxRetries": 1}), code=4)
    shown = there.show()
    assert (shown["attempt"], shown["message"]) == (2, "the job exited with 4")
    statuses = [event["status"] for event in shown["events"]]
    assert statuses.count("retrying") == 1
    assert there("runs", "logs", "last", "--attempt", "1")[0].startswith("try ")


def test_a_timeout(there: There) -> None:
    there.run(there.job(STOPPABLE, termination={"timeout": 6}), code=124)
    assert there.show()["message"] == "ended after its timeout of 6 s"


def forget(there: There, run: str) -> None:
    """Have the Job's controller believe that the Job has begun later: its one alarm then comes too early, and it sets
    no other. That is how it forgets a deadline by itself, on a busy machine."""

    def began() -> dict[str, Any] | None:
        [found] = there.ns.admin.list(JOBS, there.ns.name, {RUN: run})["items"]
        return dict(found) if (found.get("status") or {}).get("startTime") else None

    job = eventually(began, patience=60)
    later = datetime.fromisoformat(job["status"]["startTime"]) + timedelta(seconds=FORGOTTEN)
    change = {"status": {"startTime": later.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    there.ns.admin.patch(JOBS, there.ns.name, job["metadata"]["name"], change, sub="status")


FORGOTTEN = 4


def has_ended(there: There, run: str) -> list[str]:
    """The reasons with which the run's Job has failed, if it has, and none of its pods goes on."""
    [job] = there.ns.admin.list(JOBS, there.ns.name, {RUN: run})["items"]
    pods = there.ns.admin.list(PODS, there.ns.name, {RUN: run})["items"]
    found = [one["reason"] for one in job["status"].get("conditions") or () if one["type"] == "Failed"]
    return found if all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods) else []


def test_a_deadline_that_the_cluster_forgets_and_nobody_looks(there: There) -> None:
    run = there.begin(there.job(STOPPABLE, termination={"timeout": 6, "maxRetries": 2}))
    forget(there, run)
    assert eventually(lambda: has_ended(there, run), patience=90) == ["DeadlineExceeded"]
    shown = there.show(run)
    assert (shown["reason"], shown["attempt"]) == ("timeout", 1)
    assert there("runs", "logs", run)[0] == "begun\nended\n"


def test_a_deadline_that_the_cluster_forgets_is_seen_by_who_looks(there: There) -> None:
    """Before 1.29 the collector begins after all steps, so the pod does not change by itself."""
    steps = [{"container": shell("trap 'exit 1' TERM; while true; do sleep 0.1; done", name="prep")}]
    run = there.begin(there.job("echo never", init=steps, termination={"timeout": 2}))
    forget(there, run)
    assert there.until("failed", run)["reason"] == "timeout"


def test_a_run_whose_job_is_gone_before_anybody_looked(there: There) -> None:
    """As its ttl would have it; before 1.21 that is off."""
    run = there.begin(there.job("echo said; echo x > $TIELINE_OUTPUTS/x; exit 3", termination={"ttl": 1}))
    eventually(lambda: has_ended(there, run), patience=60)
    there.ns.admin.delete(JOBS, there.ns.name, object_name(run))
    eventually(lambda: not there.ns.admin.list(PODS, there.ns.name, {RUN: run})["items"], patience=60)
    shown = there.show(run)
    assert (shown["reason"], shown["message"], shown["exitCode"]) == ("exit-code", "the job exited with 3", 3)
    assert [event["status"] for event in shown["events"]][-3:] == ["running", "saving", "failed"]
    assert there("runs", "logs", run)[0] == "said\n"


def test_an_image_that_can_never_come_ends_the_run(there: There) -> None:
    image = "docker.io/local/nothere:1"
    container = {"image": image, "imagePullPolicy": "Never"}
    err = there.run(there.job("true", container=container, termination={"maxRetries": 3}), code=74)[1]
    words = f"the image {image!r} is not on the node, and its imagePullPolicy is Never (the job)"
    assert words in err
    shown = there.show()
    assert (shown["reason"], shown["message"], shown["attempt"]) == ("step-failed", words, 1)
    assert has_ended(there, shown["uuid"])
    other = there.elsewhere()
    there("runs", "list", env=other)
    assert there.show(shown["uuid"], env=other)["message"] == words


def test_what_others_left_is_seen_to_beside_it(there: There) -> None:
    """A run of this machine whose process died, and one that the cluster has carried out meanwhile."""
    detached = there.begin(there.job("true", name="detached"))
    left = there.start("run", there.job("echo begun; sleep 60", name="left"))
    assert left.stdout is not None
    assert left.stdout.readline() == b"begun\n"
    os.kill(left.pid, signal.SIGKILL)
    left.communicate()
    job = object_name(detached)
    eventually(lambda: (there.ns.admin.get(JOBS, there.ns.name, job) or {}).get("status", {}).get("succeeded"))
    out, err = there.run(there.job("sleep 4; echo done"))
    assert out == "done\n"
    assert "ended a run whose tieline process had died" in err
    assert " left (failed)" in err
    with Record.open(there.root / "home" / "runs.db") as record:  # as it is, seen to by no other command
        assert record.find("left").status is Status.FAILED
        assert record.get(detached).status is Status.SUCCEEDED


STOPPABLE = "trap 'echo ended; exit 0' TERM; echo begun; while true; do sleep 0.1; done"


def test_a_stop_from_another_process(there: There) -> None:
    run = there.begin(there.job(STOPPABLE))
    there.until("running", run)
    there("runs", "stop", run)
    shown = there.show(run)
    assert (shown["status"], shown["reason"]) == ("stopped", "stopped")
    assert there("runs", "logs", run)[0] == "begun\nended\n"


def test_who_waits_is_told_that_the_pod_does_not_reach_the_api_server(there: There) -> None:
    """And can stop it, and has what was written by then."""
    file = there.job("trap 'exit 0' TERM; echo x > $TIELINE_OUTPUTS/early; while true; do sleep 0.1; done")
    words = ("run", file, "--engine", "kubernetes", "-n", there.ns.name)
    process = there.start(*words, env={"TIELINE_KUBERNETES_PORT": "1"})
    assert process.stderr is not None
    told = next((line for line in process.stderr if b"cannot be seen from its pod" in line), b"").decode()
    assert "the API server 127.0.0.1:1 cannot be reached: Connection refused" in told
    assert "see whether a NetworkPolicy or a proxy is in the way" in told
    run = there.show()
    there("runs", "stop", run["uuid"])
    err = process.communicate(timeout=PATIENCE)[1].decode()
    assert "lines are missing" not in err
    run = there.show()
    # stopped: the pod was gone before its last word was seen
    ends = {73: ("failed", "outputs-not-saved"), 143: ("stopped", "stopped")}
    assert (run["status"], run["reason"]) == ends[process.returncode], err
    assert (there.store / run["uuid"] / "attempt-1" / "outputs" / "early").read_text() == "x\n"


def test_ctrl_c(there: There) -> None:
    process = there.start("run", there.job(STOPPABLE), "--engine", "kubernetes", "-n", there.ns.name)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    out, err = there.ended(process, 130)
    assert out == "ended\n"
    assert "stopped" in err


def test_a_submitter_that_is_killed_while_it_waits(there: There) -> None:
    script = "echo begun; sleep 4; echo end; echo x > $TIELINE_OUTPUTS/x"
    process = there.start("run", there.job(script), "--engine", "kubernetes", "-n", there.ns.name)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert there("runs", "logs", "-f", "last")[0] == "begun\nend\n"
    shown = there.show()
    assert (shown["status"], shown["exitCode"]) == ("succeeded", 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_submitter_that_is_killed_at_any_step(there: There, number: int, when: str) -> None:
    before = there.there()
    words = ("run", there.job("echo done"), "--engine", "kubernetes", "-n", there.ns.name, "--detach")
    there.ended(there.start(str(number), when, *words, code=KILLER), -signal.SIGKILL)
    is_launched = (number, when) not in ((1, "before"), (1, "after"), (2, "before"))
    shown = there.until("succeeded" if is_launched else "failed")
    assert shown["message"] == ("" if is_launched else "the tieline process that ran it died; nothing was launched")
    if is_launched:
        assert there("runs", "logs", "last")[0] == "done\n"
    there("runs", "rm", "last", *([] if is_launched else ["--keep-artifacts"]))
    assert there.becomes(before)


def test_from_another_machine(there: There) -> None:
    before, other = there.there(), there.elsewhere()
    run = there.begin(there.job("echo begun; echo x > $TIELINE_OUTPUTS/x; sleep 3; echo end", name="far"))
    assert run[:8] in there("runs", "list", env=other)[0]
    assert there("runs", "logs", "-f", run, env=other)[0] == "begun\nend\n"
    shown = there.show(run, env=other)
    assert (shown["status"], shown["name"]) == ("succeeded", "far")
    assert "x" in there("runs", "outputs", "list", run, env=other)[0]
    there("runs", "rm", run, env=other)
    assert there.becomes(before)


def test_requests(there: There, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]) -> None:
    """From launch to finished at most 8; what preflight asks about rights and objects is counted, and told, apart."""
    found = counted(there, monkeypatch, there.job("echo hello; sleep 1"))
    asked = {what: count for what, count in found.items() if what in PREFLIGHT}
    own = {what: count for what, count in found.items() if what not in PREFLIGHT}
    figure(f"{own}, by preflight: {asked}")
    assert sum(own.values()) <= 8, own
