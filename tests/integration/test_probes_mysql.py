"""Testing MySQL and MariaDB against a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from probes_harness import HASTY, NOBODY, QUICK, Login, ask, failure, login, marks, name_here, of

from servers.certificates import Authority
from servers.https import mute_server
from servers.mariadb import DATABASE, PASSWORD, Mariadb, mariadb_server
from servers.processes import free_port, need_module
from tieline.model.access import Database
from tieline.probes import Limits, Report


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    need_module("pymysql", "PyMySQL")
    with mariadb_server() as server:
        yield server


def asked(port: int, who: Login = NOBODY, limits: Limits = QUICK, **fields: Any) -> Report:
    credentials, secrets = who
    given = {"host": "127.0.0.1", "port": port, "database": DATABASE, "credentials": credentials, **fields}
    return ask(Database(protocol="mysql", **given), secrets, limits)


def test_the_right_password(server: Mariadb) -> None:
    report = asked(server.port, login(username="owner", password=PASSWORD))
    assert marks(report) == "PP-PPPPP"
    assert "by the password" in of(report, "authenticate").detail
    assert of(report, "list").detail == "2 tables in shop, 2 of them readable"
    assert server.sql("SHOW TABLES IN shop").split() == ["orders", "prices"]


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (login(username="owner", password="wrong-one"), "does not take the user and password"),
        (login(username="somebody", password=PASSWORD), "does not take the user and password"),
        (login(username="open", password="a-password"), "does not take the user and password"),
        (login(username="owner", password=None), "looked for password in the secret login"),
    ],
)
def test_a_wrong_login(server: Mariadb, who: Login, words: str) -> None:
    report = asked(server.port, who)
    assert marks(report) == "PP-F----"
    assert words in failure(report).detail
    assert failure(report).part == "password"


def test_a_password_that_is_asked_for_and_not_given(server: Mariadb) -> None:
    credentials, secrets = login(username="owner")
    report = asked(server.port, (credentials.model_copy(update={"secret": None}), secrets))
    assert "asks for a password" in failure(report).detail
    assert failure(asked(server.port)).part == "username"


def test_a_user_without_a_password(server: Mariadb) -> None:
    credentials, secrets = login(username="open")
    report = asked(server.port, (credentials.model_copy(update={"secret": None}), secrets))
    assert of(report, "authenticate").detail.startswith("the connection has no password; the server let ***")
    assert marks(report) == "PP--PPPP"


def test_rights(server: Mariadb) -> None:
    reader = asked(server.port, login(username="reader", password=PASSWORD))
    assert marks(reader) == "PP-PPPF-"
    assert "may not INSERT" in failure(reader).detail
    assert reader.failed() == ()
    nothing = asked(server.port, login(username="nothing", password=PASSWORD))
    assert marks(nothing) == "PP-F----"
    assert failure(nothing).part == "database"
    without = asked(server.port, login(username="nothing", password=PASSWORD), database=None)
    assert marks(without) == "PP-PP---"


def test_insert_without_temporary_tables_is_told_by_the_grants(server: Mariadb) -> None:
    server.sql(f"GRANT INSERT ON {DATABASE}.prices TO reader@'127.0.0.1'")
    try:
        report = asked(server.port, login(username="reader", password=PASSWORD))
    finally:
        server.sql(f"REVOKE INSERT ON {DATABASE}.prices FROM reader@'127.0.0.1'")
    assert marks(report) == "PP-PPPP-"
    assert "not tried: no temporary table may be made" in of(report, "write").detail


def test_a_server_that_only_reads(server: Mariadb) -> None:
    server.sql("SET GLOBAL read_only = 1")
    try:
        report = asked(server.port, login(username="owner", password=PASSWORD))
    finally:
        server.sql("SET GLOBAL read_only = 0")
    assert of(report, "write").outcome in ("pass", "fail")


def test_a_database_that_is_not_there(server: Mariadb) -> None:
    server.sql("GRANT SELECT ON absent.* TO owner@'127.0.0.1'")
    report = asked(server.port, login(username="owner", password=PASSWORD), database="absent")
    assert failure(report).part == "database"


def test_the_address_that_was_looked_up_is_connected_to(server: Mariadb, monkeypatch: pytest.MonkeyPatch) -> None:
    report = asked(server.port, login(username="owner", password=PASSWORD), host=name_here(monkeypatch))
    assert marks(report) == "PP-PPPPP"


def test_tls_is_wanted_and_not_there(server: Mariadb) -> None:
    report = asked(server.port, login(username="owner", password=PASSWORD), tls=True)
    assert marks(report) == "PPF-----"
    assert failure(report).part == "tls"


def test_tls(tmp_path_factory: pytest.TempPathFactory) -> None:
    need_module("pymysql", "PyMySQL")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    who = login(username="owner", password=PASSWORD)
    ca = {"ssl_ca": str(authority.certificate)}
    with mariadb_server(authority.issue("IP:127.0.0.1").files) as server:
        required = asked(server.port, who, tls=True)
        assert marks(required) == "PPPPPPPP"
        assert "not verified" in of(required, "tls").detail
        identity = {"ssl_mode": "VERIFY_IDENTITY", **ca}
        assert marks(asked(server.port, who, options=identity)) == "PPPPPPPP"
        assert failure(asked(server.port, who, host="localhost", options=identity)).part == "host"
        assert marks(asked(server.port, who, options={"ssl_mode": "VERIFY_CA"})) == "PPF-----"
        assert marks(asked(server.port, who)) == "PPPPPPPP"
        assert marks(asked(server.port, who, tls=False)) == "PP-PPPPP"


def test_a_server_that_asks_nobody_for_a_password() -> None:
    need_module("pymysql", "PyMySQL")
    with mariadb_server(more=["--skip-grant-tables"]) as server:
        report = asked(server.port, login(username="owner", password="anything"), database="mysql")
    assert of(report, "authenticate").outcome == "skipped"
    assert "not proved" in of(report, "authenticate").detail


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"", "no answer within"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 5000, "is no MySQL"),
        (b"\x2c\0\0\0\xff\x6a\x04Host '10.0.0.1' is not allowed to connect", "lets nobody in from here"),
    ],
)
def test_servers_that_are_none(says: bytes, words: str) -> None:
    with mute_server(says) as port:
        report = asked(port, login(username="owner", password=PASSWORD), HASTY)
    assert words in failure(report).detail


CLEAR = b"\xfemysql_clear_password\0"
GREETING = b"\x0a5.7.0\0" + b"\1\0\0\0" + b"12345678\0" + b"\xff\xf7" + b"\x21\2\0" + b"\x0f\x80" + b"\x15" + b"\0" * 10
GREETING += b"123456789012\0mysql_native_password\0"


def test_a_server_that_wants_the_password_as_it_is_does_not_get_it() -> None:
    """Over a line that is not encrypted: whoever stands in between could ask for it like that."""
    need_module("pymysql", "PyMySQL")
    packets = [len(GREETING).to_bytes(3, "little") + b"\0" + GREETING, len(CLEAR).to_bytes(3, "little") + b"\2" + CLEAR]
    with mute_server(b"".join(packets)) as port:
        report = asked(port, login(username="owner", password=PASSWORD), HASTY, tls=False)
    assert failure(report).part == "tls"
    assert "wants the password unencrypted" in failure(report).detail


def test_nothing_listens() -> None:
    assert marks(asked(free_port(), login(username="owner", password=PASSWORD))) == "PF------"


def test_a_driver_that_is_not_installed(server: Mariadb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.probes.mysql.find_spec", lambda name: None)
    report = asked(server.port, login(username="owner", password="wrong-one"))
    assert marks(report) == "PP------"
    assert "pip install 'tieline[mysql]'" in of(report, "authenticate").detail
