"""Private repositories in real runs: over http with a password, over ssh with a key; and where those are not seen."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_harness import Ended, Runs, canary, found_in

from servers.git_http import GitHttp, git_http, make_repository
from servers.sshd import Sshd, ssh_server
from tieline.errors import Code
from tieline.runs.record import Record

USER = "ada@corp"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return Runs(tmp_path / "work")


@pytest.fixture
def token() -> str:
    return canary("token")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    make_repository(tmp_path / "served" / "code.git", {"train.py": "print(1)\n"})
    make_repository(tmp_path / "served" / "other.git", {"other.py": "print(2)\n"})
    return tmp_path / "served"


@pytest.fixture
def server(root: Path, token: str) -> Iterator[GitHttp]:
    with git_http(root, user=USER, password=token) as running:
        yield running


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    (tmp_path / "sshd").mkdir()
    with ssh_server(tmp_path / "sshd") as running:
        yield running


def git(name: str, url: str, secret: str = "gitlab", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "git", "schema": {"url": url}, "secret": {"name": secret}, **more}


AT = "{{ globals.artifacts_path }}"


def checked_out(ended: Ended, path: str) -> dict[str, str]:
    """The files of a checkout, without git's own."""
    files = next(files for place, files in ended.seen["files"].items() if place.endswith(path))
    return {name: text for name, (text, _) in files.items() if not name.startswith(".git/")}


def surfaces(runs: Runs, ended: Ended, tmp_path: Path) -> str:
    """All that is told and recorded of a run; that nothing of a secret is in it, nor in any file that is left."""
    with Record.open(runs.home.database) as record:
        known = [
            json.dumps(record.plan(ended.run.uuid)),
            str(record.get(ended.run.uuid)),
            str(record.events(ended.run.uuid)),
        ]
    told = "\n".join([*known, *ended.told.notes, str(ended.told.steps), ended.told.printed.decode()])
    for value in runs.values:
        for form in (
            value,
            base64.b64encode(value.encode()).decode(),
            base64.b64encode(f"{USER}:{value}".encode()).decode(),
        ):
            assert form not in told
    assert runs.left() == []
    assert found_in(tmp_path / "user", runs.values) == []
    return told


# --- https


@pytest.mark.parametrize("keys", [("username", "password"), ("POLYAXON_GIT_CREDENTIALS",)])
def test_the_right_credentials(runs: Runs, server: GitHttp, token: str, tmp_path: Path, keys: tuple[str, ...]) -> None:
    values = (USER, token) if len(keys) == 2 else (f"{USER}:{token}",)
    runs.secret("gitlab", dict(zip(keys, values, strict=True)))
    runs.values = [token]
    runs.catalog = {"connections": [git("code", server.repository("code.git"))]}

    ended = runs.good(runs.job(f"{AT}/code", init=[{"connection": "code"}]))

    assert checked_out(ended, "/code") == {"train.py": "print(1)\n"}
    assert ended.run.code[0]["connection"] == "code"
    config = ended.seen["files"][next(iter(ended.seen["files"]))][".git/config"][0]
    assert server.repository("code.git") in config
    assert token not in json.dumps(ended.seen["files"]), "neither in .git/config nor anywhere else in the checkout"
    assert token not in json.dumps(ended.env), "an init connection's login is not the job's"
    surfaces(runs, ended, tmp_path)


def test_bound_as_well_the_job_itself_can_fetch(runs: Runs, server: GitHttp, token: str, tmp_path: Path) -> None:
    """By ``GIT_ASKPASS``, as git asks for it; in a job that never sees the token in an argument."""
    runs.secret("gitlab", {"username": USER, "password": token})
    runs.values = [token]
    runs.catalog = {"connections": [git("code", server.repository("code.git"))]}
    urls = [server.repository(name) for name in ("code.git", "other.git")]
    script = f"git clone -q {urls[0]} mine && git clone -q {urls[1]} && ls mine other"
    ended = runs.good(runs.job(connections=["code"], container={"command": ["sh", "-c", script]}))
    assert ended.told.printed.split() == [b"mine:", b"train.py", b"other:", b"other.py"]
    surfaces(runs, ended, tmp_path)


