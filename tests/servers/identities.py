"""Test gear for workload identities: Azure's token endpoint and Google's metadata server, in the forms that these
document. The real ones exist in their clouds only. What the tokens open is checked by the servers of the buckets.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

TENANT, CLIENT = "11111111-2222-3333-4444-555555555555", "99999999-8888-7777-6666-555555555555"
ASSERTION = "eyJhbGciOiJSUzI1NiJ9.canary-service-account.c2lnbmF0dXJl"
_METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"


def azure_token(seconds: float = 3600.0) -> str:
    """A token as Azure's look, for its storage; signed by nobody."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com", "iss": f"https://sts.windows.net/{TENANT}/", "iat": now, "nbf": now - 60,
        "exp": now + int(seconds), "appid": CLIENT, "jti": secrets.token_hex(8),
    }  # fmt: skip
    parts = [json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims), "signature"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


@dataclass
class Giver:
    """A server that gives tokens. ``make``: makes one; ``seconds``: how long it says that one is good; ``status``:
    what it answers; ``flavor``: who it says it is; ``asked``: Azure's forms, Google's headers."""

    port: int
    make: Callable[[], str] = azure_token
    seconds: float = 3600.0
    status: int = 200
    flavor: str = "Google"
    asked: list[dict[str, str]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def giver() -> Iterator[Giver]:
    """Start one."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.found = Giver(server.server_port)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.found  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """See the module."""

    protocol_version = "HTTP/1.1"

    @property
    def _found(self) -> Giver:
        return self.server.found  # type: ignore[attr-defined, no-any-return]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._found.asked.append(form)
        wanted = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": ASSERTION,
            "scope": "https://storage.azure.com/.default",
        }
        if self.path == f"/{TENANT}/oauth2/v2.0/token" and form == wanted:
            self._give()
        else:
            told = {"error": "invalid_client", "error_description": f"AADSTS700213: {form.get('client_assertion')}"}
            self._answer(401, told)

    def do_GET(self) -> None:
        self._found.asked.append(dict(self.headers.items()))
        if self.path == _METADATA and self.headers.get("Metadata-Flavor") == "Google":
            self._give()
        else:
            self._answer(403, {})

    def _give(self) -> None:
        found = self._found
        if found.status != 200:
            self._answer(found.status, {"error": found.given[-1:]})
            return
        token = found.make()
        found.given += [token] if token else []
        self._answer(200, {"access_token": token, "expires_in": found.seconds, "token_type": "Bearer"})

    def _answer(self, status: int, told: dict[str, Any]) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Metadata-Flavor", self._found.flavor)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""
