"""A home that cannot be used is told with the path and what to do, never with a traceback of the database."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tieline.errors import Code, InvalidInput, NotFound, RecordError
from tieline.model.run import NewRun, Status
from tieline.runs import database
from tieline.runs.record import Record

NEW = NewRun("u" * 32, "train", "p", "ns", "job", "process", {}, "sha256:0", "bucket", "p/train")


def unusable(where: Path, ask: Callable[[], object]) -> str:
    with pytest.raises(RecordError) as caught:
        ask()
    assert caught.value.code is Code.HOME_UNUSABLE
    text = str(caught.value)
    assert text.startswith(str(where))
    return text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "runs.db"
    with Record.open(path) as record:
        record.accept(NEW)
    return path


def with_pragma(monkeypatch: pytest.MonkeyPatch, pragma: str) -> None:
    """Every connection from now on has SQLite itself behave as on a bad day."""
    connect = database.connect

    def connect_and_set(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute(f"PRAGMA {pragma}")
        return connection

    monkeypatch.setattr(database, "connect", connect_and_set)


def test_only_the_owner_can_read_the_record(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with Record.open(tmp_path / "deep" / "home" / "runs.db") as record, record._database.writing():
            files = [*(tmp_path / "deep" / "home").iterdir()]
    finally:
        os.umask(old)
    assert {file.name for file in files} >= {"runs.db", "runs.db-wal", "runs.db.lock"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files if file.exists()} == {0o600}
    assert stat.S_IMODE((tmp_path / "deep" / "home").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["runs.db", "ru?ns #1 100%.db", "épreuve.db", os.fsdecode(b"caf\xe9.db")])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    with Record.open(tmp_path / name) as record:
        record.accept(NEW)
    assert (tmp_path / name).stat().st_size > 0


def test_a_url_names_a_file_too(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in (f"sqlite:///{path}", "sqlite:///home/runs.db", "home/runs.db"):
        with Record.open(url) as record:
            assert record.get(NEW.uuid).name == "train"


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@db/x", "sqlite://", "sqlite:///:memory:", "nonsense://", "://"]
)
def test_other_databases_are_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Record.open(url)
    assert caught.value.code is Code.UNSUPPORTED
    assert "hunter2" not in str(caught.value)


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    text = unusable(tmp_path / "home" / "runs.db", lambda: Record.open(tmp_path / "home" / "runs.db"))
    assert "use another home" in text


def test_a_record_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "runs.db").mkdir()
    assert "use another home" in unusable(tmp_path / "runs.db", lambda: Record.open(tmp_path / "runs.db"))


def test_a_folder_without_permission(path: Path) -> None:
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("this user may write everywhere")
        new = path.with_name("new.db")
        assert "make the folder writable" in unusable(new, lambda: Record.open(new))
        assert "its folder writable for you" in unusable(path, lambda: Record.open(path))
    finally:
        path.parent.chmod(0o700)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(b"this is a letter to my aunt\n" * 100)
    text = unusable(path, lambda: Record.open(path))
    assert "file is not a database; it is no SQLite file: restore it from a copy" in text


def test_a_damaged_file(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    assert "restore it from a copy" in unusable(path, lambda: Record.open(path).list())


def test_a_row_that_somebody_changed(path: Path) -> None:
    for column, value in (("status", "happy"), ("tags", "["), ("created_at", "yesterday")):
        with closing(sqlite3.connect(path)) as connection:
            [old] = connection.execute(f"SELECT {column} FROM runs").fetchone()
            connection.execute(f"UPDATE runs SET {column} = ?", [value])
            connection.commit()
            with Record.open(path) as record:
                assert "changed by another program" in unusable(path, record.list)
            connection.execute(f"UPDATE runs SET {column} = ?", [old])
            connection.commit()


def test_a_full_disk_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Record.open(path) as record, monkeypatch.context() as patch:
        with_pragma(patch, "max_page_count=1")
        text = unusable(path, lambda: record.set_code(NEW.uuid, [{"commit": "a" * 100_000}]))
        assert "database or disk is full; free some space" in text
    with Record.open(path) as record:
        assert record.get(NEW.uuid).code == ()
        record.transition(NEW.uuid, Status.STARTING)


def test_a_disk_that_became_read_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_pragma(monkeypatch, "query_only=ON")
    with Record.open(path) as record:
        text = unusable(path, lambda: record.transition(NEW.uuid, Status.STARTING))
        assert "readonly database; make the file and its folder writable" in text
        assert record.get(NEW.uuid).status is Status.CREATED


def test_another_program_that_never_lets_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_pragma(monkeypatch, "busy_timeout=50")
    with closing(sqlite3.connect(path, isolation_level=None)) as other, Record.open(path) as record:
        other.execute("BEGIN IMMEDIATE")
        text = unusable(path, lambda: record.request_stop(NEW.uuid))
        assert "database is locked; another program has held it" in text
        assert record.get(NEW.uuid).status is Status.CREATED


def test_a_record_that_vanished_is_not_made_again_silently(path: Path) -> None:
    with Record.open(path) as record:
        for file in path.parent.iterdir():
            file.unlink()
        unusable(path, record.list)
        assert not path.exists()
    with Record.open(path) as record, pytest.raises(NotFound):
        record.get(NEW.uuid)
