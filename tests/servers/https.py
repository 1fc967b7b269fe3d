"""A small HTTP(S) server that behaves as its paths say, and one that accepts and never answers.

``/`` answers 200; ``/private`` wants ``USER`` and ``PASSWORD``, ``/token`` the bearer ``TOKEN``; ``/forbidden`` lets
the right user in and says 403; ``/closed`` says 403 to everyone; ``/broken`` 500; ``/busy`` 429; ``/missing`` 404;
``/away`` redirects to another host, ``/turn`` to ``/`` ; ``/huge`` never ends; ``/slow`` drips a byte at a time;
``/hang`` says nothing; ``/echo`` answers with a reason that repeats the login.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USER, PASSWORD, TOKEN = "ada", "lovelace/1815@London", "tok-7Q+x/9=="


@dataclass
class Https:
    """A server that runs. ``requests``: the path and the Authorization header of each."""

    port: int
    scheme: str
    host: str = "127.0.0.1"
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Nothing: the tests look at ``requests``."""

    def do_GET(self) -> None:
        header = self.headers.get("Authorization")
        self.server.state.requests.append((self.path, header))
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        name = self.path.strip("/").partition("?")[0]
        if name in ("private", "forbidden") and header != basic:
            self.say(401, {"WWW-Authenticate": 'Basic realm="here"'})
        elif name == "token" and header != f"Bearer {TOKEN}":
            self.say(401, {"WWW-Authenticate": "Bearer"})
        elif name == "echo" and header is not None:
            decoded = base64.b64decode(header.partition(" ")[2]).decode()
            self.send_response(403, f"no {decoded} ({header})")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif name in ("huge", "slow", "hang"):
            with suppress(OSError):
                self.endless(name)
            self.close_connection = True
        else:
            status = {"forbidden": 403, "closed": 403, "broken": 500, "busy": 429, "missing": 404, "away": 302,
                      "turn": 302}.get(name, 200)  # fmt: skip
            to = {"away": "http://169.254.169.254/latest?token=x", "turn": "/"}.get(name)
            self.say(status, {"Location": to} if to else {})

    def say(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def endless(self, name: str) -> None:
        stop = self.server.state.stop
        if name == "hang":
            stop.wait(60)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        while not stop.is_set():
            self.wfile.write(b"x" if name == "slow" else b"x" * 65536)
            if name == "slow":
                stop.wait(0.2)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    state: Https

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or that did not like our certificate, is no news."""


@contextmanager
def https_server(tls: tuple[Path, Path] | None = None) -> Iterator[Https]:
    """Start a server in this process. ``tls``: the certificate and its key; without it, plain http."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.state = Https(server.server_address[1], "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.state
    finally:
        server.state.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def mute_server(says: bytes = b"", *, hang_up: bool = False) -> Iterator[int]:
    """A server that accepts, says these bytes to everyone, and nothing more; or hangs up then. Its port."""
    stop = threading.Event()
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def accept() -> None:
            while not stop.is_set():
                with suppress(OSError):
                    one, _ = listening.accept()
                    one.settimeout(5)
                    taken.append(one)
                    with suppress(OSError):
                        one.sendall(says)
                    if hang_up:
                        one.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            thread.join()
            for one in taken:
                one.close()


@dataclass
class Proxy:
    """A proxy that runs. ``asked``: the first line of every request."""

    port: int
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def connect_proxy() -> Iterator[Proxy]:
    """A proxy that tunnels (CONNECT) to 127.0.0.1, whatever host it is asked for: to that port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = Proxy(listening.getsockname()[1])
        threading.Thread(target=_accept, args=(listening, proxy), daemon=True).start()
        yield proxy
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, proxy: Proxy) -> None:
    while True:
        try:
            one, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_tunnel, args=(one, proxy), daemon=True).start()


def _tunnel(one: socket.socket, proxy: Proxy) -> None:
    with one, suppress(OSError):
        one.settimeout(10)
        head = b""
        while b"\r\n\r\n" not in head:
            head += one.recv(4096) or b"\r\n\r\n"
        line = head.split(b"\r\n")[0].decode()
        if not line:
            return
        proxy.asked.append(line)
        with socket.create_connection(("127.0.0.1", int(line.split()[1].rpartition(":")[2])), timeout=10) as other:
            one.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(other, one), daemon=True)
            back.start()
            _copy(one, other)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
