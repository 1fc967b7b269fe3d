"""tieline-client: what a job's own code imports. It has no part of Tieline in it, so here the two are held together."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import traceback
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tieline.compile.collisions import find_collisions
from tieline.kinds import registry
from tieline.model.binding import Binding, Derived, FromSecret, Value
from tieline.model.container import Container
from tieline.secrets.resolve import Resolver

CLIENT = Path(__file__).resolve().parents[2] / "client"
sys.path[:0] = [str(CLIENT / "src"), str(CLIENT / "tests")]

import binding_folders  # noqa: E402
import tieline_client  # noqa: E402
from tieline_client import connection, connections, outputs, run  # noqa: E402

Folders = Mapping[str, Mapping[str, bytes]]
WAREHOUSE = {"type": b"postgresql", "provider": b"postgres", "host": b"db", "port": b"5432", "password": b"hunter2"}
S3_SECRET = {"AWS_ACCESS_KEY_ID": b"id-", "AWS_SECRET_ACCESS_KEY": b"key-"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``$SERVICE_BINDING_ROOT``."""
    folder = tmp_path / "bindings"
    folder.mkdir()
    monkeypatch.setenv("SERVICE_BINDING_ROOT", str(folder))
    return folder


def put(root: Path, folders: Folders) -> None:
    for name, entries in folders.items():
        (root / name).mkdir(parents=True)
        for entry, value in entries.items():
            (root / name / entry).write_bytes(value)


# --- connections ---


def test_a_connection_is_a_mapping_of_its_entries(root: Path) -> None:
    put(root, {"warehouse": WAREHOUSE, "images": {"type": b"s3"}})
    assert connections() == ["images", "warehouse"]

    found = connection("warehouse")
    assert (found.name, found.type, found.provider) == ("warehouse", "postgresql", "postgres")
    assert (found["host"], found.get("port"), found.get("user"), found.get("user", "me")) == ("db", "5432", None, "me")
    assert "host" in found
    assert "user" not in found
    assert list(found) == found.entries() == ["host", "password", "port", "provider", "type"]
    assert dict(found) == {name: value.decode() for name, value in WAREHOUSE.items()}
    assert len(found) == 5


def test_text_is_unchanged_and_bytes_are_bytes(root: Path) -> None:
    put(root, {"c": {"note": "naïve\n".encode(), "key.p12": b"\xff\x00secret", "empty": b""}})
    found = connection("c")
    assert found["note"] == "naïve\n"
    assert found["empty"] == ""
    assert found.read_bytes("key.p12") == b"\xff\x00secret"
    with pytest.raises(tieline_client.NotText, match=r"read_bytes\('key.p12'\)") as caught:
        found["key.p12"]
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_uri_path_and_files(root: Path) -> None:
    put(root, {"images": {"uri": b"s3://images", "path": b"/data/images", "ca.pem": b"x"}})
    found = connection("images")
    assert (found.uri, found.path) == ("s3://images", Path("/data/images"))
    assert found.file("ca.pem") == root / "images/ca.pem"
    for ask in (lambda: connection("images").file("a.pem"), lambda: found["ur"]):
        with pytest.raises(tieline_client.UnknownEntry, match=r"did you mean '(ca.pem|uri)'\?; it has ca.pem, path"):
            ask()


def test_values_are_never_shown(root: Path) -> None:
    put(root, {"warehouse": WAREHOUSE})
    found = connection("warehouse")
    assert repr(found) == str(found) == f"{found}" == "<Connection 'warehouse': host, password, port, provider, type>"
    (root / "warehouse").rename(root / "gone")
    assert repr(found) == "<Connection 'warehouse': >"


def test_an_unknown_connection_names_the_nearest_and_all(root: Path) -> None:
    with pytest.raises(KeyError, match="none is bound"):
        connection("warehouse")
    put(root, {"warehouse": {}, "images": {}})
    with pytest.raises(tieline_client.UnknownConnection) as caught:
        connection("warehose")
    assert str(caught.value) == (
        "this job has no connection 'warehose'; did you mean 'warehouse'?; bound are images, warehouse; "
        "a job asks for a connection under run.connections in its file"
    )


