"""One request over HTTP, and the one thing a client library doesn't say: when it went wrong, had it been sent?

What was not sent wholly was not taken, so it may be sent again; what was sent and not answered may have been taken.
The client (httpx2) tells of its steps through the ``trace`` extension. It swallows errors of writing, to read an early
answer, so nothing but the end of the last step says that a request was sent.

The client's own timeouts begin anew with every byte. So a timer cuts the connection at the end of the whole time.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tieline
from tieline.channels.base import Outcome

if TYPE_CHECKING:
    import httpx2

CONNECT = 10.0
"""Seconds until an address is reached, and then until TLS is agreed on."""
IDLE = 4.0
"""Seconds that an unused connection is kept: less than servers keep it (5 and more), who so seldom close it first."""
MOST = 64 * 1024
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent. The address and the headers may be secrets, so they are in no repr."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered. ``headers``: names in lower case. ``whole``: whether all of the body came."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer. ``outcome``: LATER if the request was not sent wholly, else UNSURE."""

    outcome: Outcome
    status: str
    reason: str
    hint: str = ""


class _TooLate(Exception):
    """The time is over, and the request was not begun."""


class _Watch:
    """Listens to what the client does with one request, and cuts its connection when the time is over."""

    def __init__(self, lines: dict[str, socket.socket], place: str) -> None:
        self.sent = self.over = self.begun = False
        self._lines, self._place, self._tunnel = lines, place, False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        step = event.partition(".")[2]
        if step in ("connect_tcp.complete", "start_tls.complete"):
            self._lines[self._place] = info["return_value"].get_extra_info("socket")
        elif step == "send_request_headers.started":
            self._tunnel = info["request"].method == b"CONNECT"  # a proxy's: nothing for the service is in it
            if self.over:
                raise _TooLate
            self.begun = not self._tunnel
        elif step == "send_request_body.complete":
            self.sent = not self._tunnel

    def cut(self) -> None:
        self.over = True
        line = self._lines.get(self._place)
        if line is not None:
            with suppress(OSError):  # it is closed, or its TLS is being agreed on, which has a limit of its own
                socket.socket.shutdown(line, socket.SHUT_RDWR)  # not SSLSocket's, which forgets its TLS in mid-read


