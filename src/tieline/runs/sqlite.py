"""The SQLite file of the record: how it is connected to, and which revision it is to have.

Kept apart from :mod:`tieline.runs.database`, so that a run may be recorded before SQLAlchemy is imported.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

BUSY_SECONDS = 60.0
"""How long a transaction waits for the others. SQLite's waiting is not fair: with 50 processes that write without a
pause (4 ms each time) the unluckiest was seen to wait for 6 s."""
HEAD = "0002"
"""The newest revision in ``migrations/versions``: opening a record compares it without importing Alembic."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that is there, which begins no transaction by itself. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection
