"""Outputs: in the end the store has exactly what the folder has, whatever happened on the way."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.steps.output_saver import OutputSaver, Pass
from tieline.stores import FolderStore, Saved, StoreTrouble, Why

NAMES = [".hidden", "-rf", "a b", "new\nline", "日本", "caf\udce9", "; touch x", "x" * 255]


class Place:
    """An outputs folder and the store that it is saved to."""

    def __init__(self, root: Path) -> None:
        self.folder, self.disk = root / "outputs", root / "disk"
        self.folder.mkdir()
        self.disk.mkdir()
        self.store = FolderStore(self.disk)
        self.saver = OutputSaver(self.store, "run/1", self.folder)

    def save(self, *, final: bool = False) -> Pass:
        return self.saver.save(over=lambda: False, told=lambda _: None, final=final)

    def new_collector(self) -> None:
        self.saver = OutputSaver(self.store, "run/1", self.folder)

    def saved(self) -> dict[str, bytes | None]:
        return contents(self.disk / "run/1/outputs")


def contents(folder: Path) -> dict[str, bytes | None]:
    found = {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
    # A folder that holds something is told by what it holds.
    return {n: d for n, d in found.items() if d is not None or not any(o.startswith(n + "/") for o in found)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def counting(place: Place) -> list[str]:
    """The keys that are saved from now on."""
    saves: list[str] = []
    save = place.store.save_file

    def counted(local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        saves.append(key)
        return save(local, key, digest=digest, settled=settled)

    place.store.save_file = counted  # type: ignore[method-assign]
    return saves


def old(path: Path) -> None:
    """As if the file had been written long ago, so that its time is settled."""
    os.utime(path, ns=(1_600_000_000_000_000_001, 1_600_000_000_000_000_001))


def test_everything_is_saved_as_it_is(place: Place) -> None:
    (place.folder / "deep/er").mkdir(parents=True)
    (place.folder / "empty/.nothing").mkdir(parents=True)
    for name in NAMES:
        (place.folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
        (place.folder / "deep/er" / name).write_bytes(b"2")
    (place.folder / "run").write_text("#!/bin/sh")
    (place.folder / "run").chmod(0o755)

    done = place.save(final=True)
    assert (done.files, done.failures, done.skipped, done.left) == (2 * len(NAMES) + 1, [], [], 0)
    assert place.saved() == contents(place.folder)
    assert (place.disk / "run/1/outputs/run").stat().st_mode & 0o111
    assert (place.disk / "run/1/outputs/run").stat().st_mtime_ns == (place.folder / "run").stat().st_mtime_ns


def test_only_what_changed_is_saved_again_also_by_a_new_collector(place: Place) -> None:
    for name in ("a", "b"):
        (place.folder / name).write_text(name)
        old(place.folder / name)
    saves = counting(place)
    place.save()
    place.save()
    place.new_collector()
    place.save(final=True)
    assert saves == ["run/1/outputs/a", "run/1/outputs/b"]
    (place.folder / "b").write_text("c")
    assert place.save(final=True).files == 2
    assert saves[2:] == ["run/1/outputs/b"]


def test_a_change_within_one_tick_of_the_clock_is_not_missed(place: Place) -> None:
    for turn in range(30):
        (place.folder / "f").write_text(str(turn % 10))
        place.save()
        (place.folder / "f").write_text(str((turn + 1) % 10))  # the same size, perhaps the same time
        if turn % 2:
            place.new_collector()
        place.save(final=True)
        assert place.saved() == {"f": str((turn + 1) % 10).encode()}


def test_a_change_that_leaves_size_and_time_as_they_were_is_not_missed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system whose clock has not ticked between the two writes."""
    monkeypatch.setattr("tieline.stores.copying.TICK_NS", 3600 * 10**9)
    (place.folder / "f").write_text("1")
    before = (place.folder / "f").stat()
    place.save()
    (place.folder / "f").write_text("2")
    os.utime(place.folder / "f", ns=(before.st_atime_ns, before.st_mtime_ns))
    place.new_collector()
    place.save()
    assert place.saved() == {"f": b"2"}