@pytest.mark.parametrize("name", ["", ".", "..", "../bindings", "a/b", "/etc", "nul\0", ".tieline-x.part", "file"])
def test_only_a_folder_of_the_root_is_a_connection(root: Path, name: str) -> None:
    put(root, {"a/b": {}, ".tieline-x.part": {}})
    (root / "file").write_text("")
    assert connections() == ["a"]
    with pytest.raises(tieline_client.UnknownConnection):
        connection(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../b/secret", "/etc/passwd", "nul\0", "folder"])
def test_only_a_file_of_the_folder_is_an_entry(root: Path, name: str) -> None:
    put(root, {"a/folder": {}, "b": {"secret": b"x"}})
    assert name not in connection("a")
    assert connection("a").entries() == []
    with pytest.raises(tieline_client.UnknownEntry, match="it has none at all"):
        connection("a")[name]


@pytest.mark.parametrize("ask", [connections, lambda: connection("a"), run, outputs, tieline_client.artifacts])
def test_outside_of_a_job_it_says_how_to_run_one(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_BINDING_ROOT", "TIELINE_RUN_UUID", "TIELINE_OUTPUTS", "TIELINE_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(tieline_client.NotInJob, match=r"not a job of Tieline: start it with 'tieline run JOB\.yaml'"):
        ask()


def test_a_root_that_is_not_there_binds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_BINDING_ROOT", "/nowhere")
    assert connections() == []


def test_a_relative_root_is_of_the_folder_at_the_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, {"a": {"host": b"db"}})
    monkeypatch.chdir(root)
    monkeypatch.setenv("SERVICE_BINDING_ROOT", ".")
    found = connection("a")
    monkeypatch.chdir("/")
    assert found["host"] == "db"


def test_a_projected_volume_of_kubernetes(root: Path) -> None:
    """Each entry is a link through ``..data``, which is swapped for a new folder when the secret changes."""
    volume = root / "warehouse"
    put(volume, {"..2025_01": {"type": b"postgresql\n", "password": b"old"}, "..2025_02": {"password": b"new"}})
    (volume / "..data").symlink_to("..2025_01")
    for name in ("type", "password"):
        (volume / name).symlink_to(f"..data/{name}")
    found = connection("warehouse")
    assert (found.entries(), found["password"], found.type) == (["password", "type"], "old", "postgresql")
    assert found.env == {"PGPASSWORD": "old"}

    (volume / "..fresh").symlink_to("..2025_02")
    (volume / "..fresh").rename(volume / "..data")
    assert (found.entries(), found["password"]) == (["password"], "new")
    assert (found.type, found.env) == ("", {})


# --- the run ---


def test_the_run_and_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TIELINE_RUN_UUID": "ab" * 16,
        "TIELINE_RUN_NAME": "train",
        "TIELINE_PROJECT": "penguins",
        "TIELINE_NAMESPACE": "team-a",
        "TIELINE_ATTEMPT": "2",
        "TIELINE_OUTPUTS": str(tmp_path / "deep/outputs"),
        "TIELINE_ARTIFACTS": str(tmp_path / "artifacts"),
    }.items():
        monkeypatch.setenv(name, value)
    found = run()
    assert (found.uuid, found.name, found.project, found.namespace, found.attempt) == (
        "ab" * 16, "train", "penguins", "team-a", 2)  # fmt: skip
    assert repr(found) == f"<Run {'ab' * 16} 'train', attempt 2>"
    assert outputs() == tmp_path / "deep/outputs"
    assert outputs().is_dir()
    assert tieline_client.artifacts() == tmp_path / "artifacts"
    assert not tieline_client.artifacts().exists()


# --- standard variables, as the kinds have them ---

