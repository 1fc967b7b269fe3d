"""Credentials over http(s): real git, git's own http-backend behind basic auth, and what may be seen of them."""

import base64
import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from servers.git_http import PASSWORD, USER, GitHttp, git_http, make_repository
from servers.processes import needed
from tieline.errors import Code, StepFailed
from tieline.git.checkout import Checked, checkout
from tieline.git.credentials import credentials
from tieline.git.credentials import needed as values_of
from tieline.git.private import memory
from tieline.kinds import registry
from tieline.kinds.pages import connect
from tieline.model.access import GitRemote, SshHost
from tieline.secrets.memory import MemorySource
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources

MARK = f"test-https-{os.getpid()}"
RIGHT = {"username": Secret(USER), "password": Secret(PASSWORD)}
WRONG = {"username": Secret(USER), "password": Secret("not-the-password")}
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
WHO = {f"GIT_{role}_{what}": "t@t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on, or changes, the configuration of whoever runs it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What is served: ``code.git``."""
    (tmp_path / "served").mkdir()
    make_repository(tmp_path / "served" / "code.git", {"train.py": "print(1)\n"})
    return tmp_path / "served"


@pytest.fixture
def server(root: Path) -> Iterator[GitHttp]:
    with git_http(root) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "run" / "code"


def remote(url: str, **schema: object) -> GitRemote:
    """The access of a catalog's own git connection."""
    form = {"name": "code", "kind": "git", "schema": {"url": url, **schema}, "secret": {"name": "gitlab"}}
    kind = registry.get("git")
    assert kind is not None
    found = kind.access(connect(kind, form))
    assert isinstance(found, GitRemote)
    return found


def clone(
    wanted: GitRemote, target: Path, secrets: dict[str, Secret], cancel: threading.Event | None = None
) -> Checked:
    home = target.parent.parent / "tieline"
    known = {name: value for name, value in secrets.items() if name in values_of(wanted)}
    with credentials(wanted, known, home / "private", known_hosts=home / "known_hosts", mark=MARK) as login:
        return checkout(wanted, target, cancel=cancel, login=login)


def refused(action: Callable[[], object], match: str) -> str:
    with pytest.raises(StepFailed, match=match) as caught:
        action()
    assert caught.value.code == Code.CLONE_FAILED
    assert PASSWORD not in str(caught.value)
    assert not private_folders()
    return str(caught.value)


def private_folders() -> list[Path]:
    return list(memory(Path("/nowhere")).glob(f"tieline-git-{MARK}.*"))


def everything_in(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def with_submodule(root: Path, url: str, name: str = "code.git") -> None:
    """A commit more in a repository: a submodule ``sub`` with this url, which is ``sub.git``."""
    commit = make_repository(root / "sub.git", {"inner.txt": "in\n"})
    work = root / f"{name}.work"
    env = {**os.environ, **WHO}

    def git(*args: str) -> None:
        subprocess.run(["git", *args], cwd=work, env=env, check=True, capture_output=True)

    (work / ".gitmodules").write_text(f'[submodule "sub"]\n\tpath = sub\n\turl = {url}\n')
    git("add", ".gitmodules")
    git("update-index", "--add", "--cacheinfo", f"160000,{commit},sub")
    git("commit", "--quiet", "-m", "a submodule")
    git("push", "--quiet", str(root / name), "HEAD:main")


# --- right, wrong, missing


def test_the_right_credentials_get_in(server: GitHttp, target: Path) -> None:
    checked = clone(remote(server.repository("code.git")), target, RIGHT)

    assert (target / "train.py").read_text() == "print(1)\n"
    assert checked.ref == "refs/heads/main"
    assert any(header for _, header in server.requests)
    assert not private_folders()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_end_of_a_secrets_file_is_not_of_its_value(server: GitHttp, target: Path, end: str) -> None:
    given = {name: Secret(value.reveal_text() + end) for name, value in RIGHT.items()}
    clone(remote(server.repository("code.git")), target, given)
    assert (target / "train.py").exists()


def test_a_password_without_a_user_logs_in_as_a_token_does(root: Path, target: Path) -> None:
    with git_http(root, user="oauth2", password="glpat-0123456789") as server:
        clone(remote(server.repository("code.git")), target, {"password": Secret("glpat-0123456789")})
    assert (target / "train.py").exists()


def test_wrong_credentials_name_the_secret_and_its_keys(server: GitHttp, target: Path) -> None:
    said = refused(lambda: clone(remote(server.repository("code.git")), target, WRONG), "refused the credentials")

    assert "check the secret 'gitlab' (keys username, password, token, POLYAXON_GIT_CREDENTIALS)" in said
    assert "not-the-password" not in said
    assert not target.exists()


@pytest.mark.parametrize("given", [{}, {"username": Secret(USER)}])
def test_missing_credentials_name_what_was_looked_for(server: GitHttp, target: Path, given: dict[str, Secret]) -> None:
    said = refused(lambda: clone(remote(server.repository("code.git")), target, given), "there is no password or token")
    assert "the secret 'gitlab' (keys username, password" in said


def test_a_connection_without_a_secret_is_told_to_name_one(
    server: GitHttp, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    script = tmp_path / "askpass"
    script.write_text(f"#!/bin/sh\necho $1 >> {asked}\n")
    script.chmod(0o700)
    monkeypatch.setenv("GIT_ASKPASS", str(script))
    monkeypatch.setenv("SSH_ASKPASS", str(script))

    refused(lambda: clone(GitRemote(url=server.repository("code.git")), target, {}), "name a secret in the connection")

    assert not asked.exists(), "nobody is there to answer"


def test_a_repository_that_is_public_needs_nothing_of_the_secret(root: Path, target: Path) -> None:
    with git_http(root, user=None) as server:
        clone(remote(server.repository("code.git")), target, {})
        assert {header for _, header in server.requests} == {None}


def test_forbidden_is_another_error_than_refused(server: GitHttp, target: Path) -> None:
    said = refused(lambda: clone(remote(server.repository("forbidden/code.git")), target, RIGHT), "forbids it")
    assert "the account of the secret 'gitlab'" in said


def test_a_repository_that_is_not_there(server: GitHttp, target: Path) -> None:
    said = refused(lambda: clone(remote(server.repository("other.git")), target, RIGHT), "no such repository")
    assert "check the url" in said


def test_a_value_of_two_lines_is_refused_before_git_reads_it(server: GitHttp, target: Path) -> None:
    given = {"username": Secret(USER), "password": Secret("one\nhost=evil.example")}
    said = refused(lambda: clone(remote(server.repository("code.git")), target, given), "line break in it")
    assert "evil" not in said
    assert server.requests == []


@pytest.mark.parametrize(
    ("user", "keys"),
    [
        (USER, {"username": USER, "password": PASSWORD}),
        (USER, {"POLYAXON_GIT_CREDENTIALS": f"{USER}:{PASSWORD}\n"}),
        ("oauth2", {"POLYAXON_GIT_CREDENTIALS": PASSWORD}),
        ("oauth2", {"token": PASSWORD}),
        (USER, {"username": USER, "token": PASSWORD}),
    ],
)
def test_every_form_of_a_secret(root: Path, target: Path, user: str, keys: dict[str, str]) -> None:
    resolver = Resolver(Sources([MemorySource({"gitlab": keys})], "default"), Places("/bindings", "/made"))
    with git_http(root, user=user) as server:
        wanted = remote(server.repository("code.git"))
        found = {name: resolver.resolve(value) for name, value in values_of(wanted).items()}
        clone(wanted, target, {name: value for name, value in found.items() if value is not None})
    assert (target / "train.py").exists()


# --- only for that server


@pytest.mark.parametrize("url", ["../sub.git", "absolute"])
def test_a_private_submodule_of_the_same_server(server: GitHttp, root: Path, target: Path, url: str) -> None:
    with_submodule(root, server.repository("sub.git") if url == "absolute" else url)

    clone(remote(server.repository("code.git"), submodules=True), target, RIGHT)

    assert (target / "sub" / "inner.txt").read_text() == "in\n"
    assert PASSWORD.encode() not in everything_in(target)


@pytest.mark.parametrize("private", [True, False])
def test_a_submodule_of_another_server_gets_nothing(
    server: GitHttp, root: Path, target: Path, tmp_path: Path, private: bool
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    make_repository(elsewhere / "sub.git", {"inner.txt": "in\n"})
    with git_http(elsewhere, user=USER if private else None) as other:  # the very same password would let us in
        with_submodule(root, other.repository("sub.git"))
        (elsewhere / "sub.git").rename(elsewhere / "old.git")
        subprocess.run(["git", "clone", "-q", "--bare", root / "sub.git", elsewhere / "sub.git"], check=True)
        wanted = remote(server.repository("code.git"), submodules=True)
        if private:
            said = refused(lambda: clone(wanted, target, RIGHT), "asks for credentials, and the connection's are for")
            assert other.url in said
        else:
            clone(wanted, target, RIGHT)
            assert (target / "sub" / "inner.txt").exists()
        assert other.requests
        assert {header for _, header in other.requests} == {None}


def test_a_redirect_to_another_server_gets_nothing(server: GitHttp, root: Path, target: Path) -> None:
    with git_http(root) as other:
        server.moved_to = other.url
        said = refused(
            lambda: clone(remote(server.repository("moved/code.git")), target, RIGHT), "the connection's are for"
        )
        assert other.url in said
        assert other.requests
        assert {header for _, header in other.requests} == {None}


class _AsksThenMoves(BaseHTTPRequestHandler):
    """Takes anybody's credentials, and sends whoever brings some to another server (``where``)."""

    where = ""
    seen: list[str | None]

    def do_GET(self) -> None:
        header = self.headers.get("Authorization")
        self.seen.append(header)
        self.send_response(302 if header else 401)
        for name, value in (("Location", self.where + self.path), ("WWW-Authenticate", 'Basic realm="x"')):
            if (name == "Location") == bool(header):
                self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_after_logging_in_takes_nothing_along(root: Path, target: Path, host: str) -> None:
    with git_http(root, user=None) as other:
        handler = type("Handler", (_AsksThenMoves,), {"where": other.url.replace("127.0.0.1", host), "seen": []})
        first = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=first.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            with suppress(StepFailed):  # older versions of git follow such a redirect half of the way
                clone(remote(f"http://127.0.0.1:{first.server_address[1]}/code.git"), target, RIGHT)
        finally:
            first.shutdown()
            first.server_close()
            thread.join()

        assert any(handler.seen), "the first server was told"  # type: ignore[attr-defined]
        assert other.requests
        assert {header for _, header in other.requests} == {None}


def test_a_job_that_gives_another_url_does_not_take_the_credentials_there(
    server: GitHttp, root: Path, target: Path
) -> None:
    with git_http(root) as other:
        wanted = remote(server.repository("code.git")).model_copy(update={"url": other.repository("code.git")})
        said = refused(lambda: clone(wanted, target, RIGHT), "it is not sent them")
        assert server.url.removeprefix("http://") in said
        assert {header for _, header in other.requests} == {None}


def test_the_users_own_helpers_neither_answer_nor_keep_anything(server: GitHttp, target: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / ".gitconfig").write_text(
        f'[credential]\n\thelper = store\n[credential "{server.url}"]\n'
        '\thelper = "!f() { echo username=mallory; echo password=x; }; f"\n'
    )
    clone(remote(server.repository("code.git")), target, RIGHT)
    assert not (tmp_path / "home" / ".git-credentials").exists()


def test_without_a_secret_the_users_own_helper_answers(server: GitHttp, target: Path, tmp_path: Path) -> None:
    (tmp_path / "home" / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    (tmp_path / "home" / ".git-credentials").write_text(
        server.url.replace("//", f"//{USER}:{PASSWORD.replace('/', '%2f').replace('@', '%40')}@") + "\n"
    )
    clone(GitRemote(url=server.repository("code.git")), target, {})
    assert (target / "train.py").exists()


def test_a_key_for_ssh_does_not_help_over_http(server: GitHttp, target: Path) -> None:
    wanted = GitRemote(url=server.repository("code.git"), ssh=SshHost())
    refused(lambda: clone(wanted, target, {}), "the connection has a key for ssh")


# --- certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody else trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [needed("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names,
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("of_the_user", [False, True])
def test_a_private_authority(
    root: Path,
    target: Path,
    tmp_path: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    of_the_user: bool,
) -> None:
    if of_the_user:  # who trusts other authorities, and still has to trust this one here
        (tmp_path / "other.pem").write_bytes(b"")
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "other.pem"))
    else:
        monkeypatch.delenv("GIT_SSL_CAINFO", raising=False)
    with git_http(root, tls=certificate) as server:
        with_submodule(root, "../sub.git")
        url = server.repository("code.git")
        assert url.startswith("https://")
        refused(lambda: clone(remote(url), target, RIGHT), "certificate|CAfile")
        assert not any(header for _, header in server.requests)

        clone(remote(url, caBundle=str(certificate[0]), submodules=True), target, RIGHT)
        assert (target / "sub" / "inner.txt").exists()


def test_a_ca_bundle_that_is_not_there(server: GitHttp, target: Path, tmp_path: Path) -> None:
    wanted = remote(server.repository("code.git"), caBundle=str(tmp_path / "none.pem"))
    refused(lambda: clone(wanted, target, RIGHT), r"none\.pem cannot be read")


# --- nothing is seen, nothing is left


class Watcher(threading.Thread):
    """Reads every process's arguments and environment, again and again."""

    def __init__(self, words: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.words, self.over = words, threading.Event()
        self.found: list[str] = []
        self.gits: set[bytes] = set()
        self.private: dict[str, int] = {}

    def run(self) -> None:
        while not self.over.is_set():
            for name in filter(str.isdecimal, os.listdir("/proc")):
                for what in ("cmdline", "environ"):
                    self._look(f"/proc/{name}/{what}")
            for folder in private_folders():
                self._remember(folder)
            time.sleep(0.005)

    def _look(self, path: str) -> None:
        try:
            text = Path(path).read_bytes()
        except OSError:
            return
        if path.endswith("cmdline") and b"git" in text:
            self.gits.add(text)
        self.found += [path for word in self.words if word in text]

    def _remember(self, folder: Path) -> None:
        try:
            for path in (folder, *folder.iterdir()):
                self.private[path.name.removeprefix(f"tieline-git-{MARK}")] = stat.S_IMODE(path.lstat().st_mode)
        except OSError:
            return


def test_the_password_is_in_no_list_of_processes_and_in_no_file(
    server: GitHttp, root: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_submodule(root, server.repository("sub.git"))
    look = server.lets_in

    def slowly(header: str | None) -> bool:
        time.sleep(0.15)
        return look(header)

    server.lets_in = slowly  # type: ignore[method-assign]
    watcher = Watcher([PASSWORD.encode(), BASIC.encode(), b"lovelace%2F"])
    watcher.start()
    try:
        clone(remote(server.repository("code.git"), submodules=True), target, RIGHT)
    finally:
        watcher.over.set()
        watcher.join()

    assert watcher.found == []
    assert any(b"remote-http" in text for text in watcher.gits), "it has to have looked at git"
    assert watcher.private["login"] == 0o600
    assert 0o700 in watcher.private.values()
    left = everything_in(target)
    assert not any(word in left for word in watcher.words)
    assert USER.encode() not in (target / ".git" / "config").read_bytes()
    assert not private_folders()


class _Tells(BaseHTTPRequestHandler):
    """A server that says back what it was told."""

    def do_GET(self) -> None:
        header = self.headers.get("Authorization")
        body = f"you said {header}, {PASSWORD}".encode() if header else b""
        self.send_response(500 if header else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_a_server_that_says_the_password_back_is_not_quoted(target: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tells)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        said = refused(
            lambda: clone(remote(f"http://127.0.0.1:{server.server_address[1]}/code.git"), target, RIGHT), "you said"
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert BASIC not in said
    assert "***" in said


def test_a_cancelled_clone_leaves_nothing(server: GitHttp, target: Path) -> None:
    cancel = threading.Event()

    def until_asked() -> None:
        while not server.requests:
            time.sleep(0.01)
        cancel.set()

    waiter = threading.Thread(target=until_asked)
    waiter.start()
    with pytest.raises(StepFailed) as caught:
        clone(remote(server.repository("hang/code.git")), target, RIGHT, cancel)
    waiter.join()

    assert caught.value.code == Code.STOPPED
    assert not private_folders()
    assert not target.exists()
