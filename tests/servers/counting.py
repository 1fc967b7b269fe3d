"""A forwarder between a client and a real server that writes down what was asked for: to see that nothing was."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

_REQUEST = re.compile(rb"^([A-Z]{3,7}) (\S+) HTTP/1\.1\r$", re.MULTILINE)


@dataclass
class Forwarder:
    """``asked``: the method and target of every request; ``moved``: bytes that the server answered with."""

    port: int
    to: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    moved: int = 0
    may_go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def gets(self, part: str) -> list[str]:
        """The objects with this in their name that were asked for."""
        return [target for method, target in self.asked if method == "GET" and part in target.partition("?")[0]]

    def forget(self) -> None:
        self.asked.clear()
        self.moved = 0


@contextmanager
def forwarding(to: int) -> Iterator[Forwarder]:
    """Forward a free port of 127.0.0.1 to another one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        forwarder = Forwarder(listening.getsockname()[1], to)
        forwarder.may_go_on.set()
        accepting = threading.Thread(target=_accept, args=(listening, forwarder))
        accepting.start()
        try:
            yield forwarder
        finally:
            forwarder.may_go_on.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listening: socket.socket, forwarder: Forwarder) -> None:
    """Until it is closed; then every connection is."""
    with ExitStack() as ended, suppress(OSError):
        while True:
            one = ended.enter_context(listening.accept()[0])
            other = ended.enter_context(socket.create_connection(("127.0.0.1", forwarder.to)))
            for pair in ((one, other, forwarder, True), (other, one, forwarder, False)):
                thread = threading.Thread(target=_pass, args=pair)
                thread.start()
                ended.callback(thread.join)
            ended.callback(_end, one, other)


def _end(*sides: socket.socket) -> None:
    for side in sides:
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _pass(one: socket.socket, other: socket.socket, forwarder: Forwarder, is_client: bool) -> None:
    with suppress(OSError):  # either side may go away
        while data := one.recv(256 * 1024):
            if is_client:
                forwarder.may_go_on.wait()
                forwarder.asked += [(m[1].decode(), unquote(m[2].decode())) for m in _REQUEST.finditer(data)]
            else:
                forwarder.moved += len(data)
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
