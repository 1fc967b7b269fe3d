"""An answer of the API server that is read as it comes, much at a time.

An answer that follows a log has each line as a piece (and a TLS record) of its own. Python's own client gives them one
by one, which costs more than all that is done with them, and who reads slower than a job prints loses its lines. So the
pieces are put together here: what has come by now is taken at once, and while much comes, a moment is waited for more.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

MOST = 64 * 1024
ENOUGH = 4 * MOST
MOMENT = 0.005
"""Seconds for which more is waited for, where the last piece came no longer ago."""
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError)


class ApiTrouble(Exception):
    """No answer, or another than was wished for. ``status``: 0 where there was none."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Quiet(Exception):
    """Nothing came for as long as was to be waited."""


class Response(http.client.HTTPResponse):
    """Its head is read byte by byte, so that nothing of its body is taken from the socket."""

    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp.close()
        self.fp = sock.makefile("rb", buffering=0)  # type: ignore[assignment]


class Answer:
    """The body of an answer whose head is read."""

    def __init__(self, sock: socket.socket, response: http.client.HTTPResponse) -> None:
        self._sock, self._response = sock, response
        self._buffer = bytearray()
        self._is_chunked = bool(response.chunked)
        self._left = 0 if self._is_chunked else response.length  # of a chunk, or of all; None: until the line's end
        self._skip = 0  # bytes of a chunk's end that are still to come
        self._is_over = self._left == 0 and not self._is_chunked
        self._came = 0.0

    def read(self, limit: float | None) -> bytes:
        """Some bytes; none at its end. Raises Quiet after ``limit`` seconds, and ApiTrouble where it breaks off."""
        while not self._is_over:
            try:
                if data := self._whole():
                    return data
                if not self._is_over:
                    self._fill(limit)
            except TimeoutError:
                raise Quiet from None
            except (OSError, ValueError) as error:  # ValueError: half of a chunk's length
                raise ApiTrouble(0, f"the answer broke off: {words_of(error)}") from None
        return b""

    def close(self) -> None:
        """Let go of it; from any thread."""
        with suppress(OSError):  # it is closed already. Not the method of an SSL socket: that goes on without TLS
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _fill(self, limit: float | None) -> None:
        """Wait for something, and take what has come with it."""
        self._sock.settimeout(limit)
        if not self._take():
            if self._is_chunked or self._left:
                raise ConnectionError("the line was closed")
            self._is_over = True
            return
        now = time.monotonic()
        if now - self._came < MOMENT:
            time.sleep(MOMENT)
        self._came = time.monotonic()
        self._sock.settimeout(0.0)
        with suppress(*_NOT_YET):
            while len(self._buffer) < ENOUGH and self._take():
                pass

    def _take(self) -> bool:
        data = self._sock.recv(MOST)
        self._buffer += data
        return bool(data)

    def _whole(self) -> bytes:
        """What of the buffer can be given by now."""
        if self._is_chunked:
            return self._unchunked()
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._left is not None:
            self._left -= len(data)
            self._is_over = self._left <= 0
        return data

    def _unchunked(self) -> bytes:
        buffer, at, left, out = self._buffer, 0, self._left or 0, list[bytearray]()
        while at < len(buffer):
            if self._skip:
                skipped = min(self._skip, len(buffer) - at)
                self._skip, at = self._skip - skipped, at + skipped
                continue
            if not left:
                end = buffer.find(b"\r\n", at)
                if end < 0:
                    break
                left, at = int(buffer[at:end].partition(b";")[0], 16), end + 2
                if not left:
                    self._is_over = True
                    break
                continue
            taken = buffer[at : at + left]
            out.append(taken)
            at, left = at + len(taken), left - len(taken)
            self._skip = 0 if left else 2
        del buffer[:at]
        self._left = left
        return b"".join(out)


def words_of(error: BaseException) -> str:
    """What an error says, or its name."""
    reason = error.strerror if isinstance(error, OSError) else ""
    return reason or os.fsdecode(str(error)) or type(error).__name__
