"""A store that is a folder of this machine: a host path, or the folder that stands for a volume claim.

**Whole.** A file is written beside its place and renamed over it: a reader never sees half of one, whatever is killed.

**Inside.** Every folder on the way is opened by descriptor without following links; where a link is met, it is
resolved once, and refused unless it ends inside the root. Check and use are the same descriptor: nothing can be
swapped between.

**Durable.** What was saved survives the death of any process. Against a loss of power, ``save_bytes`` and
``save_chunks`` (logs: few, small) sync each file before its rename, so that it is whole or absent afterwards;
``save_file`` leaves that to one ``flush`` (``syncfs``) at the end: a sync for each of ten thousand outputs would cost
minutes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat as modes
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from tieline.stores.base import Saved, Stat, StoreTrouble, Why, key_parts, shown
from tieline.stores.beneath import closing, leaves, open_folder, resolve
from tieline.stores.copying import copy_contents, settles_in, sync_file_system, write_all
from tieline.stores.local import is_hole, open_source, sha256_of, write_part
from tieline.stores.reasons import trouble
from tieline.stores.walking import describe, unfinished, walk

T = TypeVar("T")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RIGHTS = 0o777


class FolderStore:
    """A :class:`tieline.stores.base.Store`. ``base`` must exist; ``root`` may be below it, and is made by a save.

    That way a disk that is not mounted is noticed, and a ``subPath`` is empty until then, as on Kubernetes.
    """

    checks = True
    at_once = 1  # a disk gains nothing by more, and a copy inside the kernel takes no time of ours

    def __init__(self, root: Path, *, base: Path | None = None, read_only: bool = False) -> None:
        self.root = root
        self._base = base or root
        self._read_only = read_only

    def __repr__(self) -> str:
        return f"FolderStore({str(self.root)!r})"

    def save_file(self, local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        """See :class:`tieline.stores.base.Store`."""
        del settled
        with closing(open_source(local)) as source, self._told("save", key):
            before = os.fstat(source)
            mtime_ns = before.st_mtime_ns - (1 if settles_in(before.st_mtime_ns) else 0)

            def fill(target: int) -> Saved:
                size = copy_contents(source, target, before.st_size)
                sha256 = sha256_of(target) if digest and not is_hole(before) else None
                os.utime(target, ns=(before.st_atime_ns, mtime_ns))
                return Saved(size, mtime_ns, sha256)

            return self._write(key, before.st_mode & _RIGHTS | 0o600, fill)

    def save_bytes(self, data: bytes, key: str) -> Saved:
        """See :class:`tieline.stores.base.Store`."""
        return self.save_chunks((data,), key)

    def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
        """See :class:`tieline.stores.base.Store`."""

        def fill(target: int) -> Saved:
            digest, size = hashlib.sha256(), 0
            for chunk in chunks:
                write_all(target, chunk, size)
                digest.update(chunk)
                size += len(chunk)
            os.fsync(target)
            return Saved(size, os.fstat(target).st_mtime_ns, digest.hexdigest())

        with self._told("save", key):
            return self._write(key, 0o666, fill)

    def stat(self, key: str) -> Stat | None:
        """See :class:`tieline.stores.base.Store`."""
        parts = key_parts(key)
        with self._told("look at", key):
            try:
                if not parts:
                    return describe(self.root, (), self.root.stat())
                with self._folder(parts[:-1]) as folder:
                    found = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
                    return describe(self.root, parts, found, folder)
            except (FileNotFoundError, NotADirectoryError):
                self._base.stat()  # a volume that is not there is a failure, not an absent file
                return None

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        return (entry for entry in self.walk(prefix) if entry.what == "file")

    def walk(self, prefix: str = "", unreadable: Callable[[StoreTrouble], None] | None = None) -> Iterator[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        top = self.stat(prefix)
        if top is None:
            return
        if top.what != "dir":
            yield top
            return
        parts = key_parts(prefix)
        with self._told("read", prefix), self._folder(parts) as folder:
            yield from walk(self.root, parts, folder, unreadable)

    def some(self, most: int) -> Sequence[Stat]:
        """See :class:`tieline.stores.base.Store`."""
        return tuple(islice(self.list(), most))

    def open(self, key: str, offset: int = 0) -> BinaryIO:
        """See :class:`tieline.stores.base.Store`."""
        with self._told("read", key):
            descriptor = self._open(key_parts(key))
            stream = os.fdopen(descriptor, "rb")
            stream.seek(offset)
            return stream

    def fetch_file(self, key: str, local: Path, *, digest: bool = False, size: int = 0) -> Stat:
        """See :class:`tieline.stores.base.Store`."""
        del size
        parts = key_parts(key)
        with self._told(f"copy to {shown(str(local))!r} from", key), closing(self._open(parts)) as source:
            found = os.fstat(source)

            def fill(target: int) -> str | None:
                copy_contents(source, target, found.st_size)
                os.fchmod(target, found.st_mode & _RIGHTS)
                os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
                return sha256_of(target) if digest else None

            with closing(os.open(local.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
                sha256 = write_part(folder, local.name, 0o600, fill)
            return replace(describe(self.root, parts, found), sha256=sha256)

    def delete(self, prefix: str) -> None:
        """See :class:`tieline.stores.base.Store`."""
        parts = key_parts(prefix)
        if not parts:
            raise StoreTrouble(Why.UNSAFE, "will not delete a whole store", "name what is to be deleted")
        found = self.stat(prefix)
        if found is None:
            return
        self._writable(prefix)
        with self._told("delete", prefix), self._folder(parts[:-1]) as folder, suppress(FileNotFoundError):
            if found.what == "dir":
                shutil.rmtree(parts[-1], dir_fd=folder)
            else:
                os.unlink(parts[-1], dir_fd=folder)

    def make_dir(self, prefix: str) -> None:
        """See :class:`tieline.stores.base.Store`."""
        self._writable(prefix)
        with self._told("make", prefix), self._folder(key_parts(prefix), create=True):
            pass

    def sweep(self, prefix: str = "") -> None:
        """See :class:`tieline.stores.base.Store`."""
        found = self.stat(prefix)
        if found is None or found.what != "dir":
            return
        folders = [prefix, *(entry.key for entry in self.walk(prefix) if entry.what == "dir")]
        for key in folders:
            with self._told("clean", key), self._folder(key_parts(key)) as folder:
                for name in unfinished(folder):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)

    def flush(self) -> None:
        """See :class:`tieline.stores.base.Store`."""
        with self._told("flush", ""), closing(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)) as root:
            sync_file_system(root)

    def _open(self, parts: tuple[str, ...]) -> int:
        """A descriptor of a file; a link is followed where it stays inside."""
        if not parts:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with self._folder(parts[:-1]) as folder:
            try:
                descriptor = os.open(parts[-1], _READ, dir_fd=folder)
            except OSError as error:
                real = resolve(self.root, parts) if error.errno == errno.ELOOP else parts
                if real is None:
                    raise leaves(parts) from None
                if real == parts:
                    raise
                return self._open(real)
        if not modes.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise IsADirectoryError(errno.EISDIR, "not a file")
        return descriptor

    def _write(self, key: str, mode: int, fill: Callable[[int], T]) -> T:
        self._writable(key)
        parts = key_parts(key)
        if not parts:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with self._folder(parts[:-1], create=True) as folder:
            return write_part(folder, parts[-1], mode, fill)

    @contextmanager
    def _folder(self, parts: tuple[str, ...], *, create: bool = False) -> Iterator[int]:
        if create and self.root != self._base and not self.root.is_dir():
            below = self.root.relative_to(self._base).parts
            os.close(open_folder(self._base, below, create=True))
        with closing(open_folder(self.root, parts, create=create)) as folder:
            yield folder

    def _writable(self, key: str) -> None:
        if self._read_only:
            raise StoreTrouble(
                Why.READ_ONLY,
                f"cannot write {shown(key)!r}: the store {shown(str(self.root))!r} is declared readOnly",
                "take readOnly out of the connection's schema, or name another store",
            )

    @contextmanager
    def _told(self, doing: str, key: str) -> Iterator[None]:
        """Tell what the system refuses as a :class:`StoreTrouble`, with the path."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOENT and not self._base.exists():
                raise trouble(error, "use", f"the store's folder {shown(str(self._base))!r}") from error
            path = os.path.join(self.root, key)
            raise trouble(error, doing, repr(shown(path))) from error
