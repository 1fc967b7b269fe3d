"""What moves files: a Python library in a worker that is started before the clock, or a program, measured whole (those
start in milliseconds)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from peers import environment

HERE = Path(__file__).resolve().parent
BUCKET = "data"


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds, and CPU seconds of the client."""

    wall: float
    cpu: float


class Tool(Protocol):
    """Moves a folder to ``<prefix>/outputs`` of the bucket, or that to a folder."""

    name: str

    def move(self, do: str, folder: Path, prefix: str) -> Took:
        """Do it."""

    def close(self) -> None:
        """End."""


class Worker:
    """A library, in a process of its own."""

    def __init__(self, name: str, env: Mapping[str, str]) -> None:
        self.name = name
        own = name in ("tieline", "obstore")
        python = sys.executable if own else str(environment(name) / "python")
        self._process = subprocess.Popen(
            [python, str(HERE / "worker.py"), name], env={**env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._line()

    def move(self, do: str, folder: Path, prefix: str) -> Took:
        """See :class:`Tool`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "folder": str(folder), "prefix": prefix}) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._line())
        return Took(told["wall"], told["cpu"])

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self._process.wait()}")
        return line

    def close(self) -> None:
        """See :class:`Tool`."""
        self._process.kill()  # some would complain of their own open connections
        self._process.wait()


class Program:
    """A program, as a whole process."""

    def __init__(self, name: str, env: Mapping[str, str]) -> None:
        self.name, self._env = name, {**env}
        self._program = str(environment("programs") / name)
        if name == "rclone":
            self._env |= {
                "RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_B_TYPE": "s3", "RCLONE_CONFIG_B_PROVIDER": "SeaweedFS",
                "RCLONE_CONFIG_B_ENV_AUTH": "true", "RCLONE_CONFIG_B_ENDPOINT": env["S3_ENDPOINT_URL"],
                "RCLONE_CONFIG_B_REGION": "us-east-1",
            }  # fmt: skip

    def move(self, do: str, folder: Path, prefix: str) -> Took:
        """See :class:`Tool`."""
        there = f"{BUCKET}/{prefix}/outputs"
        if self.name == "s5cmd":
            places = [f"{folder}/", f"s3://{there}/"] if do == "up" else [f"s3://{there}/*", f"{folder}/"]
            argv = [self._program, "--log", "error", "cp", *places]
        else:
            places = [str(folder), f"b:{there}"] if do == "up" else [f"b:{there}", str(folder)]
            fast = ["--transfers", "32", "--checkers", "32", "--s3-upload-concurrency", "8", "--s3-no-check-bucket",
                    "--multi-thread-streams", "8", "--fast-list", "--no-traverse"]  # fmt: skip
            argv = [self._program, "copy", *fast, *places]
        began = time.perf_counter()
        process = subprocess.Popen(argv, env=self._env, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (argv, process.returncode)
        return Took(wall, usage.ru_utime + usage.ru_stime)

    def close(self) -> None:
        """See :class:`Tool`."""
