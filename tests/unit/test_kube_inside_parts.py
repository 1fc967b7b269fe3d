"""What runs inside of a pod, as far as it needs no pod: its order, its message, what it unpacks, whose pod it is."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.engines.kubernetes.inside.access import ALL, give, open_up
from tieline.engines.kubernetes.inside.collect import begins_last
from tieline.engines.kubernetes.inside.message import MOST, fitted
from tieline.engines.kubernetes.inside.order import earlier
from tieline.engines.kubernetes.inside.pods import before, state_of
from tieline.engines.kubernetes.inside.saving import take_attempt
from tieline.engines.kubernetes.inside.unpacking import unpacked
from tieline.errors import StepFailed
from tieline.model.plan import FileStep, TakeStep
from tieline.secrets.redactor import Masker
from tieline.stores import FolderStore

texts = st.text(max_size=3000)


def step(path: str) -> FileStep:
    return FileStep(name=path, path=path, content="")


@pytest.mark.parametrize(
    ("paths", "waits"),
    [
        (["/tieline/a", "/tieline/b", "/tieline/ab"], [[], [], []]),
        (["/tieline/a", "/tieline/a"], [[], [0]]),
        (["/tieline/a/b", "/tieline/c", "/tieline/a"], [[], [], [0]]),
        (["/tieline/a", "/tieline/a/b/c/", "/tieline//a/./b"], [[], [0], [0, 1]]),
        (["/tieline/a", "/tieline/b/../a"], [[], [0]]),
    ],
)
def test_steps_wait_for_those_that_write_to_the_same_place(paths: list[str], waits: list[list[int]]) -> None:
    assert earlier([step(path) for path in paths]) == waits


@given(
    st.dictionaries(st.sampled_from(["step", "a", "b"]), texts),
    st.lists(texts, max_size=40),
    st.lists(st.tuples(texts, texts), max_size=40),
)
def test_a_message_fits_and_is_whole(message: dict[str, str], notes: list[str], skipped: list[tuple[str, str]]) -> None:
    data = fitted({**message, "notes": notes, "skipped": skipped, "main": {"exit_code": 1}}, Masker([]))
    assert len(data) <= MOST
    found = json.loads(data)
    assert (found["tieline"], found["main"]) == (1, {"exit_code": 1})
    assert len(found["notes"]) <= len(notes)


def test_a_message_that_is_short_says_everything_but_secrets() -> None:
    message = {"notes": ["the password is c4nary-1", "fine"], "error": {"message": "c4nary-1"}}
    data = fitted(message, Masker([b"c4nary-1"]))
    assert b"c4nary" not in data
    assert json.loads(data)["notes"][1] == "fine"


def archive(folder: Path, *members: tuple[str, dict[str, Any], bytes]) -> Path:
    path = folder / "taken.tgz"
    with tarfile.open(path, "w:gz") as stream:
        for name, about, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in about.items():
                setattr(info, key, value)
            stream.addfile(info, io.BytesIO(data))
    return path


def test_what_came_with_the_job_is_as_it_was(tmp_path: Path) -> None:
    folder = {"type": tarfile.DIRTYPE, "mode": 0o755}
    path = archive(
        tmp_path,
        ("1", folder, b""),
        ("1/run.sh", {"mode": 0o755}, b"#!/bin/sh\n"),
        ("1/link", {"type": tarfile.SYMTYPE, "linkname": "../elsewhere"}, b""),
        ("1/shut", {**folder, "mode": 0o500}, b""),
        ("1/shut/in", {"mode": 0o600}, b"in"),
        ("10", {"mode": 0o644}, b"another step's"),
    )
    with unpacked(TakeStep(name="t", source="/home/me/code", path="/x"), 1, path, tmp_path / "scratch") as found:
        assert found.name == "code"
        assert {str(one.relative_to(found)) for one in found.rglob("*")} == {"run.sh", "link", "shut", "shut/in"}
        assert os.access(found / "run.sh", os.X_OK)
        assert os.readlink(found / "link") == "../elsewhere"
    assert list((tmp_path / "scratch").iterdir()) == []
    with unpacked(TakeStep(name="t", source="/home/me/f.py", path="/x"), 10, path, tmp_path / "scratch") as found:
        assert (found.name, found.read_bytes()) == ("f.py", b"another step's")


@pytest.mark.parametrize("name", ["1/../../x", "1//x", "1/./x"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path, ("1", {"type": tarfile.DIRTYPE}, b""), (name, {}, b"x"))
    with (
        pytest.raises(StepFailed, match="no proper name"),
        unpacked(TakeStep(name="t", source="/s", path="/x"), 1, path, tmp_path / "scratch"),
    ):
        pass


@pytest.mark.parametrize("data", [b"", b"no archive"])
def test_an_archive_that_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "taken.tgz"
    path.write_bytes(data)
    with (
        pytest.raises((StepFailed, OSError)),
        unpacked(TakeStep(name="t", source="/s", path="/x"), 1, path, tmp_path / "scratch"),
    ):
        pass


def test_what_a_step_brought_is_everybodys(tmp_path: Path) -> None:
    target = tmp_path / "context" / "deep" / "code"
    target.mkdir(parents=True, mode=0o700)
    (target / "tool").write_text("x")
    (target / "tool").chmod(0o700)
    (target / "data").write_text("x")
    (target / "data").chmod(0o600)
    (target / "out").symlink_to("/etc/passwd")
    before_all = Path("/etc/passwd").stat().st_mode
    give(target, tmp_path / "context")
    modes = {path.name: path.lstat().st_mode & 0o777 for path in (target.parent, target, *target.iterdir())}
    assert (modes["deep"], modes["code"], modes["tool"], modes["data"]) == (0o777, 0o777, 0o777, 0o666)
    assert Path("/etc/passwd").stat().st_mode == before_all
    open_up(target / "not there", ALL)


def pod(uid: str, made: str) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "creationTimestamp": made}}


def test_pods_that_came_before() -> None:
    pods = [pod("c", "2026-01-01T00:00:02Z"), pod("a", "2026-01-01T00:00:02Z"), pod("b", "2026-01-01T00:00:01Z")]
    assert [before(pods, uid) for uid in "abc"] == [1, 0, 2]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "spec", "wanted"),
    [
        ({"running": {}}, {}, ("running", False)),
        ({"waiting": {"reason": "PodInitializing"}}, {}, ("waiting", False)),
        ({"terminated": {"exitCode": 1}}, {"restartPolicy": "Never"}, ("terminated", True)),
        ({"terminated": {"exitCode": 1}}, {"restartPolicy": "Always"}, ("terminated", False)),
    ],
)
def test_how_a_container_is(state: dict[str, Any], spec: dict[str, Any], wanted: tuple[str, bool]) -> None:
    status = {"initContainerStatuses": [{"name": "other"}], "containerStatuses": [{"name": "main", "state": state}]}
    found = state_of({"spec": spec, "status": status}, "main")
    assert (found.state, found.finished) == wanted


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, False),
        ({"containers": [{"name": "main"}, {"name": "tieline-collector"}]}, True),
        ({"initContainers": [{"name": "tieline-collector"}], "containers": [{"name": "main"}]}, False),
    ],
)
def test_when_the_collector_begins(spec: dict[str, Any], wanted: bool) -> None:
    assert begins_last({"spec": spec}) is wanted


def test_an_attempt_is_of_one_pod(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert take_attempt(store, "", 1, "one") == 1
    assert take_attempt(store, "", 1, "one") == 1, "it goes on with its own"
    assert take_attempt(store, "", 1, "two") == 2
    assert take_attempt(store, "runs/x", 3, "two") == 3
