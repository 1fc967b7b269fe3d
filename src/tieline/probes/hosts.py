"""Everything that is an address and no more yet: looked up, reached, and its certificate judged. The rest is said to
come later: a test that can't be done is never a test that was passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tieline.model.access import Database, Registry, Socket
from tieline.probes.family import LATER, Asked, Failed, Family, Skipped, Work, must_have_something
from tieline.probes.line import Line
from tieline.probes.place import place_of
from tieline.probes.report import Operation
from tieline.probes.route import Route, target_of
from tieline.probes.tls import Trust, judge

Known = Registry | Socket | Database
HANDSHAKES = frozenset({"sqlserver", "vertica", "oracle", "jdbc"})
"""Protocols that turn TLS on inside their own handshake (or may); for all others it begins with the first byte."""
HTTPS_PORT = 443
PLAIN = "the address is plain http: nothing is encrypted, and the server not identified"
UNSET = "tls is not set: the client's own default decides"


@dataclass(frozen=True, slots=True)
class Where:
    """How to reach it: over a line, or over a route (http). ``trust`` None: ``no_tls`` says why there is none."""

    way: Line | Route
    host: str
    trust: Trust | None
    no_tls: str = ""
    part: str = "host"


class HostFamily(Family):
    """A host and a port."""

    def __init__(self, access: Known, asked: Asked, where: Where | str, what: str) -> None:
        super().__init__(asked)
        self._credentials, self._where, self._what = access.credentials, where, what

    def works(self) -> Mapping[Operation, Work]:
        later = f"{self._what} {LATER}"
        rest: dict[Operation, Work] = {
            operation: later for operation in Operation if operation.value not in ("resolve", "reach", "tls")
        }
        rest[Operation.AUTHENTICATE] = self._authenticate
        where = self._where
        if isinstance(where, str):
            return dict.fromkeys((Operation.RESOLVE, Operation.REACH, Operation.TLS), where) | rest
        return {
            Operation.RESOLVE: where.way.resolve,
            Operation.REACH: where.way.reach,
            Operation.TLS: self._tls(where, where.trust) if where.trust else where.no_tls,
            **rest,
        }

    @staticmethod
    def _tls(where: Where, trust: Trust) -> Callable[[], str]:
        return lambda: judge(where.way.open, where.host, trust, where.part)

    def _authenticate(self) -> str:
        """Nobody logs in yet; but that there is nothing to log in with is known already."""
        must_have_something(self._credentials, self.secrets)
        raise Skipped(f"{self._what} {LATER}")

    def cut(self) -> None:
        if not isinstance(self._where, str):
            self._where.way.cut()

    close = cut


def registry(access: Registry, asked: Asked) -> HostFamily:
    """A container registry; Docker Hub's is where its clients find it."""
    host = "registry-1.docker.io" if access.host == "docker.io" else access.host
    what = "testing a registry"
    if not access.insecure:
        return HostFamily(access, asked, web(f"https://{host}", asked, Trust(access.ca_bundle), None, "url"), what)
    where = web(f"http://{host}", asked, Trust(access.ca_bundle, lax="insecure: true"), None, "url")
    return _Insecure(access, asked, where, what)


class _Insecure(HostFamily):
    """What may speak plain http, or TLS with any certificate."""

    @staticmethod
    def _tls(where: Where, trust: Trust) -> Callable[[], str]:
        def look() -> str:
            try:
                return judge(where.way.open, where.host, trust, where.part)
            except Failed as error:
                if error.part != "tls":
                    raise
                raise Skipped("insecure: true, and the server speaks plain http") from None

        return look

    def works(self) -> Mapping[Operation, Work]:
        where = self._where
        if isinstance(where, str):
            return super().works()
        return {**super().works(), Operation.TLS: self._tls(where, Trust(lax="insecure: true"))}


def plain(access: Socket, asked: Asked) -> HostFamily:
    """A host and a port."""
    place = place_of(access, asked.secrets)
    what = "testing more than the connection"
    if isinstance(place, str):
        return HostFamily(access, asked, place, what)
    line = Line(place.host, place.port, asked.limits, place.part)
    if access.tls or place.secure:
        return HostFamily(access, asked, Where(line, place.host, Trust(access.ca_bundle), part=place.part), what)
    return HostFamily(
        access, asked, Where(line, place.host, None, "tls is off" if access.tls is False else UNSET), what
    )


def database(access: Database, asked: Asked) -> HostFamily:
    """A database whose protocol is not spoken here yet."""
    place = place_of(access, asked.secrets)
    what = f"testing {access.protocol}"
    if isinstance(place, str):
        return HostFamily(access, asked, place, what)
    line = Line(place.host, place.port, asked.limits, place.part)
    wanted = access.tls or place.secure or (access.tls is None and place.port == HTTPS_PORT)
    if wanted and access.protocol not in HANDSHAKES:
        return HostFamily(access, asked, Where(line, place.host, Trust(), part=place.part), what)
    inside = f"{access.protocol} turns TLS on inside its own handshake: judging that {LATER}"
    no_tls = inside if wanted else "tls is off" if access.tls is False else UNSET
    return HostFamily(access, asked, Where(line, place.host, None, no_tls), what)


def web(url: str, asked: Asked, trust: Trust, proxy: str | None, part: str) -> Where:
    """An http address; whether there is TLS is what it says."""
    target = target_of(url, part)
    route = Route(target, asked.limits, proxy=proxy, part=part)
    return Where(route, target.host, trust if target.secure else None, PLAIN, part)
