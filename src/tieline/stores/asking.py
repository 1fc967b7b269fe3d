"""One request to a server that gives credentials: a bucket's own client speaks to nobody but the bucket's server.

What it is asked with and what it answers are secrets: of a failure nothing is told but its kind, and of the answer the
status alone, unless whoever asked reads more of it.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tieline.stores.base import StoreTrouble, Why, shown

if TYPE_CHECKING:
    import httpx2

CONNECT, SECONDS = 5.0, 15.0
MOST = 64 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is reached. ``what``: the server, in words; ``part``: what says where it is. ``direct``: through no
    proxy at all, whatever the environment says."""

    what: str
    part: str
    ca_bundle: str | None = None
    proxy: str | None = None
    insecure: bool = False
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. ``headers``: names in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def ask(method: str, url: str, headers: Mapping[str, str], body: bytes, way: Way) -> Answer:
    """Ask, and read the answer. Raises StoreTrouble where there is none."""
    import httpx2

    for name in ("httpx2", "httpcore2"):  # they log addresses and headers, which are secrets here
        logging.getLogger(name).setLevel(logging.WARNING)
    timeout = httpx2.Timeout(SECONDS, connect=CONNECT)
    try:
        client = httpx2.Client(
            verify=_trust(way), proxy=way.proxy, trust_env=not way.direct, timeout=timeout, follow_redirects=False
        )
        with client, client.stream(method, url, headers=dict(headers), content=body) as response:
            return _read(response)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, ImportError) as error:
        raise _unanswered(error, url, way) from None


def _read(response: httpx2.Response) -> Answer:
    found = bytearray()
    for piece in response.iter_bytes():
        found += piece
        if len(found) > MOST:
            break
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, bytes(found[:MOST]))


def _trust(way: Way) -> ssl.SSLContext:
    """The usual authorities, and the connection's own: as for the bucket itself."""
    import httpx2

    context = httpx2.create_ssl_context(verify=not way.insecure, trust_env=not way.direct)
    if way.ca_bundle is not None and not way.insecure:
        try:
            context.load_verify_locations(way.ca_bundle)
        except OSError as error:
            why = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            told = f"the certificates in {shown(way.ca_bundle)!r} can't be read: {why}"
            raise StoreTrouble(Why.UNREACHABLE, told, "check the file", "caBundle") from None
    return context


def _unanswered(error: Exception, url: str, way: Way) -> StoreTrouble:
    """Nothing came back: why, as far as it can be told."""
    import httpx2

    causes = list(_causes(error))
    part = "proxy" if way.proxy else way.part
    server = f"{way.what} ({_place(url)}{', through a proxy' if way.proxy else ''})"

    def told(what: str, hint: str, part: str = part) -> StoreTrouble:
        return StoreTrouble(Why.UNREACHABLE, f"{server} {what}", hint, part)

    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "name its authority's certificate in caBundle, if it is to be trusted"
            return told(f"has a certificate that is not trusted: {cause.verify_message}", hint, "caBundle")
        if isinstance(cause, ssl.SSLError):
            return told("does not answer with TLS", f"check the scheme and port of {way.part}", way.part)
        if isinstance(cause, socket.gaierror):
            return told("has no address", f"check {part}")
    if isinstance(error, httpx2.ProxyError | ImportError):
        return told("cannot be asked through this proxy", "check proxy", "proxy")
    if isinstance(error, httpx2.TimeoutException):
        return told("did not answer in time", "check the network, or try again later")
    if isinstance(error, httpx2.ConnectError):
        return told("does not answer", f"check {part}, and that the server runs")
    return told("broke the connection", f"try again; else check {part}")


def _place(url: str) -> str:
    """A server without its path, which may tell more."""
    with suppress(ValueError):  # a port that is none: then without it
        found = urlsplit(url)
        return shown(f"{found.scheme}://{found.hostname}{f':{found.port}' if found.port else ''}")
    return "at an address that is none"


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and len(found) < 20:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
