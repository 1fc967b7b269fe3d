"""What a job finds of its connections once secrets have their values, and what the programs that read it make of it."""

from __future__ import annotations

import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tieline.kinds import registry
from tieline.kinds.pages import page

CLIENT = Path(__file__).resolve().parents[2] / "client"
sys.path[:0] = [str(CLIENT / "src"), str(CLIENT / "tests")]

import binding_folders  # noqa: E402

NAMES = ("plain.db", "a b.db", "a&mode=rw.db", "a+b.db", "ü;.db")
if make_url("sqlite:////%3F").database == "/?":  # SQLAlchemy decodes it since 2.1; before, there is no way to these
    NAMES += ("a?b.db", "a%20b.db", "a%2520b.db", "100%.db", "a#b.db")
LOGIN = {"host": b"db.example.org", "username": b"me", "password": b"pa55"}
HTTPS = {"url": "https://git.example.org/a/b"}
MOUNTED = {"secret": {"name": "s", "mountPath": "/k"}}


class Found:
    """The folder of a connection, and its variables."""

    def __init__(self, root: Path, connection: Mapping[str, Any], secret: Mapping[str, bytes]) -> None:
        binding = binding_folders.bind({"name": "it", **connection})
        resolver = binding_folders.write(root, [binding], {"s": secret})
        self.notes = resolver.notes
        self.entries = {path.name: path.read_text() for path in (root / "it").iterdir()}
        given = {item.name: resolver.text(item.value) for item in binding.variables}
        self.variables = {name: value for name, value in given.items() if value is not None}


Find = Callable[..., Found]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """What is found of a connection of this kind and schema, where its secret (if any) holds these values."""
    root = tmp_path / "bindings"

    def found(
        kind: str, schema: Mapping[str, Any] | None = None, values: Mapping[str, bytes] | None = None, **envelope: Any
    ) -> Found:
        root.mkdir()
        named = {"secret": {"name": "s"}} if values is not None else {}
        own = {"schema": schema} if schema is not None else {}
        return Found(root, {"kind": kind, **own, **named, **envelope}, values or {})

    return found


# --- how it is encrypted ---


@pytest.mark.parametrize(
    ("schema", "mode", "uri"),
    [
        ({"host": "db"}, None, "postgresql://db:5432"),
        ({"host": "db", "tls": True}, "require", "postgresql://db:5432?sslmode=require"),
        ({"host": "db", "tls": False}, "disable", "postgresql://db:5432?sslmode=disable"),
        (
            {"host": "db", "tls": True, "options": {"sslmode": "verify-full"}},
            "verify-full",
            "postgresql://db:5432?sslmode=verify-full",
        ),
        ({"host": "db", "options": {"sslmode": "prefer"}}, "prefer", "postgresql://db:5432?sslmode=prefer"),
        ({"host": "db", "tls": True, "sslmode": "verify-ca"}, "verify-ca", "postgresql://db:5432?sslmode=verify-ca"),
        ({"uri": "postgresql://db/x?sslmode=verify-full"}, "verify-full", "postgresql://db/x?sslmode=verify-full"),
        (
            {"uri": "postgresql://db/x?a=b&sslmode=verify-full", "tls": True, "options": {"sslmode": "allow"}},
            "verify-full",
            "postgresql://db/x?a=b&sslmode=verify-full",
        ),
        ({"uri": "postgresql://db/x", "tls": True}, "require", "postgresql://db/x?sslmode=require"),
    ],
)
def test_the_uri_the_entry_and_the_variable_say_the_same_of_tls(
    find: Find, schema: dict[str, Any], mode: str | None, uri: str
) -> None:
    found = find("postgres", schema)
    assert (found.entries["uri"], found.entries.get("sslmode"), found.variables.get("PGSSLMODE")) == (uri, mode, mode)


