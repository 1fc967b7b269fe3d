"""The cache's bound, with many processes and threads that fill it at once, and with some that are killed."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from cache_harness import World, tree, world_of

from servers.processes import eventually
from tieline.stores.cache.folder import Cache
from tieline.stores.cache.records import About, Record, Records
from tieline.stores.cache.scope import scope_of

FETCHER = Path(__file__).with_name("cache_fetcher.py")
SIZE = 8192


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[World]:
    with world_of("s3", tmp_path) as made:
        yield made


def fill(world: World, folder: str, count: int) -> dict[str, bytes | None]:
    """Save files in a folder of the bucket; what a fetch of it brings."""
    found: dict[str, bytes | None] = {f"{number:04}": secrets.token_bytes(SIZE) for number in range(count)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: world.store.save_bytes(found[name] or b"", f"{folder}/{name}"), found))
    return found


def started(world: World, folder: str, sources: Sequence[str], max_size: int | None) -> subprocess.Popen[bytes]:
    told = {
        "access": world.access.as_json(), "secrets": {name: one.reveal_text() for name, one in world.secrets.items()},
        "sources": sources, "folder": str(world.folder / folder), "cache": str(world.root), "max_size": max_size,
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, str(FETCHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode())
    process.stdin.close()
    process.stdin = None
    return process


def room(world: World) -> int:
    found = 0
    for path in world.objects():
        with suppress(FileNotFoundError):  # pruned meanwhile
            found += path.stat().st_blocks * 512
    return found


def test_the_bound_holds_with_many_processes_at_once(s3: World) -> None:
    folders = [f"many/{number}" for number in range(4)]
    wanted = [fill(s3, folder, 30) for folder in folders]
    bound = 50 * SIZE
    processes = [started(s3, f"p{number}", [folder, folder], bound) for number, folder in enumerate(folders)]
    for number, process in enumerate(processes):
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert [json.loads(line)[2:] for line in said.splitlines()] == [[[], ""], [[], ""]]
        for again in (0, 1):
            assert tree(s3.folder / f"p{number}" / str(again) / "in") == wanted[number]
    assert 0 < room(s3) <= bound


def test_the_bound_holds_with_many_threads_at_once(s3: World) -> None:
    bound = 40 * SIZE
    cache = Cache.open(s3.root, bound)
    worst: list[int] = []

    def put(number: int) -> None:
        path = s3.folder / f"file-{number}"
        path.write_bytes(secrets.token_bytes(SIZE))
        path.chmod(0o444)
        cache.keep(secrets.token_hex(32), path, secrets.token_hex(32))
        worst.append(room(s3))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(300)))
    cache.close()
    assert cache.trouble == ""
    assert room(s3) <= bound
    assert bound / 2 < max(worst) <= bound + bound // 16 + 16 * SIZE
    assert len(list((s3.root / "index").glob("*/*"))) <= len(s3.objects()) + 8


def test_what_was_used_last_stays(s3: World) -> None:
    for folder in ("one", "two"):
        fill(s3, folder, 10)
        s3.fetch(folder)
        time.sleep(0.02)
    s3.fetch("one")
    cache = Cache.open(s3.root)
    dry = cache.pruner.prune(12 * SIZE, dry_run=True)
    assert (dry.files, len(s3.objects())) == (8, 20)
    done = cache.pruner.prune(12 * SIZE)
    assert (done.files, done.left) == (8, 12 * SIZE)
    cache.close()
    assert s3.fetch("one")[1].cached == 10 * SIZE
    assert s3.fetch("two")[1].cached == 2 * SIZE


def test_what_was_not_used_for_long_goes(s3: World) -> None:
    fill(s3, "one", 3)
    s3.fetch("one")
    time.sleep(0.05)
    then = time.time_ns()
    fill(s3, "two", 2)
    s3.fetch("two")
    cache = Cache.open(s3.root)
    assert cache.pruner.prune(sys.maxsize, used_since_ns=then).files == 3
    assert [record.about.path.rpartition("/")[2] for _, record, _ in cache.records.all()] == ["two"]
    assert cache.pruner.prune(0).left == 0
    assert [*cache.records.all(), *cache.records.entries(), *s3.objects()] == []
    cache.close()


def test_fetches_go_on_while_everything_is_pruned_again_and_again(s3: World) -> None:
    wanted = fill(s3, "busy", 60)
    over = threading.Event()
    pruned = []

    def prune() -> None:
        cache = Cache.open(s3.root)
        while not over.is_set():
            pruned.append(cache.pruner.prune(0).files)
        cache.objects.close()

    thread = threading.Thread(target=prune)
    thread.start()
    try:
        for _ in range(8):
            found, done = s3.fetch("busy")
            assert tree(found) == wanted
            assert done.notes == []
    finally:
        over.set()
        thread.join()
    assert sum(pruned) > 0


def test_an_entry_that_is_pruned_while_it_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, name, making = Records(tmp_path), f"{'a' * 64}-1-444", os.symlink
    records.note("12ab", name)

    def pruned_then(said: str, entry: str) -> None:
        try:
            making(said, entry)
        except FileExistsError:
            os.unlink(entry)
            raise

    monkeypatch.setattr(os, "symlink", pruned_then)
    records.note("12ab", name)
    assert records.find("12ab") == name


def test_what_is_just_being_written_is_not_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the file that it tells of is gone by then."""
    cache = Cache.open(tmp_path)
    renaming, names = os.rename, [f"{letter * 64}-1-444" for letter in "ab"]

    def pruned_then(part: str, path: str) -> None:
        if Path(part).parent != tmp_path:  # the prune's own
            cache.pruner.prune(0)
        renaming(part, path)

    cache.records.note("12ab", names[0])
    monkeypatch.setattr(os, "rename", pruned_then)
    cache.records.note("12ab", names[1])
    assert cache.records.find("12ab") == names[1]
    cache.records.write("34cd", Record(About("c", "n", "a", "p", "dir"), "", [], [("file", names[1], 1)]))
    monkeypatch.undo()
    assert cache.records.read("34cd") is not None
    cache.objects.close()


