"""Local files, as every store handles them: what is saved is opened without blocking, what is fetched is whole."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat as modes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tieline.stores.base import Stat, StoreTrouble, Why, shown
from tieline.stores.beneath import closing
from tieline.stores.copying import CHUNK

T = TypeVar("T")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HUGE = 4 * 1024**3
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def open_source(local: Path) -> int:
    """A descriptor of a local file that is to be saved; only a plain file, and nothing that blocks."""
    try:
        descriptor = os.open(local, _READ)
        if modes.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        said = "it is not a plain file"
    except FileNotFoundError:
        raise
    except OSError as error:
        said = error.strerror or str(error)
    raise StoreTrouble(
        Why.SOURCE,
        f"cannot read {shown(str(local))!r} to save it: {said}",
        "give the user that runs Tieline the right to read it",
    )


def put_here(local: Path, like: Stat, fill: Callable[[int], T]) -> T:
    """Make a local file by :func:`write_part`, with another's time and permission bits."""

    def fill_all(target: int) -> T:
        result = fill(target)
        os.fchmod(target, like.mode)
        os.utime(target, ns=(like.mtime_ns, like.mtime_ns))
        return result

    return write_part(None, str(local), 0o600, fill_all)


def write_part(folder: int | None, name: str, mode: int, fill: Callable[[int], T]) -> T:
    """Write a file beside its place, then rename it there; whatever goes wrong, nothing of it stays. ``name``: a path,
    from the open folder if one is given."""
    part = f"{name[: name.rfind('/') + 1]}.tieline-{secrets.token_hex(8)}.part"
    descriptor = os.open(part, _CREATE, mode, dir_fd=folder)
    try:
        with closing(descriptor):
            result = fill(descriptor)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
    return result


def sha256_of(descriptor: int) -> str:
    """The digest of an open file, in hex."""
    digest, position = hashlib.sha256(), 0
    while data := os.pread(descriptor, CHUNK, position):
        digest.update(data)
        position += len(data)
    return digest.hexdigest()


def digest_here(local: Path, *, but_holes: bool = False) -> str | None:
    """The digest of a local file. ``but_holes``: None for what :func:`is_hole` tells."""
    with closing(open_source(local)) as source:
        if but_holes and is_hole(os.fstat(source)):
            return None
        try:
            return sha256_of(source)
        except OSError as error:
            said = error.strerror or str(error)
            raise StoreTrouble(Why.SOURCE, f"cannot read {shown(str(local))!r}: {said}", "check the disk") from error


def is_hole(found: os.stat_result) -> bool:
    """Whether next to nothing of a huge file is on the disk: to digest its zeros would take hours."""
    return found.st_size > _HUGE and found.st_blocks * 512 * 16 < found.st_size
