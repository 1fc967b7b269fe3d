"""Testing PostgreSQL against a real server, with SCRAM passwords, and with ``trust``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from probes_harness import HASTY, NOBODY, QUICK, Login, ask, failure, login, marks, name_here, of

from servers.certificates import Authority
from servers.https import mute_server
from servers.postgres import DATABASE, PASSWORD, Postgres, postgres_server
from servers.processes import free_port, need_module
from tieline.model.access import Database
from tieline.model.binding import Text
from tieline.probes import Limits, Report, probe
from tieline.secrets.secret import Secret

OURS = "SELECT count(*) FROM pg_class WHERE relname LIKE 'tieline%'"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    need_module("psycopg", "psycopg[binary]")
    with postgres_server() as server:
        yield server


def asked(port: int, who: Login = NOBODY, limits: Limits = QUICK, **fields: Any) -> Report:
    credentials, secrets = who
    given = {"host": "127.0.0.1", "port": port, "database": DATABASE, "credentials": credentials, **fields}
    return ask(Database(protocol="postgresql", **given), secrets, limits)


def test_the_right_password(server: Postgres) -> None:
    report = asked(server.port, login(username="owner", password=PASSWORD))
    assert marks(report) == "PP-PPPPP"
    assert of(report, "authenticate").detail.startswith("logged in as *** by the password; PostgreSQL 1")
    assert of(report, "list").detail == "2 tables in shop, 2 of them readable"
    assert of(report, "read").detail == "SELECT from public.orders"
    assert server.sql(OURS).strip() == "0"


def test_a_user_that_the_catalog_names_is_no_secret(server: Postgres) -> None:
    credentials, secrets = login(password=PASSWORD)
    named = credentials.model_copy(update={"values": {**credentials.values, "username": Text(text="owner")}})
    access = Database(protocol="postgresql", host="127.0.0.1", port=server.port, database=DATABASE, credentials=named)
    report = probe(access, {**secrets, "username": Secret("owner")}, QUICK)
    assert of(report, "authenticate").detail.startswith("logged in as owner by the password")


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (login(username="owner", password="wrong-one"), "does not take the user and password"),
        (login(username="somebody", password=PASSWORD), "does not take the user and password"),
        (login(username="owner", password=None), "looked for password in the secret login"),
    ],
)
def test_a_wrong_login(server: Postgres, who: Login, words: str) -> None:
    report = asked(server.port, who)
    assert marks(report) == "PP-F----"
    assert words in failure(report).detail
    assert failure(report).part == "password"


def test_a_server_that_trusts_proves_no_password(server: Postgres) -> None:
    """A wrong password gets in as well: a pass here would be a lie."""
    report = asked(server.port, login(username="trusting", password="wrong-one"))
    assert of(report, "authenticate").outcome == "skipped"
    assert "not proved" in of(report, "authenticate").detail
    assert marks(report)[4:6] == "PP"


def test_a_password_that_is_asked_for_and_not_given(server: Postgres) -> None:
    credentials, secrets = login(username="owner")
    report = asked(server.port, (credentials.model_copy(update={"secret": None}), secrets))
    assert "asks for a password" in failure(report).detail


def test_a_password_of_whoever_tests_is_not_used(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / ".pgpass").write_text(f"*:*:*:*:{PASSWORD.replace(':', chr(92) + ':')}\n")
    (home / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PGPASSFILE", str(home / ".pgpass"))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    credentials, secrets = login(username="owner")
    report = asked(server.port, (credentials.model_copy(update={"secret": None}), secrets))
    assert of(report, "authenticate").outcome == "fail"


def test_rights(server: Postgres) -> None:
    reader = asked(server.port, login(username="reader", password=PASSWORD))
    assert marks(reader) == "PP-PPPF-"
    assert of(reader, "list").detail == "2 tables in shop, 1 of them readable"
    assert failure(reader).part == "username"
    assert reader.failed() == ()
    nothing = asked(server.port, login(username="nothing", password=PASSWORD))
    assert marks(nothing) == "PP-PPFF-"
    server.sql("GRANT INSERT ON orders TO nothing")
    try:
        writer = asked(server.port, login(username="nothing", password=PASSWORD))
    finally:
        server.sql("REVOKE INSERT ON orders FROM nothing")
    assert "INSERT into 1 of 2 tables" in of(writer, "write").detail
    assert of(writer, "delete").outcome == "skipped"


def test_a_server_that_only_reads(server: Postgres) -> None:
    server.sql("ALTER ROLE owner SET default_transaction_read_only = on")
    try:
        report = asked(server.port, login(username="owner", password=PASSWORD))
    finally:
        server.sql("ALTER ROLE owner RESET default_transaction_read_only")
    assert marks(report) == "PP-PPPF-"
    assert "only reads" in failure(report).detail


def test_databases(server: Postgres) -> None:
    who = login(username="owner", password=PASSWORD)
    absent = asked(server.port, who, database="absent")
    assert failure(absent).part == "database"
    empty = asked(server.port, who, database="empty")
    assert marks(empty) == "PP-PP-PP"
    assert server.sql(OURS, database="empty").strip() == "0"


def test_options(server: Postgres) -> None:
    who = login(username="owner", password=PASSWORD)
    assert failure(asked(server.port, who, options={"nonsense": "1"})).part == "options"
    elsewhere = {"host": "no-such-host.invalid", "hostaddr": "169.254.169.254", "port": "1", "password": "x"}
    assert marks(asked(server.port, who, options=elsewhere)) == "PP-PPPPP"
    assert marks(asked(server.port, who, options={"options": "-c search_path=public"})) == "PP-PPPPP"


def test_the_whole_address_in_the_secret(server: Postgres) -> None:
    uri = f"postgresql://owner:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/{DATABASE}"
    credentials, secrets = login(uri=uri)
    report = ask(Database(protocol="postgresql", port=5432, credentials=credentials), secrets)
    assert marks(report) == "PP-PPPPP"
    assert PASSWORD not in repr(report)
    assert "owner" not in repr(report)


def test_a_socket_of_this_machine(server: Postgres) -> None:
    report = asked(server.port, login(username="owner", password=PASSWORD), host=str(server.folder))
    assert marks(report) == "PP-PPPPP"


def test_a_statement_that_takes_too_long(server: Postgres) -> None:
    """A table that somebody else has locked: reading it waits, and the test does not."""
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=server.port, user="owner", password=PASSWORD, dbname=DATABASE) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        report = asked(server.port, login(username="reader", password=PASSWORD), HASTY)
    assert marks(report).startswith("PP-PPF")


def test_the_address_that_was_looked_up_is_connected_to(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client library would look the name up itself."""
    report = asked(server.port, login(username="owner", password=PASSWORD), host=name_here(monkeypatch))
    assert marks(report) == "PP-PPPPP"


