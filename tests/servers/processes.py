"""What the server fixtures share: is the program here, a free port, started, ready, ended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0
A_COMMAND = 0.7
"""Seconds between two looks by a command of Tieline's, which itself takes about that long."""
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def needed(program: str, package: str, how: str = "apt-get install") -> str:
    """The program's path; without it the test is skipped, and failed in CI."""
    places = (os.environ.get("PATH", os.defpath), SBIN, str(Path(sys.executable).parent))
    found = shutil.which(program, path=":".join(places))
    if found is None:
        absent(f"{program} is not on this machine: {how} {package}")
    return found


def absent(reason: str) -> None:
    """End the test: skipped on a contributor's machine, failed in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def eventually(what: Callable[[], Any], patience: float = 60.0, every: float = 0.02) -> Any:
    """Wait until ``what`` gives something true, and return that. ``every``: seconds between two looks; more of them
    where a look costs much (a command: ``A_COMMAND``), for all tests share the machine's cores."""
    until = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < until, f"not within {patience} s: {what}"
        time.sleep(every)
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of 127.0.0.1 now."""
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(
    argv: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    *,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    by: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, wait until it is ready, end it afterwards. ``user``: run as this one, where we are root; ``by``:
    the signal that ends it, and all that it started."""
    as_user = user if os.getuid() == 0 else None
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **(env or {})},
            user=as_user,
            group=as_user,
            extra_groups=[] if as_user else None,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + PATIENCE
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{argv[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield process
    finally:
        end(process, by=by)


def end(process: subprocess.Popen[bytes], grace: float = 10.0, by: signal.Signals = signal.SIGTERM) -> None:
    """End a server that we started."""
    process.send_signal(by)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def need_module(module: str, package: str) -> None:
    """A Python module that is not among Tieline's own requirements."""
    if find_spec(module) is None:
        absent(f"{module} is not installed: pip install '{package}'")
