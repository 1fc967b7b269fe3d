"""Runs a command once and says what it took, as the kernel counted it.

The kernel hands a process's peak on to the program that it starts: a child's peak memory is never less than that of
the process that measures. So that process stays small (about 20 MiB: nothing large is read, made or imported in it),
and the floor is measured and written down with the results.
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MIB_IN_KIB = 1024


class Failed(RuntimeError):
    """A measured command did not do what it is measured for."""


@dataclass(frozen=True, slots=True)
class Taken:
    """``wall`` and ``cpu`` (user and system) in seconds, ``peak`` resident memory in MiB."""

    wall: float
    cpu: float
    peak: float
    output: str


def take(argv: Sequence[str | Path], cwd: Path, env: Mapping[str, str]) -> Taken:
    """Run to the end. Raises Failed unless the command succeeds."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if process.returncode:
        raise Failed(f"{' '.join(map(str, argv))}: exit code {process.returncode}\n{text[-4000:]}")
    return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MIB_IN_KIB, text)


def starts(argv: Sequence[str | Path], env: Mapping[str, str]) -> bool:
    """Whether the kernel starts the command with this environment (False: E2BIG, "Argument list too long")."""
    try:
        subprocess.run([str(word) for word in argv], env=dict(env), check=True)
    except OSError as error:
        if error.errno == errno.E2BIG:
            return False
        raise
    return True