def test_tls_is_wanted_and_not_there(server: Postgres) -> None:
    report = asked(server.port, login(username="owner", password=PASSWORD), tls=True)
    assert marks(report) == "PPF-----"
    assert failure(report).part == "tls"


def test_tls(tmp_path_factory: pytest.TempPathFactory) -> None:
    need_module("psycopg", "psycopg[binary]")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    who = login(username="owner", password=PASSWORD)
    root = {"sslrootcert": str(authority.certificate)}
    with postgres_server(authority.issue("IP:127.0.0.1").files) as server:
        required = asked(server.port, who, tls=True)
        assert marks(required) == "PPPPPPPP"
        assert "not verified (sslmode require encrypts, and verifies nothing)" in of(required, "tls").detail
        full = asked(server.port, who, options={"sslmode": "verify-full", **root})
        assert marks(full) == "PPPPPPPP"
        assert "the certificate is trusted: for 127.0.0.1" in of(full, "tls").detail
        assert failure(asked(server.port, who, options={"sslmode": "verify-full"})).part == "options.sslrootcert"
        other = asked(server.port, who, host="localhost", options={"sslmode": "verify-full", **root})
        assert "is not for localhost" in failure(other).detail
        assert marks(asked(server.port, who, host="localhost", options={"sslmode": "verify-ca", **root})) == "PPPPPPPP"
        assert marks(asked(server.port, who)) == "PPPPPPPP"
        assert marks(asked(server.port, who, tls=False)) == "PP-PPPPP"


@pytest.mark.parametrize(("says", "words"), [(b"", "no answer within"), (b"HTTP/1.1 400 Bad\r\n", "is no PostgreSQL")])
def test_servers_that_are_none(says: bytes, words: str) -> None:
    with mute_server(says) as port:
        report = asked(port, login(username="owner", password=PASSWORD), HASTY)
    assert words in failure(report).detail


def test_a_server_that_hangs_after_its_first_word() -> None:
    need_module("psycopg", "psycopg[binary]")
    with mute_server(b"N") as port:
        report = asked(port, login(username="owner", password=PASSWORD), HASTY)
    assert marks(report) == "PP-F----"
    assert "no answer within 1 s" in failure(report).detail


def test_nothing_listens() -> None:
    report = asked(free_port(), login(username="owner", password=PASSWORD))
    assert marks(report) == "PF------"
    assert failure(report).part == "port"


def test_a_driver_that_is_not_installed(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.probes.postgres.find_spec", lambda name: None)
    report = asked(server.port, login(username="owner", password="wrong-one"))
    assert marks(report) == "PP------"
    assert "pip install 'tieline[postgres]'" in of(report, "authenticate").detail
