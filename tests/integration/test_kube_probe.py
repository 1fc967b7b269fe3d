"""``tieline connections test --where job``: a pod says what a job would find, what is different here, and it is gone
afterwards; by a user with the roles that ship, and the mounts and secrets of the real cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_rights import KINDS, Space, space
from secrets_kube import kube

from servers import kube_here
from servers.https import PASSWORD, USER, Https, https_server
from servers.processes import eventually

__all__ = ["kube"]
PODS = KINDS["Pod"]


@pytest.fixture(scope="module")
def ns(kube: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    with space(kube, tmp_path_factory.mktemp("kube")) as found:
        found.apply("submitter.yaml")
        found.user("prober", roles=("tieline-submitter",))
        yield found


class There:
    """A folder with a catalog, and the command typed in it by somebody who may submit."""

    def __init__(self, ns: Space, root: Path, catalog: dict[str, Any], **pod: Any) -> None:
        self.ns, self.root = ns, root
        whole = {
            "clusters": {"node": {"podPatch": kube_here.pod_patch(**pod)}},
            "namespaces": {ns.name: {"cluster": "node", "inherit": "all"}},
            **catalog,
        }
        (root / "tieline.yaml").write_text(yaml.safe_dump(whole))
        self.env = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
        self.env |= {"HOME": str(root), "TIELINE_HOME": str(root / "home"), "KUBECONFIG": str(ns.config_of("prober"))}

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = ["connections", "test", *words, "--where", "job", "--namespace", self.ns.name]
        return subprocess.Popen(
            [sys.executable, "-m", "tieline", *command], cwd=self.root, env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def __call__(self, *words: str, code: int = 0) -> tuple[str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=180)
        assert process.returncode == code, f"exit {process.returncode}\n{out}{err}"
        return out, err

    def tested(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self(*words, "--output", "json", code=code)[0])
        return found

    def left(self) -> list[str]:
        """What there is of probes in the namespace."""
        kinds = [KINDS["Job"], PODS]
        return [item["metadata"]["name"] for kind in kinds for item in self.ns.admin.list(kind, self.ns.name)["items"]]

    def gone(self) -> None:
        eventually(lambda: self.left() == [], 120)


def of(operations: list[dict[str, Any]], name: str) -> tuple[str, str]:
    (found,) = [item for item in operations if item["operation"] == name]
    return found["outcome"], found["detail"]


@pytest.fixture
def labels() -> Iterator[Https]:
    """A server of this machine that wants a password; 127.0.0.1 is another machine in a pod."""
    with https_server() as server:
        yield server


def web(server: Https) -> dict[str, Any]:
    login = {"name": "labels-login"}
    return {"name": "labels", "kind": "http", "schema": {"url": server.url("/private")}, "secret": login}


def test_a_server_that_only_this_machine_reaches(ns: Space, tmp_path: Path, labels: Https) -> None:
    """The same address is another machine's in a pod: reach fails there, and the local result stands beside it."""
    ns.secret("labels-login", username=USER, password=PASSWORD)
    there = There(ns, tmp_path, {"connections": [web(labels)]})
    try:
        out, err = there("labels", code=69)
        (found,) = there.tested("labels", code=69)
    finally:
        ns.remove("Secret", "labels-login")
    assert of(found["operations"], "reach")[0] == "fail"
    assert of(found["here"], "reach")[0] == "pass"
    assert "reach" in found["differs"]
    assert found["where"] == "job"
    assert not found["ok"]
    assert found["trouble"] is None
    assert "here: pass: 127.0.0.1:" in out
    assert "labels: fails in a pod: reach" in err
    assert "labels: different here: reach" in err
    assert PASSWORD not in out + err
    there.gone()


def test_a_secret_that_only_the_namespace_has(ns: Space, tmp_path: Path, labels: Https) -> None:
    """With the node's own network the server is reached; the password is the namespace's, and not this machine's."""
    ns.secret("labels-login", username=USER, password=PASSWORD)
    there = There(ns, tmp_path, {"connections": [web(labels)]}, hostNetwork=True)
    try:
        (found,) = there.tested("labels")
    finally:
        ns.remove("Secret", "labels-login")
    assert found["ok"]
    assert of(found["operations"], "authenticate")[0] == "pass"
    assert of(found["here"], "authenticate")[0] == "fail"
    assert "authenticate" in found["differs"]
    assert PASSWORD not in json.dumps(found)
    (found,) = there.tested("labels", code=69)
    outcome, detail = of(found["operations"], "authenticate")
    assert outcome == "fail"
    assert "password" in detail
    there.gone()


