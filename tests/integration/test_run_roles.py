"""Runs and connection tests with a role: credentials that end while a job runs; what the command says is to mend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_harness import found_in

from acceptance.cli_harness import Cli, eventually
from servers.moto import TOKEN, Moto, moto, role
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret

SCRIPT = """
mkdir -p $TIELINE_OUTPUTS
echo early > $TIELINE_OUTPUTS/early
echo begun
while [ ! -e $TIELINE_OUTPUTS/go ]; do sleep 0.1; done
echo late > $TIELINE_OUTPUTS/late
echo ended
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        yield cli


def catalog(cli: Cli, server: Moto, prefix: str, name: str = "writer", **auth: str) -> None:
    kept = {"AWS_ACCESS_KEY_ID": Secret(server.user[0]), "AWS_SECRET_ACCESS_KEY": Secret(server.user[1])}
    Keeper(cli.home, "secret").set("default", "login", kept)
    store = {
        "name": "store",
        "kind": "s3",
        "schema": {"bucket": f"s3://data/{prefix}", "endpoint": server.endpoint},
        "secret": {"name": "login"},
        "auth": {"method": "assume-role", "role": role(name), **auth},
    }
    cli.write("tieline.yaml", json.dumps({"artifactsStore": store}, indent=1))


def test_credentials_that_end_while_a_job_runs(cli: Cli, server: Moto) -> None:
    catalog(cli, server, "runs")
    run = {"kind": "job", "container": {"command": ["sh", "-c", SCRIPT]}}
    cli.write("job.yaml", json.dumps({"version": 1.1, "kind": "component", "run": run}))
    process = cli.start("run", "job.yaml")
    eventually(lambda: [run for run in cli.runs() if run["status"] == "running"])
    eventually(lambda: "early" in cli("runs", "outputs", "list", cli.runs()[0]["uuid"]).out)
    server.end_all()
    first = len(server.given)
    (outputs,) = (found.parent for found in cli.home.rglob("early"))
    (outputs / "go").touch()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, f"{out}{err}"
    (uuid,) = (run["uuid"] for run in cli.runs())
    assert len(server.given) > first
    assert {"early", "late"} <= set(cli("runs", "outputs", "list", uuid).out.split())
    assert "ended" in cli("runs", "logs", uuid).out
    assert found_in(cli.home, server.secrets(), [cli.home / "secrets"]) == []
    assert found_in(cli.root, server.secrets()) == []


def test_the_command_names_the_field_to_mend(cli: Cli, server: Moto) -> None:
    catalog(cli, server, "tests")
    fine = cli("connections", "test", "store")
    assert "the server knows the login" in fine.out
    for changes, field, told in (
        ({"name": "closed"}, "artifactsStore.auth.role", "403 AccessDenied"),
        ({"endpoint": "http://127.0.0.1:1"}, "artifactsStore.auth.endpoint", "does not answer"),
        ({"method": "workload-identity"}, "artifactsStore.auth.method", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ):
        catalog(cli, server, "tests", **changes)
        failed = cli("connections", "test", "store", code=69)
        line = next(line for line in failed.out.splitlines() if "authenticate" in line)
        assert " fail " in line
        assert told in line
        assert field in failed.out
        assert [value for value in (*server.secrets(), TOKEN) if value in failed.out + failed.err] == []
