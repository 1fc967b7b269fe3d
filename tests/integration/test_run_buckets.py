"""Runs whose artifacts store and inputs are buckets, on real servers, as a user types them."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from run_harness import found_in

from acceptance.cli_harness import Cli, eventually
from servers import buckets
from servers.azurite import ACCOUNT
from servers.azurite import KEY as AZURE_KEY
from servers.seaweedfs import ADMIN, OTHER, READER
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret
from tieline.stores import Store

SCRIPT = """
set -e
cat {{ init.inputs.path }}/labels.csv
ls -A {{ init.inputs.path }}/train
mkdir -p $TIELINE_OUTPUTS/deep/er $TIELINE_OUTPUTS/empty
cat {{ init.inputs.path }}/train/.a {{ init.inputs.path }}/train/b > $TIELINE_OUTPUTS/deep/er/joined
head -c 20000000 /dev/urandom > $TIELINE_OUTPUTS/large
printf '#!/bin/sh\\necho hi\\n' > $TIELINE_OUTPUTS/tool
chmod +x $TIELINE_OUTPUTS/tool
echo done
"""
GOES_ON = """
mkdir -p $TIELINE_OUTPUTS
echo kept > $TIELINE_OUTPUTS/early
echo begun
sleep 1
echo more > $TIELINE_OUTPUTS/late
echo "all $(echo there)" >&2
sleep 600
"""


@dataclass
class World:
    """A provider's bucket with inputs, a catalog that names it, and the command."""

    cli: Cli
    store: Store
    kind: str
    schema: Mapping[str, Any]
    secret: Mapping[str, str]
    values: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keep(self.secret)
        artifacts = {**self.schema, "bucket": f"{self.schema['bucket']}/artifacts"}
        inputs = {**self.schema, "bucket": f"{self.schema['bucket']}/inputs"}
        catalog = {
            "artifactsStore": self.connection("store", artifacts),
            "connections": [self.connection("inputs", inputs)],
        }
        self.cli.write("tieline.yaml", json.dumps(catalog))
        for key, data in (("labels.csv", b"cat,1\n"), ("train/.a", b"a\n"), ("train/b", b"b\n")):
            self.store.save_bytes(data, f"inputs/{key}")

    def connection(self, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": name, "kind": self.kind, "schema": schema, "secret": {"name": "bucket-login"}}

    def keep(self, secret: Mapping[str, str]) -> None:
        kept = {key: Secret(value) for key, value in secret.items()}
        Keeper(self.cli.home, "secret").set("default", "bucket-login", kept)
        self.values += secret.values()

    def job(self, script: str) -> None:
        init = [{"connection": "inputs", "artifacts": {"files": ["labels.csv"], "dirs": ["train"]}}]
        run = {"kind": "job", "init": init, "container": {"command": ["sh", "-c", script]}}
        self.cli.write("job.yaml", json.dumps({"version": 1.1, "kind": "component", "run": run}))

    def saved(self) -> list[str]:
        """What is in the attempts' folders: ``outputs/…``, ``logs/…``."""
        return [entry.key.split("/", 3)[3] for entry in self.store.list("artifacts")]

    def left(self) -> list[str]:
        """Where a value of the secret is, but for where it is kept."""
        hits = found_in(self.cli.home, self.values, [self.cli.home / "secrets"])
        return [*hits, *found_in(self.cli.root, self.values)]


def s3(cli: Cli, prefix: str) -> World:
    schema = {"bucket": f"s3://data/{prefix}", "endpoint": buckets.weed().endpoint, "addressingStyle": "path"}
    secret = {"AWS_ACCESS_KEY_ID": ADMIN[0], "AWS_SECRET_ACCESS_KEY": ADMIN[1]}
    return World(cli, buckets.s3(prefix), "s3", schema, secret)


def wasb(cli: Cli, prefix: str) -> World:
    address = f"wasbs://data@{ACCOUNT}.blob.core.windows.net/{prefix}"
    schema = {"bucket": address, "endpoint": buckets.blobs().endpoint}
    return World(cli, buckets.azure(prefix), "wasb", schema, {"AZURE_STORAGE_KEY": AZURE_KEY})


def gcs(cli: Cli, prefix: str) -> World:
    schema = {"bucket": f"gs://data/{prefix}", "endpoint": buckets.google().endpoint}
    return World(cli, buckets.gcs(prefix), "gcs", schema, {"GC_KEYFILE_DICT": buckets.google().key})


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        yield cli


@pytest.fixture(params=[s3, wasb, gcs], ids=lambda make: make.__name__)
def world(request: pytest.FixtureRequest, cli: Cli) -> World:
    made: World = request.param(cli, f"runs/{secrets.token_hex(8)}")
    return made


def test_outputs_and_logs_arrive_and_can_be_used(world: World) -> None:
    cli = world.cli
    world.job(SCRIPT)
    printed = cli("run", "job.yaml")

    assert "cat,1\n.a\nb\ndone\n" in printed.out
    assert cli("runs", "logs", "last").out == "cat,1\n.a\nb\ndone\n"
    listed = cli("runs", "outputs", "list", "last", "-o", "json").data
    assert "deep/er/joined" in json.dumps(listed)
    cli("runs", "outputs", "get", "last", "--to", "here")
    here = cli.root / "here"
    assert (here / "deep/er/joined").read_text() == "a\nb\n"
    assert (here / "large").stat().st_size == 20_000_000
    assert (here / "empty").is_dir()
    assert os.access(here / "tool", os.X_OK)
    assert {"outputs/deep/er/joined", "outputs/large", "outputs/tool", "logs/main.log"} <= set(world.saved())
    assert world.left() == []
    cli("runs", "rm", "last")
    assert list(world.store.walk("artifacts")) == []


def test_a_killed_supervisors_run_is_saved_into_the_bucket(world: World) -> None:
    world.job(GOES_ON)
    process = world.cli.start("run", "job.yaml")
    assert process.stdout is not None
    assert next(line for line in process.stdout if b"all there" in line)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    (run,) = eventually(lambda: [run for run in world.cli.runs() if run["status"] == "failed"])
    assert run["reason"] == "supervisor-died"
    assert world.cli("runs", "logs", "last").out == "begun\nall there\n"
    world.cli("runs", "outputs", "get", "last", "--to", "here")
    assert (world.cli.root / "here" / "late").read_text() == "more\n"
    assert {"outputs/early", "outputs/late", "logs/main.log"} <= set(world.saved())
    assert world.left() == []


def test_a_detached_run(cli: Cli) -> None:
    world = s3(cli, f"runs/{secrets.token_hex(8)}")
    world.job(SCRIPT)
    cli("run", "--detach", "job.yaml")
    cli.wait_for("succeeded")
    assert "outputs/large" in world.saved()
    assert world.left() == []


@pytest.mark.parametrize(
    ("login", "told"),
    [
        ((ADMIN[0], "a-wrong-secret"), "AWS_SECRET_ACCESS_KEY|secret-access-key"),
        (OTHER, "403 AccessDenied"),
    ],
)
def test_a_store_that_lets_nobody_in_fails_the_run_with_the_reason(cli: Cli, login: tuple[str, str], told: str) -> None:
    world = s3(cli, f"runs/{secrets.token_hex(8)}")
    job = {"version": 1.1, "kind": "component", "run": {"kind": "job", "container": {"command": ["echo", "hi"]}}}
    cli.write("job.yaml", json.dumps(job))
    world.keep({"AWS_ACCESS_KEY_ID": login[0], "AWS_SECRET_ACCESS_KEY": login[1]})
    cli("run", "job.yaml", code=73)
    (run,) = cli.runs()
    assert (run["status"], run["reason"]) == ("failed", "outputs-not-saved")
    assert any(word in run["message"] for word in told.split("|"))
    assert "s3://data" in run["message"]

    world.keep(world.secret)  # mended: nothing is lost
    cli("runs", "outputs", "push", "last")
    assert cli.runs()[0]["status"] == "succeeded"
    assert cli("runs", "logs", "last").out == "hi\n"
    assert world.left() == []


def test_inputs_that_cannot_be_fetched_fail_the_run_with_the_reason(cli: Cli) -> None:
    world = s3(cli, f"runs/{secrets.token_hex(8)}")
    world.job("true")
    world.store.delete("inputs/train")
    cli("run", "job.yaml", code=74)
    (run,) = cli.runs()
    assert run["status"] == "failed"
    assert "'train' of the connection 'inputs' is not there" in run["message"]


def test_a_login_that_may_only_read_can_be_fetched_from(cli: Cli, tmp_path: Path) -> None:
    world = s3(cli, f"runs/{secrets.token_hex(8)}")
    world.keep({"AWS_ACCESS_KEY_ID": READER[0], "AWS_SECRET_ACCESS_KEY": READER[1]})
    catalog = {
        "connections": [world.connection("inputs", {**world.schema, "bucket": f"{world.schema['bucket']}/inputs"})]
    }
    cli.write("tieline.yaml", json.dumps(catalog))
    world.job(SCRIPT)
    assert "cat,1" in cli("run", "job.yaml").out


def test_a_secret_that_is_not_there_is_found_before_the_run(cli: Cli) -> None:
    world = s3(cli, f"runs/{secrets.token_hex(8)}")
    world.job("true")
    Keeper(cli.home, "secret").remove("default", "bucket-login")
    refused = cli("run", "job.yaml", code=69)
    assert "bucket-login" in refused.err
    assert cli.runs() == []


def test_a_workload_that_nothing_identifies_is_found_before_the_run(cli: Cli) -> None:
    world = s3(cli, f"runs/{secrets.token_hex(8)}")
    world.job("true")
    store = {"name": "store", "kind": "s3", "schema": {"bucket": "s3://data"}, "auth": {"method": "workload-identity"}}
    inputs = {"name": "inputs", "kind": "s3", "schema": world.schema, "auth": {"method": "anonymous"}}
    cli.write("tieline.yaml", json.dumps({"artifactsStore": store, "connections": [inputs]}))
    refused = cli("run", "job.yaml", code=69)
    assert "artifactsStore[store]: the bucket s3://data has auth.method workload-identity" in refused.err
    assert "inputs" not in refused.err
    assert cli.runs() == []