def test_a_file_that_changes_while_it_is_read_is_saved_again(place: Place) -> None:
    (place.folder / "f").write_text("first")
    old(place.folder / "f")
    save = place.store.save_file

    def slow(local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        saved = save(local, key, digest=digest, settled=settled)
        place.store.save_file = save  # type: ignore[method-assign]
        (place.folder / "f").write_text("other")
        return saved

    place.store.save_file = slow  # type: ignore[method-assign]
    place.save()
    place.save(final=True)
    assert place.saved() == {"f": b"other"}


def test_what_the_job_removed_is_removed_in_the_end_only(place: Place) -> None:
    (place.folder / "sub/deep").mkdir(parents=True)
    for name in ("keep", "gone", "sub/deep/gone"):
        (place.folder / name).write_text(name)
    place.save()
    (place.folder / "gone").unlink()
    (place.folder / "sub/deep/gone").unlink()
    (place.folder / "sub/deep").rmdir()
    place.save()
    assert "gone" in place.saved()
    place.save(final=True)
    assert place.saved() == {"keep": b"keep", "sub": None}


def test_nothing_is_removed_when_the_folder_itself_is_gone(place: Place) -> None:
    (place.folder / "f").write_text("x")
    place.save()
    (place.folder / "f").unlink()
    place.folder.rmdir()
    place.new_collector()
    done = place.save(final=True)
    assert (done.files, done.failures) == (0, [])
    assert place.saved() == {"f": b"x"}


def test_a_file_that_becomes_a_folder_and_the_reverse(place: Place) -> None:
    (place.folder / "a").write_text("file")
    (place.folder / "b").mkdir()
    (place.folder / "b/x").write_text("x")
    (place.folder / "c").write_text("file")
    place.save()
    (place.folder / "a").unlink()
    (place.folder / "a").mkdir()
    (place.folder / "a/y").write_text("y")
    (place.folder / "b/x").unlink()
    (place.folder / "b").rmdir()
    (place.folder / "b").write_text("file")
    (place.folder / "c").unlink()
    (place.folder / "c").mkdir()
    assert place.save(final=True).failures == []
    assert place.saved() == {"a/y": b"y", "b": b"file", "c": None}


def test_links(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (place.folder / "ckpt").mkdir()
    (place.folder / "ckpt/1.bin").write_text("one")
    (place.folder / "latest.bin").symlink_to("ckpt/1.bin")
    (place.folder / "absolute").symlink_to(place.folder / "ckpt/1.bin")
    (place.folder / "latest").symlink_to("ckpt")
    (place.folder / "out").symlink_to(tmp_path / "secret")
    (place.folder / "up").symlink_to("../secret")
    (place.folder / "dangling").symlink_to("nowhere")
    (place.folder / "loop").symlink_to("loop")
    done = place.save(final=True)

    assert place.saved() == {"ckpt/1.bin": b"one", "latest.bin": b"one", "absolute": b"one"}
    reasons = {skipped.name: skipped.reason for skipped in done.skipped}
    assert set(reasons) == {"latest", "out", "up", "dangling", "loop"}
    assert "saved under its own name" in reasons["latest"]
    assert "leads out of the outputs" in reasons["out"]
    assert "leads out of the outputs" in reasons["up"]
    assert "is not there" in reasons["dangling"]
    (place.folder / "ckpt/2.bin").write_text("two!")
    (place.folder / "latest.bin").unlink()
    (place.folder / "latest.bin").symlink_to("ckpt/2.bin")
    place.save(final=True)
    assert place.saved()["latest.bin"] == b"two!"


def test_pipes_and_sockets_are_named_and_never_opened(place: Place) -> None:
    os.mkfifo(place.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place.folder / "sock"))
    done = place.save(final=True)
    assert [s.name for s in done.skipped] == ["pipe", "sock"]
    assert done.failures == []


def test_one_file_that_cannot_be_saved_does_not_keep_the_others_back(place: Place) -> None:
    for name in "abc":
        (place.folder / name).write_text(name)
    place.save()
    (place.folder / "gone").write_text("")
    save = place.store.save_file

    def picky(local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        if key.endswith("/b"):
            raise StoreTrouble(Why.FULL, "no room for b")
        return save(local, key, digest=digest, settled=settled)

    place.store.save_file = picky  # type: ignore[method-assign]
    for name in "abc":
        (place.folder / name).write_text(name * 2)
    (place.folder / "gone").unlink()
    done = place.save(final=True)
    assert [(f.name, f.error.why) for f in done.failures] == [("b", Why.FULL)]
    assert place.saved() == {"a": b"aa", "b": b"b", "c": b"cc"}


def test_time_that_is_up_is_told_and_nothing_is_removed(place: Place) -> None:
    for name in "abc":
        (place.folder / name).write_text(name)
    place.save()
    (place.folder / "a").unlink()
    asked: list[int] = []

    def over() -> bool:
        asked.append(1)
        return len(asked) > 1

    done = place.saver.save(over=over, told=lambda _: None, final=True)
    assert done.left == 1
    assert "a" in place.saved()


def test_a_file_that_vanishes_during_the_look_is_no_failure(place: Place) -> None:
    (place.folder / "f").write_text("x")
    save = place.store.save_file

    def late(local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        local.unlink()
        return save(local, key, digest=digest, settled=settled)

    place.store.save_file = late  # type: ignore[method-assign]
    assert place.save().failures == []


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["write", "mkdir", "remove", "link", "save", "new"]), st.sampled_from("abc"), st.booleans()
    ),
    max_size=30,
)


def act(place: Place, what: str, path: Path) -> None:
    if what == "save":
        place.save()
    elif what == "new":
        place.new_collector()
    elif what == "write":
        path.write_text(f"{os.urandom(1).hex()}")
    elif what == "mkdir":
        path.mkdir()
    elif what == "link":
        path.symlink_to("a")
    elif path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_whatever_the_job_does_the_store_equals_the_folder(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, bool]]
) -> None:
    place = Place(tmp_path_factory.mktemp("outputs"))
    for what, name, below in actions:
        try:
            act(place, what, place.folder / name / name if below else place.folder / name)
        except OSError:
            continue  # the job could not do that
    done = place.save(final=True)
    assert done.failures == []
    expected = {
        name: data
        for name, data in contents(place.folder).items()
        if not (place.folder / name).is_symlink() or data is not None
    }
    left_out = {skipped.name for skipped in done.skipped}
    kept = {name: data for name, data in place.saved().items() if data is not None}
    assert kept == {name: data for name, data in expected.items() if data is not None and name not in left_out}
