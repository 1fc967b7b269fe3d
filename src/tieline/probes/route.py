"""How an http address is reached: directly, or through the proxy that the connection or this machine's environment
names. Then it is the proxy that is looked up and connected to, and it looks up the rest.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from tieline.probes.addresses import check_name
from tieline.probes.family import Failed
from tieline.probes.line import Line
from tieline.probes.report import Limits
from tieline.probes.tls import Trust, wrap

PORTS = {"http": 80, "https": 443}
_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of an http address."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """``host:port``, as a Host header and CONNECT have it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"


def target_of(url: str, part: str = "url") -> Target:
    """Take an address apart. Raises Failed where it is none."""
    try:
        found = urlsplit(url)
        host, port = found.hostname, found.port
    except ValueError:
        found, host, port = urlsplit(""), None, None
    if found.scheme not in PORTS or not host:
        raise Failed("this is no http address", "write it like https://host.example.org/path", part)
    path = (found.path or "/") + (f"?{found.query}" if found.query else "")
    return Target(found.scheme, host, port or PORTS[found.scheme], path)


def proxy_for(target: Target, given: str | None) -> str | None:
    """The proxy's address: what the connection says, else what the environment says for this host."""
    if given:
        return given
    names = getproxies()
    if proxy_bypass(target.host, names):
        return None
    return names.get(target.scheme) or names.get("all") or None


class Route:
    """Connections to an http address, ready for what is to be said."""

    def __init__(self, target: Target, limits: Limits, *, proxy: str | None = None, part: str = "url") -> None:
        self.target, self._limits, self._part = target, limits, part
        self.proxy = _proxy(proxy_for(target, proxy))
        if self.proxy is None:
            self.line = Line(target.host, target.port, limits, part)
        else:
            self.line = Line(self.proxy.hostname or "", self.proxy.port or 80, limits, "proxy")

    @property
    def absolute(self) -> bool:
        """Whether requests name the whole address: plain http through a proxy."""
        return self.proxy is not None and not self.target.secure

    def resolve(self) -> str:
        if self.proxy is None:
            return self.line.resolve()
        check_name(self.target.host, self._limits, self._part)
        return f"the proxy {self.line.resolve()}; it looks {self.target.host} up"

    def reach(self) -> str:
        said = self.line.reach()
        if self.proxy is None:
            return said
        self.open().close()
        return f"the proxy {said}" + (f", and connects to {self.target.authority}" if self.target.secure else "")

    def open(self) -> socket.socket:
        """A connection over which the server (or, for plain http, the proxy) is spoken to. Raises Failed."""
        made = self.line.open()
        if self.proxy is None or not self.target.secure:
            return made
        try:
            self._tunnel(made)
        except BaseException:
            made.close()
            raise
        return made

    def secure(self, trust: Trust) -> socket.socket:
        """The same with TLS, where the address asks for it."""
        made = self.open()
        return self.line.keep(wrap(made, self.target.host, trust)) if self.target.secure else made

    def _tunnel(self, made: socket.socket) -> None:
        """RFC 9110, section 9.3.6."""
        at = f"{self.target.host if ':' not in self.target.host else f'[{self.target.host}]'}:{self.target.port}"
        made.sendall(f"CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n".encode("ascii"))
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            data = made.recv(1)  # nothing behind the head may be taken: it is the server's
            if not data or len(head) > _HEAD:
                raise Failed("the proxy does not answer as one", "check the proxy's address and port", "proxy")
            head += data
        status = head.split(b"\r\n")[0].decode("latin-1").split(" ", 1)[-1]
        if not status.startswith("2"):
            raise Failed(f"the proxy does not connect to {at}: {status}", "check the proxy's rules", "proxy")

    def cut(self) -> None:
        self.line.cut()


def _proxy(address: str | None) -> SplitResult | None:
    if not address:
        return None
    found = urlsplit(address if "://" in address else f"http://{address}")
    if found.scheme != "http":
        raise Failed(
            f"the way leads through a {found.scheme} proxy, and such proxies are not tested", "use http", "proxy"
        )
    return found
