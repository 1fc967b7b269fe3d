"""``python -m tieline.engines.kubernetes.inside_reader wait`` and ``… serve``: an artifacts store, read from outside.

``wait`` is what the pod runs. It ends when nobody has asked for anything for a while: the pod of a command that was
killed does not stay. ``serve`` is started beside it (``pods/exec``), answers requests from its stdin, and ends with it.
Those that serve hold a lock, which the kernel frees, whatever ends them.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import tieline.starting  # noqa: F401 - before what takes long
from tieline.engines.kubernetes.layout import STORE
from tieline.engines.kubernetes.reader_words import (
    ALIVE,
    DATA,
    END,
    ERROR,
    HELLO,
    VERSION,
    frame,
    item_frame,
    request_size,
    stat_form,
    trouble_form,
)
from tieline.stores import FolderStore, StoreTrouble, Why, shown

WRITES = "TIELINE_READER_WRITES"
ALONE = "TIELINE_READER_ALONE"
"""The variables that say that the store may be written, and after how many seconds alone the pod ends."""
PIECE = 256 * 1024
ALIVE_EVERY = 10.0
"""Seconds after which whoever waits is told that there is somebody."""
FEW = 500
"""Of a listing, in one frame."""


def wait(lock: Path, seconds: float) -> int:
    """Until nobody has served for so long."""
    alone_since = time.monotonic()
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while time.monotonic() - alone_since < seconds:
        time.sleep(min(1.0, seconds / 4))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except BlockingIOError:  # somebody serves
            alone_since = time.monotonic()
    return 0


@contextmanager
def serving(lock: Path) -> Iterator[None]:
    """While somebody is served."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        yield
    finally:
        os.close(descriptor)


class Server:
    """Answers requests about one store."""

    def __init__(self, store: FolderStore, out: BinaryIO) -> None:
        self._store, self._out, self._lock = store, out, threading.Lock()

    def tell_that_it_lives(self) -> None:
        """For another thread."""
        self._say(frame(ALIVE))

    def serve(self, requests: BinaryIO) -> None:
        """Until there is nobody who asks."""
        self._say(item_frame({"version": VERSION}, HELLO))
        while len(head := requests.read(4)) == 4:
            size = request_size(head)
            data = requests.read(size)
            if len(data) != size:
                return
            self.answer(json.loads(data))

    def answer(self, request: Mapping[str, Any]) -> None:
        """One request."""
        try:
            sent = self._answer(request)
        except StoreTrouble as error:
            self._say(item_frame(trouble_form(error), ERROR))
        except (BrokenPipeError, ConnectionError):
            raise
        except (OSError, ValueError, KeyError) as error:  # whoever asked is told, and may ask for something else
            told = StoreTrouble(Why.BROKEN, f"the pod could not answer: {type(error).__name__}: {error}")
            self._say(item_frame(trouble_form(told), ERROR))
        else:
            self._say(item_frame(sent, END))

    def _answer(self, request: Mapping[str, Any]) -> int:
        key = request["key"]
        match request["op"]:
            case "stat":
                stat = self._store.stat(key)
                self._say(item_frame(stat and stat_form(stat)))
            case "walk":
                found = self._store.walk(key)
                while stats := [stat_form(stat) for stat in islice(found, FEW)]:
                    self._say(item_frame(stats))
            case "read":
                return self._read(key, request["offset"], request["size"], request["tag"])
            case "delete":
                self._store.delete(key)
            case op:
                raise ValueError(f"there is no {op!r}")
        return 0

    def _read(self, key: str, offset: int, size: int | None, tag: str) -> int:
        """Bytes of a file, all of one version."""
        sent = 0
        with self._store.open(key, offset) as stream:
            now = os.fstat(stream.fileno())
            version = f"{now.st_ino}-{now.st_mtime_ns}-{now.st_size}"
            if tag and tag != version:
                raise StoreTrouble(Why.CHANGED, f"{shown(key)!r} was written anew while it was read", "try again")
            self._say(item_frame(version))
            while size is None or sent < size:
                data = stream.read(PIECE if size is None else min(PIECE, size - sent))
                if not data:
                    break
                self._say(frame(DATA, data))
                sent += len(data)
        return sent

    def _say(self, data: bytes) -> None:
        with self._lock:
            self._out.write(data)
            self._out.flush()


def until_nobody_asks(requests: BinaryIO) -> BinaryIO:
    """The same requests; this process ends at their end, though it may be held up in the middle of an answer that
    nobody reads any more."""
    reading, writing = os.pipe()

    def pass_on() -> None:
        while data := os.read(requests.fileno(), PIECE):
            while data:
                data = data[os.write(writing, data) :]
        os._exit(0)

    threading.Thread(target=pass_on, daemon=True).start()
    return os.fdopen(reading, "rb")


def _tell_now_and_then(server: Server) -> None:
    with suppress(OSError, ValueError):  # nobody listens
        while True:
            time.sleep(ALIVE_EVERY)
            server.tell_that_it_lives()


def main(argv: list[str]) -> int:
    """Do what the command says; its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    lock = Path(os.environ.get("HOME", "/tmp"), "serving")  # noqa: S108 - of this container alone
    if argv == ["wait"]:
        return wait(lock, float(os.environ.get(ALONE, "60")))
    if argv == ["serve"]:
        store = FolderStore(Path(STORE), read_only=not os.environ.get(WRITES))
        with serving(lock):
            server = Server(store, sys.stdout.buffer)
            threading.Thread(target=_tell_now_and_then, args=(server,), daemon=True).start()
            try:
                server.serve(until_nobody_asks(sys.stdin.buffer))
            except (BrokenPipeError, ConnectionError):  # nobody listens
                return 0
        return 0
    sys.stderr.write(f"{__doc__}\n")
    return 64


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)
