"""A piece of wire between a client and a server, which counts what passes, may be slow, and may stand still."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE = 64 * 1024


class Wire:
    """Forwards connections to a port of this machine. ``down``: bytes that the server sent; ``rate``: so many bytes a
    second pass in each direction; ``most``: after so many bytes down, it stands still until that is changed;
    ``is_cut``: who connects is turned away.
    """

    def __init__(self, port: int) -> None:
        self.down = self.up = 0
        self.rate: float | None = None
        self.most: int | None = None
        self.is_cut = False
        self._to = port
        self._guard = threading.Lock()
        self._is_open = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._is_open = False
        self._listener.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break all connections off, in the middle of whatever passes."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                if self.is_cut:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                threading.Thread(target=self._both, args=(client, server), daemon=True).start()

    def _both(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            up = threading.Thread(target=self._pump, args=(client, server, False), daemon=True)
            up.start()
            self._pump(server, client, True)
            up.join()

    def _pump(self, source: socket.socket, target: socket.socket, is_down: bool) -> None:
        with suppress(OSError):  # one of them went away
            while data := source.recv(PIECE):
                self._pass(len(data), is_down)
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _pass(self, count: int, is_down: bool) -> None:
        while is_down and self._is_open and self.most is not None and self.down >= self.most:
            time.sleep(0.01)
        with self._guard:
            if self.rate is not None:
                time.sleep(count / self.rate)
            if is_down:
                self.down += count
            else:
                self.up += count


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    made = Wire(port)
    try:
        yield made
    finally:
        made.close()