class Web:
    """Sends requests, one at a time. ``keep``: connections are kept open for the next request.

    A kept connection may be closed by the server just as the next request is written, and nothing tells that from a
    server that took it and died. So only those keep theirs to whom a message may be sent twice.
    """

    def __init__(self, *, keep: bool, trust: ssl.SSLContext | None = None) -> None:
        self._keep, self._trust = keep, trust
        self._client: httpx2.Client | None = None
        self._lines: dict[str, socket.socket] = {}

    def send(self, request: Request, limit: float) -> Reply | Failure:
        """Send a request within so many seconds. Raises nothing."""
        watch = _Watch(self._lines, request.url.partition("://")[2].partition("/")[0])
        until = time.monotonic() + limit
        timer = threading.Timer(limit, watch.cut)
        timer.daemon = True
        timer.start()
        try:
            with self._stream(request, watch, limit) as response:
                return _read(response, until)
        except Exception as error:  # whatever it is, it is told as a failure; its text may have the address in it
            return _failure(error, watch)
        finally:
            timer.cancel()

    @contextmanager
    def _stream(self, request: Request, watch: _Watch, limit: float) -> Iterator[httpx2.Response]:
        import httpx2

        if self._client is None:
            self._client = self._open()
        timeout = httpx2.Timeout(limit, connect=min(CONNECT, limit))
        headers = {**request.headers, **({} if self._keep else {"Connection": "close"})}
        with self._client.stream(
            request.method, request.url, content=request.body, headers=headers, timeout=timeout,
            extensions={"trace": watch},
        ) as response:  # fmt: skip
            yield response

    def _open(self) -> httpx2.Client:
        import httpx2

        for name in ("httpx2", "httpcore2"):  # they log addresses and headers, which are secrets here
            logging.getLogger(name).setLevel(logging.WARNING)
        limits = httpx2.Limits(max_keepalive_connections=4 if self._keep else 0, keepalive_expiry=IDLE)
        headers = {"User-Agent": f"Tieline/{tieline.__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
        verify = self._trust if self._trust is not None else True
        return httpx2.Client(verify=verify, limits=limits, headers=headers, follow_redirects=False)

    def close(self) -> None:
        """Close the connections that are kept."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._lines.clear()


def _read(response: httpx2.Response, until: float) -> Reply:
    """The answer, with as much of its body as comes in time. Its status is what counts."""
    found, whole = bytearray(), False
    with suppress(Exception):  # the body was cut; its status stands, and ``whole`` says the rest
        for piece in response.iter_raw():
            found += piece
            if len(found) >= MOST or time.monotonic() > until:
                break
        else:
            whole = True
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, bytes(found[:MOST]), whole)


def _failure(error: Exception, watch: _Watch) -> Failure:
    """What went wrong, by what is known of it: never by the error's text."""
    import httpx2

    timed_out = watch.over or isinstance(error, httpx2.TimeoutException | _TooLate)
    if watch.sent:
        return _unanswered(timed_out, isinstance(error, httpx2.RemoteProtocolError) and not _is_cut(error))
    if isinstance(error, httpx2.ProxyError | ImportError):
        return _later("proxy failed", "the proxy did not connect to the service", "check HTTPS_PROXY and NO_PROXY")
    if timed_out:
        said = "sending took too long" if watch.begun else "the service could not be reached in time"
        return _later("timed out", said, "check the address, the network and the proxy")
    if isinstance(error, httpx2.TransportError):
        return _unsent(_causes(error), watch.begun)
    return Failure(
        Outcome.REFUSED,
        "not sent",
        f"no request could be made of the channel's address and settings ({type(error).__name__})",
        "check its url and its token",
    )


def _unanswered(timed_out: bool, nonsense: bool) -> Failure:
    look = "it may have arrived: look into the channel"
    if timed_out:
        return Failure(Outcome.UNSURE, "timed out after it was sent", "the service took it and did not answer", look)
    if nonsense:
        return Failure(Outcome.UNSURE, "not HTTP", "what answers there does not speak HTTP", "check the address")
    return Failure(Outcome.UNSURE, "connection cut", "the connection was cut before the service answered", look)


def _is_cut(error: BaseException) -> bool:
    return "disconnected" in str(error)


def _unsent(causes: list[BaseException], begun: bool) -> Failure:
    """Why a request was not sent wholly."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = f"the service's certificate is not trusted: {cause.verify_message}"
            return _later("certificate", why, "name the authority's PEM file in caBundle, or renew the certificate")
        if isinstance(cause, ssl.SSLError):
            return _later("TLS failed", "no TLS could be agreed on", "check that this address speaks https")
        if isinstance(cause, socket.gaierror):
            return _later("name not found", "the service's name was not found", "check the url and the DNS")
        if isinstance(cause, ConnectionRefusedError):
            return _later("connection refused", "nothing listens at the address", "check the url, or start the service")
        if isinstance(cause, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
            return _later("connection reset", "the connection was cut before the message was sent", "")
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return _later("no connection", f"the service was not reached: {cause.strerror}", "check the network")
    said = "the connection was cut before the message was sent" if begun else "the service was not reached"
    return _later("no connection", said, "check the url and the network")


def _later(status: str, reason: str, hint: str) -> Failure:
    return Failure(Outcome.LATER, status, reason, hint)


def _causes(error: BaseException | None) -> list[BaseException]:
    """An error, and what it came from; the client hides some of that (``raise … from None``)."""
    found: list[BaseException] = []
    while error is not None and len(found) < 20:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
