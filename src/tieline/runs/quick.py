"""Recording a new run through the ``sqlite3`` module alone: SQLAlchemy takes a quarter of a second to import.

A run of a cluster is launched before anything else of the record is needed, so all of that is waited for while its pod
begins. What is written is what :meth:`tieline.runs.record.Record.accept` writes, to which everything unusual is left;
``tests/integration/test_runs_quick.py`` compares the two.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tieline.model.run import NewRun
from tieline.runs.rows import new_run_row, new_uses, safe_text, utc_text
from tieline.runs.sqlite import HEAD, connect


def accept_quickly(path: Path, new: NewRun, at: datetime | None = None) -> bool:
    """Record a run as ``created``; False where the whole record has to: nothing is written then."""
    if new.channels or new.watches or not path.exists():
        return False
    try:
        with closing(connect(path)) as connection:
            if not _is_ready(connection):
                return False
            connection.execute("BEGIN IMMEDIATE")  # what is not committed is rolled back when it is closed
            _insert(connection, new, at or datetime.now(UTC))
            connection.execute("COMMIT")
    except sqlite3.Error:  # the record finds the same, and says what to do
        return False
    return True


def may_begin(path: Path, uuid: str) -> bool:
    """Whether the run is recorded, and nobody asked for its stop; False also where only the whole record can tell."""
    try:
        with closing(connect(path)) as connection:
            found = connection.execute("SELECT stop_requested FROM runs WHERE uuid = ?", (uuid,)).fetchone()
            return bool(found == (0,))
    except sqlite3.Error:  # the record finds the same, and says what to do
        return False


def _is_ready(connection: sqlite3.Connection) -> bool:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal" and connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,))


def _insert(connection: sqlite3.Connection, new: NewRun, at: datetime) -> None:
    row = new_run_row(new, at)
    _add(connection, "runs", row)
    for use in new_uses(new):
        _add(connection, "run_connections", use)
    told = {name: row[name] for name in ("attempt", "status", "reason", "message")}
    _add(connection, "events", {"run": new.uuid, "sequence": 1, "at": at, **told})


def _add(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    values = [_plain(value) for value in row.values()]
    connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', values)  # noqa: S608 - names of our own


def _plain(value: Any) -> Any:
    """A value as the columns of :mod:`tieline.runs.schema` keep it."""
    if isinstance(value, datetime):
        return utc_text(value)
    return safe_text(value) if isinstance(value, str) else value