def test_another_repository_of_the_server(runs: Runs, server: GitHttp, token: str, tmp_path: Path) -> None:
    runs.secret("gitlab", {"username": USER, "password": token})
    runs.values = [token]
    runs.catalog = {"connections": [git("code", server.repository("code.git"))]}
    entry = {"connection": "code", "git": {"url": server.repository("other.git")}, "path": "other"}
    ended = runs.good(runs.job(f"{AT}/other", f"{AT}/code", init=[entry, {"connection": "code"}]))
    assert checked_out(ended, "/other") == {"other.py": "print(2)\n"}
    assert checked_out(ended, "/code") == {"train.py": "print(1)\n"}
    surfaces(runs, ended, tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"username": USER, "password": "canary-wrong-0123456789"}, "refused the credentials"),
        ({"token": "canary-wrong-9876543210"}, "refused the credentials"),
        ({"username": USER, "password": "canary-two\ncanary-lines"}, "line break"),
    ],
)
def test_wrong_credentials(runs: Runs, server: GitHttp, tmp_path: Path, values: dict[str, str], said: str) -> None:
    runs.secret("gitlab", values)
    runs.values = [value for value in values.values() if "canary" in value]
    runs.catalog = {"connections": [git("code", server.repository("code.git"))]}
    ended = runs(runs.job(f"{AT}/code", init=[{"connection": "code"}]))
    assert (ended.run.status.value, ended.run.reason) == ("failed", Code.CLONE_FAILED)
    assert said in ended.run.message
    assert "canary-" not in surfaces(runs, ended, tmp_path)


def test_missing_credentials(runs: Runs, server: GitHttp, token: str) -> None:
    from tieline.errors import Refused

    runs.catalog = {"connections": [git("code", server.repository("code.git"))]}
    job = runs.job(f"{AT}/code", init=[{"connection": "code"}])
    with pytest.raises(Refused, match="there is no secret 'gitlab'"):
        runs(job)
    runs.secret("gitlab", {"unrelated": token})
    with pytest.raises(Refused, match="no key") as caught:
        runs(job)
    assert caught.value.code is Code.SECRET_MISSING
    assert server.requests == []
    runs.catalog["connections"][0].pop("secret")
    ended = runs(job)
    assert ended.run.reason == Code.CLONE_FAILED
    assert (
        "asks for credentials" in ended.run.message
        or "Authentication" in ended.run.message
        or "credentials" in ended.run.message
    )


def test_the_token_goes_to_no_other_server(runs: Runs, server: GitHttp, root: Path, token: str) -> None:
    """Neither by an override (refused by compile), nor by a redirect."""
    from tieline.errors import InvalidInput

    runs.secret("gitlab", {"username": USER, "password": token})
    with git_http(root, user="someone", password="else") as other:
        runs.catalog = {"connections": [git("code", server.repository("code.git"))]}
        entry = {"connection": "code", "git": {"url": other.repository("code.git")}}
        with pytest.raises(InvalidInput) as caught:
            runs(runs.job(init=[entry]))
        assert caught.value.code is Code.NOT_ALLOWED
        server.moved_to = other.url
        runs.catalog = {"connections": [git("code", server.repository("moved/code.git"))]}
        ended = runs(runs.job(init=[{"connection": "code"}]))
        assert ended.run.reason == Code.CLONE_FAILED
        assert {header for _, header in other.requests} <= {None}


# --- ssh


def key_of(sshd: Sshd, runs: Runs, **more: str) -> None:
    runs.secret("deploy", {"id_rsa": sshd.key.read_text(), **more})
    runs.values = [line for line in sshd.key.read_text().splitlines() if len(line) > 40]


def over_ssh(name: str = "mate", **schema: Any) -> dict[str, Any]:
    secret = {"name": "deploy", "mountPath": "/etc/.ssh", "defaultMode": "0600"}
    return {"name": name, "kind": "ssh", "secret": secret, **({"schema": schema} if schema else {})}


