"""One program of a job under its guard: started, watched, signalled; and what is left of a run found and killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tieline.engines.process import guard

MARKER = "TIELINE_RUN_UUID"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. ``cause``: exited | supervisor-died | not-started | guard-died."""

    cause: str
    exit_code: int | None = None  # 128 + n for signal n
    signal: int | None = None
    error: str = ""

    @property
    def succeeded(self) -> bool:
        return self.cause == "exited" and self.exit_code == 0


def read_exit(path: Path) -> Ended | None:
    """What the guard wrote down, if it did."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if data["cause"] == "not-started":
        return Ended("not-started", 126 if data["errno"] == 13 else 127, error=str(data["error"]))
    status = int(data["status"])
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Ended(str(data["cause"]), 128 + number, number)
    return Ended(str(data["cause"]), os.waitstatus_to_exitcode(status))


class Guarded:
    """A program that is running, or has ended."""

    def __init__(self, name: str, exit_path: Path, process: subprocess.Popen[bytes], line: socket.socket) -> None:
        self.name = name
        self._exit_path = exit_path
        self._process = process
        self._line = line
        self._ended: Ended | None = None

    @classmethod
    def start(
        cls, name: str, argv: Sequence[str], env: Mapping[str, str], cwd: str, spool: Path, exit_path: Path
    ) -> Guarded:
        """Start a program. One that cannot be started has ended at once, with the reason."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={MARKER: env[MARKER]},
                start_new_session=True,
            )
        order = {"argv": list(argv), "env": dict(env), "cwd": cwd, "output": str(spool), "result": str(exit_path)}
        running = cls(name, exit_path, process, ours)
        running._send(json.dumps(order).encode() + b"\n")
        return running

    def _send(self, data: bytes) -> None:
        try:
            self._line.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return  # the guard has ended: the program has too, and its end is read from the file

    def poll(self) -> Ended | None:
        """How it ended, or None while it runs."""
        if self._ended is None and self._process.poll() is not None:
            self._line.close()
            self._ended = read_exit(self._exit_path) or Ended("guard-died", 137, int(signal.SIGKILL))
        return self._ended

    def wait(self, seconds: float) -> Ended | None:
        """Wait for its end, at most so long."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return self.poll()

    def terminate(self) -> None:
        """TERM to the program and its process group."""
        self._send(b"T")

    def kill(self) -> None:
        """KILL; what it started is killed by the guard."""
        self._send(b"K")


def processes_of(uuid: str) -> list[int]:
    """Processes of this machine that carry the run's mark in their environment (this process excepted)."""
    mark = f"{MARKER}={uuid}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if mark in environment.split(b"\0"):
            found.append(int(name))
    return found


def sweep(uuid: str, *, patience: float = 0.0) -> int:
    """Kill what is left of a run, after waiting ``patience`` seconds for its guards to do it; how many were killed."""
    deadline = time.monotonic() + patience
    while processes_of(uuid) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed = 0
    while left := processes_of(uuid):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
            killed += 1
        time.sleep(0.01)
        if killed > 100_000:  # processes of another user that cannot be killed
            break
    return killed
