"""One HTTP request over a route that was judged: no redirect is followed, an answer is read so far and no further."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, responses
from urllib.parse import urljoin, urlsplit

from tieline import __version__
from tieline.probes.family import Failed
from tieline.probes.route import Route
from tieline.probes.tls import Trust

_TYPE = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,40}(?![^;\s])")
_SCHEME = re.compile(r"Basic|Bearer|Digest|Negotiate|NTLM|AWS4-HMAC-SHA256", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. ``whole`` is false where its body had more bytes than the limit.

    Of the server's own words none is kept: a server may repeat a login in any of them.
    """

    status: int
    type: str
    challenge: str
    location: str
    body: bytes
    whole: bool

    @property
    def said(self) -> str:
        """``404 Not Found``."""
        return f"{self.status} {responses.get(self.status, '')}".strip()

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def amount(self) -> str:
        """``200 OK, 512 bytes of text/html``."""
        kind = f" of {self.type}" if self.type else ""
        size = f"{len(self.body)} bytes" if self.whole else f"more than {len(self.body)} bytes (not read further)"
        return f"{self.said}, {size}{kind}"


class _Connection(HTTPConnection):
    """A connection that is opened as we say, not by a second look-up."""

    def __init__(self, route: Route, open_: Callable[[], socket.socket]) -> None:
        super().__init__(route.target.host, route.target.port)
        self._opened = open_

    def connect(self) -> None:
        self.sock = self._opened()


def get(route: Route, trust: Trust, max_bytes: int, headers: Mapping[str, str] | None = None, path: str = "") -> Answer:
    """GET the route's path, or another one. Raises Failed."""
    return _ask("GET", route, trust, max_bytes, headers or {}, path)


def post(route: Route, trust: Trust, max_bytes: int, headers: Mapping[str, str], path: str = "") -> Answer:
    """POST nothing to the route's path, or another one: for calls that only say who asks. Raises Failed."""
    return _ask("POST", route, trust, max_bytes, headers, path)


def _ask(method: str, route: Route, trust: Trust, max_bytes: int, headers: Mapping[str, str], path: str) -> Answer:
    connection = _Connection(route, lambda: route.secure(trust))
    try:
        connection.request(method, _wanted(route, path), headers={**_usual(route), **headers})
        return _answer(connection.getresponse(), route, max_bytes)
    except HTTPException as error:
        said = type(error).__name__
        raise Failed(
            f"what answers there is no HTTP ({said})", "check the port, and whether tls is right", "url"
        ) from None
    except UnicodeEncodeError:
        raise Failed(
            "the address or the login has characters that HTTP can't carry", "percent-encode them", "url"
        ) from None
    finally:
        connection.close()


def _wanted(route: Route, path: str) -> str:
    """What is asked for: the path; through a proxy without TLS the whole address."""
    target = route.target
    return f"{target.scheme}://{target.authority}{path or target.path}" if route.absolute else path or target.path


def _usual(route: Route) -> dict[str, str]:
    return {
        "Host": route.target.authority,
        "User-Agent": f"tieline/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def _answer(response: HTTPResponse, route: Route, max_bytes: int) -> Answer:
    body = response.read(max_bytes + 1)
    target, location = route.target, response.getheader("Location")
    return Answer(
        response.status,
        _word(_TYPE, response.getheader("Content-Type")),
        _word(_SCHEME, response.getheader("WWW-Authenticate")),
        _shown(urljoin(f"{target.scheme}://{target.authority}{target.path}", location)) if location else "",
        body[:max_bytes],
        len(body) <= max_bytes,
    )


def _word(pattern: re.Pattern[str], header: str | None) -> str:
    """The beginning of a header, if it is one of the words that are expected there."""
    found = pattern.match(header or "")
    return found[0] if found else ""


def basic(username: str, password: str) -> dict[str, str]:
    """RFC 7617."""
    both = f"{username}:{password}".encode("utf-8", "surrogateescape")
    return {"Authorization": f"Basic {base64.b64encode(both).decode('ascii')}"}


def bearer(token: str) -> dict[str, str]:
    """RFC 6750, section 2.1. Raises Failed: a token may not have line ends in it."""
    plain = token.strip()
    if not plain.isprintable() or not plain.isascii():
        raise Failed("the token has characters that no header can carry", "store it without line ends", "token")
    return {"Authorization": f"Bearer {plain}"}


def _shown(url: str) -> str:
    """An address without user information and query, which may be secret."""
    try:
        found = urlsplit(url)
        host, port = found.hostname or "", f":{found.port}" if found.port else ""
    except ValueError:
        return "an address that can't be read"
    return f"{found.scheme}://{host}{port}{found.path}"
