"""One program of a job under its guard: started, told to end, and how it ended."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tieline.engines.process import guard
from tieline.engines.variables import MARKER

GUARD_MARKER = "TIELINE_GUARD"
BUBBLEWRAP = "bwrap"
LOADER = "LD_LIBRARY_PATH"
"""The one variable of the supervisor's that a guard gets: this Python may not start without it."""
NOT_EXECUTABLE = (errno.EACCES, errno.ENOEXEC, errno.EPERM)
GUARD_PATIENCE = guard.PATIENCE + 5.0


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
    """What the guard wrote down, if it did; what is no more than room for that (zeros) says nothing."""
    try:
        return ended_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ended_of(data: Mapping[str, Any]) -> Ended:
    """What the guard told. Raises KeyError, TypeError or ValueError where it is no such thing."""
    cause = str(data["cause"])
    if cause == "not-started":
        return Ended(cause, 126 if data["errno"] in NOT_EXECUTABLE else 127, error=str(data["error"]))
    status = int(data["status"])
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Ended(cause, 128 + number, number)
    return Ended(cause, os.waitstatus_to_exitcode(status))


def guard_died(code: int) -> Ended:
    """Nothing is known of the program but that the kernel killed it with its guard."""
    how = "was killed (out of memory?)" if code == -signal.SIGKILL else f"ended with {code}"
    return Ended("guard-died", 128 + signal.SIGKILL, int(signal.SIGKILL), f"the process that watches it {how}")


def after_bubblewrap(code: int, said: BinaryIO) -> Ended:
    """Of a guard inside bubblewrap, whose exit code tells of a signal as shells do. ``said``: what it complained of."""
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    if lines and lines[-1].startswith("bwrap: "):
        return Ended("not-started", 127, error=f"bubblewrap says: {lines[-1].removeprefix('bwrap: ')}")
    return guard_died(128 - code if code > 128 else code)


def start_guard(
    env: Mapping[str, str], line: socket.socket, pipe: Sequence[int], isolation: Sequence[str] | None
) -> tuple[subprocess.Popen[bytes], BinaryIO | None]:
    """The guard, or bubblewrap with the guard in it; and where that says what is wrong. Raises OSError.

    Bubblewrap's arguments go by a descriptor: what is mounted concerns nobody who lists processes.
    """
    argv = [sys.executable, "-I", "-S", guard.__file__, str(line.fileno())]
    given = [line.fileno(), *pipe]
    with ExitStack() as stack:
        said = None
        if isolation is not None:
            arguments = stack.enter_context(os.fdopen(os.memfd_create("bwrap-args"), "w+b", buffering=0))
            arguments.write(b"".join(os.fsencode(part) + b"\0" for part in isolation))
            arguments.seek(0)
            argv = [*bubblewrap(arguments.fileno()), *argv]
            given.append(arguments.fileno())
            said = os.fdopen(os.memfd_create("bwrap-said"), "w+b")
        process = subprocess.Popen(
            argv,
            pass_fds=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=env,
            start_new_session=True,
            cwd="/",
        )
    return process, said


def bubblewrap(arguments: int) -> list[str]:
    """Bubblewrap with its arguments from a descriptor; the command that it is to start follows. Raises OSError."""
    program = shutil.which(BUBBLEWRAP)
    if program is None:
        raise FileNotFoundError(errno.ENOENT, "bubblewrap, which this run began with, is not installed any more")
    return [program, "--args", str(arguments), "--"]


def _guards_environment(uuid: str) -> dict[str, str]:
    loader = os.environ.get(LOADER)
    return {MARKER: uuid, GUARD_MARKER: "1", **({LOADER: loader} if loader else {})}


class Left:
    """What a program has printed and its guard has not moved on into the file: the guard was killed, or the disk is
    full."""

    def __init__(self, reading: int, spool: Path) -> None:
        self._reading, self._spool = reading, spool

    def move(self) -> int:
        """Move it on, as far as that is possible; how many bytes are still left."""
        if self._reading < 0:
            return 0
        with suppress(OSError):  # nothing is left (EAGAIN), or the disk is full
            os.set_blocking(self._reading, False)
            with self._spool.open("r+b") as file:
                file.seek(0, os.SEEK_END)
                while os.splice(self._reading, file.fileno(), guard.PORTION):
                    continue
        return int.from_bytes(fcntl.ioctl(self._reading, termios.FIONREAD, bytes(4)), sys.byteorder)

    def close(self) -> None:
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1


class Guarded:
    """A program that is running, or has ended."""

    def __init__(
        self,
        name: str,
        exit_path: Path,
        process: subprocess.Popen[bytes],
        line: socket.socket,
        left: Left,
        said: BinaryIO | None = None,
    ) -> None:
        self.name = name
        self._said = said
        self._left = left
        self._exit_path = exit_path
        self._process = process
        self._line = line
        self._ended: Ended | None = None

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str,
        spool: Path,
        exit_path: Path,
        called: str = "",
        isolation: Sequence[str] | None = None,
    ) -> Guarded:
        """Start a program. One that cannot be started has ended at once, with the reason, in which it is ``called`` so.

        ``isolation``: bubblewrap's arguments, if it is to have a root of its own. Raises OSError where not even a guard
        can be started.
        """
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        with theirs, os.fdopen(writing, "wb"):
            try:
                process, said = start_guard(_guards_environment(env[MARKER]), theirs, [reading, writing], isolation)
            except BaseException:
                ours.close()
                os.close(reading)
                raise
        order = {
            "argv": list(argv),
            "called": called or argv[0],
            "env": dict(env),
            "cwd": cwd,
            "output": str(spool),
            "pipe": [reading, writing],
            "result": str(exit_path),
        }
        running = cls(name, exit_path, process, ours, Left(reading, spool), said)
        running._send(json.dumps(order).encode() + b"\n")
        return running

    def _send(self, data: bytes) -> None:
        try:
            self._line.sendall(data)
        except OSError:
            return  # the guard has ended: the program has too, and its end is read from the file

    def poll(self) -> Ended | None:
        """How it ended, or None while it runs. All that it started has ended then, too."""
        if self._ended is None and self._process.poll() is not None:
            self._left.move()
            self._ended = read_exit(self._exit_path) or self._told() or self._unseen()
            self._line.close()
        return self._ended

    def _unseen(self) -> Ended:
        """The guard told nothing: it was killed, or there was none, for bubblewrap could not make the root."""
        return (
            guard_died(self._process.returncode)
            if self._said is None
            else after_bubblewrap(self._process.returncode, self._said)
        )

    def _told(self) -> Ended | None:
        """What the guard sent when it ended; the disk may have been too full for its file."""
        try:
            return ended_of(json.loads(self._line.recv(65536, socket.MSG_DONTWAIT)))
        except (OSError, ValueError, KeyError, TypeError):
            return None

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

    def kill_guard(self) -> None:
        """End a guard that does not do its work (it was stopped, or is stuck); the kernel kills the program then."""
        self._process.kill()

    def end(self) -> None:
        """It has ended afterwards: what still runs is killed."""
        if self.poll() is None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
            if self.wait(GUARD_PATIENCE) is None:
                self.kill_guard()
                self.wait(GUARD_PATIENCE)

    def close(self) -> int:
        """Nothing of it is left afterwards; how many bytes that it printed could not be kept.

        For when all its processes have ended: those that outlived their guard may have printed until now.
        """
        self.end()
        lost = self._left.move()
        self._left.close()
        self._line.close()
        if self._said is not None:
            self._said.close()
        return lost
