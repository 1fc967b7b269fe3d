"""Testing Redis against a real server: a password is proved only where a made-up one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from probes_harness import HASTY, NOBODY, Login, ask, failure, login, marks, of

from servers.certificates import Authority
from servers.https import mute_server
from servers.processes import free_port
from servers.redis import PASSWORD, Redis, redis_server
from tieline.model.access import Database
from tieline.probes import Limits, Report


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def asked(port: int, who: Login = NOBODY, limits: Limits = HASTY, **fields: Any) -> Report:
    credentials, secrets = who
    return ask(
        Database(protocol="redis", host="127.0.0.1", port=port, credentials=credentials, **fields), secrets, limits
    )


def test_the_right_password(server: Redis) -> None:
    report = asked(server.port, login(password=PASSWORD), database="3")
    assert marks(report) == "PP-PPPPP"
    assert of(report, "authenticate").detail == "logged in as default by the password (a made-up one was refused)"
    assert of(asked(server.port, login(password=PASSWORD), database="3"), "list").detail == "0 keys"


@pytest.mark.parametrize(
    "who",
    [login(password="wrong-one"), login(username="nobody", password=PASSWORD), login(username="open", password="")],
)
def test_a_wrong_login(server: Redis, who: Login) -> None:
    report = asked(server.port, who)
    assert marks(report) == "PP-F----"
    assert failure(report).part in ("password", "username")


def test_a_user_that_takes_any_password_proves_nothing(server: Redis) -> None:
    report = asked(server.port, login(username="open", password="anything"))
    assert marks(report) == "PP--PPPP"
    assert "not proved" in of(report, "authenticate").detail


def test_a_user_that_may_only_read(server: Redis) -> None:
    report = asked(server.port, login(username="reader", password=PASSWORD))
    assert marks(report) == "PP-PPPF-"
    assert "NOPERM" in failure(report).detail
    assert report.failed() == ()


def test_a_password_that_is_missing(server: Redis) -> None:
    assert "looked for password in the secret login" in failure(asked(server.port, login(password=None))).detail
    report = asked(server.port)
    assert "asks for a password (NOAUTH)" in failure(report).detail
    assert failure(report).part == "secret"


def test_a_database_that_is_not_there(server: Redis) -> None:
    assert failure(asked(server.port, login(password=PASSWORD), database="99")).part == "database"


def test_a_server_without_any_password(tmp_path: Path) -> None:
    with redis_server(tmp_path, password=False) as server:
        anybody, given = asked(server.port), asked(server.port, login(password=PASSWORD))
    assert marks(anybody) == "PP--PPPP"
    assert of(anybody, "authenticate").detail == "the connection has no login; the server lets everyone in"
    assert marks(given) == "PP-F----"
    assert "no password at all" in failure(given).detail


def test_the_whole_address_in_the_secret(server: Redis) -> None:
    credentials, _ = login(uri=None)
    right = {"uri": f"redis://:s3cret%3Awith%2Fall%40signs%2520%3F%23@127.0.0.1:{server.port}/0"}
    report = ask(Database(protocol="redis", port=6379, credentials=credentials), login(**right)[1], HASTY)
    assert marks(report) == "PP-PPPPP"
    assert PASSWORD not in repr(report)


def test_tls(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    with redis_server(tmp_path, tls=authority.issue("IP:127.0.0.1").files) as server:
        trusted = {"ssl_ca_certs": str(authority.certificate)}
        assert marks(asked(server.port, login(password=PASSWORD), tls=True, options=trusted)) == "PPPPPPPP"
        untrusted = asked(server.port, login(password=PASSWORD), tls=True)
        assert marks(untrusted) == "PPF-----"
        assert failure(untrusted).part == "options.ssl_ca_certs"
        assert (
            marks(asked(server.port, login(password=PASSWORD), tls=True, options={"ssl_cert_reqs": "none"}))
            == "PPPPPPPP"
        )
        assert marks(asked(server.port, login(password=PASSWORD))) == "PP-F----"


def test_what_is_written_does_not_stay(server: Redis) -> None:
    for _ in range(3):
        report = asked(server.port, login(password=PASSWORD), database="5")
    assert of(report, "list").detail == "0 keys"


def test_a_replica_only_reads(server: Redis, tmp_path: Path) -> None:
    more = ("replicaof 127.0.0.1 1", "replica-serve-stale-data yes")
    with redis_server(tmp_path, password=False, more=more) as replica:
        report = asked(replica.port)
    assert marks(report) == "PP--PPF-"
    assert "replica, which only reads" in failure(report).detail


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"", "no answer within"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no Redis"),
        (b"$999999999\r\nxxx", "too large"),
        (b"+" + b"x" * 100_000, "is no Redis"),
        (b"*100000000\r\n", "too large"),
        (b"*1\r\n" * 50, "too large"),
        (b"-DENIED Redis is running in protected mode\r\n", "protected mode"),
    ],
)
def test_servers_that_are_none(says: bytes, words: str) -> None:
    with mute_server(says) as port:
        report = asked(port)
    assert words in failure(report).detail


def test_nothing_listens() -> None:
    report = asked(free_port(), login(password=PASSWORD))
    assert marks(report) == "PF------"
    assert failure(report).part == "port"
