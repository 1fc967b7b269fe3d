"""A cluster's connections are closed only when no thread reads from them any more."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from servers.processes import eventually
from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.channel import Ended
from tieline.engines.kubernetes.refusals import ClusterError

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of RFC 6455: what a server adds to the key of whoever asks for a WebSocket."""


class Endless(BaseHTTPRequestHandler):
    """Says one line of a log, or of a program that was started, and then nothing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if key := self.headers.get("Sec-WebSocket-Key"):
            accept = base64.b64encode(hashlib.sha1(f"{key}{MAGIC}".encode()).digest()).decode()
            self.send_response(101)
            for name, value in {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Accept": accept,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"\x82\x05\x01line")  # one binary message: of stdout, four bytes
        else:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"line")
        self.wfile.flush()
        self.rfile.read(1)  # until the other side lets go

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield Api(httpx2.Client(base_url=url), url, None, "n")
    finally:
        server.shutdown()
        server.server_close()


def of_a_log(api: Api) -> Iterator[bytes]:
    with suppress(ClusterError), api.log("n", "p", "c", follow="true") as pieces:
        yield from pieces


def of_a_program(api: Api) -> Iterator[bytes]:
    channel = api.start("n", "p", "c", ["cat"])
    with suppress(Ended):
        while True:
            yield from channel.read(60)


@pytest.mark.parametrize("read", [of_a_log, of_a_program])
def test_a_thread_that_reads_lets_go_before_its_connection_is_closed(
    api: Api, monkeypatch: pytest.MonkeyPatch, read: Callable[[Api], Iterator[bytes]]
) -> None:
    got: list[bytes] = []
    reading: list[int] = []
    thread = threading.Thread(target=lambda: got.extend(read(api)))
    thread.start()
    eventually(lambda: api._traffic._streams and api._traffic._asking.total())
    close = api._client.close
    monkeypatch.setattr(api._client, "close", lambda: (reading.append(api._traffic._asking.total()), close()))
    api.close()
    thread.join(10)
    assert not thread.is_alive()
    assert got == [b"line"]
    assert reading == [0]
    with pytest.raises(ClusterError, match="not asked any more"), api.log("n", "p", "c"):
        pass
    with pytest.raises(ClusterError, match="not asked any more"):
        api.start("n", "p", "c", ["cat"])


def test_a_program_between_two_questions_ends_with_the_connections(api: Api) -> None:
    """Nobody reads from it just then, and nobody is waited for."""
    channel = api.start("n", "p", "c", ["cat"])
    assert list(channel.read(60)) == [b"line"]
    api.close()
    with pytest.raises(Ended, match="not asked any more"):
        channel.write(b"more")
    with pytest.raises(Ended, match="not asked any more"):
        list(channel.read(60))
    channel.close()
    assert not api._traffic._streams
