"""Every store as the source of an ``init``: what a job asks for by name arrives as it is there, or the step says why
not. The same for a folder, a claim's sub-path, and each kind of bucket."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.test_stores_contract import STORES
from servers import buckets
from servers.seaweedfs import BLIND, OTHER, READER
from tieline.errors import Code, StepFailed
from tieline.model.access import Volume
from tieline.model.plan import FetchItem, FetchStep
from tieline.steps.fetch import fetch
from tieline.steps.parallel import side_by_side
from tieline.stores import Stat, Store

SOAK = bool(os.environ.get("TIELINE_SOAK"))
MIB = 1024 * 1024
PART = 8 * MIB
LARGE = 5 * 1024 if SOAK else 12 * 8 - 3  # MiB: in CI twelve parts
LARGE_GCS = min(LARGE, 1024)
"""The emulator's adapter puts an object's parts together in memory, and takes minutes for more."""
MANY = 10_000
FEW = MANY if SOAK else 1_000
"""In CI, of the two whose servers here take minutes for ten thousand."""
TREE = {
    "labels.csv": b"cat,1\n",
    ".hidden": b"dot",
    "empty": b"",
    "deep/er/.also": b"x" * 70_000,
    "deep/naïve-日本.txt": "é".encode(),
    "deep/new\nline": b"1",
    "deep/caf\udce9": b"2",  # the byte E9 alone: no UTF-8
    "deep/a b; rm -rf *": b"3",
    "deep/back\\slash": b"4",
    "deep/%41%2F": b"5",
    "-rf": b"6",
    "dot./end.": b"7",
}


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    made: Store = request.param(tmp_path)
    return made


def fill(store: Store, tree: dict[str, bytes] = TREE) -> None:
    for name, data in tree.items():
        store.save_bytes(data, name)


def bring(store: Store, root: Path, *items: FetchItem) -> Path:
    """Carry a step out; where its files are."""
    root.mkdir(exist_ok=True)
    given = items or (FetchItem(source="", target=""),)
    source = Volume(host_path="/not/asked", mount_path="/m")
    step = FetchStep(name="in", connection="data", source=source, items=given, path=str(root / "in"))
    fetch(step, store, root=root)
    return root / "in"


def failure(store: Store, root: Path, *items: FetchItem) -> StepFailed:
    with pytest.raises(StepFailed) as raised:
        bring(store, root, *items)
    return raised.value


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_prefix(store: Store, tmp_path: Path) -> None:
    fill(store)
    store.make_dir("hollow/inner")

    folder = bring(store, tmp_path / "run")

    assert found(folder) == TREE
    assert (folder / "hollow/inner").is_dir()


def test_files_folders_and_paths(store: Store, tmp_path: Path) -> None:
    fill(store)

    folder = bring(
        store, tmp_path / "run",
        FetchItem(source="labels.csv", target="", what="file"),
        FetchItem(source="./deep//er/", target="kept", what="dir"),
        FetchItem(source="deep", target="all"),
        FetchItem(source="-rf", target="renamed/to"),
        FetchItem(source="empty", target="into/"),
    )  # fmt: skip

    whole = {f"all/{name.removeprefix('deep/')}": data for name, data in TREE.items() if name.startswith("deep/")}
    assert found(folder) == whole | {
        "labels.csv": TREE["labels.csv"], "kept/.also": TREE["deep/er/.also"], "renamed/to": TREE["-rf"],
        "into/empty": b"",
    }  # fmt: skip


def test_times_and_rights_come_along(store: Store, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    os.utime(tool, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    store.save_file(tool, "bin/tool")

    copy = (bring(store, tmp_path / "run") / "bin/tool").stat()

    assert copy.st_mode & 0o100
    assert copy.st_mtime_ns == 1_600_000_000_123_456_789


def test_a_large_object(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> None:
    block, whole = os.urandom(MIB), hashlib.sha256()
    size = LARGE_GCS if request.node.callspec.id == "gcs" else LARGE

    def chunks() -> Iterator[bytes]:
        for number in range(size):
            chunk = number.to_bytes(8, "big") + block[8:]
            whole.update(chunk)
            yield chunk

    saved = store.save_chunks(chunks(), "large")
    with (bring(store, tmp_path / "run") / "large").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == whole.hexdigest() == saved.sha256
    store.delete("large")


@pytest.mark.timeout(1800 if SOAK else 600)
def test_many_small_objects(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> None:
    count = FEW if request.node.callspec.id in ("gcs", "wasb") else MANY
    names = [f"{number // 100:03d}/{number:05d}" for number in range(count)]
    for _ in side_by_side(lambda name: store.save_bytes(name.encode(), name), names, store.at_once):
        pass

    folder = bring(store, tmp_path / "run")

    assert found(folder) == {name: name.encode() for name in names}


def test_a_missing_name_is_told(store: Store, tmp_path: Path) -> None:
    fill(store)
    for source, what in (("label.csv", "file"), ("deep/err", "dir"), ("nothing", "any")):
        told = failure(store, tmp_path / "run", FetchItem(source=source, target="", what=what))
        assert told.code == Code.ARTIFACT_MISSING
        assert repr(source) in str(told)
    assert "did you mean 'labels.csv'?" in str(
        failure(store, tmp_path / "run", FetchItem(source="label.csv", target=""))
    )


def test_a_folder_is_no_file(store: Store, tmp_path: Path) -> None:
    fill(store)
    told = failure(store, tmp_path / "run", FetchItem(source="deep", target="", what="file"))
    assert "is a folder" in str(told)


class Meanwhile:
    """A store, and something that happens once its listing has been made."""

    def __init__(self, store: Store, happens: Callable[[], None]) -> None:
        self._store, self._happens = store, happens

    def __getattr__(self, name: str) -> object:
        whole = getattr(self._store, name)
        return self._looking(whole) if name == "look" else whole  # of a bucket; a folder has none

    def _looking(self, look: Callable[..., object]) -> Callable[..., object]:
        def looked(*args: object) -> object:
            found = look(*args)
            self._happens()
            return found

        return looked

    def walk(self, prefix: str = "") -> Iterator[Stat]:
        entries = list(self._store.walk(prefix))
        self._happens()
        return iter(entries)


def test_an_object_that_vanishes(store: Store, tmp_path: Path) -> None:
    fill(store)
    vanishing = Meanwhile(store, lambda: store.delete("deep/er/.also"))

    told = failure(vanishing, tmp_path / "run")  # type: ignore[arg-type]

    assert "deep/er/.also" in str(told)
    assert not (tmp_path / "run/in/deep/er/.also").exists()


def test_an_object_that_is_written_anew_is_one_or_the_other(store: Store, tmp_path: Path) -> None:
    """Never a mixture: what changes while it is read is read again."""
    size = 3 * PART + 17
    store.save_bytes(b"a" * size, "f")

    def write() -> None:
        for letter in b"bcde":
            store.save_bytes(bytes([letter]) * size, "f")
            time.sleep(0.1)

    writer, number = threading.Thread(target=write), 0
    writer.start()
    while writer.is_alive() or number < 2:
        number += 1
        data = (bring(store, tmp_path / f"run-{number}") / "f").read_bytes()
        assert len(data) == size
        assert len(set(data)) == 1
        shutil.rmtree(tmp_path / f"run-{number}")
    writer.join()


# --- what a login may do


def test_reading_without_listing(tmp_path: Path) -> None:
    prefix = f"inputs/{secrets.token_hex(4)}"
    fill(buckets.s3(prefix))
    blind = buckets.s3(prefix, login=BLIND)

    folder = bring(blind, tmp_path / "run", FetchItem(source="deep/er/.also", target="", what="file"))
    assert found(folder) == {".also": TREE["deep/er/.also"]}

    told = failure(blind, tmp_path / "run", FetchItem(source="deep", target="", what="dir"))
    assert "this login may not do that" in str(told)


def test_forbidden_unknown_and_not_there_are_told_apart(tmp_path: Path) -> None:
    prefix = f"inputs/{secrets.token_hex(4)}"
    fill(buckets.s3(prefix))
    item = FetchItem(source="labels.csv", target="", what="file")

    forbidden = str(failure(buckets.s3(prefix, login=OTHER), tmp_path / "run", item))
    unknown = str(failure(buckets.s3(prefix, login=("nobody", "nothing")), tmp_path / "run", item))
    absent = str(failure(buckets.s3(prefix, login=READER), tmp_path / "run", FetchItem(source="other.csv", target="")))
    no_bucket = str(failure(buckets.s3(prefix, bucket="no-such-bucket"), tmp_path / "run", item))

    assert "may not do that" in forbidden
    assert "does not take the login" in unknown
    assert "is not there" in absent
    assert "no such bucket" in no_bucket
