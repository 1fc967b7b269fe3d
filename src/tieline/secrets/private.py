"""Folders and files that are the user's own: opened step by step, following no link, refused where others may write.

Every step is taken from the open folder before it (``dir_fd``), so that what was looked at is what is read, whatever
is renamed meanwhile. Modes are set on the open file: no umask can widen or narrow them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tieline.secrets.failures import unreadable
from tieline.secrets.names import is_key

LARGEST = 1024 * 1024
"""Bytes of one value: what Kubernetes allows for a whole secret."""
PART = "~"
"""How the name of a file begins that is still being written; no key begins so."""
STALE = 600.0
"""Seconds after which such a file is what a killed command left."""
WRITABLE, READABLE = 0o022, 0o077
"""What others may not have: of a folder or a config map, and of a secret's file."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not make anybody wait


class Folder:
    """An open folder. Every method raises OSError for what the system refuses, SourceFailed for what is not safe."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.descriptor = path, descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    @classmethod
    def root(cls, path: Path, *, create: bool = False) -> Self:
        """Open the folder that all others are in; this one may be reached by a link."""
        if create and not path.exists():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
        return cls(path, os.open(path, _FOLDER))

    def folder(self, name: str, *, create: bool = False) -> Folder:
        """Open a folder in this one; ``create``: made if it is missing, and made private."""
        path = self.path / name
        if create:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.descriptor)
        self._no_link(name)
        inner = Folder(path, os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self.descriptor))
        try:
            if create:
                os.fchmod(inner.descriptor, 0o700)
            _check(path, os.fstat(inner.descriptor), WRITABLE)
        except BaseException:
            os.close(inner.descriptor)
            raise
        return inner

    def folders(self) -> list[str]:
        """The folders in it."""
        with os.scandir(self.descriptor) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def files(self) -> list[str]:
        """The files in it that can be keys."""
        with os.scandir(self.descriptor) as entries:
            found = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
        return sorted(name for name in found if is_key(name))

    def read(self, key: str, forbidden: int) -> bytes | None:
        """A file's content; None where there is none. ``forbidden``: the rights that others may not have to it."""
        self._no_link(key)
        try:
            descriptor = os.open(key, _FILE, dir_fd=self.descriptor)
        except FileNotFoundError:
            return None
        return read_file(descriptor, self.path / key, forbidden)

    def write(self, key: str, data: bytes) -> None:
        """Write a file, mode 0600, as a whole or not at all."""
        part = f"{PART}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o600, dir_fd=self.descriptor)
        try:
            with open(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(part, key, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except BaseException:
            os.unlink(part, dir_fd=self.descriptor)
            raise

    def remove(self, key: str) -> None:
        os.unlink(key, dir_fd=self.descriptor)

    def changed(self, key: str) -> float:
        """When a file was written, in seconds since 1970."""
        return os.stat(key, dir_fd=self.descriptor, follow_symlinks=False).st_mtime

    def sweep(self, *, all_of_it: bool = False) -> None:
        """Remove the half-written files that killed commands left."""
        before = time.time() - STALE
        for name in os.listdir(self.descriptor):
            if name.startswith(PART):
                with suppress(FileNotFoundError):  # its writer was faster
                    if all_of_it or self.changed(name) < before:
                        self.remove(name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time changes what is in here."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def _no_link(self, name: str) -> None:
        with suppress(FileNotFoundError):
            if stat.S_ISLNK(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode):
                raise unreadable(
                    self.path / name,
                    "is a symbolic link, and may lead out of Tieline's home",
                    "remove it, and keep the value itself here; or name its folder as a `directory` source of secrets",
                )


def walk(root: Path, *names: str, create: bool = False) -> Folder | None:
    """The folder ``root/name/name…``; None where it is not there."""
    try:
        folder = Folder.root(root, create=create)
        for name in names:
            with folder:
                folder = folder.folder(name, create=create)
    except FileNotFoundError:
        return None
    return folder


def read_file(descriptor: int, path: Path, forbidden: int) -> bytes:
    """The content of an open file, which is closed; that it is one, is not too large, and that others have not these
    rights to it, is seen first."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise unreadable(path, "is no plain file", "keep the value itself here, as a file")
        _check(path, status, forbidden)
        data = bytearray()
        while len(data) <= LARGEST and (part := os.read(descriptor, LARGEST)):
            data += part
    finally:
        os.close(descriptor)
    if len(data) > LARGEST:
        raise unreadable(path, "is larger than 1 MiB, more than a cluster's secret can hold", "use a volume for it")
    return bytes(data)


def _check(path: Path, status: os.stat_result, forbidden: int) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        can = "write" if mode & WRITABLE else "read"
        right = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise unreadable(path, f"other users may {can} it (mode {mode:04o})", f"`chmod {right} {path}`, and change it")
