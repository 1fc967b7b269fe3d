"""What people see of outputs on their way: at a terminal, of what takes longer than a second; and nothing in a pipe."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.cli_harness import Cli, eventually
from servers import buckets
from servers.seaweedfs import ADMIN
from servers.wire import Wire, wire
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret

MB = 1024 * 1024
SLOW = 8 * MB
JOB = "cd $TIELINE_OUTPUTS; for n in `seq 48`; do head -c 524288 /dev/urandom > f$n; done; printf 'no end'"


@pytest.fixture
def line() -> Iterator[Wire]:
    with wire(buckets.weed().port) as made:
        yield made


@pytest.fixture
def cli(tmp_path: Path, line: Wire) -> Iterator[Cli]:
    """A user whose store, and whose inputs, are behind a slow line."""
    prefix = f"shown/{secrets.token_hex(8)}"
    with Cli(tmp_path) as cli:
        kept = {"AWS_ACCESS_KEY_ID": Secret(ADMIN[0]), "AWS_SECRET_ACCESS_KEY": Secret(ADMIN[1])}
        Keeper(cli.home, "secret").set("default", "login", kept)

        def connection(name: str) -> dict[str, object]:
            schema = {"bucket": f"s3://data/{prefix}/{name}", "endpoint": line.endpoint, "addressingStyle": "path"}
            return {"name": name, "kind": "s3", "schema": schema, "secret": {"name": "login"}}

        catalog = {"artifactsStore": connection("store"), "connections": [connection("inputs")]}
        cli.write("tieline.yaml", json.dumps(catalog))
        yield cli


def test_a_bar_where_somebody_looks(cli: Cli, line: Wire) -> None:
    line.rate = SLOW
    shown = cli.on_terminal("run", cli.job(JOB, plugins="{sidecar: {syncInterval: -1}}"), columns=120)
    assert "48 files, 24.0 MiB, all checked" in shown
    assert "no end" in shown.replace("'no end'", ""), "what the job printed last is still there"
    for command, what in (("verify", "checking"), ("get", "fetching")):
        shown = cli.on_terminal("runs", "outputs", command, "last", columns=120)
        bars = [part for part in shown.split("\r\x1b[K") if what in part]
        assert any("of 24.0 MiB" in bar and "iB/s" in bar and "left" in bar for bar in bars), shown
        assert any("━" in bar for bar in bars), shown
        assert what not in shown.rpartition("\x1b[K")[2], "no trace of it is left"
    line.rate = None
    quick = cli.on_terminal("runs", "outputs", "verify", "last", columns=120)
    assert "MiB/s" not in quick


def test_the_end_of_a_run_and_its_inputs(cli: Cli, line: Wire) -> None:
    cli.write(
        "job.yaml",
        json.dumps({
            "version": 1.1, "kind": "component", "plugins": {"sidecar": {"syncInterval": -1}},
            "run": {
                "kind": "job", "init": [{"connection": "inputs", "artifacts": {"dirs": ["some"]}}],
                "container": {"command": ["sh", "-c", "cp -r {{ init.inputs.path }}/some $TIELINE_OUTPUTS"]},
            },
        }),
    )  # fmt: skip
    store = buckets.s3(next_prefix(cli))
    for n in range(6):
        store.save_bytes(secrets.token_bytes(4 * MB), f"inputs/some/f{n}")
    line.rate = SLOW
    shown = cli.on_terminal("run", "job.yaml", columns=120)
    for what in ("fetch inputs", "saving outputs  "):
        assert any("of 24.0 MiB" in part for part in shown.split("\r\x1b[K") if what in part), shown


def next_prefix(cli: Cli) -> str:
    """Where the store and the inputs are in the bucket."""
    catalog = json.loads((cli.root / "tieline.yaml").read_text())
    return str(catalog["artifactsStore"]["schema"]["bucket"]).removeprefix("s3://data/").rpartition("/")[0]


def test_nothing_of_it_in_a_pipe(cli: Cli, line: Wire) -> None:
    line.rate = SLOW
    ran = cli("run", cli.job(JOB))
    assert ran.out == "no end"
    verified = cli("runs", "outputs", "verify", "last")
    assert verified.err == "49 files, 24.0 MiB, every byte read: all as saved\n"
    got = cli("runs", "outputs", "get", "last", "--to", "here")
    assert got.err == "48 files, 24.0 MiB, in:\n"
    for done in (ran, verified, got):
        assert "\x1b" not in done.err
        assert "\r" not in done.err
    line.rate = None
    again = cli("runs", "outputs", "get", "last", "--to", "here")
    assert again.err == "48 files, 24.0 MiB, 48 of them here already, in:\n"


def test_what_a_check_finds_is_an_answer(cli: Cli) -> None:
    cli("run", cli.job("cd $TIELINE_OUTPUTS; echo one > a; echo two > b"))
    uuid = cli.runs()[0]["uuid"]
    store = buckets.s3(f"{next_prefix(cli)}/store/{uuid}/attempt-1")
    store.delete("outputs/a")
    store.save_bytes(b"tw0\n", "outputs/b")
    found = cli("runs", "outputs", "verify", "last", code=76)
    assert [row.split()[:2] for row in found.out.splitlines()] == [["missing", "outputs/a"], ["digest", "outputs/b"]]
    assert "2 not as saved" in found.err
    assert cli("runs", "outputs", "verify", "last", "--quick", code=76).out.split()[:2] == ["missing", "outputs/a"]
    data = cli("runs", "outputs", "verify", "last", "-o", "json", code=76).data
    assert (data["run"], data["complete"], [one["what"] for one in data["findings"]]) == (
        uuid, True, ["missing", "digest"],
    )  # fmt: skip
    got = cli("runs", "outputs", "get", "last", "--to", "here", code=76)
    assert "'b' of run" in got.err
    assert "damaged" in got.err
    store.delete("manifest.jsonl")
    assert "has no manifest" in cli("runs", "outputs", "verify", "last", code=66).err


def test_a_run_under_way_says_that_it_is(cli: Cli) -> None:
    cli("run", "-d", cli.job("echo one > $TIELINE_OUTPUTS/a; sleep 60", plugins="{sidecar: {syncInterval: 1}}"))
    cli.wait_for("running")
    uuid = cli.runs()[0]["uuid"]
    store = buckets.s3(f"{next_prefix(cli)}/store/{uuid}/attempt-1")
    eventually(lambda: store.stat("manifest.jsonl"))
    found = cli("runs", "outputs", "verify", "last")
    assert "the run is under way: this is what its manifest says by now" in found.err
    assert "1 file, 4 B, every byte read: all as saved" in found.err
    cli("runs", "stop", "last", "--now")
    assert "2 files, 4 B, every byte read: all as saved" in cli("runs", "outputs", "verify", "last").err
