"""``--isolation`` as a user types it: what is said, what is refused, and what a job sees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_harness import Cli

from servers.processes import absent
from tieline.engines.process.isolation import unusable

CATALOG = "connections: [{name: data, kind: host_path, schema: {hostPath: ./data, mountPath: /data}}]\n"
JOB = """
kind: component
run:
  kind: job
  connections: [data]
  container: {command: [sh, -c, "ls {{ connections.data.path }}; ls /data"]}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as made:
        made.write("tieline.yaml", CATALOG)
        made.write("data/table.csv", "a,b\n")
        made.write("job.yaml", JOB)
        yield made


@pytest.fixture
def bubblewrap() -> None:
    if reason := unusable():
        absent(reason)


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """A machine that has no bubblewrap."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "ls", "git"):
        (programs / name).symlink_to(shutil.which(name) or name)
    return {"PATH": str(programs)}


@pytest.fixture
def broken(without: dict[str, str]) -> dict[str, str]:
    """One that has it, and does not allow what it does."""
    program = Path(without["PATH"], "bwrap")
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    return without


@pytest.mark.usefixtures("bubblewrap")
def test_it_is_used_where_it_works(cli: Cli) -> None:
    done = cli("run", "job.yaml")
    assert done.out == "table.csv\ntable.csv\n"
    assert "isolation" not in done.err
    assert "/data" not in done.err.replace("ls /data", "")
    assert cli("run", "--isolation", "bubblewrap", "--output", "json", "job.yaml").data["status"] == "succeeded"


@pytest.mark.usefixtures("bubblewrap")
def test_a_run_on_its_own_is_isolated_too(cli: Cli) -> None:
    cli("run", "--detach", "job.yaml")
    assert cli("runs", "logs", "--follow", "last").out == "table.csv\ntable.csv\n"


@pytest.mark.parametrize("words", [("--isolation", "none"), ()])
def test_without_it_the_paths_that_differ_are_named(cli: Cli, without: dict[str, str], words: tuple[str, ...]) -> None:
    done = cli("run", *words, "job.yaml", code=2, **without)
    assert done.out.startswith("table.csv\nls: cannot access")
    assert f"connections[data]: /data is at {cli.root}/data here" in done.err
    told = "isolation: none, for bubblewrap is not installed (its program is bwrap); the job sees what this user sees"
    assert (told in done.err) == (not words)


def test_where_it_does_not_work_that_is_said(cli: Cli, broken: dict[str, str]) -> None:
    reason = "bubblewrap does not work here: bwrap: No permissions to create new namespace"
    assert f"isolation: none, for {reason}" in cli("run", "job.yaml", code=2, **broken).err
    for command in ("run", "explain"):
        refused = cli(command, "--isolation", "bubblewrap", "job.yaml", code=69, **broken)
        assert refused.err.startswith(f"--isolation: {reason}; install bubblewrap, allow user namespaces, or")
    assert cli.runs()[1:] == []


def test_a_variable_says_it_too(cli: Cli, without: dict[str, str]) -> None:
    assert "--isolation: " in cli("run", "job.yaml", code=69, TIELINE_ISOLATION="bubblewrap", **without).err
    assert "isolation: none, for" not in cli("run", "job.yaml", code=2, TIELINE_ISOLATION="none").err
    assert "TIELINE_ISOLATION" in cli("run", "--help").out


@pytest.mark.usefixtures("bubblewrap")
def test_explain_says_what_appears_where(cli: Cli) -> None:
    shown = cli("explain", "job.yaml").out
    for words in ("isolation  with bubblewrap: mount paths are true", "What the job sees", f"{cli.root}/data",
                  f"{cli.home}", "absent, but for the run's own folder", "ls /data; ls /data"):  # fmt: skip
        assert words in shown
    shown = cli("explain", "job.yaml", "--isolation", "none").out
    assert "isolation  none" in shown
    assert "What the job sees" not in shown


@pytest.mark.usefixtures("bubblewrap")
def test_a_program_in_a_folder_of_the_path_is_there(cli: Cli, tmp_path: Path) -> None:
    """Also below /tmp, which is the job's own else."""
    folder = tmp_path / "tools" / "bin"
    folder.mkdir(parents=True)
    (folder / "mine").write_text("#!/bin/sh\necho mine\n")
    (folder / "mine").chmod(0o755)
    cli.write("job.yaml", "kind: component\nrun: {kind: job, container: {command: [mine]}}\n")
    assert cli("run", "job.yaml", PATH=f"{folder}:{os.environ['PATH']}").out == "mine\n"
