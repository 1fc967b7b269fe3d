"""One conversation with a mail server: smtplib, and what it leaves out: an end to the whole time, logins in UTF-8, and
of whatever goes wrong an answer that says in which phase, and whether to try again (RFC 5321, 3207, 4954).

The sender of mail and the test of a connection speak to a server in the same way, so both use this.
"""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from tieline.channels.base import Answer, Outcome
from tieline.channels.trust import context_of

_MOST = 256 * 1024
"""Bytes that a server may say in one conversation."""
_BAD_LOGIN = (534, 535, 538)
_CLOSING = 421
_WRONG_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")
_LOGIN_HINT = "put username and password into the connection's secret"


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is. ``tls``: starttls, implicit or none; ``trust``: whom to trust, where there is TLS."""

    host: str
    port: int
    tls: str
    trust: ssl.SSLContext | None

    @property
    def at(self) -> str:
        """The server in words."""
        return f"{self.host}:{self.port}"


def server_of(options: Mapping[str, str]) -> Server:
    """What the connection says. Raises Unusable: the file of certificates can't be read."""
    tls = options.get("tls", "none")
    trust = None if tls == "none" else context_of(options.get("caBundle"))
    return Server(options["host"].strip("[]"), int(options["port"]), tls, trust)


class Stopped(Exception):
    """A conversation came to its end before it should. ``part``: what to mend, if that is known."""

    def __init__(self, answer: Answer, part: str = "") -> None:
        super().__init__(answer.status)
        self.answer, self.part = answer, part


class _Lines:
    """What a server says, line by line; each reading waits no longer than the whole time allows."""

    def __init__(self, made: socket.socket, left: Callable[[], float]) -> None:
        self._made, self._left, self._read, self._kept = made, left, 0, b""

    def readline(self, most: int) -> bytes:
        while b"\n" not in self._kept and len(self._kept) < most:
            self._made.settimeout(self._left())
            data = self._made.recv(4096)
            self._read += len(data)
            if not data or self._read > _MOST:
                return b""
            self._kept += data
        end = min(self._kept.find(b"\n") + 1 or most, most)
        line, self._kept = self._kept[:end], self._kept[end:]
        return line

    def close(self) -> None:
        """Nothing: the socket is closed by whoever has it."""


