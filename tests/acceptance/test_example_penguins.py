"""The main job, as ``make run`` runs it: data, code and database are found by name, and the outputs are kept."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("numpy", reason="the example needs NumPy")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "penguins"
Run = Callable[..., str]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, prepared."""
    copy = tmp_path_factory.mktemp("example") / "penguins"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns(".work", "__pycache__"))
    subprocess.run([sys.executable, copy / "prepare"], check=True)
    return copy


@pytest.fixture(scope="module")
def tieline(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs ``tieline …`` in the example's folder, with this environment's Python on PATH and a home of its own."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "TIELINE_HOME": str(tmp_path_factory.mktemp("home"))}

    def run(*words: str, exit_code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tieline", *words], cwd=example, env=env, capture_output=True, text=True
        )
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def trained(tieline: Run) -> dict[str, Any]:
    """The run of the example's job, as the record has it."""
    assert "accuracy on the 86 penguins it has not seen" in tieline("run", "train.yaml")
    run: dict[str, Any] = json.loads(tieline("runs", "list", "--output", "json"))[0]
    return run


def test_the_table_is_the_whole_one() -> None:
    assert len((EXAMPLE / "data" / "penguins.csv").read_text().splitlines()) == 1 + 344


def test_its_files_are_right(tieline: Run, example: Path) -> None:
    told = tieline("check", "tieline.yaml", "train.yaml")
    assert "warning" not in told


def test_it_succeeds(trained: dict[str, Any]) -> None:
    assert trained["status"] == "succeeded"


def test_it_learns_and_its_outputs_are_kept(tieline: Run, trained: dict[str, Any]) -> None:
    outputs = Path(tieline("runs", "outputs", "path", trained["uuid"]).strip())
    metrics = json.loads((outputs / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.95
    assert (metrics["penguins"], metrics["dropped"]) == (342, 2)
    circles = ElementTree.parse(outputs / "penguins.svg").findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(circles) == 342 + 3
    assert (outputs / "model.npz").stat().st_size > 0


def test_its_result_is_in_the_database(example: Path, trained: dict[str, Any]) -> None:
    with closing(sqlite3.connect(example / ".work" / "penguins.db")) as database:
        ((accuracy,),) = database.execute("SELECT accuracy FROM results WHERE run = ?", [trained["uuid"]])
    assert accuracy > 0.95


def test_its_logs_are_kept(tieline: Run, trained: dict[str, Any]) -> None:
    logs = tieline("runs", "logs", trained["uuid"])
    assert "342 penguins (2 without all values left out)" in logs


def test_parameters_reach_it(tieline: Run, trained: dict[str, Any]) -> None:
    told = tieline("run", "train.yaml", "-P", "epochs=3", "-P", "features=bill_length_mm,body_mass_g")
    assert "epoch    3/3" in told


def test_preparing_again_changes_nothing(example: Path) -> None:
    def commit() -> bytes:
        return subprocess.check_output(["git", f"--git-dir={example}/.work/code.git", "rev-parse", "main"])

    before = commit()
    subprocess.run([sys.executable, example / "prepare"], check=True)
    assert commit() == before
