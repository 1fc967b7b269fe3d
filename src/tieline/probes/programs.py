"""Programs that a probe runs, git and ssh: ended when their time is over, and read so far and no further."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from tieline.errors import Code, StepFailed
from tieline.git.command import Git

GIT_BYTES = 32 * 1024 * 1024
"""Of git's answer: a large repository has a hundred thousand refs."""
_SAID = 256 * 1024
_POLL = 0.1


class Watched:
    """A program whose standard error is read until it says what we wait for, or ends; then it is ended."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def until(self, pattern: re.Pattern[str], seconds: float) -> str:
        """What it said. Raises TimeoutError where it neither said it nor ended."""
        stream = self._process.stderr
        assert stream is not None  # noqa: S101 - it is a pipe
        said = b""
        deadline = time.monotonic() + seconds
        try:
            while not pattern.search(text := said.decode("utf-8", "replace")):
                if time.monotonic() > deadline:
                    raise TimeoutError
                data = _some(stream, _POLL)
                if data == b"" or len(said) > _SAID:
                    break
                said += data or b""
            return text
        finally:
            self.end()
            stream.close()

    def end(self) -> None:
        """Kill it with all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _some(stream: IO[bytes], seconds: float) -> bytes | None:
    """What there is to read: ``b""`` at the end, None where nothing came in this time."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return os.read(stream.fileno(), 65536) if selector.select(seconds) else None


class ShortGit(Git):
    """git, with an end to what is read of its answer."""

    def _wait(self, process: subprocess.Popen[bytes], command: str) -> tuple[bytes, bytes]:
        found = {"out": b"", "err": b""}

        def read(name: str, stream: IO[bytes] | None, most: int) -> None:
            with suppress(OSError, ValueError):  # closed under us, when the time was over
                found[name] = stream.read(most + 1) if stream is not None else b""
            if len(found[name]) > most:
                _kill(process)

        readers = [
            threading.Thread(target=read, args=("out", process.stdout, GIT_BYTES), daemon=True),
            threading.Thread(target=read, args=("err", process.stderr, _SAID), daemon=True),
        ]
        for reader in readers:
            reader.start()
        deadline = time.monotonic() + (self.timeout or 0)
        while any(reader.is_alive() for reader in readers):
            readers[0].join(_POLL)
            if (self.cancel is not None and self.cancel.is_set()) or time.monotonic() > deadline:
                _kill(process)
                raise TimeoutError
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        if len(found["out"]) > GIT_BYTES:
            what = f"git {command} was ended: the server's answer has more than {GIT_BYTES >> 20} MiB"
            raise StepFailed.of(Code.CLONE_FAILED, what, "is this the right repository?")
        return found["out"], found["err"]


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
