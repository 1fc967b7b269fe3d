"""Fetching, writing and taking files."""

import os
import socket
import threading
from pathlib import Path

import pytest

from tieline.errors import Code, StepFailed
from tieline.model.access import Volume
from tieline.model.plan import FetchItem, FetchStep, FileStep, TakeStep
from tieline.steps.copying import Copied
from tieline.steps.fetch import fetch
from tieline.steps.files import take, write_file
from tieline.stores import open_store


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "train" / ".cache" / "empty").mkdir(parents=True)
    (folder / "train" / ".hidden").write_text("h")
    (folder / "train" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "train" / "run.sh").chmod(0o750)
    (folder / "train" / "latest").symlink_to("run.sh")
    (folder / "labels.csv").write_text("a,b\n")
    os.utime(folder / "labels.csv", ns=(1, 1_600_000_000_000_000_001))
    return folder


def get(data: Path, run: Path, *items: tuple[str, str, str] | tuple[str, str], path: str = "data") -> Copied:
    volume = Volume(host_path=str(data), mount_path="/data")
    asked = tuple(FetchItem(source=i[0], target=i[1], what=i[2] if len(i) > 2 else "any") for i in items)  # type: ignore[arg-type,misc]
    step = FetchStep(name="fetch", connection="images", source=volume, items=asked, path=f"{run}/{path}")
    return fetch(step, open_store(volume, {}), root=run)


def refused(code: Code, match: str, data: Path, run: Path, *items: tuple[str, str] | tuple[str, str, str]) -> str:
    with pytest.raises(StepFailed, match=match) as caught:
        get(data, run, *items)
    assert caught.value.code == code, caught.value
    return str(caught.value)


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_whole_store(data: Path, run: Path) -> None:
    done = get(data, run, ("", ""))
    assert (done.files, done.bytes, done.notes) == (3, 4 + 1 + 10, [])
    assert tree(run / "data") == tree(data)
    assert os.readlink(run / "data/train/latest") == "run.sh"
    assert (run / "data/train/run.sh").stat().st_mode & 0o777 == 0o750
    assert (run / "data/labels.csv").stat().st_mtime_ns == 1_600_000_000_000_000_001


def test_files_and_folders_with_their_targets(data: Path, run: Path) -> None:
    done = get(
        data,
        run,
        ("labels.csv", "labels.csv", "file"),
        ("labels.csv", "in/other.csv", "file"),
        ("labels.csv", "keep/", "file"),
        ("./train/.hidden", "", "file"),
        ("train/", "t", "dir"),
        ("train/.cache", "c"),
    )
    assert done.files == 6
    found = tree(run / "data")
    wanted = ["labels.csv", "in/other.csv", "keep/labels.csv", ".hidden", "t/.hidden", "t/.cache/empty", "c/empty"]
    assert set(wanted) <= set(found)


