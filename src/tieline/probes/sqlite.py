"""SQLite: the file is a sound database, and can be written, which is tried in a transaction that is rolled back."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from tieline.model.access import Database
from tieline.probes.family import Asked, Failed, Family, Work
from tieline.probes.report import Operation
from tieline.stores import shown

_MAGIC = b"SQLite format 3\0"
_STEPS = 10_000
"""Virtual machine steps between two looks whether to go on (sqlite.org/c3ref/progress_handler.html)."""
_HINTS = {
    sqlite3.SQLITE_BUSY: "somebody else writes: try again",
    sqlite3.SQLITE_READONLY: "give this user the right to write to the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "give this user the right to the file and its folder",
    sqlite3.SQLITE_NOTADB: "name a SQLite database",
    sqlite3.SQLITE_CORRUPT: "restore it from a copy, or try sqlite3's .recover",
    sqlite3.SQLITE_FULL: "free some space",
}


class SqliteFamily(Family):
    """One database file."""

    unexpected: ClassVar = frozenset[Operation]()

    def __init__(self, access: Database, asked: Asked) -> None:
        super().__init__(asked)
        self._path = Path(access.path or "")
        self._read_only = access.options.get("mode") == "ro" or access.options.get("immutable") == "1"
        self._open: list[sqlite3.Connection] = []
        self._table = f"tieline_probe_{secrets.token_hex(6)}"
        self._ended = False

    def works(self) -> Mapping[Operation, Work]:
        read_only = "mode: ro – jobs only read it"
        return {
            Operation.RESOLVE: self._resolve,
            Operation.REACH: self._reach,
            Operation.TLS: "a file has no TLS",
            Operation.AUTHENTICATE: "a file has no login: this user's rights decide",
            Operation.LIST: self._list,
            Operation.READ: self._read,
            Operation.WRITE: read_only if self._read_only else self._write,
            Operation.DELETE: read_only if self._read_only else self._delete,
        }

    def cut(self) -> None:
        self._ended = True
        for connection in self._open:
            connection.interrupt()

    def close(self) -> None:
        """A transaction that is open is rolled back with its connection."""
        for connection in self._open:
            connection.close()

    def _resolve(self) -> str:
        where = shown(str(self._path))
        if not os.path.lexists(self._path):
            there = self._path.parent.is_dir()
            makes = "a job that opens it would make an empty one" if there else "its folder is not there either"
            raise Failed(f"{where} is not there ({makes})", "correct the path, or make the database", "path")
        real = os.path.realpath(self._path)
        return where if real == str(self._path) else f"{where}, which leads to {shown(real)}"

    def _reach(self) -> str:
        """Its first bytes say that it is a database; an empty file is an empty one."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as stream:
                head, size = stream.read(len(_MAGIC)), os.fstat(stream.fileno()).st_size
        except OSError as error:
            said = error.strerror or str(error)
            raise Failed(
                f"{shown(str(self._path))} can't be opened: {said}", "correct the path or its rights", "path"
            ) from None
        if head not in (_MAGIC, b""):
            raise Failed("it is no SQLite database: it begins with something else", "correct the path", "path")
        return f"a SQLite file of {size} bytes"

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(self._path))}?mode={mode}",
            uri=True,
            timeout=self.limits.timeout / 2,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.set_progress_handler(lambda: int(self._ended), _STEPS)
        connection.execute("PRAGMA trusted_schema=OFF")
        self._open.append(connection)
        return connection

    def _list(self) -> str:
        count = self._ask("ro", "SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        return f"{count} {'table' if count == 1 else 'tables'}"

    def _read(self) -> str:
        """``quick_check`` reads every page; its first complaint is enough."""
        said = self._ask("ro", "PRAGMA quick_check(1)")
        if said != "ok":
            raise Failed(f"the file is damaged: {said}", _HINTS[sqlite3.SQLITE_CORRUPT], "path")
        return "every page is sound (quick_check)"

    def _write(self) -> str:
        try:
            connection = self._connect("rw")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"CREATE TABLE {self._table} (probe)")
            connection.execute(f"INSERT INTO {self._table} VALUES (1)")  # noqa: S608
        except sqlite3.Error as error:
            raise _told(error) from None
        return "a table and a row, in a transaction that is not committed"

    def _delete(self) -> str:
        connection = self._open[-1]
        try:
            deleted = connection.execute(f"DELETE FROM {self._table}").rowcount  # noqa: S608
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _told(error) from None
        return f"{deleted} row; the transaction was rolled back, nothing of it stays"

    def _ask(self, mode: str, question: str) -> object:
        try:
            return self._connect(mode).execute(question).fetchone()[0]
        except sqlite3.Error as error:
            raise _told(error) from None


def _told(error: sqlite3.Error) -> Failed:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        raise TimeoutError
    return Failed(f"SQLite says: {error}", _HINTS.get(code, "check the file"), "path")
