"""A store that is read through a pod: what both sides say to each other, and the pod, without a cluster."""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kube_plans import planned, versions

from tieline.engines.kubernetes import inside_reader
from tieline.engines.kubernetes.channel import Ended
from tieline.engines.kubernetes.inside_reader import Server, serving, wait
from tieline.engines.kubernetes.names import MANAGED_BY, RUN
from tieline.engines.kubernetes.reader_pod import READER, reader_job
from tieline.engines.kubernetes.reader_session import Broken, Session
from tieline.engines.kubernetes.reader_store import ReaderStore
from tieline.engines.kubernetes.reader_words import (
    DATA,
    END,
    ERROR,
    HELLO,
    ITEM,
    Garbled,
    Parser,
    frame,
    request_bytes,
    trouble_of,
)
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.refusals import Why as Answered
from tieline.engines.kubernetes.settings import Cluster, kept_settings, with_kept
from tieline.errors import Code, Problem, Refused
from tieline.stores import FolderStore, StoreTrouble, Why

CLUSTER = Cluster(None, "team-a", "tieline:1", service_account="tieline")
CLAIM = (
    "artifactsStore: {name: store, kind: volume_claim, schema: {volumeClaim: disk, mountPath: /store, subPath: x/y}}\n"
)
NODE = "artifactsStore: {name: store, kind: host_path, schema: {hostPath: /srv/a, mountPath: /store}}\n"


class Here:
    """The program of the pod, in this process."""

    def __init__(self, root: Path, *, writes: bool = False) -> None:
        self._store = FolderStore(root, read_only=not writes)
        self.asked: list[Mapping[str, Any]] = []

    def ask(self, request: Mapping[str, Any], take: Callable[[bytes], None] = lambda _: None) -> list[Any]:
        import json

        out = io.BytesIO()
        Server(self._store, out).serve(io.BytesIO(request_bytes(request)))
        self.asked.append(request)
        frames = list(Parser().feed(out.getvalue()))
        assert [kind for kind, _ in frames[:1]] == [HELLO]
        assert frames[-1][0] in (END, ERROR)
        for kind, data in frames:
            if kind == ERROR:
                raise trouble_of(json.loads(data))
            if kind == DATA:
                take(data)
        return [json.loads(data) for kind, data in frames if kind == ITEM]


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 20))
def test_frames_come_out_however_they_are_cut(parts: list[bytes], size: int) -> None:
    sent = b"".join(frame(DATA, part) for part in parts)
    parser = Parser()
    found = [got for start in range(0, len(sent), size) for got in parser.feed(sent[start : start + size])]
    assert found == [(DATA, part) for part in parts]


def test_what_something_else_prints_is_no_frame() -> None:
    with pytest.raises(Garbled, match="No module named"):
        list(Parser().feed(b"No module named tieline"))


def test_it_tells_what_the_folder_does(tmp_path: Path) -> None:
    names = [b"r/a/b c", b"r/\xff\xfe", b"r/.dot", b"r/a.b"]
    for name in names:
        path = tmp_path / name.decode("utf-8", "surrogateescape")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name * 3)
    (tmp_path / "r/link").symlink_to("a")
    here, there = FolderStore(tmp_path), ReaderStore(Here(tmp_path))
    assert list(there.walk("r")) == list(here.walk("r"))
    assert list(there.list("r")) == list(here.list("r"))
    assert there.stat("r/a") == here.stat("r/a")
    assert there.stat("r/nothing") is None
    assert len(there.some(2)) == 2
    got = there.fetch_file("r/a/b c", tmp_path / "got", digest=True)
    assert (tmp_path / "got").read_bytes() == names[0] * 3
    assert got == here.fetch_file("r/a/b c", tmp_path / "again", digest=True)
    assert got.sha256 == here.fetch_file("r/a/b c", tmp_path / "again", digest=True).sha256


def test_a_long_listing_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside_reader, "FEW", 3)
    for number in range(10):
        (tmp_path / str(number)).touch()
    assert [stat.key for stat in ReaderStore(Here(tmp_path)).list()] == [str(number) for number in range(10)]


def test_a_file_is_read_bit_by_bit_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.engines.kubernetes.reader_store.PIECE", 10)
    data = bytes(range(256))
    (tmp_path / "f").write_bytes(data)
    store = ReaderStore(Here(tmp_path))
    with store.open("f", 17) as stream:
        assert stream.read(5) == data[17:22]
        assert stream.read() == data[22:]
        assert stream.read(1) == b""
    with store.open("f", 1000) as stream:
        assert stream.read() == b""


def test_a_file_that_changes_while_it_is_read_is_not_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tieline.engines.kubernetes.reader_store.PIECE", 10)
    (tmp_path / "f").write_bytes(b"a" * 30)
    with ReaderStore(Here(tmp_path)).open("f") as stream:
        assert stream.read(10) == b"a" * 10
        (tmp_path / "f").write_bytes(b"b" * 31)
        with pytest.raises(StoreTrouble) as caught:
            stream.read()
    assert caught.value.why is Why.CHANGED


def test_what_is_wrong_is_told_as_there(tmp_path: Path) -> None:
    store = ReaderStore(Here(tmp_path))
    (tmp_path / "d").mkdir()
    (tmp_path / "out").symlink_to("/etc/hostname")
    for key, why in (("none", Why.NOT_FOUND), ("d", Why.IN_THE_WAY), ("out", Why.UNSAFE), ("../x", Why.UNSAFE)):
        with pytest.raises(StoreTrouble) as caught:
            store.open(key)
        assert caught.value.why is why
    with pytest.raises(StoreTrouble) as caught:
        store.fetch_file("none", tmp_path / "got")
    assert caught.value.why is Why.NOT_FOUND


def test_only_one_that_may_deletes(tmp_path: Path) -> None:
    (tmp_path / "run/a").mkdir(parents=True)
    with pytest.raises(StoreTrouble) as caught:
        ReaderStore(Here(tmp_path)).delete("run")
    assert caught.value.why is Why.READ_ONLY
    ReaderStore(Here(tmp_path, writes=True)).delete("run")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_saved_from_here(tmp_path: Path) -> None:
    store = ReaderStore(Here(tmp_path, writes=True))
    for save in (
        lambda: store.save_bytes(b"", "x"), lambda: store.save_chunks((), "x"), lambda: store.make_dir("x"),
        lambda: store.save_file(tmp_path / "f", "x"),
    ):  # fmt: skip
        with pytest.raises(StoreTrouble) as caught:
            save()
        assert caught.value.why is Why.READ_ONLY


class Failing(Here):
    """The pod goes away so often, or cannot be had."""

    def __init__(self, root: Path, *errors: Exception) -> None:
        super().__init__(root)
        self._errors = list(errors)

    def ask(self, request: Mapping[str, Any], take: Callable[[bytes], None] = lambda _: None) -> list[Any]:
        if self._errors:
            take(b"a beginning")
            raise self._errors.pop()
        return super().ask(request, take)


def test_a_pod_that_goes_away_costs_no_byte(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"whole")
    gone = Broken("gone", begun=True)
    with ReaderStore(Failing(tmp_path, gone, gone)).open("f") as stream:
        assert stream.read() == b"whole"
    with pytest.raises(StoreTrouble) as caught:
        ReaderStore(Failing(tmp_path, gone, gone, gone)).open("f")
    assert caught.value.again


def test_why_there_is_no_pod(tmp_path: Path) -> None:
    refused = Refused(Problem(Code.NOT_PERMITTED, "you may not", "ask"))
    away = ClusterError(Answered.UNREACHABLE, Problem(Code.CLUSTER_FAILED, "away", "wait"))
    found = []
    for error in (refused, away):
        with pytest.raises(StoreTrouble) as caught:
            ReaderStore(Failing(tmp_path, error)).stat("f")
        found.append((caught.value.why, caught.value.again, str(caught.value)))
    assert found == [(Why.FORBIDDEN, False, "you may not; ask"), (Why.UNREACHABLE, True, "away; wait")]


