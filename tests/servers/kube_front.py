"""What stands before an API server and is busy or slow for a while: it answers by itself, or passes requests on.

Plain HTTP for the client, TLS to the server; answers are passed on as they come, so watches and logs go on.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding")
PIECE = 64 * 1024


class Front(ThreadingHTTPServer):
    """``status``: what it answers by itself, None: what the server answers; ``slow``: so many seconds before each
    answer; ``answered``: how often it said what."""

    daemon_threads = True

    def __init__(self, port: int, authority: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status: int | None = None
        self.slow = 0.0
        self.answered: Counter[int] = Counter()
        self.to, self.trusted = port, ssl.create_default_context(cafile=str(authority))
        self.streams: list[http.client.HTTPConnection] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def cut(self) -> None:
        """Break off whatever is being answered."""
        for stream in self.streams:
            with suppress(OSError, AttributeError):  # it has ended
                stream.sock.shutdown(2)
        self.streams.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def log_message(self, *_: object) -> None:
        """Nothing: ``answered`` has it."""

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.server.slow)
        if self.server.status is not None:
            self.server.answered[self.server.status] += 1
            said = b"too much to do"
            self.send_response(self.server.status)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
            return
        upstream = http.client.HTTPSConnection("127.0.0.1", self.server.to, context=self.server.trusted)
        self.server.streams.append(upstream)
        with suppress(OSError, http.client.HTTPException):  # one of them went away
            kept = {key: value for key, value in self.headers.items() if key.lower() not in HOP}
            upstream.request(self.command, self.path, body or None, kept)
            self._pass_on(upstream.getresponse())
        upstream.close()
        self.close_connection = True

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        self.server.answered[answer.status] += 1
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in HOP:
                self.send_header(key, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while data := answer.read1(PIECE):
            self.wfile.write(data)
            self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815  as the library calls them


@contextmanager
def front(port: int, authority: Path) -> Iterator[Front]:
    made = Front(port, authority)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.cut()
        made.shutdown()
        made.server_close()