def test_what_is_verified_goes_along() -> None:
    """``verify-full`` alone would look for certificates elsewhere."""
    query = "sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/me.pem&sslkey=/me.key"
    for schema in (
        {"uri": f"postgresql://db/x?{query}"},
        {"host": "db", "options": dict(part.split("=") for part in query.split("&"))},
        {"host": "db", **dict(part.split("=") for part in query.split("&"))},
    ):
        binding = binding_folders.bind({"name": "it", "kind": "postgres", "schema": schema})
        named = {variable.name: variable.value.text for variable in binding.variables if "SSL" in variable.name}
        assert named == {
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": "/ca.pem",
            "PGSSLCERT": "/me.pem",
            "PGSSLKEY": "/me.key",
        }


@pytest.mark.parametrize(
    ("schema", "mode"),
    [
        ({"host": "v"}, None),
        ({"host": "v", "tls": True}, "require"),
        ({"host": "v", "tls": False}, "disable"),
        ({"host": "v", "tls": True, "options": {"sslmode": "verify_ca"}}, "verify_ca"),
        ({"uri": "vertica://v/x?sslmode=verify_ca"}, "verify_ca"),
        ({"host": "v", "tls": True, "sslmode": "verify_full"}, "verify_full"),
    ],
)
def test_verticas_variable(find: Find, schema: dict[str, Any], mode: str | None) -> None:
    found = find("vertica", schema)
    assert (found.entries.get("sslmode"), found.variables.get("VSQL_SSLMODE")) == (mode, mode)


def test_parameters_of_a_uri_are_entries_like_the_fields_that_they_are(find: Find) -> None:
    found = find("snowflake", {"uri": "snowflake://org-a/sales?warehouse=small&role=reader"})
    assert (found.entries["warehouse"], found.variables["SNOWFLAKE_ROLE"]) == ("small", "reader")


def test_the_parts_of_a_uri_are_decoded(find: Find) -> None:
    found = find("postgres", {"uri": "postgresql://db/the%20one?application_name=x"})
    assert (found.variables["PGDATABASE"], found.entries["uri"]) == (
        "the one",
        "postgresql://db/the%20one?application_name=x",
    )


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"host": "m"}, {}),
        ({"host": "m", "tls": True}, {"ssl_mode": "REQUIRED"}),
        ({"host": "m", "tls": False}, {"ssl_mode": "DISABLED"}),
        ({"uri": "mysql://m/x", "tls": True}, {"ssl_mode": "REQUIRED"}),
        ({"uri": "mariadb+mysqldb://m/x", "tls": True}, {"ssl_mode": "REQUIRED"}),
        ({"uri": "mysql+pymysql://m/x", "tls": True}, {"ssl": {"check_hostname": False}}),
        ({"uri": "mysql+pymysql://m/x", "tls": False}, {}),
        ({"uri": "mysql+pymysql://m/x?ssl_ca=/ca.pem", "tls": True}, {"ssl": {"ca": "/ca.pem"}}),
        ({"host": "m", "tls": True, "options": {"ssl_mode": "VERIFY_CA"}}, {"ssl_mode": "VERIFY_CA"}),
        ({"host": "m", "tls": True, "options": {"ssl-mode": "VERIFY_CA"}}, {"ssl-mode": "VERIFY_CA"}),
    ],
)
def test_mysqls_driver_is_told_of_tls(find: Find, schema: dict[str, Any], said: dict[str, Any]) -> None:
    url = make_url(find("mysql", schema).entries["uri"])
    _, arguments = url.get_dialect()().create_connect_args(url)
    assert {name: value for name, value in arguments.items() if name.startswith("ssl")} == said


def test_the_docs_say_what_tls_does_and_what_is_for_later() -> None:
    pages = {name: page(found) for name in registry.names() if (found := registry.get(name))}
    assert "ssl_mode=REQUIRED or ssl_mode=DISABLED" in pages["mysql"]
    assert "sslmode=require or sslmode=disable" in pages["postgres"]
    assert {name for name, written in pages.items() if "The role is bound nowhere" in written} == {"s3", "aws"}


def test_a_role_to_take_on_is_bound_nowhere(find: Find) -> None:
    auth = {"method": "assume-role", "role": "arn:aws:iam::123456789012:role/r"}
    found = find("s3", {"bucket": "bkt"}, {"AWS_ACCESS_KEY_ID": b"AKIA"}, auth=auth)
    assert found.variables == {"AWS_ACCESS_KEY_ID": "AKIA"}
    assert "arn:" not in "".join(found.entries.values())