def _serve(lock: Path, begun: Any, end: Any) -> None:
    with serving(lock):
        begun.set()
        end.wait()


def test_the_pod_ends_when_nobody_is_served_any_more(tmp_path: Path) -> None:
    """However those that served ended: the lock is the kernel's."""
    context = multiprocessing.get_context("spawn")
    lock, begun, end = tmp_path / "lock", context.Event(), context.Event()
    server = context.Process(target=_serve, args=(lock, begun, end))
    waiter = context.Process(target=wait, args=(lock, 0.4))
    server.start()
    assert begun.wait(60)
    waiter.start()
    waiter.join(2)
    assert waiter.is_alive()
    server.kill()
    waiter.join(60)
    assert waiter.exitcode == 0


# --- the pod

JOB = """\
kind: component
run:
  kind: job
  container: {image: i}
  environment: {nodeSelector: {gpu: 'yes'}, tolerations: [{operator: Exists}]}
"""


def made(store: str, job: str = JOB, cluster: Cluster = CLUSTER, **more: Any) -> dict[str, Any]:
    return reader_job("ab12", planned(job, store=store), cluster, **more)


def pod(store: str, job: str = JOB, cluster: Cluster = CLUSTER, **more: Any) -> dict[str, Any]:
    return dict(made(store, job, cluster, **more)["spec"]["template"])