KEYFILE = json.dumps({"type": "service_account", "private_key": "-----BEGIN\\nx"}).encode()
DOCKER = json.dumps({"auths": {"registry.example.org": {"auth": "dTpw"}}}).encode()
SPECIAL_KEYS = {"config.json": DOCKER, ".dockerconfigjson": DOCKER, ".dockercfg": b'{"old.example.org": {}}'}
SECRET: dict[str, Any] = {"secret": {"name": "s"}}
MORE_CONNECTIONS: tuple[dict[str, Any], ...] = (
    {"kind": "s3", "schema": {"bucket": "bkt", "caBundle": "/ca.pem", "region": "eu-1"}, **SECRET},
    {"kind": "gcs", "schema": {"bucket": "bkt"}, **SECRET, "envPrefix": "ONE_"},
    {"kind": "wasb", "schema": {"bucket": "wasbs://box@account1.blob.core.windows.net"}, **SECRET},
    {"kind": "git", "schema": {"url": "git@example.org:a/b.git"}, **SECRET},
    {"kind": "git", "schema": {"url": "https://bitbucket.org/a/b", "caBundle": "/ca.pem"}, **SECRET},
    {"kind": "ssh", "schema": {"knownHosts": "h k"}, "secret": {"name": "s", "mountPath": "/ssh"}},
    {"kind": "ssh", "schema": {"port": 2222}, "secret": {"name": "s", "mountPath": "/ssh"}},
    {"kind": "ssh", "schema": {"url": "ssh://me@h.example.org:2222"}, "secret": {"name": "s", "mountPath": "/ssh"}},
    {"kind": "registry", "schema": {"url": "registry.example.org/a"}, **SECRET},
    {"kind": "aws", "schema": {"region": "eu-1", "endpoint": "http://aws.example.org"}, **SECRET},
    {"kind": "postgres", **SECRET},
    {"kind": "postgres", "schema": {"uri": "postgresql://me@db.example.org/x", "tls": False}, **SECRET},
    {"kind": "postgres", "schema": {"uri": "postgresql://db.example.org/x?sslmode=verify-full", "tls": True}, **SECRET},
    {"kind": "postgres", "schema": {"sslrootcert": "/ca.pem", "sslcert": "/c.pem", "sslkey": "/c.key"}, **SECRET},
    {"kind": "mysql", **SECRET},
    {"kind": "mssql", **SECRET},
    {"kind": "vertica", "schema": {"host": "v.example.org", "tls": True}, **SECRET},
    {"kind": "redis", **SECRET},
    {"kind": "mongo", **SECRET},
    {"kind": "cloudant", **SECRET},
    {"kind": "azure", "schema": {"endpoint": "https://login.example.org"}, **SECRET},
    {"kind": "snowflake", "schema": {"account": "a", "schema": "b", "role": "c"}, **SECRET},
)


def _catalog() -> Iterator[Any]:
    for name in registry.names():
        kind = registry.get(name)
        assert kind is not None
        yield from (pytest.param(data, id=f"{name}-{data['name']}") for data in kind.examples)
    for number, data in enumerate(MORE_CONNECTIONS):
        yield pytest.param({"name": "it", **data}, id=f"{data['kind']}-{number}")


def _keys(value: Value) -> Iterator[tuple[str, str]]:
    if isinstance(value, FromSecret):
        yield from ((value.secret, key) for key in value.keys)
    if isinstance(value, Derived):
        for part in value.parts.values():
            yield from _keys(part)


def _secrets(binding: Binding) -> Iterator[binding_folders.Secrets]:
    """No key of the secrets, all of them, and each one alone."""
    values = [item.value for item in (*binding.entries, *binding.variables)]
    keys = dict.fromkeys(key for value in values for key in _keys(value))
    for chosen in ([], [*keys], *([key] for key in keys)):
        there: dict[str, dict[str, bytes]] = {}
        for secret, key in chosen:
            usual = KEYFILE if "KEYFILE" in key or key.endswith(".json") else f"value of {key}".encode()
            there.setdefault(secret, {})[key] = SPECIAL_KEYS.get(key, usual)
        yield there


def _declared(binding: Binding, prefix: str, resolver: Resolver) -> dict[str, str]:
    """The kind's standard variables, and what Tieline sets them to."""
    resolved = ((item.name.removeprefix(prefix), resolver.text(item.value)) for item in binding.variables)
    return {name: value for name, value in resolved if value is not None}


@pytest.mark.parametrize("data", [*_catalog()])
def test_env_is_what_the_kind_declares(data: dict[str, Any], root: Path) -> None:
    binding = binding_folders.bind(data)
    assert all(variable.origin == "kind" for variable in binding.variables)
    for secrets in _secrets(binding):
        resolver = binding_folders.write(root, [binding], secrets)
        declared, env = _declared(binding, data.get("envPrefix", ""), resolver), connection(data["name"]).env
        if "REGISTRY_AUTH_FILE" in declared:  # Tieline's own are of one file for all registries of the job
            ours, theirs = Path(env["REGISTRY_AUTH_FILE"]), Path(declared["REGISTRY_AUTH_FILE"])
            assert json.loads(ours.read_bytes()) == json.loads(theirs.read_bytes())
            assert Path(env["DOCKER_CONFIG"], "config.json") == ours
            assert env.keys() == declared.keys()
        else:
            assert env == declared


