"""A real moto server: Amazon's STS, IAM and S3. And test gear of our own before it.

moto checks keys, signatures, session tokens, and the policies of users and roles. What it leaves out is the gear's:

* a token of a cluster has to be one that the gear knows (moto takes any, and only while it checks nothing at all);
* a listing with ``%2F`` in its query, whose signature moto gets wrong, needs credentials that were given: nothing more;
* credentials can be made to end at once (:meth:`Moto.end_all`), which S3 then answers as Amazon does.

Its one user may do nothing but take on roles: ``writer`` (all of S3), ``reader`` (reads and lists), ``named`` (for
whoever says ``EXTERNAL``), and not ``closed``.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from servers.processes import free_port, listens, needed, running

ACCOUNT = "123456789012"
EXTERNAL = "an-external-id"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.canary-web-identity.c2lnbmF0dXJl"
BUCKETS = ("data", "elsewhere")
_RIGHTS = {"writer": ["s3:*"], "reader": ["s3:GetObject", "s3:ListBucket"], "named": ["s3:*"], "closed": ["s3:*"]}


def role(name: str) -> str:
    """A role's name in full."""
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@dataclass
class Moto:
    """A server that runs. ``user``: key and secret of its user; ``asked``: what STS was asked, as forms; ``given``: the
    credentials that it gave, as (key, secret, token); ``busy``: how many of STS's next requests it is too busy for."""

    port: int
    behind: int
    scheme: str = "http"
    user: tuple[str, str] = ("", "")
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    asked: list[dict[str, str]] = field(default_factory=list)
    given: list[tuple[str, str, str]] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    busy: int = 0
    alone: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def end_all(self) -> None:
        """All credentials that were given are over."""
        self.ended.update(key for key, _, _ in self.given)

    def secrets(self) -> list[str]:
        """Everything that no message may repeat."""
        return [self.user[1], TOKEN, *(part for _, secret, token in self.given for part in (secret, token))]


@contextmanager
def moto(folder: Path, *, tls: tuple[Path, Path] | None = None) -> Iterator[Moto]:
    """Start a server in an existing folder; ``tls``: the gear's certificate and its key."""
    program = needed("moto_server", "moto[server]", how="pip install")
    port = free_port()
    env = {"INITIAL_NO_AUTH_ACTION_COUNT": "inf"}
    argv = [program, "-H", "127.0.0.1", "-p", str(port)]
    with (
        running(argv, folder / "moto.log", lambda: listens(port), env=env, by=signal.SIGKILL),
        _gear(port, tls) as found,
    ):
        _set_up(found)
        yield found


def _set_up(server: Moto) -> None:
    _iam(server, Action="CreateUser", UserName="user")
    _iam(server, Action="PutUserPolicy", UserName="user", PolicyName="p", PolicyDocument=_policy(["sts:AssumeRole"]))
    told = _iam(server, Action="CreateAccessKey", UserName="user")
    server.user = (_one(told, "AccessKeyId"), _one(told, "SecretAccessKey"))
    for name, actions in _RIGHTS.items():
        trust: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
        if name == "named":
            trust["Condition"] = {"StringEquals": {"sts:ExternalId": EXTERNAL}}
        if name == "closed":
            trust["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/another"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        _iam(server, Action="CreateRole", RoleName=name, AssumeRolePolicyDocument=document)
        _iam(server, Action="PutRolePolicy", RoleName=name, PolicyName="p", PolicyDocument=_policy(actions))
    for bucket in BUCKETS:
        _ask(server.behind, "PUT", f"/{bucket}", b"", {"Authorization": _scope("s3")})
    _checks(server.behind, True)


def _policy(actions: list[str]) -> str:
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def _scope(service: str) -> str:
    """As much of a signature as tells moto the service."""
    return f"AWS4-HMAC-SHA256 Credential=x/20200101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x"


def _iam(server: Moto, **form: str) -> str:
    headers = {"Authorization": _scope("iam"), "Content-Type": "application/x-www-form-urlencoded"}
    return _ask(server.behind, "POST", "/", urlencode({**form, "Version": "2010-05-08"}).encode(), headers)


def _checks(port: int, on: bool) -> None:
    """Whether moto looks at keys and rights."""
    _ask(port, "POST", "/moto-api/reset-auth", b"0" if on else b"inf", {"Content-Type": "text/plain"})


def _ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        return str(answer.read().decode())


def _one(text: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]+)</{name}>", text)
    assert found is not None
    return found[1]


@contextmanager
def _gear(behind: int, tls: tuple[Path, Path] | None) -> Iterator[Moto]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Gear) as server:
        server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        found = Moto(server.server_port, behind, "https" if tls else "http")
        server.found = found  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


class _Gear(BaseHTTPRequestHandler):
    """See the module."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _found(self) -> Moto:
        return self.server.found  # type: ignore[attr-defined, no-any-return]

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if self.command == "POST" and form.get("Action", "").startswith("AssumeRole"):
            self._sts(body, form)
            return
        key = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization") or "")
        if key is not None:
            self._found.used.append(key[1])
        if key is not None and key[1] in self._found.ended:
            self._answer(
                400, b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
            )
            return
        if "%2F" in self.path.partition("?")[2]:
            login = (key[1] if key else "", self.headers.get("X-Amz-Security-Token"))
            if login in [(given, token) for given, _, token in self._found.given]:
                self._unchecked(body)
            else:
                self._answer(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")
            return
        self._pass_on(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815

    def _sts(self, body: bytes, form: dict[str, str]) -> None:
        found = self._found
        found.asked.append(form)
        if found.busy > 0:
            found.busy -= 1
            self._say(503, "ServiceUnavailable")
        elif form["Action"] == "AssumeRole":
            self._pass_on(body)
        elif form.get("WebIdentityToken") not in found.tokens:
            self._say(400, "InvalidIdentityToken")
        else:
            self._unchecked(body)

    def _unchecked(self, body: bytes) -> None:
        with self._found.alone:
            _checks(self._found.behind, False)
            try:
                found = self._asked(body)
            finally:
                _checks(self._found.behind, True)
        self._answer(*found)  # not before: who has it may go on at once

    def _pass_on(self, body: bytes) -> None:
        self._answer(*self._asked(body))

    def _asked(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """What the server behind says."""
        line = http.client.HTTPConnection("127.0.0.1", self._found.behind, timeout=60)
        line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            line.putheader(name, value)
        line.endheaders(body)
        answer = line.getresponse()
        data = answer.read()
        line.close()
        if b"<Credentials>" in data:
            names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
            key, secret, token = (_one(data.decode(), name) for name in names)
            self._found.given.append((key, secret, token))
        return answer.status, data, dict(answer.getheaders())

    def _say(self, status: int, code: str) -> None:
        """A refusal as STS words it, with more than anybody should repeat."""
        told = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{TOKEN}</Message></Error>"
        self._answer(status, f"<ErrorResponse>{told}</ErrorResponse>".encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        length = (headers or {}).get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""
