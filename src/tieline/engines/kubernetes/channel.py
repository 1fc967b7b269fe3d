"""A program that is started in a container of a running pod, with its stdin and stdout: ``pods/exec`` over a WebSocket.

The API server of every version since 1.20 speaks ``v4.channel.k8s.io``: each message is one byte that says which stream
it is of, then bytes. It is spoken over the connection that lightkube's client makes, so whatever logs in there, logs in
here. No thread reads ahead: what nobody asks for stays in the network, and holds the program up.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.traffic import Traffic

PROTOCOL = "v4.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS = range(4)
AT_ONCE = 256 * 1024
"""Bytes of one read."""
MOST_SAID = 4096
"""Bytes that are kept of the end of what a program says on stderr."""


class Ended(Exception):
    """The program has ended, or the connection has. ``said``: its own last words, and the cluster's."""

    def __init__(self, said: str) -> None:
        self.said = " ".join(said.split())[-300:]
        super().__init__(self.said)


class Channel:
    """One program's stdin and stdout. For one thread at a time. ``traffic``: of the client whose connection it is."""

    def __init__(self, response: Any, traffic: Traffic) -> None:
        wsproto = importlib.import_module("wsproto")
        self._events = importlib.import_module("wsproto.events")
        self._response = response
        self._stream = response.extensions["network_stream"]
        self._talk = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT)
        self._stderr = b""
        self._of: int | None = None
        self._traffic, self._socket = traffic, traffic.opened(response)

    def write(self, data: bytes) -> None:
        """To the program's stdin. Raises Ended."""
        message = self._events.BytesMessage(data=bytes((STDIN,)) + data)
        self._send(self._talk.send(message))

    def read(self, seconds: float) -> Iterator[bytes]:
        """What there is on its stdout, after waiting for some; it may be nothing yet. Raises Ended."""
        try:
            with self._traffic.asking():
                data = self._stream.read(AT_ONCE, seconds)
        except ClusterError as error:
            raise Ended(str(error)) from None
        except Exception as error:  # of the network's library, whatever it has
            raise Ended(f"{self._words()} {type(error).__name__}") from None
        if not data:
            raise Ended(self._words())
        self._talk.receive_data(data)
        for event in self._talk.events():
            yield from self._told(event)

    def _told(self, event: Any) -> Iterator[bytes]:
        match event:
            case self._events.Message():
                data = event.data if isinstance(event.data, (bytes, bytearray)) else event.data.encode()
                if self._of is None and data:
                    self._of, data = data[0], data[1:]
                yield from self._of_stream(bytes(data))
                if event.message_finished:
                    self._of = None
            case self._events.Ping():
                self._send(self._talk.send(event.response()))
            case self._events.CloseConnection():
                raise Ended(self._words())

    def _of_stream(self, data: bytes) -> Iterator[bytes]:
        if self._of == STDOUT:
            yield data
        elif self._of == STDERR:
            self._stderr = (self._stderr + data)[-MOST_SAID:]
        elif self._of == STATUS:
            raise Ended(f"{self._words()} {_status_words(data)}")

    def _send(self, data: bytes) -> None:
        try:
            with self._traffic.asking():
                self._stream.write(data, 30.0)
        except ClusterError as error:
            raise Ended(str(error)) from None
        except Exception as error:
            raise Ended(f"{self._words()} {type(error).__name__}") from None

    def _words(self) -> str:
        return self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        """Its stdin ends, and nobody listens any more."""
        with suppress(Exception), self._traffic.asking():  # it has ended by itself
            self._stream.write(self._talk.send(self._events.CloseConnection(code=1000)), 1.0)
        with suppress(Exception):
            self._stream.close()
            self._response.close()
        self._traffic.closed(self._socket)


def upgrade_headers() -> dict[str, str]:
    """What asks for a WebSocket (RFC 6455)."""
    key = base64.b64encode(os.urandom(16)).decode()
    return {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": PROTOCOL,
    }  # fmt: skip


def _status_words(data: bytes) -> str:
    try:
        return str(json.loads(data).get("message") or "")
    except ValueError:
        return ""
