"""The files of the cache: each by its contents, and handed out as a hard link, so that it costs neither time nor room.

``objects/ab/<sha256>-<time>-<mode>``: nobody may write to one, and its name tells what must be true of it. What is not
(a job that runs as root may write to any file) is dropped when it is met. A file gets here by one link, or one rename,
of a file that is whole: a process that is killed leaves nothing that could be taken for one.

After a loss of power a file may have lost its end, which its size tells: ext4, xfs and btrfs write down how long a file
is after what is in it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat as modes
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tieline.stores.beneath import closing
from tieline.stores.copying import copy_contents
from tieline.stores.local import write_part

NAME = re.compile(r"[0-9a-f]{64}-\d{1,20}-[45]{3}\Z")
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
"""Another file system; one without hard links."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the cache as it is now. ``room``: what it takes of the disk; ``used_ns``: when it was last linked, or a
    link of it removed."""

    name: str
    size: int
    room: int
    used_ns: int


def read_only(mode: int) -> int:
    """The permission bits of an input: nobody may write to it, and it stays executable."""
    return 0o555 if mode & 0o111 else 0o444


class Objects:
    """The files below ``root/objects``. Any number of threads and processes may use them at once."""

    def __init__(self, root: Path) -> None:
        for name in ("objects", "parts"):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._objects = os.open(root / "objects", _FOLDER)
        self._parts = root / "parts"
        self._links = True

    def close(self) -> None:
        os.close(self._objects)

    # --- in

    def put(self, local: Path, sha256: str) -> tuple[str, int]:
        """Keep a file that nobody may write to; its name, and the room that it takes: 0 if it was here before.

        Raises OSError."""
        found = os.lstat(local)
        name = f"{sha256}-{found.st_mtime_ns}-{modes.S_IMODE(found.st_mode):o}"
        if self._has(name, found.st_size):
            return name, 0
        with suppress(FileNotFoundError):  # it is there, and not what it was
            self.drop(name)
        with suppress(FileExistsError):  # another process was faster
            self._place(local, name)
            return name, _room(found)
        return name, 0

    def _place(self, local: Path, name: str) -> None:
        """By a link where that is possible, else by a copy."""
        with suppress(FileExistsError):
            os.mkdir(name[:2], 0o700, dir_fd=self._objects)
        if self._links:
            try:
                os.link(local, _place(name), dst_dir_fd=self._objects, follow_symlinks=False)
                return
            except OSError as error:
                self._unlinkable(error)
        part = self._parts / f"{secrets.token_hex(8)}.part"
        try:
            with closing(os.open(local, _READ)) as source, closing(os.open(self._parts, _FOLDER)) as folder:
                _copy(source, folder, part.name)
            os.rename(part, _place(name), dst_dir_fd=self._objects)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    # --- out

    def give(self, name: str, size: int, folder: int, file: str) -> bool:
        """Put one into an open folder, under the name ``file``; whether it was here, and as it was put in.

        Raises OSError where it cannot be put there.
        """
        try:
            if self._links:
                try:
                    self._link(name, folder, file)
                    if _is_as_put(os.stat(file, dir_fd=folder, follow_symlinks=False), name, size):
                        return True
                    os.unlink(file, dir_fd=folder)
                    self.drop(name)
                    return False
                except OSError as error:
                    self._unlinkable(error)
            return self._give_copy(name, size, folder, file)
        except FileNotFoundError:
            return False

    def _link(self, name: str, folder: int, file: str) -> None:
        try:
            os.link(_place(name), file, src_dir_fd=self._objects, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            part = f".tieline-{secrets.token_hex(8)}.part"
            os.link(_place(name), part, src_dir_fd=self._objects, dst_dir_fd=folder, follow_symlinks=False)
            try:
                os.rename(part, file, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                with suppress(FileNotFoundError):  # a rename over another link of the same file does nothing
                    os.unlink(part, dir_fd=folder)

    def _give_copy(self, name: str, size: int, folder: int, file: str) -> bool:
        with closing(os.open(_place(name), _READ, dir_fd=self._objects)) as source:
            found = os.fstat(source)
            if _is_as_put(found, name, size):
                os.fchmod(source, modes.S_IMODE(found.st_mode))  # for the time of its last use
                _copy(source, folder, file)
                return True
        self.drop(name)
        return False

    def _unlinkable(self, error: OSError) -> None:
        """Copies do instead of links where the two are on different file systems, or one has no links, or this file
        has as many as it may."""
        if error.errno in _NO_LINKS:
            self._links = False
        elif error.errno != errno.EMLINK:
            raise error

    # --- looking, removing

    def _has(self, name: str, size: int) -> bool:
        try:
            found = os.stat(_place(name), dir_fd=self._objects, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return _is_as_put(found, name, size)

    def is_here(self, name: str) -> bool:
        """Whether there is one of this name."""
        return os.access(_place(name), os.F_OK, dir_fd=self._objects, follow_symlinks=False)

    def drop(self, name: str) -> None:
        """Remove one; the links that jobs have stay. Raises OSError."""
        os.unlink(_place(name), dir_fd=self._objects)

    def all(self) -> Iterator[Kept]:
        """Every file that is here."""
        for folder in _names(self._objects):
            with closing(os.open(folder, _FOLDER, dir_fd=self._objects)) as below:
                for name in filter(NAME.match, _names(below)):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        found = os.stat(name, dir_fd=below, follow_symlinks=False)
                        yield Kept(name, found.st_size, _room(found), found.st_ctime_ns)

    def open(self, name: str) -> int:
        """A descriptor of one that is as it was put in, as far as its time and rights tell. Raises OSError."""
        descriptor = os.open(_place(name), _READ, dir_fd=self._objects)
        found = os.fstat(descriptor)
        if _is_as_put(found, name, found.st_size):
            return descriptor
        os.close(descriptor)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _place(name: str) -> str:
    return f"{name[:2]}/{name}"


def _names(folder: int) -> list[str]:
    with closing(os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)) as readable:
        return os.listdir(readable)


def _is_as_put(found: os.stat_result, name: str, size: int) -> bool:
    _, mtime_ns, mode = name.split("-")
    return (
        found.st_size == size and found.st_mtime_ns == int(mtime_ns) and found.st_mode == modes.S_IFREG | int(mode, 8)
    )


def _room(found: os.stat_result) -> int:
    """Where a file has holes, as if it had none: a copy may not have them."""
    return max(found.st_size, found.st_blocks * 512)


def _copy(source: int, folder: int, name: str) -> None:
    """A copy (a clone, where the file system has those) with the same time and rights."""
    found = os.fstat(source)

    def fill(target: int) -> None:
        copy_contents(source, target, found.st_size)
        os.fchmod(target, modes.S_IMODE(found.st_mode))
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))

    write_part(folder, name, 0o600, fill)
