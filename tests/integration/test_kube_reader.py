"""A store that only the cluster sees: a finished run's logs and outputs, read through a pod that mounts the claim."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_rights import KINDS, Space
from kube_runs import There, ns
from secrets_kube import kube

from servers.processes import eventually
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes.api import JOBS, PODS
from tieline.engines.kubernetes.names import RUN, object_name
from tieline.engines.kubernetes.place import place_of
from tieline.engines.kubernetes.reader_pod import READER

__all__ = ["kube", "ns"]

MIB = 1024 * 1024
SCRIPT = f"""\
echo one; seq 1 20000; printf last
cd $TIELINE_OUTPUTS; head -c {50 * MIB} /dev/urandom > big.bin; mkdir -p a/b; echo deep > 'a/b/a name'
"""


@dataclass
class Far:
    """A run that is over, and those who look at it. ``disk``: the claim's folder, which only the test looks into."""

    there: There
    disk: Path
    run: str
    reader: dict[str, str]
    blind: dict[str, str]

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.there.ns.admin.list(PODS, self.there.ns.name, labelSelector=READER)["items"]
        return found

    @property
    def outputs(self) -> Path:
        return self.disk / "tieline" / self.run / "attempt-1" / "outputs"


@pytest.fixture(scope="module")
def far(ns: Space, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    top = tmp_path_factory.mktemp("far")
    disk, volume = top / "disk", f"{ns.name}-artifacts"
    disk.mkdir()
    spec = {"storageClassName": volume, "accessModes": ["ReadWriteOnce"]}
    ns.make("PersistentVolume", volume, spec={**spec, "capacity": {"storage": "1Gi"}, "hostPath": {"path": str(disk)}})
    ns.make("PersistentVolumeClaim", "artifacts", spec={**spec, "resources": {"requests": {"storage": "1Gi"}}})
    (top / "user").mkdir()
    there = There(ns, top / "user")
    catalog = yaml.safe_load((there.root / "tieline.yaml").read_text())
    schema = {"volumeClaim": "artifacts", "mountPath": "/store", "subPath": "tieline"}
    catalog["artifactsStore"] = {"name": "store", "kind": "volume_claim", "schema": schema}
    (there.root / "tieline.yaml").write_text(yaml.safe_dump(catalog))
    for name in ("submitter.yaml", "reader.yaml"):
        ns.apply(name)
    reader = ns.user("reader", roles=("tieline-submitter", "tieline-reader"))
    blind = ns.user("blind", roles=("tieline-submitter",))
    try:
        there.run(there.job(SCRIPT, name="far"))
        run = there.show()["uuid"]
        yield Far(there, disk, run, {"KUBECONFIG": str(reader)}, {"KUBECONFIG": str(blind)})
    finally:
        ns.remove("PersistentVolumeClaim", "artifacts")
        ns.admin.delete(KINDS["PersistentVolume"], "", volume)


def test_its_log(far: Far) -> None:
    out, err = far.there("runs", "logs", far.run, env=far.reader)
    assert out == "one\n" + "".join(f"{number}\n" for number in range(1, 20001)) + "last"
    assert "starting a pod" in err
    assert far.there("runs", "logs", "-f", far.run, env=far.reader)[0] == out
    assert far.pods() == []


def test_its_outputs(far: Far, tmp_path: Path) -> None:
    out, err = far.there("runs", "outputs", "list", far.run, "--output", "json", env=far.reader)
    assert err == ""
    assert {item["path"]: item["what"] for item in json.loads(out)} == {
        "a": "dir", "a/b": "dir", "a/b/a name": "file", "big.bin": "file",
    }  # fmt: skip
    far.there("runs", "outputs", "get", far.run, "--to", str(tmp_path / "got"), env=far.reader)
    assert (tmp_path / "got" / "big.bin").read_bytes() == (far.outputs / "big.bin").read_bytes()
    assert (tmp_path / "got" / "a" / "b" / "a name").read_text() == "deep\n"
    assert far.pods() == []


def test_that_it_is_as_it_was_saved(far: Far) -> None:
    assert "all as saved" in far.there("runs", "outputs", "verify", far.run, env=far.reader)[1]
    with (far.outputs / "big.bin").open("r+b") as file:
        before = file.read(1)
        file.seek(0)
        file.write(bytes((before[0] ^ 1,)))
    out, _ = far.there("runs", "outputs", "verify", far.run, code=76, env=far.reader)
    assert "its SHA-256 is not that of what was saved" in out
    with (far.outputs / "big.bin").open("r+b") as file:
        file.write(before)


def test_without_the_right_it_is_said_which(far: Far) -> None:
    _, err = far.there("runs", "outputs", "list", far.run, code=73, env=far.blind)
    assert f"in the namespace {far.there.ns.name} you may not get pods/exec, create pods/exec" in err
    assert "tieline-reader" in err
    assert far.pods() == []


def test_the_end_of_a_run_that_is_gone_from_the_cluster(far: Far) -> None:
    """Any command reads it, through a pod, and only once."""
    there, admin = far.there, far.there.ns.admin
    run = there.begin(there.job("exit 3", name="gone"))

    def pods() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = admin.list(PODS, there.ns.name, {RUN: run})["items"]
        return found

    eventually(lambda: [pod["status"]["phase"] for pod in pods()] == ["Failed"], patience=60)
    admin.delete(JOBS, there.ns.name, object_name(run))
    eventually(lambda: not pods(), patience=60)
    assert "starting a pod" in there("runs", "list", env=far.reader)[1]
    out, err = there("runs", "show", run, "--output", "json", env=far.reader)
    assert json.loads(out)["message"] == "the job exited with 3"
    assert err == ""
    assert far.pods() == []


def test_while_it_runs_its_own_pod_is_enough(far: Far) -> None:
    script = "trap 'echo ended; exit 0' TERM; echo begun; while true; do sleep 0.1; done"
    run = far.there.begin(far.there.job(script, name="near"))
    far.there.until("running", run)

    def shown() -> str:
        out, err = far.there("runs", "logs", run, env=far.reader)
        assert "starting a pod" not in err
        return out

    eventually(lambda: shown() == "begun\n", patience=60)
    follower = far.there.start("runs", "logs", "-f", run, env=far.reader)
    far.there("runs", "stop", run, env=far.reader)
    assert far.there.ended(follower)[0] == "begun\nended\n"
    far.there("runs", "rm", run, env=far.reader)
    assert not (far.disk / "tieline" / run).exists()


def test_a_pod_that_goes_away_is_replaced(far: Far, tmp_path: Path) -> None:
    process = far.there.start("runs", "outputs", "get", far.run, "--to", str(tmp_path / "got"), env=far.reader)
    eventually(lambda: any(tmp_path.glob("got/.tieline-*")), patience=60)
    (pod,) = far.pods()
    far.there.ns.admin.delete(PODS, far.there.ns.name, pod["metadata"]["name"], grace=0)
    err = far.there.ended(process)[1]
    assert err.count("starting a pod") >= 2, err  # a node that is busy may refuse the first attempt at the second
    assert (tmp_path / "got" / "big.bin").read_bytes() == (far.outputs / "big.bin").read_bytes()
    eventually(lambda: far.pods() == [])  # the cluster may have begun to replace it, too


def test_ctrl_c_ends_the_wait_for_a_pod(far: Far, tmp_path: Path) -> None:
    """Of a pod that no node takes."""
    folder = RunFolder(far.there.root / "home" / "runs" / far.run)
    place = place_of(folder)
    assert place is not None
    patch = {"spec": {"nodeSelector": {"no": "node"}}}
    replace(place, settings={**place.settings, "pod_patch": patch}).save(folder)
    try:
        process = far.there.start("runs", "outputs", "get", far.run, "--to", str(tmp_path / "got"), env=far.reader)
        assert process.stderr is not None
        lines = (line.decode() for line in iter(process.stderr.readline, b""))
        assert any("waiting for the pod: no node takes the pod" in line for line in lines)
        process.send_signal(signal.SIGINT)
        assert "stopped; what is in" in far.there.ended(process, 130)[1]
    finally:
        place.save(folder)
    assert far.pods() == []


def test_a_command_that_is_killed_leaves_nothing(far: Far, tmp_path: Path) -> None:
    """Not even if nobody comes any more: the cluster removes what it left."""
    words = ("runs", "outputs", "get", far.run, "--to", str(tmp_path / "got"))
    process = far.there.start(*words, env=far.reader)
    eventually(lambda: any(tmp_path.glob("got/.tieline-*")), patience=60)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    far.there(*words, env=far.reader)
    left = [job["metadata"] for job in far.there.ns.admin.list(JOBS, far.there.ns.name, labelSelector=READER)["items"]]
    assert len(left) == 1, "that of the command that was killed"
    soon = {"spec": {"ttlSecondsAfterFinished": 1}}  # not the minute that it has
    far.there.ns.admin.patch(JOBS, far.there.ns.name, left[0]["name"], soon)
    eventually(lambda: far.there.ns.admin.get(JOBS, far.there.ns.name, left[0]["name"]) is None, patience=60)
    eventually(lambda: far.pods() == [], patience=60)
    assert (tmp_path / "got" / "big.bin").read_bytes() == (far.outputs / "big.bin").read_bytes()


def test_it_is_removed(far: Far) -> None:
    far.there("runs", "rm", far.run, env=far.reader)
    assert not (far.disk / "tieline" / far.run).exists()
    assert far.pods() == []
