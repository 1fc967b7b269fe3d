"""What every store does. A new store joins by one more entry of ``STORES``."""

import hashlib
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers import buckets
from tieline.errors import Code
from tieline.model.access import Volume
from tieline.stores import Store, StoreTrouble, Why, open_store


def host_path(tmp_path: Path) -> Store:
    (tmp_path / "host").mkdir()
    return open_store(Volume(host_path=str(tmp_path / "host"), mount_path="/m"), {})


def sub_path_of_a_claim(tmp_path: Path) -> Store:
    (tmp_path / "claim").mkdir()
    volume = Volume(claim="data", mount_path="/m", sub_path="team/a")
    return open_store(volume, {"data": str(tmp_path / "claim")})


def s3(tmp_path: Path) -> Store:
    return buckets.s3(f"contract/{secrets.token_hex(8)}")


def wasb(tmp_path: Path) -> Store:
    return buckets.azure(f"contract/{secrets.token_hex(8)}")


def gcs(tmp_path: Path) -> Store:
    return buckets.gcs(f"contract/{secrets.token_hex(8)}")


STORES: list[Callable[[Path], Store]] = [host_path, sub_path_of_a_claim, s3, wasb, gcs]
NAMES = [
    ".hidden",
    "-rf",
    "a b",
    "new\nline",
    "naïve-日本.txt",
    "caf\udce9",  # the byte E9 alone: no UTF-8
    "; touch x",
    "x" * 255,
    "*",
    "\\",
]


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return request.param(tmp_path)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    folder.mkdir()
    return folder


def read(store: Store, key: str) -> bytes:
    with store.open(key) as stream:
        return stream.read()