def test_a_volume_of_the_node(ns: Space, tmp_path: Path) -> None:
    """The folder is at the connection's mount path, and read-only where the connection says so."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("hello")
    schema = {"hostPath": str(tmp_path / "data"), "mountPath": "/data"}
    own = {"hostPath": str(tmp_path / "data"), "mountPath": "/usr"}
    there = There(ns, tmp_path, {"connections": [
        {"name": "data", "kind": "host_path", "schema": schema},
        {"name": "looked-at", "kind": "host_path", "schema": {**schema, "readOnly": True}},
        {"name": "covering", "kind": "host_path", "schema": own},
        {"name": "gone", "kind": "host_path", "schema": {**schema, "hostPath": str(tmp_path / "nowhere")}},
    ]})  # fmt: skip
    data, looked_at, covering, gone = there.tested("data", "looked-at", "covering", "gone", code=69)
    assert "a volume can't be mounted" in gone["trouble"]["message"]
    assert of(data["operations"], "resolve") == ("pass", "/data")
    assert of(data["operations"], "read") == ("pass", "5 bytes of a.txt (5 bytes)")
    assert of(data["operations"], "delete")[0] == "pass"
    assert of(looked_at["operations"], "write") == ("skipped", "readOnly: jobs only read it")
    assert of(covering["operations"], "read")[0] == "pass", "the pod's own /usr is not covered"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["a.txt"]
    there.gone()


def test_a_claim(ns: Space, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    name = f"{ns.name}-disk"
    spec = {"storageClassName": name, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    ns.make("PersistentVolume", name, spec={**spec, "hostPath": {"path": str(tmp_path / "disk")}})
    wanted = {"storageClassName": name, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    ns.make("PersistentVolumeClaim", "disk", spec=wanted)
    claim = {"name": "disk", "kind": "volume_claim", "schema": {"volumeClaim": "disk", "mountPath": "/disk"}}
    try:
        (found,) = There(ns, tmp_path, {"connections": [claim]}).tested("disk")
    finally:
        ns.remove("PersistentVolumeClaim", "disk")
        ns.admin.delete(KINDS["PersistentVolume"], "", name)
    assert found["ok"]
    assert of(found["operations"], "write")[0] == "pass"
    assert of(found["operations"], "resolve") == ("pass", "the claim disk is the folder /disk")


def test_a_pod_that_cannot_start_is_told_with_the_clusters_reason(ns: Space, tmp_path: Path, labels: Https) -> None:
    there = There(ns, tmp_path, {
        "clusters": {"node": {"image": "localhost:1/no-such:1"}}, "connections": [web(labels)],
    })  # fmt: skip
    (found,) = there.tested("labels", code=69)
    assert found["operations"] == []
    assert found["differs"] == []
    assert "'localhost:1/no-such:1' can't be pulled" in found["trouble"]["message"]
    out, err = there("labels", code=69)
    assert "can't be pulled" in out
    assert "labels: fails in a pod: no answer" in err
    there.gone()


def test_a_service_account_that_is_not_there(ns: Space, tmp_path: Path, labels: Https) -> None:
    there = There(ns, tmp_path, {"connections": [web(labels)]})
    (found,) = there.tested("labels", "--service-account", "nobody", code=69)
    assert "serviceaccount" in found["trouble"]["message"]
    assert '"nobody" not found' in found["trouble"]["message"]
    there.gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_removes_the_pod(ns: Space, tmp_path: Path, labels: Https, number: int) -> None:
    there = There(ns, tmp_path, {"connections": [web(labels)]})
    process = there.start("labels")
    eventually(there.left)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    there.gone()


def test_whoever_asked_is_killed_and_the_cluster_removes_the_pod(ns: Space, tmp_path: Path, labels: Https) -> None:
    there = There(ns, tmp_path, {"connections": [web(labels)]})
    process = there.start("labels")
    eventually(there.left)
    process.kill()
    process.communicate(timeout=30)
    (job,) = ns.admin.list(KINDS["Job"], ns.name)["items"]
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    assert job["spec"]["activeDeadlineSeconds"] <= 120 + 60 + 10
    eventually(lambda: there.left() == [], 150)


def test_who_may_not_make_a_job_is_told_which_right_is_missing(ns: Space, tmp_path: Path, labels: Https) -> None:
    ns.user("looker")
    there = There(ns, tmp_path, {"connections": [web(labels)]})
    there.env["KUBECONFIG"] = str(ns.config_of("looker"))
    _, err = there("labels", code=69)
    assert "does not allow you to create jobs in namespace" in err