def test_a_killed_fetch_leaves_what_it_had_and_nothing_half(s3: World) -> None:
    wanted = fill(s3, "killed", 300)
    process = started(s3, "victim", ["killed"], None)
    eventually(lambda: len(s3.objects()) >= 20)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(s3.objects()) < 300
    found, done = s3.fetch("killed")
    assert tree(found) == wanted
    assert 19 * SIZE <= done.cached < 300 * SIZE
    cache = Cache.open(s3.root)
    assert cache.pruner.prune(sys.maxsize, verify=True).damaged == []
    cache.close()


def test_a_killed_prune_is_made_up_for(s3: World) -> None:
    fill(s3, "one", 10)
    s3.fetch("one")
    (s3.root / "usage").unlink()  # as it is while one prunes
    fill(s3, "two", 10)
    s3.fetch("two", max_size=10 * SIZE)
    assert room(s3) <= 10 * SIZE


def test_what_killed_writers_left_is_removed(s3: World) -> None:
    fill(s3, "one", 1)
    s3.fetch("one")
    old, new = s3.root / "parts" / "old.part", s3.root / "parts" / "new.part"
    (s3.root / "inputs" / "x.1.part").write_bytes(b"")
    for path in (old, new):
        path.write_bytes(b"half")
    for path in (old, s3.root / "inputs" / "x.1.part"):
        os.utime(path, (time.time() - 7200,) * 2)
    cache = Cache.open(s3.root)
    cache.pruner.prune(sys.maxsize)
    cache.close()
    assert [path for path in (old, new, s3.root / "inputs" / "x.1.part") if path.exists()] == [new]


def test_a_record_that_is_broken_is_as_if_it_was_not_there(s3: World) -> None:
    found, _ = s3.fetch()
    (record,) = (s3.root / "inputs").iterdir()
    right = json.loads(record.read_bytes())
    spoilt: list[dict[str, object]] = [{"cuts": 7}, {"cuts": [7]}, {"folders": [7]}]
    spoilt += [{"files": [[7, *rest] for _, *rest in right["files"]]}]
    texts = [json.dumps({**right, **wrong}).encode() for wrong in spoilt]
    for text in (
        b"",
        b"{",
        b'{"version": 2}',
        b'{"version": 1, "files": [["../../x", "../../etc/passwd", 1]]}',
        *texts,
    ):
        record.write_bytes(text)
        again, done = s3.fetch()
        assert tree(again) == tree(found)
        assert done.cached == done.bytes


def test_a_record_may_not_lead_out_of_the_folder(s3: World) -> None:
    s3.fetch("data/a.bin")
    cache = Cache.open(s3.root)
    (name,) = (path.name for path in s3.objects())
    (place, _, _) = next(cache.records.all())
    place.unlink()
    about = About("inputs", "default", "s3://data", "data", "dir")
    record_id = scope_of(s3.access, s3.secrets, "inputs", "default").record_id("dir", "data")
    cache.records.write(record_id, Record(about, "0", ["../out"], [("../out/a", name, 5000)]))
    cache.objects.close()
    found, _ = s3.fetch()
    assert (found / "a.bin").exists()
    assert not (found.parent.parent / "out").exists()
