"""Services on a real cluster: a Deployment and a Service, seen as they go, restarted, stopped, gone without a trace."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request
from typing import Any

import pytest
from kube_rights import opened
from kube_runs import KILLER, KINDS, There, ns, there
from secrets_kube import kube

from servers.processes import A_COMMAND, eventually
from tieline.engines.kubernetes.api import DEPLOYMENTS, PODS, SERVICES
from tieline.engines.kubernetes.names import RUN
from tieline.engines.kubernetes.stopping import stop

__all__ = ["kube", "ns", "there"]


@pytest.fixture
def port() -> int:
    """A port that nobody listens on: the pod is in this machine's network."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


SERVE = """\
trap 'echo ended; exit 0' TERM
mkdir -p /tmp/www; echo hello > /tmp/www/index.html; echo begun; echo x > $TIELINE_OUTPUTS/x
httpd -f -p 127.0.0.1:{port} -h /tmp/www &
while true; do sleep 0.1; done
"""


STOPPABLE = "trap 'echo ended; exit 0' TERM; echo begun; while true; do sleep 0.1; done"


OBJECTS = {**KINDS, "deployments": DEPLOYMENTS, "services": SERVICES}
"""What makes a service, too."""


def service(there: There, script: str, ports: list[int], **run: Any) -> str:
    return there.job(script, name="svc", kind="service", ports=ports, **run)


def test_a_service_from_its_file_to_its_end(there: There, port: int) -> None:
    before = there.there(OBJECTS)
    run = there.begin(service(there, SERVE.format(port=port), [port]))
    there.until("running", run)
    url = f"http://127.0.0.1:{port}"
    assert eventually(lambda: _get(url), patience=30) == b"hello\n"
    follower = there.start("runs", "logs", "-f", run)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"begun\n"
    made = there.ns.admin.list(SERVICES, there.ns.name)["items"][0]["spec"]
    assert made["selector"] == {"tieline.dev/run": run}
    assert [(item["port"], item["targetPort"]) for item in made["ports"]] == [(port, port)]
    there("runs", "stop", run)
    out, _ = there.ended(follower)
    assert out == "ended\n"
    shown = there.show(run)
    assert (shown["status"], shown["reason"], shown["attempt"]) == ("stopped", "stopped", 1)
    assert there("runs", "logs", run)[0] == "begun\nended\n"
    assert "x" in there("runs", "outputs", "list", run)[0]
    there("runs", "rm", run)
    assert there.becomes(before, OBJECTS)


def test_ctrl_c(there: There, port: int) -> None:
    file = service(there, SERVE.format(port=port), [port])
    process = there.start("run", file, "--engine", "kubernetes", "-n", there.ns.name)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    out, err = there.ended(process, 130)
    assert out == "ended\n"
    assert "stopped" in err
    shown = there.show()
    assert (shown["status"], shown["attempt"]) == ("stopped", 1)


def test_a_container_that_ends_is_begun_again_and_told(there: There) -> None:
    """A crash loop is a running service with something to say. (Lines of a start that ends at once may be missed.)"""
    run = there.begin(service(there, "echo try; exit 3", []))

    def restarted() -> dict[str, Any] | None:
        found = there.show(run)
        return found if re.search(r"restarted [2-9] times", found["message"]) else None

    shown = eventually(restarted, 90, A_COMMAND)
    assert shown["status"] == "running"
    assert shown["message"].startswith("the job exited with 3; restarted ")
    there("runs", "stop", run)
    shown = there.show(run)
    assert (shown["status"], shown["attempt"]) == ("stopped", 1)
    assert set(there("runs", "logs", run)[0].splitlines()) == {"try"}


def test_a_pod_that_is_lost_is_replaced(there: There) -> None:
    run = there.begin(service(there, STOPPABLE, []))
    there.until("running", run)
    pod = there.ns.admin.list(PODS, there.ns.name, {RUN: run})["items"][0]["metadata"]["name"]
    assert eventually(lambda: there("runs", "logs", run)[0] == "begun\n", every=A_COMMAND)  # so the collector is there
    there.ns.admin.delete(PODS, there.ns.name, pod, grace=3)
    shown = there.shown(lambda run: run["attempt"] == 2, run)
    shown = there.until("running", run)
    assert [event["reason"] for event in shown["events"] if event["status"] == "retrying"] == ["pod-lost"]
    there("runs", "stop", run)
    assert there.show(run)["status"] == "stopped"
    assert there("runs", "logs", run, "--attempt", "1")[0] == "begun\nended\n"


def test_a_stop_that_nobody_waits_for(there: There) -> None:
    """The record learns it from the Deployment, when no pod is left."""
    run = there.begin(service(there, STOPPABLE, []))
    there.until("running", run)
    with opened(there.ns.config) as api:
        assert stop(api, there.ns.name, run, 5.0, is_service=True)
        assert eventually(lambda: not api.list(PODS, there.ns.name, {RUN: run})["items"], patience=60)
    shown = there.show(run)
    assert (shown["status"], shown["message"]) == ("stopped", "stopped on request")
    assert there("runs", "logs", run)[0] == "begun\nended\n"


def test_replicas(there: There) -> None:
    """Each is an attempt; the run ends when all of them have, saved."""
    run = there.begin(service(there, STOPPABLE, [], replicas=2))
    shown = there.shown(lambda run: run["attempt"] == 2, run)
    there.until("running", run)
    assert not [event for event in shown["events"] if event["reason"] == "pod-lost"]
    there("runs", "stop", run)
    shown = there.show(run)
    assert shown["status"] == "stopped"
    assert shown["attempt"] == 2
    for number in ("1", "2"):
        assert there("runs", "logs", run, "--attempt", number)[0] == "begun\nended\n"


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_submitter_that_is_killed_after_a_step(there: There, number: int) -> None:
    before = there.there(OBJECTS)
    words = ("run", service(there, STOPPABLE, [8080]), "--engine", "kubernetes", "-n", there.ns.name, "--detach")
    there.ended(there.start(str(number), "before", *words, code=KILLER), -signal.SIGKILL)
    if number == 2:
        there.until("failed")
    else:
        run = there.until("running")["uuid"]
        assert len(there.ns.admin.list(SERVICES, there.ns.name, {RUN: run})["items"]) == 1
        there("runs", "stop", "last")
    there("runs", "rm", "last", "--keep-artifacts")
    assert there.becomes(before, OBJECTS)


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            found: bytes = answer.read()
            return found
    except OSError:  # nobody listens yet
        return None
