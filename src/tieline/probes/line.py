"""The way to one server: its name resolved once, the address that was allowed connected to, and everything that was
opened can be cut from outside.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from contextlib import suppress

from tieline.probes.addresses import Address, resolve
from tieline.probes.family import Failed
from tieline.probes.report import Limits

LEAST = 1.0
"""Seconds for each of several addresses, at least."""
_TELL = {
    errno.ECONNREFUSED: ("nothing listens at {at}: the connection was refused", "check the port, and that it runs"),
    errno.EHOSTUNREACH: ("there is no way to {at}", "check the network, and firewalls"),
    errno.ENETUNREACH: ("there is no network to {at}", "check the network, and firewalls"),
    errno.ENOENT: ("there is no socket {at}", "check the path, and that the server runs here"),
    errno.EACCES: ("this user may not connect to {at}", "check the socket's rights"),
    errno.ECONNRESET: ("{at} broke the connection", "see the server's log"),
}


class Line:
    """Connections to one host and port. ``part``: what to mend if it can't be reached."""

    def __init__(self, host: str, port: int, limits: Limits, part: str = "host") -> None:
        self.host, self.port, self.part = host.strip("[]"), port, part
        self._limits = limits
        self._addresses: tuple[Address, ...] = ()
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._cut = False

    @property
    def address(self) -> Address:
        """The one that is connected to; known after :meth:`resolve`, settled by :meth:`reach`."""
        return self._addresses[0]

    def resolve(self) -> str:
        """Look the name up. Raises Failed."""
        self._addresses = resolve(self.host, self.port, self._limits, self.part)
        found = list(dict.fromkeys(address.ip for address in self._addresses))
        if self.host.startswith("/"):
            return f"{self.host} is a path of this machine"
        if found == [self.host]:
            return f"{self.host} is an address: there is no name to look up"
        return f"{self.host} is {', '.join(found)}"

    def reach(self) -> str:
        """Connect to the first address that answers, and settle for it. Raises Failed."""
        failures: list[Failed] = []
        until = time.monotonic() + self._limits.timeout
        for number, address in enumerate(self._addresses):
            left = len(self._addresses) - number
            try:
                self._connect(address, max(LEAST, (until - time.monotonic()) / left)).close()
            except Failed as error:
                failures.append(error)
                continue
            self._addresses = (address,)
            return f"{address.text} accepts connections"
        reasons = list(dict.fromkeys(error.reason for error in failures))
        raise Failed("; ".join(reasons[:4]), failures[0].hint, failures[0].part)

    def open(self) -> socket.socket:
        """A new connection to the address that was settled. Raises Failed."""
        return self._connect(self.address, self._limits.timeout)

    def _connect(self, address: Address, seconds: float) -> socket.socket:
        made = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            self._keep(made)
            made.settimeout(seconds)
            made.connect(address.place)
        except BaseException as error:
            made.close()
            if isinstance(error, OSError):
                raise self._failure(error, address) from None
            raise
        made.settimeout(self._limits.timeout)
        return made

    def _failure(self, error: OSError, address: Address) -> Failed:
        if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
            told, hint = "{at} does not answer", "check the host, the port, and firewalls on the way"
        else:
            said = error.strerror or str(error)
            told, hint = _TELL.get(error.errno or 0, ("{at} can't be reached: " + said, "check the network"))
        part = "port" if error.errno == errno.ECONNREFUSED and self.part == "host" else self.part
        return Failed(told.format(at=address.text), hint, part)

    def keep(self, made: socket.socket) -> socket.socket:
        """Have a socket cut with the others: one that took the place of ours (TLS)."""
        self._keep(made)
        return made

    def _keep(self, made: socket.socket) -> None:
        with self._lock:
            self._open = [one for one in self._open if one.fileno() >= 0]
            self._open.append(made)
            if self._cut:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    def cut(self) -> None:
        """End every connection, also under somebody who reads from it."""
        with self._lock:
            self._cut = True
            for one in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)
                with suppress(OSError):
                    one.close()
            self._open.clear()


def read_some(connection: socket.socket, size: int, what: str = "the server") -> bytes:
    """Exactly ``size`` bytes. Raises Failed where the other side ends before."""
    found = bytearray()
    while len(found) < size:
        data = connection.recv(size - len(found))
        if not data:
            raise Failed(f"{what} ended the connection after {len(found)} of {size} bytes", "check what listens there")
        found += data
    return bytes(found)
