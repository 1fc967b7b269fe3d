"""The recipes of docs/client.md do what the page says: each is taken from it and run against a real server."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "client"
sys.path.insert(0, str(CLIENT / "tests"))

import binding_folders  # noqa: E402
import environments  # noqa: E402
import recipe_servers as servers  # noqa: E402
from recipe_servers import Server  # noqa: E402

PAGE = (ROOT / "docs" / "client.md").read_text()
BLOCK = re.compile(r'^```python title="(.+?)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
BLOCKS: dict[str, str] = dict(BLOCK.findall(PAGE))
LABELS = b"cat,1\n"


@pytest.fixture(scope="module")
def programs() -> Path:
    return environments.venv("recipes-venv", environments.RECIPES)


@pytest.fixture(scope="module")
def s3(programs: Path) -> Iterator[Server]:
    with servers.s3(programs) as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with servers.postgres() as server:
        yield server


def run(recipe: str, server: Server, programs: Path, folder: Path) -> str:
    """What the recipe prints, in an environment that has of the connection only its folder."""
    secrets = {
        f"{server.connection['name']}-secret": {key: value.encode() for key, value in server.secret.items()},
    }
    root = folder / "bindings"
    binding_folders.write(root, [binding_folders.bind(server.connection)], secrets)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(CLIENT / "src"),
        "SERVICE_BINDING_ROOT": str(root),
    }
    argv = [str(programs / "python"), "-c", BLOCKS[recipe]]
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("recipe", "name"), [("S3 with boto3", "boto3"), ("S3 with obstore", "obstore")])
def test_s3(recipe: str, name: str, s3: Server, programs: Path, tmp_path: Path) -> None:
    assert run(recipe, s3, programs, tmp_path) == repr(LABELS)
    assert s3.look(f"labelled/{name}.csv") == LABELS


def test_fsspec(s3: Server, tmp_path: Path) -> None:
    programs = environments.venv("recipes-s3fs-venv", environments.S3FS)
    assert run("S3 with fsspec (s3fs)", s3, programs, tmp_path) == repr(LABELS)
    assert s3.look("labelled/fsspec.csv") == LABELS


def test_google_cloud_storage(programs: Path, tmp_path: Path) -> None:
    with servers.gcs(programs) as gcs:
        assert run("Google Cloud Storage", gcs, programs, tmp_path) == repr(LABELS)
        assert gcs.look("labelled/gcs.csv") == LABELS


def test_azure_blob_storage(programs: Path, tmp_path: Path) -> None:
    node = environments.npm("recipes-azurite", environments.AZURITE)
    with servers.azure(node, programs / "python") as azure:
        assert run("Azure Blob Storage", azure, programs, tmp_path) == repr(LABELS)
        assert azure.look("labelled/azure.csv") == LABELS


@pytest.mark.parametrize(
    ("recipe", "printed"),
    [("PostgreSQL with SQLAlchemy", "('recipes', 'train')"), ("PostgreSQL with psql", "recipes")],
)
def test_postgresql(recipe: str, printed: str, postgres: Server, programs: Path, tmp_path: Path) -> None:
    servers.program("psql")
    assert run(recipe, postgres, programs, tmp_path) == printed


def test_sqlite(programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    server = Server({"name": "results", "kind": "sqlite", "schema": {"path": str(path)}})
    assert run("SQLite with SQLAlchemy", server, programs, tmp_path) == "1"
    assert sqlite3.connect(path).execute("select name from runs").fetchall() == [("train",)]


def test_redis(programs: Path, tmp_path: Path) -> None:
    with servers.redis() as redis:
        assert run("Redis", redis, programs, tmp_path) == "b'7'"
        assert redis.look("epoch") == b"7"


def test_http(programs: Path, tmp_path: Path) -> None:
    with servers.web() as web:
        assert run("HTTP with requests", web, programs, tmp_path) == "['cat', 'dog']"


CATALOG = """
connections:
  - {name: results, kind: sqlite, schema: {path: ./results.db}}
  - {name: data, kind: host_path, schema: {hostPath: ".", mountPath: /data}}
"""
JOB = """
version: 1.1
kind: component
name: glance
run:
  kind: job
  connections: [results, data]
  container:
    env: [{name: PYTHONPATH, value: %s}]
    command: [%s, -c, %s]
"""


def tieline(folder: Path, *argv: str) -> str:
    command: Sequence[str] = [sys.executable, "-m", "tieline", *argv]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_in_a_job_of_tieline(tmp_path: Path) -> None:
    (tmp_path / "tieline.yaml").write_text(CATALOG)
    code = BLOCKS["Everything at a glance"]
    (tmp_path / "job.yaml").write_text(JOB % (CLIENT / "src", sys.executable, json.dumps(code)))
    printed = tieline(tmp_path, "run", "job.yaml")
    assert printed.splitlines() == [f"sqlite sqlite:///{tmp_path}/results.db rw", "['data', 'results']"]
    tieline(tmp_path, "runs", "outputs", "get", "last", "--to", "kept")
    assert [path.read_text() for path in (tmp_path / "kept").rglob("note.txt")] == ["glance, attempt 1"]


def test_every_recipe_of_the_page_is_run() -> None:
    tested = set(re.findall(r'"([^"\n]+)"', Path(__file__).read_text()))
    assert PAGE.count("```python") == len(BLOCKS)
    assert set(BLOCKS) - tested == set()
