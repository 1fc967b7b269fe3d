"""The peer in an environment of its own, beside Tieline's: made once, and used again while its version is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VERSION = "2.18.0"
CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / ".venv-peer"


def environment() -> Path:
    """The ``bin`` folder of an environment with the peer in it, on the Python that runs this."""
    done = FOLDER / f"polyaxon-{VERSION}-on-{sys.version_info.major}.{sys.version_info.minor}"
    if not done.exists():
        print(f"installing polyaxon {VERSION} into {FOLDER.name}/ (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "install", f"polyaxon=={VERSION}"], check=True)
        done.touch()
    return FOLDER / "bin"
