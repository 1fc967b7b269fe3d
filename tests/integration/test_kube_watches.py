"""Watches whose past a real API server has forgotten while the line was broken (410): nothing is missed.

An API server of the test's own, without a node: pods are objects that nothing happens to. It has no watch cache: that
keeps the newest hundred thousand changes or so, and only then says what etcd says at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from secrets_kube import kube

from servers.kube_api import Server, api_server, programs
from servers.processes import eventually
from servers.wire import Wire, wire
from tieline.engines.kubernetes import api as apis
from tieline.engines.kubernetes.api import PODS, Api, Kind
from tieline.engines.kubernetes.inside.api import Api as InsideApi
from tieline.engines.kubernetes.inside.pods import PodWatch as InsideWatch
from tieline.engines.kubernetes.names import MANAGED_BY, MANAGER, RUN
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.engines.kubernetes.watch import PodWatch

__all__ = ["kube"]
SPACE = "default"
MINE = {MANAGED_BY: MANAGER}


@pytest.fixture(scope="module")
def server(kube: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with api_server(programs(kube), tmp_path_factory.mktemp("api"), "--watch-cache=false") as found:
        yield found


@pytest.fixture
def admin(server: Server) -> Iterator[Api]:
    with Api.open(None, {"KUBECONFIG": str(server.kubeconfig())}) as found:
        eventually(lambda: found.get(Kind("v1", "namespaces", namespaced=False), "", SPACE))
        yield found
        for pod in found.list(PODS, SPACE)["items"]:
            found.delete(PODS, SPACE, pod["metadata"]["name"], grace=0)


@pytest.fixture
def line(server: Server) -> Iterator[Wire]:
    with wire(server.port) as found:
        yield found


def made(admin: Api, name: str, run: str = "") -> dict[str, Any]:
    labels = {**MINE, RUN: run or name}
    spec = {"containers": [{"name": "main", "image": "x"}], "restartPolicy": "Never"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
    return admin.create(PODS, SPACE, pod)


def phase(admin: Api, name: str, words: str) -> None:
    admin.patch(PODS, SPACE, name, {"status": {"phase": words}}, sub="status")


def phases(watch: PodWatch, runs: list[str]) -> dict[str, list[str]]:
    return {
        run: ["deleted" if pod.get("deleted") else pod["status"].get("phase", "") for pod in watch.pods(run)]
        for run in runs
    }


def forgotten(server: Server, admin: Api, version: str, *, just: bool) -> None:
    """A watch from there is refused now. ``just``: that version is the last one that was forgotten; the server then
    misses what it would compare the next one with, and says so with a 500 of its own."""
    server.forget()
    with pytest.raises(ClusterError) as refused:
        next(admin.watch(PODS, SPACE, {}, version, seconds=5), None)
    assert refused.value.why in ((Why.GONE, Why.BROKEN) if just else (Why.GONE,))


@pytest.mark.parametrize("just", [False, True])
def test_a_run_missed_nothing_when_the_past_is_forgotten(server: Server, admin: Api, line: Wire, just: bool) -> None:
    made(admin, "stays")
    made(admin, "goes")
    version = made(admin, "ends")["metadata"]["resourceVersion"]
    changed: list[str] = []
    with Api.open(None, {"KUBECONFIG": str(server.kubeconfig(line.port))}) as api:
        watch = PodWatch(api, SPACE, MINE, changed.append)
        thread = threading.Thread(target=watch.run, daemon=True)
        thread.start()
        eventually(lambda: set(changed) >= {"stays", "ends", "goes"})
        line.is_cut = True
        line.cut()
        eventually(lambda: watch.trouble)
        changed.clear()
        phase(admin, "ends", "Succeeded")
        if not just:
            admin.delete(PODS, SPACE, "goes", grace=0)
            made(admin, "comes")
        forgotten(server, admin, version, just=just)
        if just:
            admin.delete(PODS, SPACE, "goes", grace=0)
            made(admin, "comes")
        lists = api.counted["list pods"]
        line.is_cut = False
        eventually(lambda: set(changed) >= {"ends", "goes", "comes"})
        assert phases(watch, ["stays", "ends", "goes", "comes"]) == {
            "stays": ["Pending"], "ends": ["Succeeded"], "goes": ["deleted"], "comes": ["Pending"],
        }  # fmt: skip
        assert "stays" not in changed
        assert api.counted["list pods"] == lists + 1
        phase(admin, "stays", "Running")  # and it goes on from there
        eventually(lambda: phases(watch, ["stays"]) == {"stays": ["Running"]})
        assert watch.trouble is None
        watch.end()


@pytest.mark.parametrize("just", [False, True])
def test_a_pods_own_watch_missed_nothing_when_the_past_is_forgotten(
    server: Server, admin: Api, line: Wire, just: bool
) -> None:
    pod = made(admin, "own", "run")
    api = InsideApi("127.0.0.1", line.port, server.folder, SPACE)
    watch = InsideWatch(api, "own", pod["metadata"]["uid"], f"{RUN}=run")
    watch.start()
    eventually(lambda: watch.pod)
    line.is_cut = True
    line.cut()
    eventually(lambda: watch.trouble)
    phase(admin, "own", "Running")
    if not just:
        made(admin, "other")
    forgotten(server, admin, pod["metadata"]["resourceVersion"], just=just)
    line.is_cut = False
    eventually(lambda: watch.pod["status"]["phase"] == "Running")
    admin.delete(PODS, SPACE, "own", grace=0)
    eventually(lambda: watch.gone)
    watch.stop()
    watch.join(10)


def test_a_watch_with_nothing_to_tell_is_no_trouble(
    server: Server, admin: Api, line: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is begun anew now and then: its line may be gone. Whether it is, that tells."""
    monkeypatch.setattr(apis, "SILENT", 0.5)
    made(admin, "quiet")
    changed: list[str] = []
    with Api.open(None, {"KUBECONFIG": str(server.kubeconfig(line.port))}) as api:
        watch = PodWatch(api, SPACE, MINE, changed.append, is_new=True)
        watch.start("watch")
        eventually(lambda: api.counted["watch pods"] >= 4)
        assert watch.trouble is None
        changed.clear()
        phase(admin, "quiet", "Running")
        eventually(lambda: phases(watch, ["quiet"]) == {"quiet": ["Running"]})
        line.is_cut = True
        line.cut()
        eventually(lambda: watch.trouble)
        watch.end()
