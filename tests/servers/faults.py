"""A proxy before a real server, which does what networks and busy servers do: cuts, stalls, refuses, damages.

Requests are passed on as they came, their Host too, so that signatures stay right: a client only needs the proxy's
address as its endpoint. What goes wrong, and where, is a plan: a list of :class:`Fault`. The first one that wants a
request gets it. ``did`` counts what was done, ``seen`` has every request.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset
HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")


class What(StrEnum):
    """What goes wrong."""

    CUT_FIRST = "cut before the request is passed on"
    CUT_BODY = "cut in the middle of its body"
    CUT_UNANSWERED = "cut before the answer, the request done"
    CUT_ANSWER = "cut in the middle of the answer's body"
    SHORT_BODY = "half of the request's body, its length rewritten"
    SHORT_ANSWER = "half of the answer's body, with the length of the whole"
    SHORTER_ANSWER = "half of the answer's body, its length rewritten"
    FLIP_BODY = "a byte of the request's body flipped"
    FLIP_ANSWER = "a byte of the answer's body flipped"
    STALL_FIRST = "nothing for a while, then passed on"
    STALL_ANSWER = "half of the answer, nothing for a while, then the rest"
    SAY = "an error of the proxy's own"


IN_BODY = frozenset({What.CUT_BODY, What.SHORT_BODY, What.FLIP_BODY})
IN_ANSWER = frozenset({What.CUT_ANSWER, What.SHORT_ANSWER, What.SHORTER_ANSWER, What.FLIP_ANSWER, What.STALL_ANSWER})


@dataclass(slots=True)
class Fault:
    """What goes wrong with which requests.

    ``method`` is one or several (``PUT|POST``), ``target`` a regular expression that is looked for in path and query;
    faults of a body want one. After ``skip`` of them, ``times`` of them are hit (None: all), each with this ``chance``.
    ``seconds``: of a stall. ``status``, ``code``, ``headers``: of an answer.
    """

    what: What
    method: str = ""
    target: str = ""
    skip: int = 0
    times: int | None = 1
    chance: float = 1.0
    seconds: float = 0.0
    status: int = 500
    code: str = "InternalError"
    headers: dict[str, str] = field(default_factory=dict)

    def wants(self, method: str, target: str, body: bytes) -> bool:
        if self.method and method not in self.method.split("|"):
            return False
        if (self.what in IN_BODY and len(body) < 2) or (self.what in IN_ANSWER and method == "HEAD"):
            return False
        return re.search(self.target, target) is not None


def say(status: int, code: str, *, retry_after: str = "", **more: Any) -> Fault:
    """The server's error; ``more``: which requests."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return Fault(What.SAY, status=status, code=code, headers=headers, **more)


def expired(**more: Any) -> Fault:
    return say(400, "ExpiredToken", **more)


