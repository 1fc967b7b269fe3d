"""Testing volumes and SQLite files: what is there, what may be read and written; and that nothing of ours stays."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from probes_harness import HASTY, ask, failure, marks, of

from tieline.model.access import Database, Volume
from tieline.probes import Report


def volume(path: Path, **fields: object) -> Volume:
    return Volume.model_validate({"host_path": str(path), "mount_path": "/data", **fields})


def sqlite(path: Path, **options: str) -> Database:
    return Database(protocol="sqlite", path=str(path), options=options)


def as_nobody(work: Callable[[], Report]) -> str:
    """The marks of a report, and its only failure, as a user without rights sees it (root has them all)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(pwd.getpwnam("nobody").pw_gid)
                os.setuid(pwd.getpwnam("nobody").pw_uid)
            report = work()
            failed = [result.detail for result in report.results if result.outcome == "fail"]
            os.write(writing, json.dumps([marks(report), *failed]).encode())
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that everyone can reach: pytest's own are private."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o005:
            folder.chmod(0o755)
    return tmp_path


def test_a_folder_that_may_be_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    report = ask(volume(tmp_path), {})
    assert marks(report) == "PP--PPPP"
    assert of(report, "list").detail == "2 entries"
    assert of(report, "read").detail == "5 bytes of a.txt (5 bytes)"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_an_empty_folder(tmp_path: Path) -> None:
    report = ask(volume(tmp_path), {})
    assert marks(report) == "PP--P-PP"
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_volume_is_not_written_to(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    report = ask(volume(tmp_path, read_only=True), {})
    assert marks(report) == "PP--P---"
    assert "readOnly" in of(report, "write").detail
    assert tmp_path.stat().st_mtime_ns == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    report = ask(volume(tmp_path / "gone"), {})
    assert marks(report) == "F-------"
    assert failure(report).part == "hostPath"


def test_a_folder_that_the_first_run_makes(tmp_path: Path) -> None:
    report = ask(volume(tmp_path / "gone"), {}, makes_folder=True)
    assert marks(report) == "--------"
    assert not (tmp_path / "gone").exists()


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = ask(volume(tmp_path / "file"), {})
    assert marks(report) == "PF------"
    assert "is a file" in failure(report).detail


def test_links_are_told(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "broken").symlink_to("gone")
    assert "which leads to" in of(ask(volume(tmp_path / "link"), {}), "resolve").detail
    assert failure(ask(volume(tmp_path / "broken"), {})).operation == "reach"


def test_claims_are_the_folders_that_stand_for_them(tmp_path: Path) -> None:
    claim = Volume(claim="data-pvc", mount_path="/data")
    report = ask(claim, {}, claims={"data-pvc": str(tmp_path)})
    assert marks(report) == "PP--P-PP"
    assert of(report, "resolve").detail == f"the claim data-pvc is the folder {tmp_path}"
    absent = ask(claim, {}, claims={"data-pvc": str(tmp_path / "x")})
    assert marks(absent) == "--------"


def test_a_sub_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("1")
    assert of(ask(volume(tmp_path, sub_path="a"), {}), "read").detail == "1 bytes of f (1 bytes)"
    later = ask(volume(tmp_path, sub_path="b/c"), {})
    assert marks(later) == "PP------"
    assert not (tmp_path / "b").exists()
    (tmp_path / "out").symlink_to("/etc")
    assert failure(ask(volume(tmp_path, sub_path="out"), {})).part == "subPath"


def test_many_entries_are_not_all_counted(tmp_path: Path) -> None:
    for number in range(1005):
        (tmp_path / f"{number}").touch()
    assert of(ask(volume(tmp_path, read_only=True), {}), "list").detail == "more than 1000 entries"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert marks(ask(volume(tmp_path), {}, HASTY)) == "PP--P-PP"


def test_a_folder_without_rights(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    readable = open_folder / "readable"
    readable.mkdir(mode=0o755)
    (readable / "f").write_text("x")
    (readable / "f").chmod(0o600)
    if os.getuid() != 0:
        closed.chmod(0o000)
        readable.chmod(0o555)
        (readable / "f").chmod(0o000)
    try:
        assert '"PF------"' in as_nobody(lambda: ask(volume(closed), {}))
        said = as_nobody(lambda: ask(volume(readable), {}))
    finally:
        closed.chmod(0o700)
        readable.chmod(0o755)
    assert '"PP--PFF-"' in said
    assert said.count("not allowed for this user") == 2


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a b?#%.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", ((str(n) * 50,) for n in range(2000)))
    connection.close()
    return path


def tables(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    connection.close()
    return found


def test_a_database_file(database: Path) -> None:
    before = database.read_bytes()
    report = ask(sqlite(database), {})
    assert marks(report) == "PP--PPPP"
    assert of(report, "list").detail == "1 table"
    assert tables(database) == ["t"]
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_a_database_that_jobs_only_read(database: Path) -> None:
    assert marks(ask(sqlite(database, mode="ro"), {})) == "PP--PP--"


def test_a_wal_database(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    assert marks(ask(sqlite(database), {})) == "PP--PPPP"
    assert tables(database) == ["t"]


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    report = ask(sqlite(tmp_path / "gone.db"), {})
    assert marks(report) == "F-------"
    assert "a job that opens it would make an empty one" in failure(report).detail
    assert failure(report).part == "path"
    assert list(tmp_path.iterdir()) == []
    nowhere = ask(sqlite(tmp_path / "x" / "gone.db"), {})
    assert "its folder is not there either" in failure(nowhere).detail


def test_files_that_are_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, I am a text and no database at all")
    report = ask(sqlite(tmp_path / "text"), {})
    assert marks(report) == "PF------"
    assert "is no SQLite database" in failure(report).detail
    (tmp_path / "empty").touch()
    assert marks(ask(sqlite(tmp_path / "empty"), {})) == "PP--PPPP"
    assert (tmp_path / "empty").stat().st_size == 0
    assert failure(ask(sqlite(tmp_path), {})).operation == "reach"


def test_a_damaged_database(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[8192:16384] = os.urandom(8192)
    database.write_bytes(content)
    assert failure(ask(sqlite(database), {})).operation == "read"


def test_a_database_that_somebody_else_writes_to(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    report = ask(sqlite(database), {}, HASTY)
    connection.execute("ROLLBACK")
    connection.close()
    assert marks(report) == "PP--FFF-"
    assert "locked" in of(report, "write").detail


def test_a_database_without_rights(open_folder: Path) -> None:
    path = open_folder / "x.db"
    sqlite3.connect(path).executescript("CREATE TABLE t (a)").connection.close()
    path.chmod(0o444)
    said = as_nobody(lambda: ask(sqlite(path), {}))
    assert '"PP--PPF-"' in said
    assert "readonly" in said
