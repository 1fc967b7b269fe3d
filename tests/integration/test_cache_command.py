"""The cache as a user meets it: the same job twice, what the steps say, and ``tieline cache``."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.cli_harness import Cli
from servers import buckets
from servers.counting import Forwarder, forwarding
from servers.seaweedfs import ADMIN
from tieline.engines.folders import remove_tree
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret

SCRIPT = """
set -e
cat {{ init.inputs.path }}/labels.csv {{ init.inputs.path }}/train/b
stat -c %a {{ init.inputs.path }}/labels.csv {{ init.inputs.path }}/train/b
rm {{ init.inputs.path }}/train/b
echo mine > {{ init.inputs.path }}/train/b
mv {{ init.inputs.path }}/labels.csv $TIELINE_OUTPUTS/labels.csv
"""
PRINTED = "cat,1\nb\n444\n444\n"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        yield cli


@pytest.fixture
def forwarder() -> Iterator[Forwarder]:
    with forwarding(buckets.weed().port) as made:
        yield made


@pytest.fixture
def address(cli: Cli, forwarder: Forwarder) -> str:
    prefix = f"command/{secrets.token_hex(8)}"
    store = buckets.s3(prefix)
    for key, data in (("labels.csv", b"cat,1\n"), ("train/.a", b"a\n"), ("train/b", b"b\n")):
        store.save_bytes(data, key)
    login = {"AWS_ACCESS_KEY_ID": Secret(ADMIN[0]), "AWS_SECRET_ACCESS_KEY": Secret(ADMIN[1])}
    Keeper(cli.home, "secret").set("default", "login", login)
    catalog(cli, forwarder, prefix)
    init = [{"connection": "inputs", "artifacts": {"files": ["labels.csv"], "dirs": ["train"]}}]
    run = {"kind": "job", "init": init, "container": {"command": ["sh", "-c", SCRIPT]}}
    cli.write("job.yaml", json.dumps({"version": 1.1, "kind": "component", "run": run}))
    return prefix


def catalog(cli: Cli, forwarder: Forwarder, prefix: str, **cache: Any) -> None:
    schema = {"bucket": f"s3://data/{prefix}", "endpoint": forwarder.endpoint, "addressingStyle": "path"}
    inputs = {"name": "inputs", "kind": "s3", "schema": schema, "secret": {"name": "login"}}
    cli.write("tieline.yaml", json.dumps({"connections": [inputs], "inputsCache": cache}))


def objects(cli: Cli) -> list[Path]:
    return sorted((cli.home / "cache/inputs/objects").glob("*/*"))


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_the_second_run_moves_no_data(cli: Cli, forwarder: Forwarder, address: str, isolation: str) -> None:
    first = cli("run", "job.yaml", "--isolation", isolation)
    assert first.out.startswith(PRINTED)
    assert "3 files, 10 B" in first.err
    assert "from the cache" not in first.err
    forwarder.forget()
    second = cli("run", "job.yaml", "--isolation", isolation)
    assert second.out.startswith(PRINTED)
    assert "3 files, 10 B (all of it from the cache)" in second.err
    assert not any(forwarder.gets(name) for name in ("labels.csv", "train/b", "train/.a"))
    assert {path.read_bytes() for path in objects(cli)} == {b"cat,1\n", b"a\n", b"b\n"}
    cli("run", "--detach", "job.yaml", "--isolation", isolation)
    cli.wait_for("succeeded")
    assert not forwarder.gets("labels.csv")
    cli("runs", "outputs", "get", "last", "--to", "here")
    assert (cli.root / "here/labels.csv").read_bytes() == b"cat,1\n"
    assert cli("cache", "prune", "--verify", "-o", "json").data["damaged"] == []


def test_list_and_prune(cli: Cli, forwarder: Forwarder, address: str) -> None:
    assert cli("cache").err.startswith("0 B of at most ")
    cli("run", "job.yaml")
    listed = cli("cache", "list", "-o", "json").data
    assert (listed["files"], listed["enabled"], listed["folder"]) == (3, True, str(cli.home / "cache/inputs"))
    assert {(one["path"], one["what"], one["files"], one["here"], one["size"]) for one in listed["inputs"]} == {
        (f"{address}/labels.csv", "file", 1, 1, 6), (f"{address}/train", "dir", 2, 2, 4),
    }  # fmt: skip
    assert {one["address"] for one in listed["inputs"]} == {"s3://data"}
    text = cli("cache", "list").out
    assert f"inputs      default    s3://data  {address}/train/" in text
    said = cli("cache", "prune", "--max-size", "4KiB", "--dry-run").out
    assert said.startswith("would remove 2 files, 8.0 KiB; left: 1 file, 4.0 KiB")
    assert len(objects(cli)) == 3
    assert cli("cache", "prune", "--older-than", "1h").out.startswith("removed 0 files, 0 B; left: 3 files")
    assert cli("cache", "prune", "--all").out.startswith("removed 3 files")
    assert objects(cli) == []
    assert cli("cache", "list", "-o", "json").data["inputs"] == []
    assert "is no size" in cli("cache", "prune", "--max-size", "much", code=2).err
    assert "is no time" in cli("cache", "prune", "--older-than", "soon", code=2).err


def test_the_settings(cli: Cli, forwarder: Forwarder, address: str) -> None:
    catalog(cli, forwarder, address, enabled=False)
    printed = cli("run", "job.yaml")
    assert printed.out.startswith(PRINTED)  # read-only without a cache, too
    assert not (cli.home / "cache").exists()
    assert "inputsCache.enabled" in cli("cache").err
    catalog(cli, forwarder, address, path="./mine", maxSize="1 GiB")
    cli("run", "job.yaml")
    listed = cli("cache", "list", "-o", "json").data
    assert (listed["folder"], listed["maxSize"], listed["files"]) == (str(cli.root / "mine"), 1024**3, 3)
    catalog(cli, forwarder, address, maxSize="plenty")
    assert "a number and a unit" in cli("check", "tieline.yaml", code=65).out


def test_the_cache_tells_no_secret(cli: Cli, address: str) -> None:
    cli("run", "job.yaml")
    cache = cli.home / "cache"
    for path in cache.rglob("*"):
        text = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        assert all(value.encode() not in text + os.fsencode(path) for value in ADMIN)
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_removing_a_runs_folder_leaves_the_caches_files_alone(cli: Cli, tmp_path: Path, address: str) -> None:
    cli("run", "job.yaml")
    kept = objects(cli)[0]
    folder = deep = tmp_path / "gone"
    folder.mkdir()
    os.link(kept, folder / "input")
    while len(str(deep)) < 3000:  # deeper than Python's stack: other programs have to remove it
        deep = deep / "d"
        deep.mkdir()
    deep.chmod(0)
    before = kept.stat().st_mode
    remove_tree(folder)
    assert not folder.exists()
    assert kept.stat().st_mode == before