def test_a_key_and_the_servers_own_recorded_by_connection(runs: Runs, sshd: Sshd, root: Path, tmp_path: Path) -> None:
    key_of(sshd, runs)
    url = sshd.url(root / "code.git")
    runs.catalog = {"connections": [over_ssh(), over_ssh("second"), git("code", url, "deploy")]}
    inits = [
        {"connection": "mate", "git": {"url": url}},
        {"connection": "second", "git": {"url": sshd.url(root / "other.git")}},
        {"connection": "code"},
    ]
    ended = runs.good(runs.job(f"{AT}/mate", f"{AT}/second", f"{AT}/code", init=inits))
    assert checked_out(ended, "/mate") == checked_out(ended, "/code") == {"train.py": "print(1)\n"}
    assert checked_out(ended, "/second") == {"other.py": "print(2)\n"}
    recorded = runs.home.root / "known_hosts" / "default"
    assert {path.name: path.read_text() for path in recorded.iterdir()} == dict.fromkeys(
        ("mate", "second", "code"), sshd.known_hosts
    )
    assert {oct(path.stat().st_mode & 0o777) for path in recorded.iterdir()} == {"0o600"}
    surfaces(runs, ended, tmp_path)


def test_a_bound_key_and_a_job_that_clones_itself(runs: Runs, sshd: Sshd, root: Path, tmp_path: Path) -> None:
    key_of(sshd, runs, known_hosts=sshd.known_hosts)
    runs.catalog = {"connections": [over_ssh(port=sshd.port, user=sshd.user)]}
    script = f"git clone -q ssh://{sshd.host}{root}/code.git && ls code"
    ended = runs.good(runs.job(connections=["mate"], container={"command": ["sh", "-c", script]}))
    assert ended.told.printed.split() == [b"train.py"]
    surfaces(runs, ended, tmp_path)


def test_a_wrong_key(runs: Runs, sshd: Sshd, root: Path, tmp_path: Path) -> None:
    key_of(sshd, runs)
    runs.secret("deploy", {"id_rsa": sshd.other_key.read_text()})
    runs.catalog = {"connections": [over_ssh()]}
    ended = runs(runs.job(init=[{"connection": "mate", "git": {"url": sshd.url(root / "code.git")}}]))
    assert ended.run.reason == Code.CLONE_FAILED
    assert "refused the key" in ended.run.message
    surfaces(runs, ended, tmp_path)


def test_no_key(runs: Runs, sshd: Sshd, root: Path) -> None:
    from tieline.errors import Refused

    runs.catalog = {"connections": [over_ssh()]}
    job = runs.job(init=[{"connection": "mate", "git": {"url": sshd.url(root / "code.git")}}])
    with pytest.raises(Refused, match="'deploy'"):
        runs(job)
    runs.secret("deploy", {"id_other": "x"})
    with pytest.raises(Refused, match="id_rsa"):
        runs(job)


def test_a_server_with_another_key_than_was_recorded(runs: Runs, sshd: Sshd, root: Path, tmp_path: Path) -> None:
    key_of(sshd, runs)
    runs.catalog = {"connections": [over_ssh()]}
    recorded = runs.home.root / "known_hosts" / "default" / "mate"
    recorded.parent.mkdir(parents=True)
    recorded.write_text(sshd.wrong_known_hosts)
    ended = runs(runs.job(init=[{"connection": "mate", "git": {"url": sshd.url(root / "code.git")}}]))
    assert ended.run.reason == Code.CLONE_FAILED
    assert "another key" in ended.run.message
    assert recorded.read_text() == sshd.wrong_known_hosts
    surfaces(runs, ended, tmp_path)


def test_each_namespace_records_its_own(runs: Runs, sshd: Sshd, root: Path) -> None:
    runs.secret("deploy", {"id_rsa": sshd.key.read_text()}, namespace="team-a")
    runs.values = []
    runs.catalog = {"namespaces": {"team-a": {"connections": [over_ssh()]}, "team-b": {"connections": []}}}
    job = runs.job(init=[{"connection": "mate", "git": {"url": sshd.url(root / "code.git")}}])
    ended = runs.good(job, namespace="team-a")
    assert ended.run.namespace == "team-a"
    assert [
        str(path.relative_to(runs.home.root / "known_hosts")) for path in (runs.home.root / "known_hosts").rglob("*")
    ] == [
        "team-a",
        "team-a/mate",
    ]