def test_every_variable_of_the_client_is_some_kinds() -> None:
    from tieline_client._variables import _BY_TYPE

    declared: dict[str, set[str]] = {}
    for param in _catalog():
        binding = binding_folders.bind(param.values[0])
        prefix = param.values[0].get("envPrefix", "")
        names = {variable.name.removeprefix(prefix) for variable in binding.variables}
        declared.setdefault(binding.type, set()).update(names)
    assert {type_: set(table) for type_, table in _BY_TYPE.items()} == {
        type_: names for type_, names in declared.items() if names
    }


def test_two_connections_of_a_kind_have_variables_of_their_own(root: Path) -> None:
    """Where a job has both, neither may set the real ones."""
    catalog = [
        {"name": name, "kind": "s3", "schema": {"bucket": name}, "secret": {"name": f"{name}-secret"}}
        for name in ("one", "two")
    ]
    bindings = tuple(map(binding_folders.bind, catalog))
    settled, issues = find_collisions(bindings, (), Container())
    assert [variable for binding in settled for variable in binding.variables] == []
    assert issues

    secrets = {
        f"{name}-secret": {key: value + name.encode() for key, value in S3_SECRET.items()} for name in ("one", "two")
    }
    binding_folders.write(root, bindings, secrets)
    for name in ("one", "two"):
        assert connection(name).env == {
            "AWS_ACCESS_KEY_ID": f"id-{name}",
            "AWS_SECRET_ACCESS_KEY": f"key-{name}",
        }


def test_variables_of_bindings_of_other_systems_go_by_their_type(root: Path) -> None:
    put(root, {"db": {"type": b"postgresql", "provider": b"aws", "host": b"h", "database": b"\xff"}, "x": {"a": b"b"}})
    assert connection("db").env == {"PGHOST": "h", "PGDATABASE": "\udcff"}
    assert os.fsencode(connection("db").env["PGDATABASE"]) == b"\xff"
    assert connection("x").env == {}


# --- the distribution ---

IMPORTED = """
import sys
sys.path.insert(0, {path!r})
before = set(sys.modules)
import tieline_client
print(*sorted(set(sys.modules) - before))
"""
SMALL = {
    "__future__", "_collections", "_collections_abc", "_operator", "_stat", "_weakref", "collections",
    "collections.abc", "genericpath", "itertools", "keyword", "operator", "os", "os.path", "posixpath", "reprlib",
    "stat",
}  # fmt: skip
"""What ``os`` and ``collections.abc`` are made of."""


def python(*argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env = {**outside, **variables}
    return subprocess.run([sys.executable, *argv], env=env, capture_output=True, text=True, check=True, cwd="/")


def test_importing_it_imports_next_to_nothing() -> None:
    found = python("-I", "-S", "-c", IMPORTED.format(path=str(CLIENT / "src"))).stdout.split()
    own = {name for name in found if name.startswith("tieline_client")}
    assert set(found) - own <= SMALL
    assert own == {"tieline_client", "tieline_client._connection", "tieline_client._errors", "tieline_client._run"}
    timed = python("-S", "-X", "importtime", "-c", "import tieline_client", PYTHONPATH=str(CLIENT / "src")).stderr
    print(f"microseconds: {timed.splitlines()[-1]}")


def test_it_is_written_for_the_oldest_python_that_it_promises() -> None:
    for path in (CLIENT / "src").rglob("*.py"):
        ast.parse(path.read_text(), str(path), feature_version=(3, 9))


def test_the_wheel_installs_without_anything_else(tmp_path: Path) -> None:
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(CLIENT))
    (wheel,) = tmp_path.glob("tieline_client-0.1.0-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert "Requires-Dist" not in metadata
    assert "Requires-Python: >=3.9" in metadata
    source = {path.name for path in (CLIENT / "src/tieline_client").iterdir() if path.is_file()}
    assert {name.partition("/")[2] for name in names if name.startswith("tieline_client/")} == source
    assert "py.typed" in source

    place = tmp_path / "site"
    python("-m", "pip", "install", "--quiet", "--no-index", "--no-compile", "--target", str(place), str(wheel))
    found = python("-S", "-c", "import tieline_client; print(tieline_client.__version__)", PYTHONPATH=str(place))
    assert found.stdout.strip() == tieline_client.__version__ == "0.1.0"
