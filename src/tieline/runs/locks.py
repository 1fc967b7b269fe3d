"""Who owns a run, and who has a place in a queue: advisory locks that the kernel frees when the owner dies.

A process id in a file can be stale or reused; ``flock(2)`` can not. The lock belongs to the *open file
description*: it survives ``exec`` in a child that was handed the descriptor, which is how ``submit`` gives a run
to its detached supervisor without a moment in which nobody owns it.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from tieline.errors import Code, InvalidInput, RecordError, TielineError

_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class RunLock:
    """An exclusive lock on a file, held until :meth:`release` or the death of every process that holds it.

    The descriptor is not inheritable: a user's program never keeps its own run owned. To hand it over, pass
    :attr:`fd` to the child (``subprocess.Popen(pass_fds=[lock.fd])``), which calls :meth:`adopt`, and then call
    :meth:`hand_over` here.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    @classmethod
    def try_acquire(cls, path: Path) -> RunLock | None:
        """Take the lock on this file (made with mode 0600), or None where somebody holds it.

        Raises :class:`RecordError` (``home-unusable``) where the file cannot be opened.
        """
        try:
            return cls(_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return None

    @classmethod
    def acquire(cls, path: Path) -> RunLock:
        """Wait for the lock: for what is held for moments only."""
        return cls(_locked(path, fcntl.LOCK_EX))

    @classmethod
    def adopt(cls, fd: int) -> RunLock:
        """Own a lock that the parent process handed over; its descriptor stops being inheritable."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.set_inheritable(fd, False)
        except (OSError, ValueError) as error:
            raise RecordError.of(
                Code.INTERNAL,
                f"descriptor {fd} does not hold the lock of a run: {error}",
                "a supervisor is started by tieline itself, with the lock's descriptor passed on",
            ) from error
        return cls(fd)

    @property
    def fd(self) -> int:
        """The descriptor, for ``pass_fds``."""
        if self._fd is None:
            raise RecordError.of(Code.INTERNAL, "this lock was released or handed over")
        return self._fd

    def release(self) -> None:
        """Free the lock for everybody, also where another process got the descriptor; again is harmless."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.hand_over()

    def hand_over(self) -> None:
        """Close this process's descriptor and leave the lock to the process that adopted it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class QueueSlots:
    """A concurrency limit by name: slot *i* of a queue is the lock on ``<home>/queues/<name>/<i>.lock``.

    Nothing counts and nothing has to be counted down: a place is free as soon as its owner is gone. A limit that
    is lowered holds for those who come; runs in the slots above it go on to their end.
    """

    @staticmethod
    def try_take(home: Path, name: str, limit: int) -> RunLock | None:
        """A free place in the queue, or None where all ``limit`` are taken.

        Raises :class:`InvalidInput` for a name that is not a plain file name or a limit below 1.
        """
        if not _QUEUE_NAME.fullmatch(name):
            raise InvalidInput.of(
                Code.BAD_NAME,
                f"{name!r} cannot be the name of a queue",
                "use letters, digits, '.', '_' and '-', at most 63, and begin with a letter or a digit",
            )
        if limit < 1:
            raise InvalidInput.of(
                Code.BAD_VALUE, f"the limit of queue {name!r} is {limit}", "a queue has at least one place"
            )
        folder = home / "queues" / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(folder, error) from error
        locks = (RunLock.try_acquire(folder / f"{slot}.lock") for slot in range(limit))
        return next((lock for lock in locks if lock is not None), None)


def _locked(path: Path, operation: int) -> int:
    """A descriptor that holds the lock. Raises BlockingIOError where another holds it and it was not to wait.

    A file that was deleted between opening and locking locks nothing, so the path is asked again.
    """
    while True:
        fd = _opened(path)
        try:
            fcntl.flock(fd, operation)
            if _is_still_at(path, fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def _is_still_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _unusable(path: Path, error: OSError) -> TielineError:
    return RecordError.of(
        Code.HOME_UNUSABLE,
        f"{path}: cannot be locked: {error.strerror}",
        "make the folder writable for you, or use another home",
    )
