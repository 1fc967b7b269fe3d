"""A package of somebody else's adds a kind: nothing of Tieline changes, and it is checked like the built-in ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tieline-beacon"
version = "1.0"

[project.entry-points."tieline.kinds"]
beacon = "tieline_beacon:Beacon"
"""

MODULE = '''
"""Beacons: small radio stations that answer on a TCP port."""

from typing import ClassVar

from pydantic import Field

from tieline.kinds.base import Kind
from tieline.kinds.bindings import assemble, schema_entries
from tieline.model.access import Socket
from tieline.model.binding import Binding
from tieline.model.connection import Connection
from tieline.model.form import Form


class BeaconSchema(Form):
    """A beacon."""

    host: str
    """Where it is."""
    channel: int = Field(ge=1, le=99)
    """What it sends on."""


class Beacon(Kind):
    """``beacon``."""

    name = "beacon"
    family = "radio"
    title = "A radio beacon"
    schema = BeaconSchema
    examples: ClassVar = ({"name": "north", "kind": "beacon", "schema": {"host": "north.example.org", "channel": 7}},)

    def bind(self, connection: Connection) -> Binding:
        return assemble(connection, "beacon", schema_entries(connection.schema_), {"BEACON_CHANNEL": "channel"})

    def access(self, connection: Connection) -> Socket:
        return Socket(host=connection.schema_.host, port=7000 + connection.schema_.channel)
'''

CATALOG = """
connections:
  - name: north
    kind: beacon
    schema: {host: north.example.org, channel: 7}
"""

JOB = """
kind: component
run:
  kind: job
  connections: [north]
  container:
    command: [sh, -c]
    args: ['echo "$BEACON_CHANNEL $(cat "$SERVICE_BINDING_ROOT/north/host") {{ connections.north.channel }}"']
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip has installed the package into, as a user would."""
    package, site = tmp_path_factory.mktemp("beacon"), tmp_path_factory.mktemp("site")
    (package / "pyproject.toml").write_text(PYPROJECT)
    (package / "tieline_beacon").mkdir()
    (package / "tieline_beacon" / "__init__.py").write_text(MODULE)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", site, package], check=True)
    return site


@pytest.fixture
def tieline(site: Path, tmp_path: Path) -> Any:
    """Runs ``tieline …`` in a folder of its own, with the package at hand; fails unless it ends as expected."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TIELINE_HOME": str(tmp_path / "home")}

    def run(*words: str, exit_code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tieline", *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "tieline.yaml").write_text(CATALOG)
    (tmp_path / "job.yaml").write_text(JOB)
    return run


def test_its_catalog_is_right(tieline: Any) -> None:
    tieline("check", "tieline.yaml", "job.yaml")
    shown = json.loads(tieline("connections", "show", "north", "--output", "json"))
    assert shown["kind"] == "beacon"


def test_its_schema_is_held(tieline: Any, tmp_path: Path) -> None:
    (tmp_path / "tieline.yaml").write_text(CATALOG.replace("channel: 7", "chanel: 7"))
    told = json.loads(tieline("check", "tieline.yaml", "--output", "json", exit_code=65))
    text = json.dumps(told)
    assert "unknown-key" in text
    assert "channel" in text


def test_a_job_finds_it_bound(tieline: Any) -> None:
    assert "7 north.example.org 7" in tieline("run", "job.yaml")


def test_it_is_listed_and_in_the_schema_for_editors(tieline: Any) -> None:
    assert "beacon" in tieline("kinds")
    assert "beacon" in tieline("schema", "catalog")
