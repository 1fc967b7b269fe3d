"""The fixture ``kube``: a kubeconfig of a real cluster, or a reason why there is none.

``$KUBECONFIG`` where it is set; else the kit beside the repository (``../shared/kube/kube up``, which needs root), for
the whole session, ended afterwards. Without either the tests are skipped: a cluster is nothing that a package manager
installs. One that is there and does not start fails CI.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

KIT = Path(__file__).resolve().parents[2].parent / "shared" / "kube" / "kube"
MINUTES = 15


def unavailable(reason: str) -> None:
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"no cluster to test against: {reason}")
    pytest.skip(f"no cluster to test against: {reason}")


@pytest.fixture(scope="session")
def kube() -> Iterator[Path]:
    """The path of a kubeconfig whose current context may do everything."""
    if given := os.environ.get("KUBECONFIG"):
        yield Path(given)
        return
    if not KIT.is_file():
        pytest.skip("no cluster to test against: KUBECONFIG is not set, and the kit is not beside the repository")
    if os.geteuid() != 0:
        pytest.skip("no cluster to test against: KUBECONFIG is not set, and the kit needs root")
    up = subprocess.run([KIT, "up"], capture_output=True, text=True, timeout=MINUTES * 60, check=False)
    config = up.stdout.rpartition("KUBECONFIG=")[2].strip()
    if up.returncode or not config:
        unavailable(f"{KIT} up: {up.stderr[-500:]}")
    try:
        yield Path(config)
    finally:
        subprocess.run([KIT, "down"], capture_output=True, timeout=120, check=False)
