"""Testing ssh against a real sshd: host keys pinned, wrong and unknown; keys right, wrong and absent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from probes_harness import HASTY, QUICK, Login, ask, failure, login, marks, name_here, of

from servers.git_http import make_repository
from servers.https import mute_server
from servers.processes import free_port
from servers.sshd import Sshd, make_key, ssh_server
from tieline.model.access import GitRemote, SshHost
from tieline.probes import Limits, Report


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def with_key(key: Path | None, known_hosts: str | None = None) -> Login:
    names = {"private_key": key.read_text() if key else None}
    return login(**names, **({"known_hosts": known_hosts} if known_hosts else {}))


def asked(server: Sshd, who: Login, limits: Limits = QUICK, known: Path | None = None, **fields: Any) -> Report:
    given = {"host": server.host, "port": server.port, "user": server.user, **fields}
    return ask(SshHost(**given, credentials=who[0]), who[1], limits, known_hosts=known)


def test_a_pinned_host_key_and_the_right_key(server: Sshd) -> None:
    report = asked(server, with_key(server.key, server.known_hosts))
    assert marks(report) == "PPPP----"
    assert "and is SSH-2.0-OpenSSH" in of(report, "reach").detail
    assert of(report, "tls").detail.startswith("the host key ssh-ed25519 SHA256:")
    assert of(report, "tls").detail.endswith("is one of knownHosts")
    assert f"logged in as {server.user} by publickey with the key SHA256:" in of(report, "authenticate").detail


def test_nothing_is_left_in_memory_or_on_the_disk(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def memory(otherwise: Path) -> Path:
        made.append(tmp_path)
        return tmp_path

    monkeypatch.setattr(import_module("tieline.git.credentials"), "memory", memory)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asked(server, with_key(server.key, server.known_hosts))
    with mute_server(b"SSH-2.0-fake\r\n") as port:
        asked(server, with_key(server.key, server.known_hosts), HASTY, port=port)
    assert len(made) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_host_key_stops_everything(server: Sshd) -> None:
    before = server.log.count("Failed publickey") + server.log.count("Accepted publickey")
    report = asked(server, with_key(server.key, server.wrong_known_hosts))
    assert marks(report) == "PPF-----"
    assert "not the one in knownHosts" in failure(report).detail
    assert failure(report).part == "knownHosts"
    assert server.log.count("Failed publickey") + server.log.count("Accepted publickey") == before


def test_a_host_that_is_not_among_the_pinned_ones(server: Sshd) -> None:
    other = server.known_hosts.replace(server.host, "elsewhere.example.org")
    report = asked(server, with_key(server.key, other))
    assert failure(report).part == "knownHosts"


def test_known_hosts_that_are_none(server: Sshd) -> None:
    assert failure(asked(server, with_key(server.key, "what is this"))).part == "knownHosts"


def test_a_host_key_that_nobody_pinned_is_told(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    report = asked(server, with_key(server.key), known=known)
    assert marks(report) == "PP-P----"
    assert "is not pinned" in of(report, "tls").detail
    assert not known.exists()


def test_a_host_key_that_was_recorded_before_is_held_to(server: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(server.known_hosts)
    assert "was recorded before" in of(asked(server, with_key(server.key), known=known), "tls").detail
    known.write_text(server.wrong_known_hosts)
    report = asked(server, with_key(server.key), known=known)
    assert marks(report) == "PPF-----"
    assert known.read_text() == server.wrong_known_hosts


def test_a_wrong_key(server: Sshd) -> None:
    report = asked(server, with_key(server.other_key, server.known_hosts))
    assert marks(report) == "PPPF----"
    assert "refused the key" in failure(report).detail
    assert failure(report).part == "private-key"


def test_a_wrong_user(server: Sshd) -> None:
    report = asked(server, with_key(server.key, server.known_hosts), user="nobody-of-that-name")
    assert marks(report) == "PPPF----"
    assert "'nobody-of-that-name'" in failure(report).detail


def test_a_key_that_is_missing(server: Sshd) -> None:
    report = asked(server, with_key(None, server.known_hosts))
    assert marks(report) == "PP-F----"
    assert failure(report).part == "private-key"


def test_keys_that_are_none(server: Sshd, tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", passphrase="sesame")
    public = server.key.with_suffix(".pub")
    for path, words in ((locked, "has a passphrase"), (public, "public key, not the private one")):
        report = asked(server, with_key(path, server.known_hosts))
        assert marks(report) == "PP-F----"
        assert words in failure(report).detail


def test_a_connection_without_a_server(server: Sshd) -> None:
    report = asked(server, with_key(server.key), host=None)
    assert marks(report) == "--------"
    assert "one that ssh can read" in of(report, "authenticate").detail
    (server.folder / "nonsense").write_text("hello")
    broken = asked(server, with_key(server.folder / "nonsense"), host=None)
    assert failure(broken).part == "private-key"


@pytest.mark.parametrize(
    ("says", "hang_up", "words"),
    [
        (b"", False, "no answer within 1 s"),
        (b"SSH-2.0-fake\r\n", False, "no answer within 1 s"),
        (b"HTTP/1.1 400 Bad Request\r\n", True, "no ssh server"),
        (b"x" * 100_000, False, "no ssh server"),
    ],
)
def test_servers_that_are_none(server: Sshd, says: bytes, hang_up: bool, words: str) -> None:
    with mute_server(says, hang_up=hang_up) as port:
        report = asked(server, with_key(server.key), HASTY, port=port)
    assert words in failure(report).detail


def test_addresses(server: Sshd) -> None:
    assert marks(asked(server, with_key(server.key), port=free_port())) == "PF------"
    assert marks(asked(server, with_key(server.key), host="169.254.169.254")) == "F-------"


def test_the_address_that_was_looked_up_is_connected_to(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ssh program would look the name up itself; the host key is still looked for by the name."""
    name = name_here(monkeypatch)
    pinned = server.known_hosts.replace(server.host, name)
    assert marks(asked(server, with_key(server.key, pinned), host=name)) == "PPPP----"
    assert marks(asked(server, with_key(server.key, server.known_hosts), host=name)) == "PPF-----"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repositories") / "code.git"
    make_repository(path, {"train.py": "print(1)\n"})
    return path


def cloned(server: Sshd, url: str, who: Login, **fields: Any) -> Report:
    credentials, secrets = who
    ssh = SshHost(url=url, host=server.host, port=server.port, user=server.user, credentials=credentials)
    return ask(GitRemote(url=url, ssh=ssh, **fields), secrets)


def test_git_over_ssh(server: Sshd, repository: Path) -> None:
    who = with_key(server.key, server.known_hosts)
    report = cloned(server, server.url(repository), who, revision="main")
    assert marks(report) == "PPPPPP--"
    assert of(report, "list").detail == "1 branch, 0 tags"
    assert of(report, "read").detail.startswith("refs/heads/main is ")
    absent = cloned(server, server.url(repository.parent / "absent.git"), who)
    assert marks(absent) == "PPPPF---"
    assert failure(absent).part == "url"


def test_git_over_ssh_with_wrong_keys(server: Sshd, repository: Path) -> None:
    url = server.url(repository)
    assert marks(cloned(server, url, with_key(server.other_key, server.known_hosts))) == "PPPF----"
    assert marks(cloned(server, url, with_key(server.key, server.wrong_known_hosts))) == "PPF-----"
    assert marks(cloned(server, url, with_key(None, server.known_hosts))) == "PP-F----"