# --- an address in the secret ---


def test_a_whole_address_in_the_secret_has_a_port_of_its_own(find: Find) -> None:
    found = find("postgres", values={"uri": b"postgresql://me:pa55@db:6543/x"})
    assert found.entries == {"type": "postgresql", "provider": "postgres", "uri": "postgresql://me:pa55@db:6543/x"}
    assert (found.variables, found.notes) == ({}, [])


@pytest.mark.parametrize("host", [b"db.example.org", b"::1", b"[::1]", b"10.0.0.1\n", b"/run/postgresql"])
def test_a_host_in_the_secret_has_the_usual_port(find: Find, host: bytes) -> None:
    found = find("postgres", values={**LOGIN, "host": host})
    assert (found.entries["port"], found.variables["PGPORT"], found.variables["PGHOST"]) == (
        "5432",
        "5432",
        host.decode(),
    )
    assert ":5432" in found.entries["uri"]


def test_a_port_in_the_secret_is_taken(find: Find) -> None:
    found = find("postgres", values={**LOGIN, "port": b"5433"})
    assert (found.variables["PGPORT"], found.entries["uri"]) == ("5433", "postgresql://me:pa55@db.example.org:5433")


def test_a_port_in_the_catalog_is_taken_whatever_the_secret_has(find: Find) -> None:
    found = find("mysql", {"port": 3310}, LOGIN)
    assert (found.variables["MYSQL_PORT"], found.entries["uri"]) == ("3310", "mysql://me:pa55@db.example.org:3310")


def test_items_without_a_host_have_no_port() -> None:
    binding = binding_folders.bind({"name": "it", "kind": "postgres", "secret": {"name": "s", "items": ["uri"]}})
    assert {entry.name for entry in binding.entries} == {"uri"}


def test_a_host_in_env_has_the_usual_port(find: Find) -> None:
    found = find("postgres", env=[{"name": "PGHOST", "value": "db"}])
    assert (found.entries["port"], found.variables["PGPORT"]) == ("5432", "5432")


# --- sqlite ---


def _database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("create table t (name text)")
        made.execute("insert into t values (?)", (path.name,))


