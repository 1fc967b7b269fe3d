"""The cache of inputs on real servers: what is unchanged is not fetched again; what is not is never taken for it."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cache_harness import FILES, World, expected, tree, world_of

from servers import buckets
from servers.seaweedfs import OTHER, READER
from tieline.errors import TielineError
from tieline.stores.bucket import BucketStore
from tieline.stores.cache.folder import Cache
from tieline.stores.copying import settles_in
from tieline.stores.listed import Listing


@pytest.fixture(params=["s3", "wasb", "gcs"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world_of(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[World]:
    with world_of("s3", tmp_path) as made:
        yield made


def test_an_unchanged_folder_moves_no_data(world: World) -> None:
    first, done = world.fetch()
    assert tree(first) == expected()
    assert (done.files, done.bytes, done.cached) == (6, sum(map(len, FILES.values())) + 10, 0)
    assert world.forwarder.gets("a.bin")

    second, again = world.fetch()
    assert tree(second) == expected()
    assert (again.files, again.bytes, again.cached, again.notes) == (6, done.bytes, done.bytes, [])
    assert all(
        part not in target for _, target in world.forwarder.asked for part in ("a.bin", "b.bin", "again", "tool")
    )
    assert [method for method, _ in world.forwarder.asked].count("GET") <= 4  # listings
    for path in first.rglob("*"):
        if path.is_file():
            twin = second / path.relative_to(first)
            assert path.stat().st_mtime_ns == twin.stat().st_mtime_ns
            assert path.stat().st_mode == twin.stat().st_mode


def test_a_single_file_is_asked_for_by_its_head_alone(world: World) -> None:
    world.fetch("data/a.bin")
    again, done = world.fetch("data/a.bin")
    assert again.read_bytes() == FILES["data/a.bin"]
    assert done.words == "1 file, 4.9 KiB (all of it from the cache)"
    assert {method for method, _ in world.forwarder.asked} <= {"HEAD", "POST"}  # POST: a login


def test_a_file_that_came_with_its_folder_is_not_fetched_alone(world: World) -> None:
    world.fetch()
    _, done = world.fetch("data/deep/er/b.bin")
    assert done.cached == len(FILES["data/deep/er/b.bin"])


def test_what_is_changed_is_fetched_and_nothing_else(world: World) -> None:
    world.fetch()
    world.store.save_bytes(b"other" * 1000, "data/a.bin")  # as large as it was
    world.store.save_bytes(b"new", "data/deep/new")
    world.store.delete("data/deep/er/b.bin")
    found, done = world.fetch()
    want = {**expected(), "a.bin": b"other" * 1000, "deep/new": b"new"}
    del want["deep/er/b.bin"], want["deep/er"]
    assert tree(found) == want
    assert done.bytes - done.cached == 5003
    assert done.words.endswith("from the cache)")
    assert len(world.forwarder.gets("a.bin")) == 1
    assert [path.name for path in found.parent.iterdir()] == ["in"]
    assert tree(world.fetch()[0]) == want
    assert not world.forwarder.gets("a.bin")


def test_another_mode_with_the_same_contents_is_noticed(s3: World, tmp_path: Path) -> None:
    s3.fetch()
    time.sleep(1.1)  # a listing tells whole seconds
    local = tmp_path / "same"
    local.write_bytes(FILES["data/a.bin"])
    local.chmod(0o755)
    s3.store.save_file(local, "data/a.bin")
    assert os.access(s3.fetch()[0] / "a.bin", os.X_OK)


def test_inputs_are_read_only_to_the_job_whether_there_is_a_cache_or_not(s3: World) -> None:
    first, second = s3.fetch()[0], s3.fetch()[0]
    for top in (first, second):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in top.rglob("*") if path.is_file()}
        assert modes.pop("tool") == 0o555
        assert set(modes.values()) == {0o444}
    (second / "a.bin").unlink()
    (second / "a.bin").write_bytes(b"mine")
    (second / "b").write_bytes(b"mine too")
    assert tree(s3.fetch()[0]) == expected()
    assert tree(first) == expected()


def test_a_file_that_somebody_wrote_into_is_fetched_anew(s3: World) -> None:
    s3.fetch()
    found, _ = s3.fetch()
    spoilt = found / "deep/er/b.bin"
    spoilt.chmod(0o644)
    with spoilt.open("r+b") as file:
        file.write(b"spoilt")
    spoilt.chmod(0o444)
    again, done = s3.fetch()
    assert tree(again) == expected()
    assert done.bytes - done.cached == len(FILES["data/deep/er/b.bin"])
    os.utime(again / "a.bin")
    (again / "tool").chmod(0o755)
    last, done = s3.fetch()
    assert tree(last) == expected()
    assert done.cached < done.bytes
    assert stat.S_IMODE((last / "tool").stat().st_mode) == 0o555


def test_a_file_that_is_spoilt_and_looks_the_same_is_found_by_verify(s3: World) -> None:
    found, _ = s3.fetch()
    spoilt = found / "deep/er/b.bin"
    before = spoilt.stat()
    spoilt.chmod(0o644)
    spoilt.write_bytes(b"x" * before.st_size)
    spoilt.chmod(0o444)
    os.utime(spoilt, ns=(before.st_atime_ns, before.st_mtime_ns))
    cache = Cache.open(s3.root)
    done = cache.pruner.prune(cache.pruner.bound, verify=True)
    assert (done.files, len(done.damaged)) == (1, 1)
    assert cache.pruner.prune(cache.pruner.bound, verify=True).damaged == []
    cache.close()
    assert tree(s3.fetch()[0]) == expected()


def test_another_login_shares_nothing(s3: World) -> None:
    s3.fetch()
    other = s3.access.model_copy(update={"credentials": s3.access.credentials.model_copy(update={"secret": "other"})})
    _, done = s3.fetch(access=other)
    assert done.cached == 0
    assert s3.fetch(access=other)[1].cached == done.bytes
    assert s3.fetch(namespace="team")[1].cached == 0
    assert s3.fetch()[1].cached == done.bytes
    with pytest.raises(TielineError, match=r"403|AccessDenied"):
        s3.fetch(given=buckets.s3_secrets(OTHER))
    assert s3.fetch(given=buckets.s3_secrets(READER))[1].cached == done.bytes  # the same secret, with another value


def test_where_links_are_not_possible_there_are_copies(s3: World, tmp_path: Path) -> None:
    shm = Path("/dev/shm")
    if shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    root = shm / f"tieline-cache-{os.getpid()}"
    try:
        s3.fetch(root=root)
        found, done = s3.fetch(root=root)
        assert tree(found) == expected()
        assert done.cached == done.bytes
        assert stat.S_IMODE((found / "a.bin").stat().st_mode) == 0o444
        assert not s3.forwarder.gets("a.bin")
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_a_folder_that_is_not_empty_gets_the_files_beside_what_is_there(s3: World) -> None:
    s3.fetch()
    run = s3.next_run()
    (run / "inputs/in/deep").mkdir(parents=True)
    (run / "inputs/in/deep/own").write_bytes(b"own")
    (run / "inputs/in/a.bin").write_bytes(b"to be replaced")
    found, done = s3.fetch()
    assert tree(found) == {**expected(), "deep/own": b"own"}
    assert done.cached == done.bytes
    assert not list(run.rglob("*.part"))


def test_a_link_in_the_folder_leads_nowhere(s3: World, tmp_path: Path) -> None:
    s3.fetch()
    outside = tmp_path / "outside"
    outside.mkdir()
    run = s3.next_run()
    (run / "inputs/in").mkdir(parents=True)
    (run / "inputs/in/deep").symlink_to(outside)
    with pytest.raises(TielineError, match="leads"):
        s3.fetch()
    assert list(outside.iterdir()) == []


def test_one_that_is_larger_than_the_cache_is_not_kept(s3: World) -> None:
    found, done = s3.fetch(max_size=4096)
    assert tree(found) == expected()
    assert s3.objects() == []
    assert "more than the cache of inputs may hold" in done.notes[0]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(s3: World) -> None:
    s3.root.mkdir(mode=0o700)
    (s3.root / "objects").mkdir()
    (s3.root / "objects" / "ab").write_bytes(b"")
    for name in (f"{number:02x}" for number in range(256)):
        (s3.root / "objects" / name).write_bytes(b"")  # files, where folders are needed
    found, done = s3.fetch()
    assert tree(found) == expected()
    assert len(done.notes) == 1
    assert "is not used" in done.notes[0]


def test_a_folder_that_others_may_write_to_is_no_cache(s3: World) -> None:
    s3.root.mkdir()
    s3.root.chmod(0o777)
    with pytest.raises(PermissionError):
        Cache.open(s3.root)


def test_times_are_those_of_the_objects(s3: World, tmp_path: Path) -> None:
    local = tmp_path / "old"
    local.write_bytes(b"old")
    os.utime(local, ns=(1_000_000_000_123_456_789,) * 2)
    assert settles_in(local.stat().st_mtime_ns) == 0.0
    s3.store.save_file(local, "data/old")
    assert {(s3.fetch()[0] / "old").stat().st_mtime_ns for _ in range(3)} == {1_000_000_000_123_456_789}


def test_a_listing_in_parts_is_the_whole_listing(s3: World) -> None:
    """Three pages, begun at the same time where they began the last time: whatever is added, changed or gone since."""
    names = [f"many/{number:04}" for number in range(2500)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: s3.store.save_bytes(b"x", name), names))
    assert isinstance(s3.store, BucketStore)
    before = s3.store.look("many")
    assert isinstance(before, Listing)
    assert [cut.rpartition("/")[2] for cut in before.cuts] == ["0999", "1999"]

    def told() -> set[str]:
        again, plain = s3.store.look("many", before.cuts), s3.store.look("many")  # type: ignore[attr-defined]
        assert isinstance(again, Listing)
        assert isinstance(plain, Listing)
        assert (again.digest, again.size, again.cuts) == (plain.digest, plain.size, plain.cuts)
        return {entry.key for entry in again.entries()}

    assert told() == set(names)
    more = {f"many/{at}-more" for at in ("0000", "0999", "1500", "2499")}
    for name in more:
        s3.store.save_bytes(b"more", name)
    assert told() == {*names, *more}
    s3.store.delete("many/0500")
    assert told() == {*names, *more} - {"many/0500"}
    s3.store.delete("many/1999")  # where a part ends
    assert told() == {*names, *more} - {"many/0500", "many/1999"}
    for name in names[1000:2000]:
        if name != "many/1999":
            s3.store.delete(name)
    assert told() == {*names[:1000], *names[2000:], *more} - {"many/0500"}
