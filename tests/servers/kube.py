"""One real cluster for all tests that need one, whichever process they are in: ``$KUBECONFIG`` where it is set, else
the kit beside the repository (``../shared/kube/kube up``, which needs root).

The kit has one cluster at a time. Who needs it writes its pid into a file under a lock; the first one starts it, the
last one ends it, and what a killed process left counts for nothing. A cluster that runs without such a file is
somebody's own, and is left alone. Without any, tests are skipped: a cluster is nothing that a package manager installs.
One that is there and does not start fails CI.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from servers.processes import absent

KIT = Path(__file__).resolve().parents[2].parent / "shared" / "kube" / "kube"
MINUTES = 15
_STATE = Path(tempfile.gettempdir(), f"tieline-tests-kube-{os.geteuid()}.json")


@cache
def kubeconfig() -> Path:
    """The path of a kubeconfig whose current context may do everything."""
    if given := os.environ.get("KUBECONFIG"):
        return Path(given)
    if not KIT.is_file():
        pytest.skip("no cluster to test against: KUBECONFIG is not set, and the kit is not beside the repository")
    if os.geteuid() != 0:
        pytest.skip("no cluster to test against: KUBECONFIG is not set, and the kit needs root")
    with _users() as (users, config):
        if not users:
            config = _started(is_ours=bool(config))
        users.append(os.getpid())
        _write(users, config)
    atexit.register(_leave, os.getpid())
    return Path(config)


@contextmanager
def _users() -> Iterator[tuple[list[int], str]]:
    """Who uses the cluster, under the lock; and its kubeconfig, if these tests have started it."""
    with _STATE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = {"users": [], "config": ""}
        with suppress(OSError, ValueError):
            state = json.loads(_STATE.read_text())
        yield [pid for pid in state["users"] if Path("/proc", str(pid)).exists()], str(state["config"])


def _write(users: list[int], config: str) -> None:
    _STATE.write_text(json.dumps({"users": users, "config": config}))


def _started(*, is_ours: bool) -> str:
    if not is_ours and _is_running():
        absent("the kit's cluster runs already, and is somebody's: export its KUBECONFIG to test against it")
    up = subprocess.run([KIT, "up"], capture_output=True, text=True, timeout=MINUTES * 60, check=False)
    config = up.stdout.rpartition("KUBECONFIG=")[2].strip()
    if up.returncode or not config:
        absent(f"no cluster to test against: {KIT.name} up: {up.stderr[-500:]}")
    return config


def _is_running() -> bool:
    status = subprocess.run([KIT, "status"], capture_output=True, text=True, timeout=60, check=False)
    return any(line.startswith("kube-apiserver ") and line.endswith("MiB") for line in status.stdout.splitlines())


def _leave(pid: int) -> None:
    if os.getpid() != pid:  # a forked child's exit is not its parent's
        return
    with _users() as (users, config):
        others = [one for one in users if one != pid]
        if others:
            _write(others, config)
        else:
            subprocess.run([KIT, "down"], capture_output=True, timeout=120, check=False)
            _STATE.unlink(missing_ok=True)
