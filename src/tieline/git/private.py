"""Where credentials are while git runs: a folder in memory that nobody else may enter, and that is gone afterwards.

ssh closes the descriptors that it inherits and wants its key as a file, so a file there must be. It is in memory
(``$XDG_RUNTIME_DIR``, which systemd keeps there, or ``/dev/shm``), so that no disk ever has it; only a machine with
neither gets it into the folder that the caller names. Nothing in it is ever executed: ``/dev/shm`` is often ``noexec``.

A process that is killed outright cannot clean up. The folder's name therefore begins with the caller's mark (a run's
uuid), by which a recovery finds what is left: :func:`remove_left`.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tieline.errors import Code, StepFailed

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108


def memory(otherwise: Path) -> Path:
    """A folder in memory in which this user may make private ones; ``otherwise``, where the machine has none."""
    return next(iter(_memories()), otherwise)


def _memories() -> Iterator[Path]:
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/") and _is_ours(Path(own)) and _is_memory(Path(own)):
        yield Path(own)
    if _is_memory(SHARED_MEMORY):
        yield SHARED_MEMORY


def _is_memory(path: Path) -> bool:
    """Whether it is a folder of a file system in memory that this user may write to; by proc(5), mountinfo."""
    try:
        device = path.stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    found = (line.split() for line in mounts.splitlines())
    kinds = {fields[fields.index("-") + 1] for fields in found if fields[2] == number}
    return kinds <= {"tmpfs", "ramfs"} and bool(kinds) and os.access(path, os.W_OK | os.X_OK)


def _is_ours(path: Path) -> bool:
    """Whether it is a folder of this user that nobody else may enter."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


@contextmanager
def private_folder(parent: Path, mark: str) -> Iterator[Path]:
    """A new folder, mode 0700, in ``parent`` (made if it is missing); it is removed with all that is in it."""
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_prefix(mark), dir=parent.absolute()))
    except OSError as error:
        raise _failed(parent, error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_private(path: Path, data: bytes) -> Path:
    """Write a new file, mode 0600, and return its path. Raises :class:`StepFailed`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(data)
    except OSError as error:
        raise _failed(path.parent, error) from None
    return path


def remove_left(mark: str, *parents: Path) -> None:
    """Remove the folders of a mark whose process was killed, from memory and from ``parents``; only this user's own."""
    for parent in {*_memories(), *parents}:
        for found in parent.glob(f"{_prefix(mark)}*"):
            if _is_ours(found):
                shutil.rmtree(found, ignore_errors=True)


def _prefix(mark: str) -> str:
    """``mark`` with nothing in it that could be a pattern or a path."""
    return f"tieline-git-{''.join(c if c.isalnum() else '-' for c in mark)}."


def _failed(where: Path, error: OSError) -> StepFailed:
    reason = f"cannot write credentials for git into {where}: {error.strerror}"
    return StepFailed.of(Code.CLONE_FAILED, reason, "check that folder's rights and space")