def keys(store: Store, prefix: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def test_a_file_comes_back_as_it_was(store: Store, local: Path) -> None:
    source = local / "run.sh"
    source.write_bytes(b"echo hi\n")
    source.chmod(0o755)
    os.utime(source, ns=(1_600_000_000_000_000_001, 1_600_000_000_123_456_789))

    saved = store.save_file(source, "deep/er/run.sh", digest=True)
    found = store.stat("deep/er/run.sh")
    fetched = store.fetch_file("deep/er/run.sh", local / "back.sh")

    assert saved.sha256 == hashlib.sha256(b"echo hi\n").hexdigest()
    assert found is not None
    assert (found.what, found.size, found.mtime_ns) == ("file", 8, 1_600_000_000_123_456_789)
    assert found.mtime_ns == saved.mtime_ns == fetched.mtime_ns == (local / "back.sh").stat().st_mtime_ns
    assert found.mode & 0o100
    assert (local / "back.sh").stat().st_mode & 0o777 == found.mode
    assert (local / "back.sh").read_bytes() == b"echo hi\n"


def test_bytes_and_chunks(store: Store) -> None:
    saved = store.save_bytes(b"abc", "a")
    store.save_chunks(iter([b"d", b"", b"ef"]), "b")

    assert (saved.size, saved.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    assert (read(store, "a"), read(store, "b")) == (b"abc", b"def")
    with store.open("b", offset=2) as stream:
        assert stream.read() == b"f"


@pytest.mark.parametrize("name", NAMES)
def test_any_legal_name(store: Store, local: Path, name: str) -> None:
    (local / name).write_bytes(b"1")
    store.save_file(local / name, f"outputs/{name}")
    store.save_bytes(b"2", f"{name}/inner")

    assert keys(store) == sorted([f"outputs/{name}", f"{name}/inner"], key=os.fsencode)
    assert read(store, f"outputs/{name}") == b"1"
    store.fetch_file(f"{name}/inner", local / "back")
    assert (local / "back").read_bytes() == b"2"
    store.delete(name)
    assert keys(store) == [f"outputs/{name}"]


@pytest.mark.parametrize("key", ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/", "nul\0", "\ud800"])
def test_a_key_that_is_no_path_inside_is_refused(store: Store, local: Path, key: str) -> None:
    (local / "f").write_bytes(b"")
    attempts: list[Callable[[], object]] = [
        lambda: store.save_file(local / "f", key),
        lambda: store.save_bytes(b"", key),
        lambda: store.stat(key),
        lambda: list(store.list(key)),
        lambda: store.open(key),
        lambda: store.fetch_file(key, local / "g"),
        lambda: store.delete(key),
        lambda: store.make_dir(key),
    ]
    for attempt in attempts:
        with pytest.raises(StoreTrouble) as caught:
            attempt()
        assert caught.value.code == Code.UNSAFE_PATH
        str(caught.value).encode()  # a message can always be printed and stored


def test_listing_is_recursive_sorted_and_by_folder(store: Store) -> None:
    wanted = ["a", "b.c", "b/.dot/f", "b/z", "b0", "c/d"]
    for key in reversed(wanted):
        store.save_bytes(b"", key)
    store.make_dir("empty/folder")

    assert keys(store) == wanted
    assert keys(store, "b") == ["b/.dot/f", "b/z"]
    assert keys(store, "a") == ["a"]
    assert keys(store, "nothing") == []
    folders = [entry.key for entry in store.walk() if entry.what == "dir"]
    assert "empty/folder" in folders


def test_what_is_not_there(store: Store, local: Path) -> None:
    store.save_bytes(b"", "there")

    assert store.stat("not") is None
    assert store.stat("there/not") is None
    store.delete("not")
    for attempt in (lambda: store.open("not"), lambda: store.fetch_file("not/at/all", local / "x")):
        with pytest.raises(StoreTrouble, match="is not there") as caught:
            attempt()
        assert caught.value.why == Why.NOT_FOUND
    with pytest.raises(FileNotFoundError):
        store.save_file(local / "gone", "x")
    assert keys(store) == ["there"]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(store: Store) -> None:
    store.save_bytes(b"old", "dir/f")

    def chunks() -> object:
        yield b"new"
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        store.save_chunks(chunks(), "dir/f")  # type: ignore[arg-type]
    assert read(store, "dir/f") == b"old"
    assert [entry.key for entry in store.walk()] == ["dir", "dir/f"]


def test_readers_never_see_half_a_file(store: Store) -> None:
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    store.save_bytes(contents[0], "f")
    stop, seen = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            seen.append(read(store, "f") in contents)
            seen.append(keys(store) == ["f"])

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(60):
        store.save_bytes(contents[turn % 2], "f")
    stop.set()
    reader.join()
    assert seen
    assert all(seen)


def test_sources_that_are_no_plain_files_are_told_and_never_block(store: Store, local: Path) -> None:
    os.mkfifo(local / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(local / "sock"))
    (local / "link").symlink_to("/etc/passwd")
    for name in ("fifo", "sock", "link", "."):
        with pytest.raises(StoreTrouble) as caught:
            store.save_file(local / name, "x")
        assert caught.value.why == Why.SOURCE
    assert keys(store) == []


def test_deleting_a_whole_store_is_refused(store: Store) -> None:
    store.save_bytes(b"", "f")
    with pytest.raises(StoreTrouble):
        store.delete("")
    assert keys(store) == ["f"]


def test_a_copy_made_within_one_tick_of_the_clock_does_not_pass_for_the_latest(store: Store, local: Path) -> None:
    source = local / "f"
    for turn in range(20):
        source.write_bytes(b"%d" % (turn % 10))
        saved = store.save_file(source, "f")
        fresh = source.stat()
        source.write_bytes(b"%d" % ((turn + 1) % 10))  # the same size, perhaps the same time
        now = source.stat()
        if now.st_mtime_ns == fresh.st_mtime_ns:
            assert saved.mtime_ns != now.st_mtime_ns


def test_large_and_sparse_files(store: Store, local: Path) -> None:
    source = local / "sparse"
    with source.open("wb") as stream:
        stream.write(b"head")
        stream.seek(64 * 1024 * 1024)
        stream.write(b"tail")
        stream.truncate(80 * 1024 * 1024)
    saved = store.save_file(source, "sparse")
    store.fetch_file("sparse", local / "back")

    assert saved.size == 80 * 1024 * 1024
    assert (local / "back").read_bytes() == source.read_bytes()
    assert (local / "back").stat().st_blocks * 512 < 4 * 1024 * 1024


def test_flush_and_sweep(store: Store) -> None:
    store.save_bytes(b"", "a/b")
    store.flush()
    store.sweep("a")
    store.sweep("nothing")
    assert keys(store) == ["a/b"]


PART = st.text("ab.-é\n", min_size=1, max_size=3).filter(lambda part: part not in (".", ".."))
SAVES = st.lists(st.tuples(st.lists(PART, min_size=1, max_size=3), st.binary(max_size=8)), max_size=8)


def in_the_way(key: str, other: str) -> bool:
    return key.startswith(other + "/") or other.startswith(key + "/")


@settings(max_examples=50, deadline=None)
@given(SAVES)
def test_it_behaves_as_a_mapping(
    tmp_path_factory: pytest.TempPathFactory, saves: list[tuple[list[str], bytes]]
) -> None:
    for make in STORES:
        store = make(tmp_path_factory.mktemp("model"))
        model: dict[str, bytes] = {}
        for parts, data in saves:
            key = "/".join(parts)
            if any(in_the_way(key, other) for other in model):
                continue  # a bucket takes such a pair, a folder cannot
            store.save_bytes(data, key)
            model[key] = data
        assert keys(store) == sorted(model, key=os.fsencode)
        assert all(read(store, key) == data for key, data in model.items())