@pytest.mark.parametrize("node", ["", "n1"])
@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("store", [CLAIM, NODE])
def test_a_manifest_that_every_version_takes(store: str, writes: bool, node: str) -> None:
    found = made(store, writes=writes, node=node)
    for version in versions():
        kubernetes_validate.validate(found, version, strict=True)
    spec = found["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] > 0
    assert not [volume for volume in spec["volumes"] if {"secret", "projected", "configMap"} & set(volume)]
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_it_is_no_pod_of_the_run() -> None:
    for found in (made(CLAIM), pod(CLAIM)):
        labels = found["metadata"]["labels"]
        assert labels[MANAGED_BY] == "tieline"
        assert labels[READER] == planned(JOB).run.uuid
        assert RUN not in labels


def test_only_the_runs_own_folder_and_read_only() -> None:
    own = planned(JOB).store.prefix
    for store, volume, sub in (
        (CLAIM, {"persistentVolumeClaim": {"claimName": "disk"}}, {"subPath": f"x/y/{own}"}),
        (NODE, {"hostPath": {"path": f"/srv/a/{own}", "type": "Directory"}}, {}),
    ):
        spec = pod(store)["spec"]
        assert spec["volumes"][1] == {"name": "store", **volume}
        mounted = spec["containers"][0]["volumeMounts"][1]
        assert mounted == {"name": "store", "mountPath": f"/run/tieline/store/{own}", **sub, "readOnly": True}


def test_to_remove_it_has_the_folder_that_it_is_in() -> None:
    spec = pod(CLAIM, writes=True)["spec"]
    assert spec["containers"][0]["volumeMounts"][1] == {
        "name": "store", "mountPath": "/run/tieline/store", "subPath": "x/y",
    }  # fmt: skip
    assert pod(NODE, writes=True)["spec"]["volumes"][1]["hostPath"]["path"] == "/srv/a"


def test_where_it_runs() -> None:
    anywhere, beside = pod(CLAIM)["spec"], pod(CLAIM, node="n1")["spec"]
    assert "nodeSelector" not in anywhere, "a GPU is not started to read a log"
    assert anywhere["tolerations"] == [{"operator": "Exists"}]
    assert list(beside["affinity"]["nodeAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    as_the_job, there = pod(NODE)["spec"], pod(NODE, node="n1")["spec"]
    assert as_the_job["nodeSelector"] == {"gpu": "yes"}
    assert list(there["affinity"]["nodeAffinity"]) == ["requiredDuringSchedulingIgnoredDuringExecution"]


def test_what_the_admin_adds_to_every_pod() -> None:
    inits = [{"name": "tieline-*", "image": "other"}]
    patch = {"spec": {"priority": 1, "containers": inits, "initContainers": inits}}
    cluster = with_kept(Cluster(None, "a"), kept_settings(Cluster(None, "b", "old:1", pod_patch=patch)), {})
    spec = pod(CLAIM, cluster=cluster)["spec"]
    assert (spec["priority"], spec["containers"][0]["image"], spec["initContainers"]) == (1, "other", [])
    named = with_kept(cluster, kept_settings(cluster), {"TIELINE_STEPS_IMAGE": "new:1"})
    assert named.image == "new:1"


def test_the_cluster_removes_what_a_killed_command_left() -> None:
    """Also where its pod never starts; and no second pod is made of one that ended."""
    spec = made(CLAIM)["spec"]
    assert spec["ttlSecondsAfterFinished"] == 60
    assert spec["activeDeadlineSeconds"] == 3600
    assert spec["backoffLimit"] == 0


# --- the program of the pod

PROGRAM = """\
import sys
from tieline.engines.kubernetes import inside_reader
inside_reader.STORE, inside_reader.ALIVE_EVERY = sys.argv[1], 0.01
raise SystemExit(inside_reader.main(["serve"]))
"""


class Piped:
    """The program's stdin and stdout, as :class:`Channel` has them."""

    def __init__(self, root: Path, home: Path) -> None:
        env = {**os.environ, "HOME": str(home)}
        command = [sys.executable, "-c", PROGRAM, str(root)]
        self.program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def write(self, data: bytes) -> None:
        assert self.program.stdin is not None
        self.program.stdin.write(data)
        self.program.stdin.flush()

    def read(self, seconds: float) -> Iterator[bytes]:
        del seconds
        assert self.program.stdout is not None
        data = os.read(self.program.stdout.fileno(), 1000)
        if not data:
            raise Ended("it ended")
        yield data

    def close(self) -> None:
        for stream in (self.program.stdin, self.program.stdout):
            assert stream is not None
            stream.close()
        self.program.wait(60)


@pytest.fixture
def piped(tmp_path: Path) -> Iterator[Piped]:
    (tmp_path / "store").mkdir()
    found = Piped(tmp_path / "store", tmp_path)
    yield found
    found.program.kill()
    found.close()


def test_the_program_answers_one_thing_after_the_other(piped: Piped, tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "store" / "f").write_bytes(data)
    session = Session.begun(piped)  # type: ignore[arg-type]
    pieces: list[bytes] = []
    (version,) = session.ask({"op": "read", "key": "f", "offset": 1, "size": None, "tag": ""}, pieces.append)
    assert (b"".join(pieces), len(version.split("-"))) == (data[1:], 3)
    with pytest.raises(StoreTrouble):
        session.ask({"op": "delete", "key": "f"}, pieces.append)
    with pytest.raises(StoreTrouble, match="could not answer"):
        session.ask({"op": "dance", "key": "f"}, pieces.append)
    ((listed,),) = session.ask({"op": "walk", "key": "f"}, pieces.append)
    assert listed["size"] == len(data)
    session.close()
    assert piped.program.returncode == 0


def test_the_program_ends_with_whoever_asked_though_nobody_reads_its_answer(piped: Piped, tmp_path: Path) -> None:
    (tmp_path / "store" / "f").write_bytes(bytes(1_000_000))
    Session.begun(piped)  # type: ignore[arg-type]
    piped.write(request_bytes({"op": "read", "key": "f", "offset": 0, "size": None, "tag": ""}))
    assert piped.program.stdin is not None
    piped.program.stdin.close()
    assert piped.program.wait(60) == 0