def _uri(path: Path, **options: Any) -> str:
    schema = {"path": str(path), **({"options": options} if options else {})}
    (uri,) = (
        entry.value.text
        for entry in binding_folders.bind({"name": "it", "kind": "sqlite", "schema": schema}).entries
        if entry.name == "uri"
    )
    return uri


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"mode": "ro"}, {"mode": "rw", "timeout": 3}, {"timeout": 3}])
def test_sqlalchemy_opens_the_file(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    for other in NAMES:
        _database(tmp_path / other)
    engine = create_engine(_uri(tmp_path / name, **options), poolclass=NullPool)
    with engine.begin() as database:
        assert database.execute(text("select name from t")).scalar_one() == name
        if options.get("mode") != "ro":
            database.execute(text("insert into t values ('more')"))
    if options.get("mode") == "ro":
        with engine.begin() as database, pytest.raises(OperationalError, match="readonly"):
            database.execute(text("insert into t values ('more')"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sqlalchemy_makes_no_file_where_it_only_reads(tmp_path: Path, name: str) -> None:
    with pytest.raises(OperationalError, match="unable to open"):
        create_engine(_uri(tmp_path / name, mode="ro"), poolclass=NullPool).connect()
    assert [*tmp_path.iterdir()] == []


def test_the_plain_path_of_a_file_is_in_its_uri_as_it_is() -> None:
    """SQLAlchemy before 2.1 decodes nothing."""
    assert _uri(Path("/srv/the one.db")) == "sqlite:////srv/the one.db"
    assert _uri(Path("/srv/x.db"), mode="ro") == "sqlite:///file:/srv/x.db?mode=ro&uri=true"
    assert _uri(Path("//srv/x.db"), mode="ro", uri=False) == "sqlite:///file:/srv/x.db?mode=ro&uri=true"


def test_the_values_of_options_reach_sqlite(tmp_path: Path) -> None:
    _database(tmp_path / "x.db")
    uri = _uri(tmp_path / "x.db", vfs="no such&vfs=unix%")
    with pytest.raises(OperationalError, match="no such vfs: no such&vfs=unix%"):
        create_engine(uri, poolclass=NullPool).connect()
    url = make_url(_uri(tmp_path / "x.db", mode="ro", timeout=3, check_same_thread=False))
    (file,), arguments = url.get_dialect()().create_connect_args(url)
    assert file == f"file:{tmp_path}/x.db?mode=ro"
    assert {"timeout": 3.0, "check_same_thread": False, "uri": True}.items() <= arguments.items()


# --- git ---


@pytest.mark.parametrize(
    "secret", [{"password": b"pa55"}, {"token": b"pa55"}, {"POLYAXON_GIT_CREDENTIALS": b"me:pa55"}]
)
def test_git_has_a_helper_where_it_has_a_password(find: Find, secret: dict[str, bytes]) -> None:
    found = find("git", HTTPS, secret)
    assert "/it/password ;;" in found.entries["askpass"]
    assert found.variables["GIT_ASKPASS"].endswith("/it/askpass")


@pytest.mark.parametrize("secret", [{}, {"username": b"me"}, {"other": b"x"}, {"password": b""}])
def test_git_has_no_helper_where_it_has_no_password(find: Find, secret: dict[str, bytes]) -> None:
    found = find("git", HTTPS, secret)
    assert {"askpass", "password"}.isdisjoint(found.entries)
    assert found.variables == {}


@pytest.mark.parametrize(
    ("schema", "entries", "flags"),
    [
        ({}, {}, []),
        ({"port": 2222}, {"port": "2222"}, ["-p", "2222"]),
        ({"port": 2222, "user": "me"}, {"port": "2222", "username": "me"}, ["-p", "2222", "-l", "me"]),
        ({"url": "h.example.org"}, {"host": "h.example.org", "port": "22"}, []),
        (
            {"url": "ssh://me@h.example.org:2222/a"},
            {"host": "h.example.org", "port": "2222", "username": "me"},
            ["-p", "2222", "-l", "me"],
        ),
        (
            {"url": "git@h.example.org:a/b"},
            {"host": "h.example.org", "port": "22", "username": "git"},
            ["-l", "git"],
        ),
        (
            {"url": "ssh://me@h.example.org:2222/a", "port": 22, "user": "you"},
            {"host": "h.example.org", "port": "22", "username": "you"},
            ["-p", "22", "-l", "you"],
        ),
    ],
)
def test_ssh_is_told_what_the_entries_say(
    find: Find, schema: dict[str, Any], entries: dict[str, str], flags: list[str]
) -> None:
    found = find("ssh", schema, {"id_rsa": b"key"}, **MOUNTED)
    names = ("host", "port", "username")
    assert {name: found.entries[name] for name in names if name in found.entries} == entries
    command = found.variables["GIT_SSH_COMMAND"]
    assert found.entries["ssh-command"] == command
    told = shlex.split(command)
    assert told[told.index("StrictHostKeyChecking=accept-new") + 1 :] == flags


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh here")
def test_ssh_takes_the_command_as_the_entries_mean_it(find: Find) -> None:
    found = find("ssh", {"url": "ssh://me@h.example.org:2222"}, {"id_rsa": b"key"}, **MOUNTED)
    command = [*shlex.split(found.variables["GIT_SSH_COMMAND"]), "-G", found.entries["host"]]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"host h.example.org", "port 2222", "user me", "identitiesonly yes"} <= {*said}


@pytest.mark.parametrize("kind", ["git", "ssh"])
def test_there_is_no_ssh_command_without_a_key(find: Find, kind: str) -> None:
    found = find(kind, {"url": "git@h.example.org:a/b"}, {"known_hosts": b"h k"}, **MOUNTED)
    assert "ssh-command" not in found.entries
    assert found.variables == {}
