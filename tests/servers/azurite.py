"""A real Azurite: Azure Blob Storage's own emulator. Containers are made with requests of our own, signed with the
account's key, and so are shared access signatures: no library of Azure's is needed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import signal
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote, urlencode

from servers.processes import free_port, listens, running

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client" / "tests"))

import environments

ACCOUNT = "tieline"
KEY = base64.b64encode(b"an account key of 32 bytes......").decode()
VERSION = "2023-11-03"
CONTAINERS = ("data", "elsewhere")


@dataclass(frozen=True, slots=True)
class Azurite:
    """A server that runs."""

    port: int
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{ACCOUNT}"

    def make(self, container: str, *, public: bool = False) -> None:
        """Make a container; ``public``: anybody may read and list it."""
        headers = {"x-ms-blob-public-access": "container"} if public else {}
        self._ask("PUT", container, {"restype": "container"}, headers)

    def connection_string(self) -> str:
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    def signature(self, container: str, rights: str) -> str:
        """A shared access signature for a container, for years: ``rights`` like ``rl`` (read, list)."""
        start, end = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
        resource = f"/blob/{ACCOUNT}/{container}"
        text = "\n".join([rights, start, end, resource, "", "", "", VERSION, "c", "", "", "", "", "", "", ""])
        given = {"sp": rights, "st": start, "se": end, "sv": VERSION, "sr": "c", "sig": _signed(text)}
        return urlencode(given, quote_via=quote)

    def _ask(self, method: str, container: str, query: dict[str, str], headers: dict[str, str]) -> None:
        given = {**headers, "x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": VERSION}
        canonical = "".join(f"{name}:{given[name]}\n" for name in sorted(given))
        # On an emulator the account is in the path, and so it is in the resource twice.
        resource = f"/{ACCOUNT}/{ACCOUNT}/{container}" + "".join(f"\n{key}:{value}" for key, value in query.items())
        text = f"{method}" + "\n" * 12 + canonical + resource
        url = f"{self.endpoint}/{container}?{urlencode(query)}"
        request = urllib.request.Request(url, None, given, method=method)
        request.add_header("Authorization", f"SharedKey {ACCOUNT}:{_signed(text)}")
        request.add_header("Content-Length", "0")
        ours = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
        with urllib.request.build_opener(urllib.request.ProxyHandler({}), ours).open(request, timeout=10):
            pass


def _signed(text: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()


@contextmanager
def azurite(folder: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[Azurite]:
    """Start a server in an existing folder. ``tls``: a certificate and its key; then it also takes tokens (of which it
    looks at issuer, audience and times, and not at the signature)."""
    programs = environments.npm("recipes-azurite", environments.AZURITE)
    port = free_port()
    argv = [
        str(programs / "azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder),
        "--silent", "--disableTelemetry", "--skipApiVersionCheck",
    ]  # fmt: skip
    if tls is not None:
        argv += ["--oauth", "basic", "--cert", str(tls[0]), "--key", str(tls[1])]
    env = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with running(argv, folder / "azurite.log", lambda: listens(port), env=env, by=signal.SIGKILL):
        server = Azurite(port, "https" if tls else "http")
        for container in CONTAINERS:
            server.make(container)
        server.make("public", public=True)
        yield server
