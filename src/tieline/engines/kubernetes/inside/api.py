"""The few questions that the collector asks the API server, with the token that only it has.

Python's own client, for what the others do not do: a limit for each single read that may change while an answer is
being read, and little work for each piece of one (:mod:`tieline.engines.kubernetes.inside.answer`).
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tieline.engines.kubernetes.inside.answer import MOST, Answer, ApiTrouble, Quiet, Response, words_of

CONNECT = 10.0
ANSWER = 30.0
"""Seconds to connect, and for an answer to begin."""
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


@dataclass(frozen=True, slots=True)
class Api:
    """The API server of this pod's cluster. ``token``: a folder with ``token`` and ``ca.crt``; both may be renewed."""

    host: str
    port: int
    token: Path
    namespace: str
    environ: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls, environ: Mapping[str, str], token: Path) -> Api:
        """As the pod's environment has it: what Tieline says comes before what the cluster says."""
        host = environ.get("TIELINE_KUBERNETES_HOST") or environ.get("KUBERNETES_SERVICE_HOST") or "kubernetes.default"
        port = environ.get("TIELINE_KUBERNETES_PORT") or environ.get("KUBERNETES_SERVICE_PORT") or "443"
        return cls(host, int(port), token, environ["TIELINE_NAMESPACE"])

    def pods(self, **query: str) -> dict[str, Any]:
        """The pods of the namespace, by a selector. Raises ApiTrouble."""
        with self.open("", **query) as answer:
            try:
                body = b"".join(iter(lambda: answer.read(ANSWER), b""))
            except Quiet:
                raise ApiTrouble(0, f"the API server {self.host}:{self.port} does not answer to its end") from None
        return _parsed(body)

    @contextmanager
    def open(self, path: str, **query: str) -> Iterator[Answer]:
        """The answer to a question about ``pods`` and what is below. Raises ApiTrouble."""
        asked = {name: value for name, value in query.items() if value}
        where = f"/api/v1/namespaces/{self.namespace}/pods{path}"
        try:
            connection = self._connected()
        except (OSError, ValueError) as error:
            raise ApiTrouble(
                0, f"the API server {self.host}:{self.port} cannot be reached: {words_of(error)}"
            ) from None
        try:
            yield _asked(connection, f"{where}?{urlencode(asked)}" if asked else where, self._headers())
        finally:
            connection.close()

    def _connected(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.token / "ca.crt"))
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=CONNECT, context=context)
        connection.response_class = Response
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return connection

    def _headers(self) -> dict[str, str]:
        try:
            token = (self.token / "token").read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise ApiTrouble(0, f"the token cannot be read: {words_of(error)}") from None
        return {"Authorization": f"Bearer {token}", "Accept": "application/json, */*", "User-Agent": "tieline"}


def _asked(connection: http.client.HTTPConnection, where: str, headers: Mapping[str, str]) -> Answer:
    sock = connection.sock
    try:
        sock.settimeout(ANSWER)
        connection.request("GET", where, headers=dict(headers))
        response = connection.getresponse()
        if response.status == http.client.OK:
            return Answer(sock, response)
        said = response.read(MOST)
    except (OSError, http.client.HTTPException) as error:
        raise ApiTrouble(0, f"the API server did not answer: {words_of(error)}") from None
    try:
        message = str(json.loads(said).get("message", ""))
    except (ValueError, AttributeError):
        message = said.decode(errors="replace").strip()
    raise ApiTrouble(response.status, f"the API server said {response.status}: {message[:300]}")


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ApiTrouble(0, f"the answer is no JSON: {error}") from None
    return found if isinstance(found, dict) else {}
