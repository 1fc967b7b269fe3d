"""What the tests of the command line share: a folder with files, and ``tieline`` typed in it as a user would."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

PASSED = ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV")
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def data(self) -> Any:
        """The answer of ``--output json``."""
        return json.loads(self.raw)


class Cli:
    """A working folder, a Tieline home of its own, and the command."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root / "work", root / "home"
        self.root.mkdir()
        self.env = {name: os.environ[name] for name in PASSED if name in os.environ}
        self.env |= {"HOME": str(root), "TIELINE_HOME": str(self.home), "TERM": "xterm-256color"}
        self.started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End what a failed test left running."""
        for process in self.started:
            process.kill()
            process.communicate()

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def job(self, script: str, name: str = "job.yaml", **parts: str) -> str:
        """Write a job that runs this shell script; ``parts`` are further top-level keys. The file's name."""
        lines = ["version: 1.1", "kind: component", *(f"{key}: {value}" for key, value in parts.items())]
        command = json.dumps(["sh", "-c", script])
        self.write(name, "\n".join([*lines, f"run: {{kind: job, container: {{command: {command}}}}}", ""]))
        return name

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tieline", *words]

    def __call__(self, *words: str, code: int = 0, **env: str) -> Done:
        """Type a command, and see that it exits with ``code``."""
        done = subprocess.run(
            self.argv(*words),
            cwd=self.root,
            env={**self.env, **env},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout.decode()}{done.stderr.decode()}"
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Type a command that goes on; Ctrl-C reaches it as in a terminal."""
        process = subprocess.Popen(
            self.argv(*words), cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        self.started.append(process)
        return process

    def on_terminal(self, *words: str, columns: int = 100) -> str:
        """Type a command at a terminal; all that it shows."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self.argv(*words), cwd=self.root, env={**self.env, "COLUMNS": str(columns)}, stdin=theirs, stdout=theirs,
            stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        shown = bytearray()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            ready, _, _ = select.select([ours], [], [], 0.1)
            try:
                data = os.read(ours, 65536) if ready else b""
            except OSError:  # the other end is closed
                break
            if ready and not data:
                break
            shown += data
        else:
            process.kill()
            raise AssertionError(f"it had not ended after {PATIENCE:.0f} s: {shown.decode(errors='replace')}")
        os.close(ours)
        process.wait(PATIENCE)
        return shown.decode(errors="replace")

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the newest first."""
        listed: list[dict[str, Any]] = self("runs", "list", "--all", "-o", "json").data
        return listed

    def wait_for(self, *statuses: str) -> dict[str, Any]:
        """Until the newest run has one of these states."""
        return eventually(lambda: next((run for run in self.runs()[:1] if run["status"] in statuses), None))


def eventually(look: Any, seconds: float = PATIENCE) -> Any:
    """What ``look`` returns once it is true."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return found


def said(process: subprocess.Popen[bytes], word: bytes) -> bytes:
    """Read a command's stderr until it says this word; all that it said."""
    assert process.stderr is not None
    heard = b""
    until = time.monotonic() + PATIENCE
    while word not in heard:
        ready, _, _ = select.select([process.stderr], [], [], 0.2)
        data = os.read(process.stderr.fileno(), 65536) if ready else b""
        heard += data
        assert time.monotonic() < until, heard
        assert data or not ready, f"it ended, having said: {heard.decode()}"
    return heard
