"""Testing git remotes with the real git and its own http-backend: public, private, moved, absent; and local ones."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from probes_harness import HASTY, NOBODY, QUICK, Login, ask, failure, login, marks, name_here, of

from servers.certificates import Authority
from servers.git_http import PASSWORD, USER, GitHttp, git_http, make_repository
from servers.https import connect_proxy, https_server
from servers.processes import free_port
from tieline.model.access import GitRemote
from tieline.probes import Limits, Report, programs

RIGHT = login(username=USER, password=PASSWORD)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repositories")
    make_repository(root / "code.git", {"train.py": "print(1)\n"})
    return root


@pytest.fixture(scope="module")
def commit(root: Path) -> str:
    return git(root, "rev-parse", "main")


@pytest.fixture
def server(root: Path) -> Iterator[GitHttp]:
    with git_http(root) as server:
        yield server


def git(root: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(root / "code.git"), *args], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def asked(url: str, who: Login = NOBODY, limits: Limits = QUICK, **fields: Any) -> Report:
    credentials, secrets = who
    return ask(GitRemote(url=url, credentials=credentials, **fields), secrets, limits)


def test_a_private_repository_and_the_right_login(server: GitHttp) -> None:
    report = asked(server.repository("code.git"), RIGHT)
    assert marks(report) == "PP-PPP--"
    assert of(report, "authenticate").detail == (
        "the credentials made the difference: git reads it, and 401 Unauthorized without"
    )
    assert of(report, "read").detail.startswith("refs/heads/main is ")
    assert not any(PASSWORD in path for path, _ in server.requests)


@pytest.mark.parametrize(
    "who", [login(username=USER, password="wrong-one"), login(username="somebody", password=PASSWORD)]
)
def test_a_wrong_login(server: GitHttp, who: Login) -> None:
    report = asked(server.repository("code.git"), who)
    assert marks(report) == "PP-F----"
    assert failure(report).detail == "the server refused the credentials"
    assert failure(report).part == "password"


def test_a_secret_that_is_missing(server: GitHttp) -> None:
    report = asked(server.repository("code.git"), login(username=None, password=None))
    assert "looked for password in the secret login" in failure(report).detail
    nobody = asked(server.repository("code.git"))
    assert "asks for a login (401 Unauthorized)" in failure(nobody).detail
    assert failure(nobody).part == "secret"


def test_a_repository_that_everyone_may_read_proves_no_login(root: Path) -> None:
    with git_http(root, user=None) as server:
        for who in (RIGHT, login(username=USER, password="wrong-one")):
            report = asked(server.repository("code.git"), who)
            assert marks(report) == "PP--PP--"
            assert of(report, "authenticate").detail.startswith("not proved: the credentials were not asked for")
        assert of(asked(server.repository("code.git")), "authenticate").detail == "everyone may read this repository"


def test_a_repository_that_is_not_there(server: GitHttp) -> None:
    report = asked(server.repository("absent.git"), RIGHT)
    assert marks(report) == "PP-F----"
    assert failure(report).part == "url"


def test_a_server_that_forbids(server: GitHttp) -> None:
    report = asked(server.repository("forbidden/code.git"), RIGHT)
    assert "forbids it (403)" in failure(report).detail


def test_revisions(server: GitHttp, root: Path, commit: str) -> None:
    def read(revision: str) -> Any:
        return of(asked(server.repository("code.git"), RIGHT, revision=revision), "read")

    assert read("main").detail == f"refs/heads/main is {commit[:12]}"
    assert read(commit).detail == f"{commit[:12]} is the tip of a branch or tag"
    absent = read("mian")
    assert (absent.outcome, absent.part, absent.hint) == ("fail", "revision", "did you mean 'main'?")
    assert read("main~1").outcome == "fail"
    assert read(commit[:8]).outcome == "skipped"
    unknown = read("1" * 40)
    assert (unknown.outcome, unknown.part) == ("fail", "revision")


def test_a_commit_that_no_branch_names(server: GitHttp, root: Path) -> None:
    tree = git(root, "rev-parse", "main^{tree}")
    git(root, "config", "uploadpack.allowAnySHA1InWant", "true")
    lonely = git(root, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit-tree", tree, "-m", "lonely")
    report = asked(server.repository("code.git"), RIGHT, revision=lonely)
    assert of(report, "read").detail == f"the server gives the commit {lonely[:12]}"


def test_a_redirect_is_followed_on_the_same_server_only(server: GitHttp, root: Path) -> None:
    away = asked(server.repository("moved/code.git"), RIGHT)
    assert marks(away) == "PP-F----"
    assert "redirects to http://169.254.169.254/code.git" in failure(away).detail
    with git_http(root) as other:
        server.moved_to = other.url
        assert marks(asked(server.repository("moved/code.git"), RIGHT)) == "PP-F----"
        assert other.requests == []
    server.moved_to = server.url
    assert marks(asked(server.repository("moved/code.git"), RIGHT)) == "PP-PPP--"


def test_a_server_that_hangs(server: GitHttp) -> None:
    started = time.monotonic()
    report = asked(server.repository("hang/code.git"), RIGHT, HASTY)
    assert time.monotonic() - started < 20
    assert "no answer within 1 s" in failure(report).detail


def test_an_answer_without_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "GIT_BYTES", 20)
    report = asked(str(root / "code.git"))
    assert "the server's answer has more than" in failure(report).detail


def test_tls(root: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca = str(authority.certificate)
    with git_http(root, tls=authority.issue("IP:127.0.0.1").files) as server:
        assert marks(asked(server.repository("code.git"), RIGHT, ca_bundle=ca)) == "PPPPPP--"
        sent = len(server.requests)
        untrusted = asked(server.repository("code.git"), RIGHT)
        assert len(server.requests) == sent
        assert failure(untrusted).part == "caBundle"
    with git_http(root, tls=authority.expired("IP:127.0.0.1").files) as server:
        assert "expired on 2021" in failure(asked(server.repository("code.git"), RIGHT, ca_bundle=ca)).detail


def test_the_address_that_was_looked_up_is_connected_to(server: GitHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    """git would look the name up itself."""
    url = server.repository("code.git").replace("127.0.0.1", name_here(monkeypatch))
    assert marks(asked(url, RIGHT)) == "PP-PPP--"


def test_through_a_proxy(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("no_proxy", "")
    with git_http(root, tls=authority.issue("DNS:git.example.invalid").files) as server, connect_proxy() as proxy:
        url = server.repository("code.git").replace("127.0.0.1", "git.example.invalid")
        report = asked(url, RIGHT, ca_bundle=str(authority.certificate), proxy=proxy.url)
    assert marks(report) == "PPPPPP--"
    assert of(report, "resolve").detail.endswith("it looks git.example.invalid up")
    assert {line.split()[0] for line in proxy.asked} == {"CONNECT"}


def test_what_is_no_git_server() -> None:
    with https_server() as server:
        assert "is no git server" in failure(asked(server.url("/x"))).detail
        assert marks(asked(server.url("/missing/x"))) == "PP-F----"


def test_addresses() -> None:
    assert marks(asked(f"http://127.0.0.1:{free_port()}/x.git")) == "PF------"
    assert marks(asked("http://169.254.169.254/x.git")) == "F-------"
    assert marks(asked(f"git://127.0.0.1:{free_port()}/x.git")) == "PF------"
    assert failure(asked("ext::sh -c date")).part == "url"


def test_local_repositories(root: Path) -> None:
    for url in (str(root / "code.git"), f"file://{root / 'code.git'}"):
        assert marks(asked(url)) == "PP--PP--"
    assert marks(asked(str(root / "absent.git"))) == "F-------"
    no_repository = asked(str(root))
    assert marks(no_repository) == "PP--F---"
    assert "does not appear to be a git repository" in failure(no_repository).detail
    (root / "file").write_text("")
    assert marks(asked(str(root / "file"))) == "PF------"
