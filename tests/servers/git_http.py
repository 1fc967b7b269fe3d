"""Git over http(s), with basic auth: git's own ``http-backend`` behind a small server in this process.

``server.requests`` has the path and the Authorization header of every request, so that a test can see what was sent.
``/hang/…`` accepts and says nothing; ``/forbidden/…`` answers 403; ``/moved/…`` redirects to ``server.moved_to``.
"""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from servers.processes import absent, needed

USER, PASSWORD = "ada", "lovelace/1815@London"  # characters that a URL would have to encode


@dataclass
class GitHttp:
    """A server that runs. ``root``: every repository in it is served at its relative path."""

    root: Path
    url: str
    user: str | None
    password: str | None
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    moved_to: str = "http://169.254.169.254"
    stop: threading.Event = field(default_factory=threading.Event)

    def repository(self, name: str) -> str:
        """The URL of ``root/name``."""
        return f"{self.url}/{name}"

    def lets_in(self, header: str | None) -> bool:
        """Whether this Authorization header is right."""
        if self.user is None:
            return True
        right = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return header == f"Basic {right}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing: the tests look at ``requests``."""

    def _answer(self) -> None:
        git, header = self.server.git, self.headers.get("Authorization")
        git.requests.append((self.path, header))
        body = self._body()
        if self.path.startswith("/hang/"):
            git.stop.wait(60)
            self.close_connection = True
        elif self.path.startswith("/forbidden/"):
            self._say(403, b"no\n")
        elif self.path.startswith("/moved/"):
            self._say(302, b"", {"Location": git.moved_to + self.path.removeprefix("/moved")})
        elif not git.lets_in(header):
            self._say(401, b"who are you?\n", {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._backend(body)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _backend(self, body: bytes) -> None:
        """RFC 3875, as far as ``git http-backend`` needs it."""
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.git.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": self.server.git.user or "",
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=env, check=False)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200" if head else "500").split()[0])
        self._say(status, answer, headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    git: GitHttp

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or that did not like our certificate, is no news."""


@contextmanager
def git_http(
    root: Path, user: str | None = USER, password: str | None = PASSWORD, tls: tuple[Path, Path] | None = None
) -> Iterator[GitHttp]:
    """Serve the repositories in ``root``. ``user`` None: to everyone. ``tls``: the certificate and its key."""
    needed("git", "git")
    if subprocess.run(["git", "http-backend"], capture_output=True, check=False).returncode == 127:
        absent("git has no http-backend on this machine")
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "https" if tls else "http"
    server.git = GitHttp(root, f"{scheme}://127.0.0.1:{server.server_address[1]}", user, password)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.git
    finally:
        server.git.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def make_repository(path: Path, files: dict[str, str], branch: str = "main") -> str:
    """A bare repository with one commit of these files; the commit's id."""
    work = path.parent / f"{path.name}.work"
    who = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_NAME": "t",
           "GIT_COMMITTER_EMAIL": "t@example.org", "GIT_CONFIG_GLOBAL": os.devnull}  # fmt: skip
    env = {**os.environ, **who}

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], env=env, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", f"--initial-branch={branch}", str(work))
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git("-C", str(work), "add", "--all")
    git("-C", str(work), "commit", "--quiet", "--message", "first")
    git("clone", "--quiet", "--bare", str(work), str(path))
    return git("-C", str(path), "rev-parse", "HEAD")
