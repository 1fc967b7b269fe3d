"""The deliverer that goes on when the command that began it has ended: ``python -m tieline.app.background``.

There is one for each home. It ends when nothing is left to be sent, and after an hour in any case; the next command
that finds something overdue starts another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import tieline.starting  # noqa: F401 - before what takes long
from tieline.app.delivering import Deliverer
from tieline.app.home import HomeFolder
from tieline.app.notifications import wait_for
from tieline.errors import TielineError
from tieline.runs.locks import RunLock
from tieline.runs.record import Record

PATIENCE = 3600.0
"""Seconds that it lives."""


def start_background(home: HomeFolder) -> bool:
    """Leave what is in the outbox to a process of its own; False where there is one already, or where none can be
    begun (the disk is full, the home read-only): no command fails for that, and the next one tries again."""
    try:
        return _start(home)
    except (OSError, TielineError):
        return False


def _start(home: HomeFolder) -> bool:
    lock = RunLock.try_acquire(_lock(home))
    if lock is None:
        return False
    lock.release()
    with (home.root / "deliverer.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tieline.app.background"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TIELINE_HOME": str(home.root)},
            start_new_session=True,
            cwd="/",
        )
    process.returncode = 0  # nobody waits for how it ends: it outlives this process, or is reaped when it has ended
    threading.Thread(target=os.waitpid, args=(process.pid, 0), name="reaper", daemon=True).start()
    return True


def _lock(home: HomeFolder) -> Path:
    folder = home.root / "deliverers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "background"


def main() -> None:
    """Deliver until nothing is left; also of what came while this process was about to end, for who found its lock
    taken started no other."""
    home = HomeFolder.find()
    until = time.monotonic() + PATIENCE
    with Record.open(home.database) as record:
        while time.monotonic() < until and (lock := RunLock.try_acquire(_lock(home))) is not None:
            with lock, Deliverer(home, record):
                wait_for(record.outbox, until - time.monotonic())
            if not record.outbox.waiting():
                break


if __name__ == "__main__":
    main()
