"""MySQL and MariaDB. A data definition can't be rolled back there, so what is written is a temporary table, which ends
with the session; whether real ones may be written is read from the account's grants.
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tieline.model.access import Database
from tieline.probes.family import Asked, Failed, Family, Skipped, Work, must_have
from tieline.probes.grants import EVERY, Grant, allowed, grants_of
from tieline.probes.line import Line, read_some
from tieline.probes.place import known_place
from tieline.probes.report import Operation
from tieline.probes.sql import INSTALL, MANY, Table, first_readable, refusal_of, table_words
from tieline.probes.tls import Trust, context_of, judge

DRIVER = "pymysql"
_CAN_SSL = 0x0800
_FLAGS = 0x0200 | _CAN_SSL | 0x8000 | 0x00080000  # protocol 4.1, TLS, its passwords, plugins
_LARGEST = 0xFFFFFF
_UTF8 = 45
_ERROR = 0xFF
_GREETINGS = (9, 10)
_DENIED = frozenset({1044, 1142, 1227})
_READ_ONLY = frozenset({1290, 1836, 3024})


class MysqlFamily(Family):
    """One database of one server."""

    def __init__(self, access: Database, asked: Asked) -> None:
        super().__init__(asked)
        self._access, self._place = access, known_place(access, asked.secrets)
        self._line = Line(self._place.host, self._place.port, self.limits, self._place.part)
        self._connection: Any = None
        self._tables: tuple[Table, ...] = ()
        self._table = f"tieline_probe_{secrets.token_hex(6)}"
        self._written = False

    def works(self) -> Mapping[Operation, Work]:
        missing = "" if find_spec(DRIVER) else INSTALL.format(driver="PyMySQL", extra="mysql")
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
        self._line.cut()

    def close(self) -> None:
        """A temporary table ends with its session."""
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._line.cut()

    def _option(self, *names: str) -> str | None:
        options = {**self._place.options, **self._access.options}
        return next((options[name] for name in names if name in options), None)

    @property
    def _mode(self) -> str:
        """``ssl-mode`` of the client programs: disabled, preferred, required, verify_ca or verify_identity."""
        usual = {True: "required", False: "disabled", None: "preferred"}[self._access.tls]
        return (self._option("ssl_mode", "ssl-mode", "sslmode") or usual).lower().replace("-", "_")

    def _trust(self) -> Trust:
        authorities, part = self._option("ssl_ca", "ssl-ca"), "options.ssl_ca"
        if self._mode in ("verify_identity", "verify_ca") or authorities:
            return Trust(authorities, part, any_name=self._mode != "verify_identity")
        return Trust(None, part, lax=f"ssl-mode {self._mode} encrypts, and verifies nothing")

    def _tls(self) -> str:
        if self._line.host.startswith("/"):
            raise Skipped("a socket of this machine needs no TLS")
        if self._mode == "disabled":
            raise Skipped("tls is off: nothing is encrypted, and the server not identified")
        with self._line.open() as connection:
            if self._ask_for_tls(connection):
                return judge(self._ready, self._place.host, self._trust(), self._place.part)
        if self._mode == "preferred":
            raise Skipped("the server has no TLS, and the client does without: nothing is encrypted")
        raise Failed("the server has no TLS", "turn it on there (ssl_cert, ssl_key), or tls off here", "tls")

    def _ready(self) -> socket.socket:
        connection = self._line.open()
        self._ask_for_tls(connection)
        return connection

    def _ask_for_tls(self, connection: socket.socket) -> bool:
        """Whether the server has TLS; then the connection is ready for it. The protocol's own words for it are
        ``HandshakeV10`` and ``SSLRequest``."""
        head = read_some(connection, 4)
        greeting = read_some(connection, min(int.from_bytes(head[:3], "little"), 4096))
        if greeting[:1] == bytes([_ERROR]):
            raise refusal_of(greeting[3:].decode("utf-8", "replace"), self._access.credentials, self._place)
        end = greeting.find(b"\0", 1)
        if not greeting or greeting[0] not in _GREETINGS or end < 0 or len(greeting) < end + 16:
            connection.close()
            raise Failed("what answers there is no MySQL or MariaDB", "check the port", "port")
        (abilities,) = struct.unpack_from("<H", greeting, end + 14)
        if not abilities & _CAN_SSL:
            return False
        request = struct.pack("<IIB23x", _FLAGS, _LARGEST, _UTF8)
        connection.sendall(len(request).to_bytes(3, "little") + b"\1" + request)
        return True

    def _authenticate(self) -> str:
        driver = import_module(DRIVER)
        credentials = self._access.credentials
        if self._place.password is None and not self.secret("uri"):
            must_have(credentials, "password")
        made = self._connect(driver)
        try:
            made.connect(self._line.keep(self._line.open()))
        except driver.Error as error:
            raise refusal_of(_words(error), credentials, self._place) from None
        except RuntimeError:  # PyMySQL: 'cryptography' is needed to send this password without TLS
            raise Failed("the server wants the password encrypted", "turn tls on", "tls") from None
        self._connection = made
        who, version = self._rows("SELECT CURRENT_USER(), VERSION()")[0]
        account = str(who or "").partition("@")[0]
        if account != (self._place.username or account) or not account:
            raise Skipped(f"not proved: the server let us in as {who or 'nobody'}, not as {self._place.username}")
        if not self._place.password:
            raise Skipped(f"the connection has no password; the server let {who} in without one")
        return f"logged in as {who} by the password; {version}"

    def _connect(self, driver: Any) -> Any:
        """A connection that is not open yet. Only encrypted is a password sent as it is."""
        place, encrypted = self._place, self._mode in ("required", "verify_ca", "verify_identity")
        if not place.username:
            raise Failed("nothing says who logs in", "add username, to the schema or to the secret", "username")
        return driver.connections.Connection(
            host=place.host,
            port=place.port,
            user=place.username,
            password=(place.password or "").encode("utf-8", "surrogateescape"),
            database=place.database or None,
            charset="utf8mb4",
            ssl=context_of(self._trust()) if encrypted else None,
            ssl_disabled=self._mode == "disabled",
            auth_plugin_map={} if encrypted else {"mysql_clear_password": _Never, "dialog": _Never},
            read_timeout=self.limits.timeout,
            write_timeout=self.limits.timeout,
            autocommit=True,
            defer_connect=True,
            program_name="tieline-probe",
        )

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        driver = import_module(DRIVER)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchmany(MANY))
        except driver.Error as error:
            raise _told(error) from None

    def _list(self) -> str:
        if not self._place.database:
            found = [str(row[0]) for row in self._rows("SHOW DATABASES")]
            return f"{len(found)} {'database' if len(found) == 1 else 'databases'}; the connection names none"
        grants = self._grants()
        rows = self._rows(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name LIMIT 1000"
        )
        database = self._place.database
        self._tables = tuple(
            Table((name,), not grants or allowed(grants, "SELECT", database, name), False) for (name,) in rows
        )
        return table_words(self._tables, database)

    def _grants(self) -> list[Grant]:
        """Empty where the server doesn't say; then whoever tries it sees."""
        try:
            return grants_of(str(row[0]) for row in self._rows("SHOW GRANTS"))
        except Failed:
            return []

    def _read(self) -> str:
        if not self._place.database:
            raise Skipped("the connection names no database")
        table = first_readable(self._tables, "username")
        self._rows(f"SELECT 1 FROM `{table.name[0].replace('`', '``')}` LIMIT 1")  # noqa: S608 - quoted
        return f"SELECT from {self._place.database}.{table.name[0]}"

    def _write(self) -> str:
        database = self._place.database
        if not database:
            raise Skipped("the connection names no database")
        grants = self._grants()
        names = (EVERY, *(table.name[0] for table in self._tables))
        if grants and not any(allowed(grants, "INSERT", database, name) for name in names):
            raise Failed(f"this user may not INSERT into {database}", "GRANT it the right", "username")
        try:
            self._rows(f"CREATE TEMPORARY TABLE {self._table} (probe INT)")
            self._rows(f"INSERT INTO {self._table} VALUES (1)")  # noqa: S608
        except Failed as error:
            if error.part != "username" or not grants:
                raise
            return "not tried: no temporary table may be made; by its grants it may INSERT"
        self._written = True
        return "a row in a temporary table; by its grants it may INSERT into real ones"

    def _delete(self) -> str:
        if not self._written:
            raise Skipped("no row of ours was written")
        self._rows(f"DELETE FROM {self._table}")  # noqa: S608
        self._rows(f"DROP TEMPORARY TABLE {self._table}")
        self._written = False
        return "that row, and the temporary table"


class _Never:
    """Stands where a plugin would send the password as it is, over a line that anybody may listen to."""

    def __init__(self, connection: object) -> None:
        del connection

    def authenticate(self, packet: object) -> None:
        del packet
        raise Failed("the server wants the password unencrypted, over a line that is not", "turn tls on", "tls")

    def prompt(self, echo: bool, prompt: bytes) -> bytes:
        del echo, prompt
        raise Failed("the server wants the password unencrypted, over a line that is not", "turn tls on", "tls")


def _words(error: Exception) -> str:
    """The text of a driver's error, which has its number before it."""
    return str(error.args[1] if len(error.args) > 1 else error)


def _told(error: Exception) -> Failed:
    """An error of a statement."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if number in _DENIED:
        return Failed(f"this user may not: {_words(error)}", "GRANT it the right", "username")
    if number in _READ_ONLY:
        return Failed(f"the server only reads: {_words(error)}", "name the primary", "host")
    return Failed(f"the server says: {_words(error)} ({number})", "see the server's log")