class Faults:
    """A proxy that runs. ``endpoint`` is what a client is given."""

    def __init__(self, behind: int, seed: int = 0) -> None:
        self.behind = behind
        self.did: Counter[str] = Counter()
        self.seen: list[tuple[str, str]] = []
        self.over = threading.Event()
        self._plan: list[Fault] = []
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._lines: set[socket.socket] = set()
        self._held = socket.socket()  # bound and not listening: the port is ours while connections are refused
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port: int = self._held.getsockname()[1]
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- the plan

    def plan(self, *faults: Fault) -> None:
        """From now on these, and none that were planned before."""
        with self._lock:
            self._plan = list(faults)

    def fault_for(self, method: str, target: str, body: bytes) -> Fault | None:
        """What happens to a request."""
        with self._lock:
            self.seen.append((method, target))
            for fault in self._plan:
                if not fault.wants(method, target, body):
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.times != 0 and self._random.random() < fault.chance:
                    fault.times = None if fault.times is None else fault.times - 1
                    self.did[fault.what] += 1
                    return fault
        return None

    def asked(self, method: str = "", target: str = "") -> int:
        """How many requests came."""
        wanted = Fault(What.SAY, method, target)
        with self._lock:
            return sum(wanted.wants(*one, b"") for one in self.seen)

    # --- whether anybody answers

    def let_in(self) -> None:
        """Accept connections."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), self)
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
            self._thread.start()

    def refuse(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None
        with self._lock:
            lines, self._lines = self._lines, set()
        for line in lines:
            reset(line)

    @contextmanager
    def refusing(self, seconds: float) -> Iterator[None]:
        """Refuse from now on for so long, beside what is done meanwhile."""
        self.refuse()
        timer = threading.Timer(seconds, self.let_in)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def add(self, line: socket.socket) -> None:
        with self._lock:
            self._lines.add(line)

    def close(self) -> None:
        self.over.set()
        self.refuse()
        self._held.close()


@contextmanager
def faults(behind: int, seed: int = 0) -> Iterator[Faults]:
    """A proxy before the server that listens on ``behind``."""
    proxy = Faults(behind, seed)
    proxy.let_in()
    try:
        yield proxy
    finally:
        proxy.close()


def reset(line: socket.socket) -> None:
    """End a connection as one that was cut."""
    with suppress(OSError):  # it has ended already
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        line.shutdown(socket.SHUT_RD)  # whoever reads from it goes on
        line.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: Faults) -> None:
        self.proxy = proxy
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Cut(Exception):
    """The client's connection is to be cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.proxy.add(self.connection)

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client has gone: half of a request is none
            self.close_connection = True
            return
        fault = self.server.proxy.fault_for(self.command, self.path, body)
        try:
            self._with(fault, body)
        except _Cut:
            self.close_connection = True
            reset(self.connection)
        except OSError:  # the client, or the server, has gone
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815

    def _with(self, fault: Fault | None, body: bytes) -> None:
        what = fault.what if fault else None
        if fault is not None and what is What.SAY:
            self._say(fault)
            return
        if fault is not None and what is What.STALL_FIRST:
            self._stall(fault)
        if what is What.CUT_FIRST:
            raise _Cut
        if what is What.CUT_BODY:
            self._half_on(body)
            raise _Cut
        if what is What.SHORT_BODY:
            body = body[: len(body) // 2]
        if what is What.FLIP_BODY:
            body = flipped(body)
        answer, data = self._pass_on(body)
        if what is What.CUT_UNANSWERED:
            raise _Cut
        self._answer(answer, data, fault)

    def _stall(self, fault: Fault) -> None:
        if self.server.proxy.over.wait(fault.seconds):
            raise _Cut

    def _line(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.proxy.behind, timeout=60)

    def _head_on(self, line: http.client.HTTPConnection, length: int) -> None:
        line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP:
                line.putheader(name, value)
        if "Content-Length" in self.headers:
            line.putheader("Content-Length", str(length))
        line.endheaders()

    def _half_on(self, body: bytes) -> None:
        line = self._line()
        self._head_on(line, len(body))
        line.send(body[: len(body) // 2])
        time.sleep(0.02)  # so that the server has begun to read it
        line.close()

    def _pass_on(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        line = self._line()
        self._head_on(line, len(body))
        if body:
            line.send(body)
        answer = line.getresponse()
        data = answer.read()
        line.close()
        return answer, data

    def _answer(self, answer: http.client.HTTPResponse, data: bytes, fault: Fault | None) -> None:
        what = fault.what if fault else None
        half = len(data) // 2
        if what is What.FLIP_ANSWER:
            data = flipped(data)
        if what is What.SHORTER_ANSWER:
            data = data[:half]
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        if length is not None and answer.status not in (204, 304):
            self.send_header("Content-Length", length)
        self.end_headers()
        if what in (What.CUT_ANSWER, What.SHORT_ANSWER, What.STALL_ANSWER) and fault is not None:
            self.wfile.write(data[:half])
            self.wfile.flush()
            if what is What.STALL_ANSWER:
                self._stall(fault)
            else:
                time.sleep(0.02)  # a reset would take back what the client has not read yet
                if what is What.CUT_ANSWER:
                    raise _Cut
                self.close_connection = True
                return
            data = data[half:]
        if self.command != "HEAD":
            self.wfile.write(data)

    def _say(self, fault: Fault) -> None:
        told = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>-</Message></Error>".encode()
        self.send_response_only(fault.status, fault.code)
        for name, value in {**fault.headers, "x-ms-error-code": fault.code}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""


def flipped(data: bytes) -> bytes:
    """With one bit changed, in its middle."""
    if not data:
        return data
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    return bytes(changed)
