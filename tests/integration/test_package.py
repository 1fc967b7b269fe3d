"""What is built is what was written: the wheel, made from the source distribution, works where nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tieline import __version__

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "tieline"


def run(*argv: str | Path, **variables: str) -> str:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TIELINE_"))}
    done = subprocess.run([*map(str, argv)], env={**outside, **variables}, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist and of the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def test_the_wheel_has_every_file_of_the_source(wheel: Path) -> None:
    there = {path.relative_to(SOURCE.parent).as_posix() for path in SOURCE.rglob("*") if path.is_file()}
    wanted = {name for name in there if "__pycache__" not in name}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == wanted
    assert any(name.startswith("tieline/runs/migrations/versions/r0001") for name in packed)
    assert "tieline/py.typed" in packed


def test_the_source_distribution_has_what_its_tests_need(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "Makefile", "src/tieline/__main__.py", "tests/integration/test_package.py",
            "examples/penguins/train.yaml", "examples/penguins/data/penguins.csv"} <= names  # fmt: skip
    assert not [name for name in names if "/.work/" in name]


def test_an_installed_wheel_runs_a_job(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, whose dependencies pip finds as for any user."""
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv)
    run(venv / "bin/pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", wheel)
    tieline = venv / "bin/tieline"
    assert run(tieline, "--version").strip() == f"tieline {__version__}"

    job = tmp_path / "job.yaml"
    job.write_text('kind: component\nrun: {kind: job, container: {command: [echo, "hello"]}}\n')
    home = str(tmp_path / "home")
    assert "hello" in run(tieline, "run", job, TIELINE_HOME=home)
    assert "succeeded" in run(tieline, "runs", "list", TIELINE_HOME=home)
