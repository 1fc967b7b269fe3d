"""Runs whose bucket is in trouble, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults_harness import SOAK, Bucket, read, s3

from acceptance.cli_harness import Cli, eventually, said
from servers.faults import Fault, Faults, What, faults, say
from servers.seaweedfs import ADMIN
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret

AWAY = 60.0 if SOAK else 5.0
SCRIPT = """
mkdir -p $TIELINE_OUTPUTS/deep
head -c 3000000 /dev/urandom > $TIELINE_OUTPUTS/deep/weights
echo begun
until [ -e {go} ]; do sleep 0.05; done
echo result > $TIELINE_OUTPUTS/result
echo ended
"""


class World:
    """A catalog whose bucket is reached through a proxy, and a job that ends when it is told to."""

    def __init__(self, cli: Cli, bucket: Bucket, proxy: Faults) -> None:
        self.cli, self.bucket, self.proxy = cli, bucket, proxy
        place = f"s3://data/{bucket.access.prefix}"
        schema = {"bucket": place, "endpoint": proxy.endpoint, "addressingStyle": "path"}
        store = {"name": "store", "kind": "s3", "schema": schema, "secret": {"name": "login"}}
        inputs = {**store, "name": "inputs", "schema": {**schema, "bucket": f"{place}/inputs"}}
        cli.write("tieline.yaml", json.dumps({"artifactsStore": store, "connections": [inputs]}))
        login = {"AWS_ACCESS_KEY_ID": Secret(ADMIN[0]), "AWS_SECRET_ACCESS_KEY": Secret(ADMIN[1])}
        Keeper(cli.home, "secret").set("default", "login", login)
        self.go = cli.root / "go"
        cli.job(SCRIPT.format(go=self.go))

    def begun(self) -> subprocess.Popen[bytes]:
        """The run, once it has saved what it has so far."""
        process = self.cli.start("run", "--isolation", "none", "job.yaml")
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        return process

    def run(self) -> dict[str, Any]:
        return self.cli.runs()[0]

    def is_saved(self) -> None:
        assert self.run()["status"] == "succeeded"
        found = {entry.key.partition("/attempt-1/")[2]: entry.key for entry in self.bucket.real.list()}
        assert read(self.bucket.real, found["outputs/result"]) == b"result\n"
        assert read(self.bucket.real, found["logs/main.log"]) == b"begun\nended\n"
        self.cli("runs", "outputs", "get", "last", "--to", "here")
        weights = self.cli.root / "here" / "deep" / "weights"
        assert read(self.bucket.real, found["outputs/deep/weights"]) == weights.read_bytes()
        assert weights.stat().st_size == 3_000_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    bucket = s3()
    with faults(bucket.port) as proxy, Cli(tmp_path) as cli:
        yield World(cli, bucket, proxy)


def test_a_bucket_that_is_away_at_the_end_of_a_run_is_waited_for(world: World) -> None:
    process = world.begun()
    with world.proxy.refusing(AWAY):
        world.go.touch()
        _, told = process.communicate()
    assert process.returncode == 0, told
    assert b"will try again for up to 300 s: " in told
    assert b"nothing answers" in told
    world.is_saved()


def test_a_bucket_that_stays_away_fails_the_run_once_somebody_stops_it_and_a_push_saves_the_rest(world: World) -> None:
    process = world.begun()
    world.proxy.refuse()
    world.go.touch()
    said(process, b"will try again for up to 300 s: ")
    world.cli("runs", "stop", "last")
    process.communicate()
    run = world.run()
    assert (run["status"], run["reason"]) == ("failed", "outputs-not-saved")
    assert "nothing answers" in run["message"]

    world.proxy.let_in()
    world.cli("runs", "outputs", "push", "last")
    world.is_saved()


def test_a_bucket_that_forbids_it_fails_the_run_at_once(world: World) -> None:
    process = world.begun()
    world.proxy.plan(say(403, "AccessDenied", method="PUT", times=None))
    world.go.touch()
    _, told = process.communicate()
    assert process.returncode == 73
    assert b"for up to 300 s" not in told
    assert "403 AccessDenied" in world.run()["message"]

    world.proxy.plan()
    world.cli("runs", "outputs", "push", "last")
    world.is_saved()


def test_a_bucket_in_trouble_from_beginning_to_end(world: World) -> None:
    world.proxy.plan(
        Fault(What.CUT_BODY, times=None, chance=0.2),
        Fault(What.CUT_UNANSWERED, times=None, chance=0.2),
        Fault(What.FLIP_BODY, times=None, chance=0.2),
        say(503, "SlowDown", times=None, chance=0.2),
    )
    process = world.begun()
    world.go.touch()
    process.communicate()
    world.proxy.plan()
    assert process.returncode == 0
    world.is_saved()


def test_inputs_through_a_line_that_breaks_now_and_then(world: World) -> None:
    data = os.urandom(9_000_000)
    world.bucket.real.save_bytes(data, "inputs/large")
    world.proxy.plan(Fault(What.CUT_ANSWER, "GET", "inputs/large", times=2), say(503, "SlowDown", times=2))
    init = [{"connection": "inputs", "artifacts": {"files": ["large"]}}]
    script = "cp {{ init.inputs.path }}/large $TIELINE_OUTPUTS/"
    run = {"kind": "job", "init": init, "container": {"command": ["sh", "-c", script]}}
    world.cli.write("job.yaml", json.dumps({"version": 1.1, "kind": "component", "run": run}))
    world.cli("run", "job.yaml")
    (key,) = [entry.key for entry in world.bucket.real.list() if entry.key.endswith("outputs/large")]
    assert read(world.bucket.real, key) == data


def test_inputs_that_are_forbidden_fail_the_run_with_the_reason(world: World) -> None:
    world.bucket.real.save_bytes(b"x", "inputs/f")
    world.proxy.plan(say(403, "AccessDenied", target="inputs", times=None))
    init = [{"connection": "inputs", "artifacts": {"files": ["f"]}}]
    run = {"kind": "job", "init": init, "container": {"command": ["true"]}}
    world.cli.write("job.yaml", json.dumps({"version": 1.1, "kind": "component", "run": run}))
    world.cli("run", "job.yaml", code=74)
    assert "403 AccessDenied" in world.run()["message"]


def test_a_busy_server_is_no_damage(world: World) -> None:
    world.go.touch()
    world.cli("run", "--isolation", "none", "job.yaml")
    world.proxy.plan(say(503, "SlowDown", method="GET", target="/outputs/result", times=4))
    assert "all as saved" in world.cli("runs", "outputs", "verify", "last").err
    assert world.proxy.did[What.SAY] == 4


def test_a_line_that_breaks_does_not_keep_a_run_from_being_removed(world: World) -> None:
    world.go.touch()
    world.cli("run", "--isolation", "none", "job.yaml")
    world.proxy.plan(Fault(What.CUT_FIRST, method="POST|DELETE", times=3))
    world.cli("runs", "rm", "last")
    assert world.proxy.did[What.CUT_FIRST] == 3
    assert list(world.bucket.real.list()) == []


def test_a_detached_run_that_is_stopped_while_it_fetches_leaves_no_process(world: World, tmp_path: Path) -> None:
    local = tmp_path / "input"
    local.write_bytes(b"input")
    world.bucket.real.save_file(local, "inputs/data/input")
    init = [{"connection": "inputs", "artifacts": {"dirs": ["data"]}}]
    run = {"kind": "job", "init": init, "container": {"command": ["true"]}}
    world.cli.write("job.yaml", json.dumps({"kind": "component", "run": run}))
    world.proxy.plan(Fault(What.STALL_FIRST, "GET", "/data/input", times=None, seconds=100))
    world.cli("run", "--detach", "--isolation", "none", "job.yaml")
    uuid = world.run()["uuid"]
    eventually(lambda: world.proxy.asked("GET", "/data/input"))
    assert supervisors(uuid)
    world.cli("runs", "stop", uuid)
    assert world.run()["status"] == "stopped"
    eventually(lambda: not supervisors(uuid), 20)


def supervisors(uuid: str) -> list[str]:
    """The processes that carry a run out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            words = path.read_bytes().split(b"\0")
            if b"tieline.app.detached" in words and uuid.encode() in words:
                found.append(path.parent.name)
    return found
