"""PostgreSQL. Whether the password was looked at at all is asked of the client library: a server that trusts everyone
(``trust`` in pg_hba.conf) lets a wrong one in too. What is written is rolled back.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tieline.model.access import Database
from tieline.probes.family import Asked, Failed, Family, Skipped, Work, must_have
from tieline.probes.line import Line, read_some
from tieline.probes.place import known_place
from tieline.probes.report import Operation
from tieline.probes.sql import INSTALL, Table, first_readable, refusal_of, table_words
from tieline.probes.tls import Trust, judge

SSL_REQUEST = struct.pack("!II", 8, 80877103)  # postgresql.org/docs/current/protocol-message-formats.html
DRIVER = "psycopg"
OURS = frozenset({"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "servicefile"})
"""Options that say where and who; ours win over what ``options`` says, and over the environment of this process."""
_FORBIDDEN = "42501"
_TABLES = """
    SELECT n.nspname, c.relname,
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 3 DESC, 1, 2 LIMIT 1000
"""


class PostgresFamily(Family):
    """One database of one server."""

    def __init__(self, access: Database, asked: Asked) -> None:
        super().__init__(asked)
        self._access, self._place = access, known_place(access, asked.secrets)
        self._socket = self._place.host.startswith("/")
        host = f"{self._place.host}/.s.PGSQL.{self._place.port}" if self._socket else self._place.host
        self._line = Line(host, self._place.port, self.limits, self._place.part)
        self._connection: Any = None
        self._tables: tuple[Table, ...] = ()
        self._table = f"tieline_probe_{secrets.token_hex(6)}"
        self._written = self._was_cut = False
        self._in_use = threading.Lock()

    def works(self) -> Mapping[Operation, Work]:
        missing = "" if find_spec(DRIVER) else INSTALL.format(driver=DRIVER, extra="postgres")
        return {
            Operation.RESOLVE: self._line.resolve,
            Operation.REACH: self._line.reach,
            Operation.TLS: self._tls,
            Operation.AUTHENTICATE: missing or self._authenticate,
            Operation.LIST: missing or self._list,
            Operation.READ: missing or self._read,
            Operation.WRITE: missing or self._write,
            Operation.DELETE: missing or self._delete,
        }

    def cut(self) -> None:
        self._was_cut = True
        self._line.cut()
        if self._connection is not None:
            with suppress(Exception), socket.socket(fileno=os.dup(self._connection.fileno())) as other:
                other.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The server rolls back what is open when the connection ends. A thread that was left behind and still uses
        it closes it itself."""
        if self._connection is not None and self._in_use.acquire(timeout=1):
            self._connection.close()
            self._in_use.release()

    @property
    def _options(self) -> dict[str, str]:
        return {**self._place.options, **self._access.options}

    @property
    def _mode(self) -> str:
        """``sslmode``; libpq's own default is to try."""
        usual = {True: "require", False: "disable", None: "prefer"}[self._access.tls]
        return self._options.get("sslmode", usual)

    def _trust(self) -> Trust:
        """What libpq would verify (postgresql.org/docs/current/libpq-ssl.html)."""
        mode, part = self._mode, "options.sslrootcert"
        given = self._options.get("sslrootcert")
        if given == "system":
            return Trust(None, part)
        usual = Path.home() / ".postgresql" / "root.crt"
        if mode == "verify-full" or mode == "verify-ca":
            return Trust(given or str(usual), part, any_name=mode == "verify-ca")
        if mode == "require" and (given or usual.exists()):
            return Trust(given or str(usual), part, any_name=True)
        return Trust(None, part, lax=f"sslmode {mode} encrypts, and verifies nothing")

    def _tls(self) -> str:
        if self._socket:
            raise Skipped("a socket of this machine has no TLS")
        if self._mode == "disable":
            raise Skipped("sslmode disable: nothing is encrypted, and the server not identified")
        if self._ask_for_tls(connection := self._line.open()):
            connection.close()
            return judge(self._ready, self._place.host, self._trust(), self._place.part)
        connection.close()
        if self._mode in ("prefer", "allow"):
            raise Skipped("the server has no TLS, and the client does without: nothing is encrypted")
        raise Failed(f"the server has no TLS, and sslmode is {self._mode}", "turn ssl on there, or tls off here", "tls")

    def _ready(self) -> socket.socket:
        connection = self._line.open()
        self._ask_for_tls(connection)
        return connection

    @staticmethod
    def _ask_for_tls(connection: socket.socket) -> bool:
        """Whether the server has TLS; then the connection is ready for it."""
        connection.sendall(SSL_REQUEST)
        answer = read_some(connection, 1)
        if answer not in (b"S", b"N"):
            connection.close()
            raise Failed("what answers there is no PostgreSQL", "check the port", "port")
        return answer == b"S"

    def _parameters(self) -> dict[str, Any]:
        """Everything is said, so that nothing comes from the environment or the home of whoever tests."""
        place = self._place
        more = {name: value for name, value in self._options.items() if name not in OURS}
        return {
            "application_name": "tieline-probe",
            "gssencmode": "disable",
            "target_session_attrs": "any",
            **more,
            "sslmode": self._mode,
            "host": place.host,
            **({} if self._socket else {"hostaddr": self._line.address.ip}),
            "port": place.port,
            "dbname": place.database or place.username or "",
            **({"user": place.username} if place.username else {}),
            "password": place.password or "",
            "passfile": os.path.join(os.devnull, "none"),
            "connect_timeout": max(2, math.ceil(self.limits.timeout)),
        }

    def _authenticate(self) -> str:
        driver = import_module(DRIVER)
        credentials = self._access.credentials
        if self._place.password is None and not self.secret("uri"):
            must_have(credentials, "password")
        try:
            self._connection = connection = driver.connect(**self._parameters(), autocommit=True)
        except driver.Error as error:
            raise refusal_of(str(error), credentials, self._place) from None
        if self._was_cut:
            connection.close()
        milliseconds = int(self.limits.timeout * 1000)
        who, version = self._row(f"SET statement_timeout = {milliseconds}", "SELECT session_user, version()")
        name = " ".join(str(version).split()[:2])
        if not connection.pgconn.used_password:
            given = "the password was not asked for" if self._place.password else "the connection has no password"
            raise Skipped(f"not proved: {name} let {who} in by other means (trust, peer, a certificate); {given}")
        return f"logged in as {who} by the password; {name}"

    def _rows(self, *statements: str) -> list[tuple[Any, ...]]:
        """The rows of the last statement."""
        driver = import_module(DRIVER)
        with self._in_use:
            try:
                cursor = None
                for statement in statements:
                    cursor = self._connection.execute(statement)
                return cursor.fetchall() if cursor is not None and cursor.description else []
            except driver.Error as error:
                raise _told(error) from None
            finally:
                if self._was_cut:
                    self._connection.close()

    def _row(self, *statements: str) -> tuple[Any, ...]:
        """The first of these rows."""
        return tuple(next(iter(self._rows(*statements)), ()))

    def _list(self) -> str:
        rows = self._rows(_TABLES)
        self._tables = tuple(Table((schema, name), read, write) for schema, name, read, write in rows)
        return table_words(self._tables, self._place.database or "the database")

    def _read(self) -> str:
        table = first_readable(self._tables, "username")
        quoted = ".".join('"' + part.replace('"', '""') + '"' for part in table.name)
        self._row(f"SELECT 1 FROM {quoted} LIMIT 1")  # noqa: S608 - a name that the server gave, quoted
        return f"SELECT from {'.'.join(table.name)}"

    def _write(self) -> str:
        self._row("BEGIN")
        (read_only,) = self._row("SHOW transaction_read_only")
        if read_only == "on":
            raise Failed("the server only reads: it is a standby, or default_transaction_read_only is on",
                         "name the primary", "host")  # fmt: skip
        try:
            self._row(f"CREATE TABLE {self._table} (probe int)", f"INSERT INTO {self._table} VALUES (1)")  # noqa: S608
        except Failed as error:
            self._row("ROLLBACK")
            return self._by_rights(error)
        self._written = True
        return "a table and a row, in a transaction that is not committed"

    def _by_rights(self, error: Failed) -> str:
        """Who may not make tables may still write to those that there are; that is not tried, only looked up."""
        writable = [table for table in self._tables if table.writable]
        if error.part != "username" or not writable:
            raise error
        return (
            f"not tried: no table may be made; by its rights INSERT into {len(writable)} of {len(self._tables)} tables"
        )

    def _delete(self) -> str:
        if not self._written:
            raise Skipped("no row of ours was written")
        self._row(f"DELETE FROM {self._table}", "ROLLBACK")  # noqa: S608
        return "that row; the transaction was rolled back, nothing of it stays"


def _told(error: Any) -> Failed:
    """An error of a statement."""
    state = getattr(error, "sqlstate", None) or ""
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    if state == _FORBIDDEN:
        return Failed(f"this user may not: {said}", "GRANT it the right", "username")
    return Failed(f"the server says: {said}" + (f" ({state})" if state else ""), "see the server's log")