def test_an_empty_folder_is_fine_and_says_so(tmp_path: Path, run: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert get(tmp_path / "empty", run, ("", "")).files == 0
    assert (run / "data").is_dir()


def test_what_is_missing_is_named_with_what_is_near(data: Path, run: Path) -> None:
    refused(
        Code.ARTIFACT_MISSING, "'label.csv'.*is not there; did you mean 'labels.csv'", data, run, ("label.csv", "x")
    )
    refused(Code.ARTIFACT_MISSING, "did you mean 'train/run.sh'", data, run, ("run.sh", "x"))
    refused(Code.ARTIFACT_MISSING, "'nothing/like/it'", data, run, ("nothing/like/it", "x"))


def test_a_file_that_is_a_folder_and_the_reverse(data: Path, run: Path) -> None:
    refused(Code.ARTIFACT_MISSING, "as a file and is a folder; list it under dirs", data, run, ("train", "t", "file"))
    refused(Code.ARTIFACT_MISSING, "as a folder and is a file", data, run, ("labels.csv", "t", "dir"))


def test_a_store_that_is_not_there_is_never_nothing_to_do(tmp_path: Path, run: Path) -> None:
    refused(Code.FETCH_FAILED, "'images'.*unmounted.*is not there", tmp_path / "unmounted", run, ("", ""))
    refused(Code.FETCH_FAILED, "unmounted.*is not there", tmp_path / "unmounted", run, ("f", "f"))


@pytest.mark.parametrize("source", ["..", "../x", "train/../../x", "/etc/passwd"])
def test_a_source_outside_is_refused(data: Path, run: Path, source: str) -> None:
    refused(Code.UNSAFE_PATH, "not a path inside the store", data, run, (source, "x"))


@pytest.mark.parametrize("target", ["..", "../../x", "/etc/x"])
def test_a_target_outside_is_refused(data: Path, run: Path, target: str) -> None:
    refused(Code.UNSAFE_PATH, "the path", data, run, ("labels.csv", target))
    refused(Code.UNSAFE_PATH, "the path", data, run, ("train", target))
    with pytest.raises(StepFailed, match="out of its folder"):
        get(data, run, ("", ""), path="../elsewhere")


@pytest.mark.parametrize("leads", ["/etc/passwd", "../../secret", "../labels.csv", "via/../../secret"])
def test_a_link_that_leaves_the_fetched_folder_is_refused_by_name(
    data: Path, run: Path, tmp_path: Path, leads: str
) -> None:
    (tmp_path / "secret").write_text("s")
    (data / "train/via").symlink_to(".cache")
    (data / "train/bad").symlink_to(leads)
    refused(Code.UNSAFE_PATH, "the link 'train/bad' .* leads to", data, run, ("train", "t"))


def test_links_that_stay_lead_to_the_copy(data: Path, run: Path) -> None:
    (data / "train/absolute").symlink_to(data / "train/.cache")
    (data / "train/.cache/around").symlink_to("../../train/run.sh")
    (data / "train/dangling").symlink_to("not/yet")
    get(data, run, ("train", "t"))
    copy = run / "data/t"
    for name in ("absolute", ".cache/around", "latest"):
        assert (copy / name).resolve().is_relative_to(copy), name
        assert (copy / name).exists(), name
    assert os.readlink(copy / "dangling") == "not/yet"


def test_a_link_that_was_asked_for_is_followed_inside_the_store_only(data: Path, run: Path) -> None:
    (data / "current").symlink_to("train")
    (data / "one.csv").symlink_to("labels.csv")
    (data / "out").symlink_to("/etc")
    (data / "dangling").symlink_to("nowhere")
    assert get(data, run, ("current", "c", "dir"), ("one.csv", "", "file")).files == 3
    assert (run / "data/one.csv").read_text() == "a,b\n"
    refused(Code.UNSAFE_PATH, "'out'", data, run, ("out", "o"))
    refused(Code.UNSAFE_PATH, "out", data, run, ("out/passwd", "o"))
    refused(Code.ARTIFACT_MISSING, "link to 'nowhere', which is not there", data, run, ("dangling", "d"))


def test_pipes_and_sockets_are_left_out_and_said(data: Path, run: Path) -> None:
    os.mkfifo(data / "train/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(data / "train/sock"))
    done = get(data, run, ("train", "t"))
    assert [note.split(" of ")[0] for note in done.notes] == ["'train/pipe'", "'train/sock'"]
    assert not (run / "data/t/pipe").exists()
    refused(Code.FETCH_FAILED, "a pipe, a socket", data, run, ("train/pipe", "p"))


@pytest.mark.parametrize("name", ["-rf", "new\nline", "caf\udce9", "日本", "a; touch x", "*"])
def test_any_legal_name(data: Path, run: Path, name: str) -> None:
    (data / name).write_text("1")
    assert get(data, run, (name, ""), ("", "all")).files == 5
    assert (run / "data" / name).read_text() == (run / "data/all" / name).read_text() == "1"


def test_what_was_there_is_replaced_and_never_written_through(data: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (run / "data").mkdir()
    (run / "data/labels.csv").symlink_to(tmp_path / "victim/f")
    (run / "data/train").symlink_to(tmp_path / "victim")
    get(data, run, ("labels.csv", ""))
    assert (run / "data/labels.csv").read_text() == "a,b\n"
    refused(Code.UNSAFE_PATH, "leads through a link", data, run, ("", ""))
    refused(Code.UNSAFE_PATH, "leads through a link", data, run, ("train", "train"))
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_store_that_holds_the_runs_own_folder(tmp_path: Path, data: Path, run: Path) -> None:
    done = get(tmp_path, run, ("", ""))
    assert done.notes == ["'run' of the connection 'images' is this run's own folder: not copied"]
    assert (run / "data/data/labels.csv").exists()
    assert not (run / "data/run").exists()


def test_a_folder_is_not_copied_into_itself(run: Path) -> None:
    (run / "store").mkdir()
    (run / "store/f").write_text("x")
    with pytest.raises(StepFailed, match="into itself"):
        get(run / "store", run, ("", ""), path="store/copy")


def test_a_fetch_stops_when_the_run_is_stopped(data: Path, run: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    volume = Volume(host_path=str(data), mount_path="/m")
    step = FetchStep(
        name="f", connection="images", source=volume, items=(FetchItem(source="", target=""),), path=str(run)
    )
    with pytest.raises(StepFailed) as caught:
        fetch(step, open_store(volume, {}), root=run, cancel=cancel)
    assert caught.value.code == Code.STOPPED


def test_a_file_is_written_with_its_mode(run: Path) -> None:
    old = os.umask(0o077)
    try:
        path = write_file(FileStep(name="f", path=f"{run}/a/b/run.sh", content="echo ✓\n", mode=0o755), root=run)
    finally:
        os.umask(old)
    assert path.read_bytes() == "echo ✓\n".encode()
    assert path.stat().st_mode & 0o777 == 0o755
    write_file(FileStep(name="f", path=str(path), content="", mode=0o600), root=run)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"", 0o600)
    assert tree(run) == ["a", "a/b", "a/b/run.sh"]


def test_a_file_stays_inside_the_run(run: Path, tmp_path: Path) -> None:
    (run / "out").symlink_to(tmp_path)
    for path in (f"{tmp_path}/x", f"{run}/../x", f"{run}/out/x", "x"):
        with pytest.raises(StepFailed) as caught:
            write_file(FileStep(name="f", path=path, content=""), root=run)
        assert caught.value.code == Code.UNSAFE_PATH
    (run / "link").symlink_to(tmp_path / "victim")
    write_file(FileStep(name="f", path=f"{run}/link", content="mine"), root=run)
    assert not (tmp_path / "victim").exists()
    with pytest.raises(StepFailed, match="cannot write the file") as caught:
        write_file(FileStep(name="f", path=str(run), content=""), root=run)
    assert caught.value.code == Code.STEP_FAILED


def test_taking_a_folder_leaves_only_its_git_out(tmp_path: Path, run: Path) -> None:
    source = tmp_path / "project"
    (source / ".git/objects").mkdir(parents=True)
    (source / "sub/empty").mkdir(parents=True)
    (source / "sub/.git").write_text("gitdir: ../.git/modules/sub")
    (source / ".env").write_text("e")
    (source / "sub/python").symlink_to("/usr/bin/env")
    (source / "sub/aside").symlink_to("../../beside")
    (tmp_path / "beside").write_text("b")
    done = take(TakeStep(name="t", source=str(source), path=f"{run}/code"), root=run)

    assert tree(run / "code") == [".env", "sub", "sub/aside", "sub/empty", "sub/python"]
    assert done.files == 1
    assert len(done.notes) == 2
    assert os.readlink(run / "code/sub/python") == "/usr/bin/env"
    assert (run / "code/sub/aside").read_text() == "b"


def test_taking_a_file(tmp_path: Path, run: Path) -> None:
    (tmp_path / "f.txt").write_text("x")
    (tmp_path / "link").symlink_to("f.txt")
    take(TakeStep(name="t", source=f"{tmp_path}/f.txt", path=f"{run}/in/g.txt"), root=run)
    take(TakeStep(name="t", source=f"{tmp_path}/f.txt", path=f"{run}/in"), root=run)
    take(TakeStep(name="t", source=f"{tmp_path}/link", path=f"{run}/in"), root=run)
    assert tree(run) == ["in", "in/f.txt", "in/g.txt", "in/link"]
    assert not (run / "in/link").is_symlink()


def test_taking_what_holds_the_run_itself(tmp_path: Path, run: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "unrelated").mkdir()
    take(TakeStep(name="t", source=str(tmp_path), path=f"{run}/code"), root=run)
    assert tree(run) == ["code", "code/f", "code/unrelated"]


def test_what_is_to_be_taken_and_is_missing(tmp_path: Path, run: Path) -> None:
    (tmp_path / "project").mkdir()
    for name, hint in (("projct", "did you mean 'project'"), ("x/y", "check the path under mount")):
        with pytest.raises(StepFailed, match=hint) as caught:
            take(TakeStep(name="t", source=f"{tmp_path}/{name}", path=f"{run}/code"), root=run)
        assert caught.value.code == Code.ARTIFACT_MISSING