class Conversation(smtplib.SMTP):
    """What is said to one server until a time is over (``time.monotonic()``). Its errors are :class:`Stopped`."""

    def __init__(self, server: Server, until: float) -> None:
        super().__init__(local_hostname="localhost")  # else it would look this machine's name up; see `_take`
        self._server, self._until = server, until

    def start(self, made: socket.socket, keep: Callable[[socket.socket], socket.socket] = lambda one: one) -> None:
        """Over this connection: TLS, the greeting and EHLO. ``keep`` is given the socket that takes its place."""
        if self._server.tls == "implicit":
            with self.doing("agreeing on TLS"):
                made = keep(self._wrap(made))
        self._take(made)
        with self.doing("greeting"):
            self.expect(self.getreply(), "the greeting", 220)
            self._hello()
        if self._server.tls == "starttls":
            self._start_tls(keep)

    def _take(self, made: socket.socket) -> None:
        """Speak over this connection, and forget what was said before."""
        self.sock, self.file = made, None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        name = socket.gethostname()
        self.local_hostname = name if "." in name and name.isascii() else _literal(made)

    def _hello(self) -> None:
        code, said = self.ehlo()
        if 500 <= code <= 504:  # a server from before EHLO
            code, said = self.helo()
        self.expect((code, said), "EHLO", 250)

    def _start_tls(self, keep: Callable[[socket.socket], socket.socket]) -> None:
        if not self.has_extn("starttls"):
            hint = "set tls to implicit (and the port), or to false if mail may go unencrypted"
            raise refused("no STARTTLS", "the server offers no STARTTLS, so nothing was sent", hint, "tls")
        with self.doing("starting TLS"):
            self.expect(self.docmd("STARTTLS"), "STARTTLS", 220)
            assert self.sock is not None  # noqa: S101 - docmd has spoken over it
            self._take(keep(self._wrap(self.sock)))  # what came before TLS is forgotten: anybody may have said it
            self._hello()

    def _wrap(self, made: socket.socket) -> socket.socket:
        assert self._server.trust is not None  # noqa: S101 - there is TLS
        made.settimeout(self.left())
        return self._server.trust.wrap_socket(made, server_hostname=self._server.host)

    def log_in(self, username: str, password: str) -> str:
        """Log in, and say by which mechanism."""
        offered = self.esmtp_features.get("auth", "").upper().split()
        with self.doing("logging in"):
            if "PLAIN" in offered:  # RFC 4616
                reply = self.docmd("AUTH", f"PLAIN {_coded(chr(0), username, chr(0), password)}")
                self._taken(self.docmd(_coded(chr(0), username, chr(0), password)) if reply[0] == 334 else reply)
                return "PLAIN"
            if "LOGIN" in offered:
                reply = self.docmd("AUTH", "LOGIN")
                for text in (username, password):
                    if reply[0] != 334:
                        break
                    reply = self.docmd(_coded(text))
                self._taken(reply)
                return "LOGIN"
        what = f"only the logins {', '.join(offered)}" if offered else "no login"
        hint = "use a server or port that offers AUTH PLAIN or LOGIN; many do only with TLS"
        raise refused("no login", f"the server offers {what}, and the connection has a password", hint, "tls")

    def _taken(self, reply: tuple[int, bytes]) -> None:
        hint = "check username and password in the connection's secret (some servers want an app password)"
        self.expect(reply, "the login", 235, hint=hint if 500 <= reply[0] < 600 else "", part="password")

    def expect(self, reply: tuple[int, bytes], what: str, *wanted: int, hint: str = "", part: str = "") -> None:
        """Raises Stopped where a reply is another."""
        if reply[0] not in wanted:
            raise Stopped(answer_of(reply, what, hint), part or ("secret" if reply[0] == 530 else ""))

    @contextmanager
    def doing(self, words: str) -> Iterator[None]:
        """Whatever breaks meanwhile is told as Stopped: nothing was sent."""
        try:
            yield
        except OSError as error:  # smtplib's own exceptions are among them
            raise broken(error, words, self._server) from None

    def left(self) -> float:
        """Seconds that are left. Raises TimeoutError."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def hurry(self, seconds: float) -> None:
        """From now on no longer than this."""
        self._until = min(self._until, time.monotonic() + seconds)

    def send(self, s: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(self.left())
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Lines(self.sock, self.left)
        return super().getreply()


def refused(status: str, reason: str, hint: str, part: str) -> Stopped:
    """What will never work as it is."""
    return Stopped(Answer(Outcome.REFUSED, status, reason, hint), part)


def answer_of(reply: tuple[int, bytes], what: str, hint: str = "") -> Answer:
    """What a reply that is none of the wanted means (RFC 5321, section 4.2.1). Its text is not scrubbed yet."""
    code, said = reply[0], reply[1].decode("utf-8", "replace").replace("\n", " ").strip()
    if not 400 <= code < 600:
        reason = f"what answers is no mail server that would go on after {what}: {said[:80]}"
        return Answer(Outcome.REFUSED, "not SMTP", reason, "check the host and the port")
    if code == 530:
        hint = _LOGIN_HINT
    reason = f"the server's answer to {what} is {code} {said}".strip()
    outcome = Outcome.LATER if code < 500 else Outcome.REFUSED
    return Answer(outcome, f"SMTP {code}", reason, hint, busy=code == _CLOSING)


def broken(error: OSError, words: str, server: Server) -> Stopped:
    """An error on the line while nothing was sent yet."""
    causes = causes_of(error)
    for cause in causes:
        if isinstance(cause, TimeoutError):
            hint = "check the host, the port, and firewalls on the way"
            return _later("timed out", f"{server.at} did not answer in time (while {words})", hint, "host")
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"the certificate of {server.at} is not trusted: {cause.verify_message}"
            return _later("certificate", reason, "name its authority's PEM file in caBundle, or renew it", "caBundle")
        if isinstance(cause, ssl.SSLError) and cause.reason in _WRONG_TLS:
            reason = f"{server.at} does not answer with TLS"
            return refused("no TLS", reason, "check the port, and whether tls is starttls or implicit", "tls")
        if isinstance(cause, socket.gaierror):
            reason = f"the name {server.host} has no address: {cause.strerror}"
            return _later("no address", reason, "check the name, and this machine's DNS", "host")
        if isinstance(cause, ConnectionRefusedError):
            reason = f"nothing listens at {server.at}: the connection was refused"
            return _later("connection refused", reason, "check the port, and that the server runs", "port")
    said = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
    reason = f"{server.at} broke the connection (while {words})" + (f": {said}" if said else "")
    return _later("connection cut", reason, "see the mail server's log", "")


def _later(status: str, reason: str, hint: str, part: str) -> Stopped:
    return Stopped(Answer(Outcome.LATER, status, reason, hint), part)


def causes_of(error: BaseException | None) -> list[BaseException]:
    """An error, and what it came from: smtplib hides that it was a time-out."""
    found: list[BaseException] = []
    while error is not None and len(found) < 10:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def connect(server: Server, until: float) -> socket.socket:
    """A connection to the first of the server's addresses that answers. Raises Stopped."""
    try:
        addresses = _look_up(server, until - time.monotonic())
        for number, (family, _, _, _, place) in enumerate(addresses):
            seconds = (until - time.monotonic()) / (len(addresses) - number)
            made = socket.socket(family, socket.SOCK_STREAM)
            try:
                made.settimeout(max(seconds, 0.01))
                made.connect(place)
                return made
            except OSError:
                made.close()
                if number == len(addresses) - 1:
                    raise
        raise socket.gaierror(socket.EAI_NONAME, "it has no address")
    except (OSError, UnicodeError) as error:
        known = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, "it is no name")
        raise broken(known, "connecting", server) from None


def _look_up(server: Server, seconds: float) -> list[Any]:
    """The server's addresses. Looking a name up can't be ended: it is waited for no longer than this."""
    box: SimpleQueue[list[Any] | OSError | UnicodeError] = SimpleQueue()

    def go() -> None:
        try:
            box.put(list(socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            box.put(error)

    threading.Thread(target=go, name="tieline-look-up", daemon=True).start()
    try:
        found = box.get(timeout=max(seconds, 0.01))
    except Empty:
        raise TimeoutError from None
    if isinstance(found, list):
        return found
    raise found


def _literal(made: socket.socket) -> str:
    """This side's address, for EHLO (RFC 5321, section 4.1.3)."""
    ip = str(made.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"


def _coded(*texts: str) -> str:
    return base64.b64encode("".join(texts).encode("utf-8", "surrogateescape")).decode("ascii")
