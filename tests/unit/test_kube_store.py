"""Which way a cluster's run's store is opened from this machine; and that a command ends what it began."""

from __future__ import annotations

from pathlib import Path

import pytest
from kube_plans import planned

from tieline.app import command, kube_store
from tieline.app.home import HomeFolder
from tieline.app.kube_store import open_from_here
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes.place import Place, place_of
from tieline.engines.kubernetes.reader_store import ReaderStore
from tieline.model.plan import Plan
from tieline.stores import FolderStore, StoreTrouble

JOB = "kind: component\nrun: {kind: job, container: {image: i}}\n"
STORE = (
    "artifactsStore: {name: store, kind: volume_claim, schema: {volumeClaim: disk, mountPath: /store, subPath: deep}}\n"
)
CONFIG = """\
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HomeFolder:
    """A home that knows where the run was, and a deployment file with a folder for the claim."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kubeconfig").write_text(CONFIG)
    (tmp_path / "tieline.yaml").write_text("persistence: {claims: {disk: {hostPath: ./disk}}}\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.delenv("TIELINE_CONFIG", raising=False)
    home = HomeFolder(tmp_path / "home")
    home.create()
    return home


def launched(home: HomeFolder) -> Plan:
    plan = planned(JOB, store=STORE)
    folder = RunFolder(home.runs / plan.run.uuid)
    folder.create()
    Place("c", "team-a", "https://127.0.0.1:1", settings={"image": "i:1"}).save(folder)
    found = place_of(folder)
    assert found is not None
    assert found.settings == {"image": "i:1"}
    return plan


def test_a_claim_that_is_a_folder_here_is_read_here(home: HomeFolder, tmp_path: Path) -> None:
    plan = launched(home)
    own = tmp_path / "disk" / "deep" / plan.store.prefix
    own.mkdir(parents=True)
    store = open_from_here(plan, home, asks_pod=False)
    assert isinstance(store, FolderStore)
    assert store.stat(plan.store.prefix) is not None


def test_else_a_pod_is_asked_the_same_for_all_of_a_command(home: HomeFolder) -> None:
    plan = launched(home)
    with pytest.raises(StoreTrouble, match="the claim 'disk' of namespace team-a"):
        open_from_here(plan, home, asks_pod=False)
    with command.command(lambda _: None):
        first, second = open_from_here(plan, home), open_from_here(plan, home)
        assert isinstance(first, ReaderStore)
        assert isinstance(second, ReaderStore)
        (reader,) = kube_store._readers.values()
        assert (reader.cluster.image, reader.cluster.namespace, reader.writes) == ("i:1", "team-a", False)
        open_from_here(plan, home, writes=True)
        assert len(kube_store._readers) == 2
    assert kube_store._readers == {}


def test_nobody_knows_where_it_was(home: HomeFolder) -> None:
    with pytest.raises(StoreTrouble, match="of its cluster"):
        open_from_here(planned(JOB, store=STORE), home)


def fail(done: list[int]) -> None:
    with command.command(lambda _: None):
        command.at_end(lambda: done.append(1))
        command.at_end(lambda: done.append(2))
        raise ValueError("it failed")


def test_what_a_command_began_is_ended_however_it_ends() -> None:
    done: list[int] = []
    told: list[str] = []
    command.say("nobody listens")
    with command.command(told.append):
        command.say("a word")
        with pytest.raises(ValueError, match="it failed"):
            fail(done)
    assert (done, told) == ([2, 1], ["a word"])
