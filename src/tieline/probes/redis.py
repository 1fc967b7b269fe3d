"""Redis and Valkey. A server that lets everyone in takes any password too; so before a login is said to be proved, a
made-up one has to be refused.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping

from tieline.model.access import Database
from tieline.probes.family import Asked, Failed, Family, Skipped, Work, must_have, no_credential
from tieline.probes.line import Line
from tieline.probes.place import known_place
from tieline.probes.report import Operation
from tieline.probes.resp import RedisError, Resp
from tieline.probes.tls import Trust, judge, wrap

DEFAULT_USER = "default"
_EXPIRES_MS = 60_000
_MOVED = ("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN")
_ASKS = ("NOAUTH", "NOPERM")


class RedisFamily(Family):
    """One server."""

    def __init__(self, access: Database, asked: Asked) -> None:
        super().__init__(asked)
        self._access, self._place = access, known_place(access, asked.secrets)
        self._line = Line(self._place.host, self._place.port, self.limits, self._place.part)
        self._key = f"tieline:probe:{secrets.token_hex(8)}"
        self._session: Resp | None = None
        self._written = False

    @property
    def _secure(self) -> bool:
        return bool(self._access.tls or self._place.secure)

    @property
    def _trust(self) -> Trust:
        options = self._access.options
        lax = "ssl_cert_reqs=none" if options.get("ssl_cert_reqs") == "none" else ""
        return Trust(options.get("ssl_ca_certs"), "options.ssl_ca_certs", lax)

    def works(self) -> Mapping[Operation, Work]:
        no_tls = "tls is off: nothing is encrypted, and the server not identified"
        return {
            Operation.RESOLVE: self._line.resolve,
            Operation.REACH: self._line.reach,
            Operation.TLS: self._tls if self._secure else no_tls,
            Operation.AUTHENTICATE: self._authenticate,
            Operation.LIST: self._list,
            Operation.READ: self._read,
            Operation.WRITE: self._write,
            Operation.DELETE: self._delete,
        }

    def cut(self) -> None:
        self._line.cut()

    def close(self) -> None:
        """Our key is deleted; if that can't be, it expires by itself."""
        try:
            if self._written and self._session is not None:
                self._session.ask("DEL", self._key)
        finally:
            self._line.cut()
            if self._session is not None:
                self._session.close()

    def _tls(self) -> str:
        return judge(self._line.open, self._place.host, self._trust, self._place.part)

    def _open(self) -> Resp:
        made: socket.socket = self._line.open()
        if self._secure:
            made = self._line.keep(wrap(made, self._place.host, self._trust))
        return Resp(made, self.limits.max_bytes)

    def _authenticate(self) -> str:
        """Raises Skipped where the server lets us in and nothing was proved."""
        self._session = session = self._open()
        username, password = self._place.username, self._place.password
        if not password:
            return self._anonymous(session)
        words = ["AUTH", *([username] if username else []), password]
        try:
            session.ask(*words)
        except RedisError as error:
            raise self._refused(error) from None
        who = username or DEFAULT_USER
        self._select(session)
        if self._takes_anything(username):
            raise Skipped(f"not proved: the server lets {who} in with any password (a made-up one was taken too)")
        return f"logged in as {who} by the password (a made-up one was refused)"

    def _anonymous(self, session: Resp) -> str:
        credentials = self._access.credentials
        if not self.secret("uri"):
            must_have(credentials, "password")
        try:
            session.ask("PING")
        except RedisError as error:
            if error.code != "NOAUTH":
                raise self._refused(error) from None
            raise no_credential(credentials, f"the server asks for a password ({error.code})", "password") from None
        self._select(session)
        raise Skipped("the connection has no login; the server lets everyone in")

    def _refused(self, error: RedisError) -> Failed:
        if "without any password configured" in error.text or "no password is set" in error.text:
            return Failed(
                "the server has no password at all: it lets everyone in, and refuses to be given one",
                "set requirepass (or an ACL) on the server, or take the password out of the secret",
                "password",
            )
        if error.code in ("WRONGPASS", "ERR"):
            part = "username" if self._place.username and "username" not in self.secrets else "password"
            return Failed(f"the server does not take the user and password ({error.code})", "check the secret", part)
        if error.code == "DENIED":
            return Failed("the server is in protected mode: it lets nobody in from elsewhere", "set a password there")
        return Failed(f"the login was refused: {error}", "see the server's log", "password")

    def _takes_anything(self, username: str | None) -> bool:
        decoy = self._open()
        try:
            decoy.ask("AUTH", *([username] if username else []), secrets.token_hex(16))
        except RedisError:
            return False
        finally:
            decoy.close()
        return True

    def _select(self, session: Resp) -> None:
        number = (self._place.database or "").strip("/")
        if not number:
            return
        try:
            session.ask("SELECT", number)
        except RedisError as error:
            raise Failed(f"there is no database {number}: {error.text}", "name another number", "database") from None

    def _list(self) -> str:
        count = self._asked("DBSIZE")
        self._asked("SCAN", "0", "COUNT", "10")
        return f"{count} {'key' if count == 1 else 'keys'}"

    def _read(self) -> str:
        self._asked("GET", self._key)
        return "GET is allowed (of a key that is not there)"

    def _write(self) -> str:
        self._written = True
        try:
            self._asked("SET", self._key, "probe", "NX", "PX", str(_EXPIRES_MS))
        except (Failed, Skipped):
            self._written = False
            raise
        return f"the key {self._key}, which would expire in {_EXPIRES_MS // 1000} s"

    def _delete(self) -> str:
        if not self._written:
            raise Skipped("nothing was written")
        count = self._asked("DEL", self._key)
        self._written = False
        if count != 1:
            raise Failed("the key that was written is not there any more", "is this a cache without room?", "host")
        return "that key is gone again"

    def _asked(self, *words: str) -> object:
        assert self._session is not None  # noqa: S101 - nothing is asked before authenticate
        try:
            return self._session.ask(*words)
        except RedisError as error:
            raise self._not_done(words[0], error) from None

    def _not_done(self, command: str, error: RedisError) -> Failed | Skipped:
        if error.code in _MOVED:
            return Skipped(f"a cluster keeps that key on another node ({error.code}), which is not followed")
        if error.code in _ASKS:
            return Failed(f"this user may not {command}: {error}", "give it the right to (ACL SETUSER)", "username")
        if error.code == "READONLY":
            return Failed("the server is a replica, which only reads", "name the primary", "host")
        return Failed(f"{command} failed: {error}", "see the server's log")
