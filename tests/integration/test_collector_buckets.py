"""Outputs in a bucket, which tells times of its own: what is saved already is known, and what changed is saved."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import pytest

from servers import buckets
from tieline.steps.log_saver import LogSaver
from tieline.steps.manifest import Keeper
from tieline.steps.output_saver import OutputSaver
from tieline.steps.redaction import Unredacted
from tieline.steps.spools import Spool
from tieline.stores import Store


@pytest.fixture(params=[buckets.s3, buckets.azure, buckets.gcs], ids=["s3", "wasb", "gcs"])
def store(request: pytest.FixtureRequest) -> Store:
    made: Store = request.param(f"collector/{secrets.token_hex(8)}")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "outputs"
    made.mkdir()
    return made


def save(store: Store, folder: Path) -> None:
    """What a collector that was just started does at the end."""
    keeper = Keeper(store, "run")
    saver = OutputSaver(store, "run", folder, keeper)
    done = saver.save(over=lambda: False, told=lambda _: None, final=True)
    assert (done.failures, done.left) == ([], 0)
    keeper.write(saver.complete(), complete=True)


def read(store: Store, name: str) -> bytes:
    with store.open(f"run/outputs/{name}") as stream:
        return stream.read()


def test_a_new_collector_sends_nothing_that_is_there(store: Store, folder: Path) -> None:
    for name in ("a", "deep/b"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    save(store, folder)
    before = {entry.key: entry.mtime_ns for entry in store.list("run/outputs")}
    time.sleep(1.1)  # a bucket's clock has seconds
    (folder / "a").write_text("b")  # the same size
    save(store, folder)
    after = {entry.key: entry.mtime_ns for entry in store.list("run/outputs")}

    assert read(store, "a") == b"b"
    assert [key for key in after if after[key] != before[key]] == ["run/outputs/a"]


def test_a_log_of_many_parts_is_put_together(store: Store, tmp_path: Path) -> None:
    """What goes there in parts must not be read from there by the library that sends it."""
    spool = tmp_path / "spool"
    saver = LogSaver(store, "run", Spool("main", spool), Unredacted)
    for _ in range(2):
        with spool.open("ab") as stream:
            stream.writelines(b"%06d %s\n" % (n, b"x" * 92) for n in range(150_000))
        saver.save_new(lambda: False)
    with spool.open("ab") as stream:
        stream.write(b"the end")
    before = [entry.key for entry in store.list()]
    saver.save_rest()
    saver.put_together()
    assert len(before) >= 2
    assert {entry.key for entry in store.list()} == {"run/logs/main.log", "run/logs/main/whole.json"}
    with store.open("run/logs/main.log") as stream:
        assert stream.read() == spool.read_bytes()
    assert saver.lines == 300_001


def test_a_file_that_becomes_a_folder_and_back(store: Store, folder: Path) -> None:
    (folder / "a").write_text("file")
    (folder / "empty").mkdir()
    save(store, folder)
    (folder / "a").unlink()
    (folder / "a").mkdir()
    (folder / "a" / "b").write_text("inner")
    (folder / "empty").rmdir()
    (folder / "empty").write_text("now a file")
    save(store, folder)
    assert [(entry.key, entry.what) for entry in store.walk("run/outputs")] == [
        ("run/outputs/a", "dir"), ("run/outputs/a/b", "file"), ("run/outputs/empty", "file"),
    ]  # fmt: skip

    (folder / "a" / "b").unlink()
    (folder / "a").rmdir()
    (folder / "a").write_text("file")
    save(store, folder)
    assert [(entry.key, entry.what) for entry in store.walk("run/outputs")] == [
        ("run/outputs/a", "file"), ("run/outputs/empty", "file"),
    ]  # fmt: skip
    assert read(store, "a") == b"file"


def test_times_and_rights_come_back(store: Store, folder: Path, tmp_path: Path) -> None:
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o750)
    os.utime(folder / "tool", ns=(1, 1_600_000_000_123_456_789))
    save(store, folder)
    store.fetch_file("run/outputs/tool", tmp_path / "back")
    found = (tmp_path / "back").stat()
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (1_600_000_000_123_456_789, 0o750)
