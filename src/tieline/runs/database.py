"""The database behind the record: connections that many processes can share, short transactions, and errors told.

Every transaction opens its own connection and closes it (NullPool). So a :class:`Database` holds nothing between
transactions, and threads, forked children and a process that is killed cannot disturb each other. What is special
about SQLite is in this module and :mod:`tieline.runs.sqlite` only:

* Writers begin with ``BEGIN IMMEDIATE``: a transaction that reads first and writes later cannot wait for another
  writer, it fails at once (https://sqlite.org/isolation.html), whatever the busy timeout.
* WAL, so that readers never wait; ``synchronous=FULL``, so that a committed row survives a power cut and not only a
  ``kill -9`` (https://sqlite.org/pragma.html#pragma_synchronous).
* The file is made, given its journal mode and migrated under a file lock beside it: switching to WAL and creating
  tables are the two things for which the busy timeout is not enough.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import column, create_engine, event, inspect, make_url, select, table
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tieline.errors import Code, InvalidInput, RecordError, TielineError
from tieline.runs.locks import RunLock
from tieline.runs.sqlite import BUSY_SECONDS, HEAD, connect

_VERSION = table("alembic_version", column("version_num"))
_READ_ONLY = "tieline_read_only"


class Database:
    """An up-to-date database, and the two ways to use it. ``where`` is what errors call it."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._writer = engine
        self._reader = engine.execution_options(**{_READ_ONLY: True})
        self.where = where

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with told(self.where), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is the only writer; it is rolled back where the block raises."""
        with told(self.where), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._writer.dispose()


def open_database(url_or_path: str | Path) -> Database:
    """Open a SQLite file, and create or migrate it first where that is needed.

    Raises :class:`RecordError` (``home-unusable``) where it cannot be used, is not a record of runs, or was made
    by a newer Tieline, in which case it is left as it is.
    """
    path = _path_of(url_or_path)
    database = Database(_sqlite_engine(path), str(path))
    with told(database.where):
        if not (path.exists() and _is_ready(database)):
            _prepare(database, path)
    return database


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what the database, the disk or a damaged row raises into an error that says what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _unusable(where, str(error.orig), _hint(error.orig)) from error
    except OSError as error:
        raise _unusable(where, error.strerror or str(error), "make the folder writable, or use another home") from error
    except (SQLAlchemyError, ValueError) as error:
        hint = "it was changed by another program or is damaged: restore it from a copy, or move it away"
        raise _unusable(where, str(error), hint) from error


def _unusable(where: str, problem: str, hint: str) -> TielineError:
    return RecordError.of(Code.HOME_UNUSABLE, f"{where}: the record of runs cannot be used: {problem}", hint)


def _hint(error: BaseException | None) -> str:
    name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
    hints = {
        "FULL": "free some space on that disk; nothing that was recorded is lost",
        "BUSY": f"another program has held it for more than {BUSY_SECONDS:.0f} s; end that program",
        "CANTOPEN": "make the file and its folder readable and writable for you, or use another home",
        "READONLY": "make the file and its folder writable for you, or use another home",
        "PERM": "make the file and its folder writable for you, or use another home",
        "IOERR": "check that disk, and that it is not full; a network file system needs working locks",
        "CORRUPT": "restore it from a copy, or move it away to begin a new record",
        "NOTADB": "it is no SQLite file: restore it from a copy, or move it away to begin a new record",
    }
    return hints.get(name.split("_")[0], "check the file and its disk, or use another home")


def _path_of(url_or_path: str | Path) -> Path:
    text = str(url_or_path)
    if "://" not in text:
        return Path(text).absolute()
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise InvalidInput.of(
            Code.UNSUPPORTED,
            f"the record of runs cannot be kept in a database of the form {text.split('://')[0]}://…",
            "name a SQLite file: a path, or sqlite:///PATH",
        )
    return Path(url.database).absolute()


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _is_ready(database: Database) -> bool:
    with database.reading() as connection:
        return _journal_mode(connection) == "wal" and _version(connection) == HEAD


def _journal_mode(connection: Connection) -> str:
    return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar()


def _prepare(database: Database, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with RunLock.acquire(path.with_name(f"{path.name}.lock")):
        _create_file(path)
        with database.reading() as connection:
            version = _version(connection)
            tables = inspect(connection).get_table_names()
        _refuse_foreign(database.where, version, tables)
        _use_wal(path)
        if version != HEAD:
            from tieline.runs.upgrade import upgrade

            with database.writing() as connection:
                upgrade(connection)


def _create_file(path: Path) -> None:
    """Make the file readable for its owner only; SQLite gives its journals the same mode.

    Never opened where it exists: closing any descriptor of it would drop the locks that SQLite holds on it in
    other threads of this process (https://sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return


def _use_wal(path: Path) -> None:
    """The journal mode is kept in the file; it cannot be changed inside a transaction."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _refuse_foreign(where: str, version: str | None, tables: list[str]) -> None:
    if version is None and tables:
        raise _unusable(where, "it is a database of another program", "name another file, or use another home")
    if version in (None, HEAD):
        return
    from tieline.runs.upgrade import known_versions

    if version not in known_versions():
        raise _unusable(
            where,
            f"it was made by a newer Tieline (version {version} of the record; this one knows {HEAD})",
            "use that Tieline again, or another home; the file was not changed",
        )
