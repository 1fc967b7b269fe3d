"""The history of the tables: it ends where the schema is, and what this program does not know is left alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine

from tieline.errors import Code, RecordError
from tieline.runs.record import Record
from tieline.runs.schema import METADATA
from tieline.runs.sqlite import HEAD
from tieline.runs.upgrade import MIGRATIONS, known_versions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "runs.db"
    Record.open(path).close()
    return path


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]
    assert HEAD in known_versions()


def test_the_migrations_make_the_tables_of_the_schema(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []
    with closing(sqlite3.connect(path)) as migrated, closing(sqlite3.connect(":memory:")) as direct:
        METADATA.create_all(create_engine("sqlite://", creator=lambda: direct))
        assert keys_of(migrated) == keys_of(direct)


def keys_of(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """What Alembic does not compare on SQLite: primary keys and what a deletion cascades to."""
    found = {}
    for table in METADATA.tables:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        primary = sorted((position, name) for _, name, _, _, _, position in columns if position)
        found[table] = [primary, connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()]
    return found


def test_an_up_to_date_record_is_opened_without_alembic(path: Path) -> None:
    program = (
        "import sys; from tieline.runs.record import Record\n"
        f"with Record.open({str(path)!r}) as record: record.list()\n"
        "print(sorted({'alembic', 'sqlalchemy.orm', 'mako'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_a_newer_record_is_refused_and_not_touched(path: Path) -> None:
    execute(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(RecordError) as caught:
        Record.open(path)
    assert caught.value.code is Code.HOME_UNUSABLE
    assert f"{path}: the record of runs cannot be used: it was made by a newer Tieline" in str(caught.value)
    assert f"(version 9999 of the record; this one knows {HEAD})" in str(caught.value)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    execute(path, "CREATE TABLE runs (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(RecordError, match="it is a database of another program"):
        Record.open(path)
    assert path.read_bytes() == before


def test_a_copy_that_lost_its_journal_mode_is_put_right(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    execute(path, f"VACUUM INTO '{copy}'")
    Record.open(copy).close()
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_migration_that_fails_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs.db"
    broken = tmp_path / "migrations"
    (broken / "versions").mkdir(parents=True)
    (broken / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    for revision in (MIGRATIONS / "versions").glob("r*.py"):
        text = revision.read_text().replace("    _create_events()\n", '    op.execute("no sql")\n')
        (broken / "versions" / revision.name).write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr("tieline.runs.upgrade.MIGRATIONS", broken)
        with pytest.raises(RecordError, match="syntax error"):
            Record.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    with Record.open(path) as record:
        assert record.list() == []
