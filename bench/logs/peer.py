"""Airflow in an environment of its own, beside Tieline's: made once, and used again while its version is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGE, VERSION = "apache-airflow-task-sdk", "1.3.2"  # of Airflow 3.3.2
FOLDER = Path(__file__).resolve().parents[2] / ".venv-peer-airflow"


def python() -> Path:
    """The Python of an environment with the peer in it."""
    program = FOLDER / "bin" / "python"
    done = FOLDER / f"{PACKAGE}-{VERSION}-on-{sys.version_info.major}.{sys.version_info.minor}"
    if not done.exists():
        print(f"installing {PACKAGE} {VERSION} into {FOLDER.name}/ (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        pip = [str(program), "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "install", f"{PACKAGE}=={VERSION}"], check=True)
        done.touch()
    return program
