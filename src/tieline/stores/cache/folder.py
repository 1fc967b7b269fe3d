"""The cache as one folder of this machine: opened for a run, given up when it cannot be used.

A cache that fails costs time, never a run: whatever the system refuses, the fetch goes on without it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tieline.stores.base import shown
from tieline.stores.beneath import closing
from tieline.stores.cache.objects import Objects
from tieline.stores.cache.pruning import Pruner, bound_of
from tieline.stores.cache.records import Records


@dataclass(slots=True)
class Cache:
    """``trouble``: why it is not used any more; "" while it is."""

    root: Path
    objects: Objects
    records: Records
    pruner: Pruner
    trouble: str = ""

    @classmethod
    def open(cls, root: Path, max_size: int | None = None) -> Cache:
        """Open a cache, made if it is not there. Raises OSError."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise PermissionError(errno.EPERM, "others may write there, or it is somebody else's", str(root))
        objects, records = Objects(root), Records(root)
        return cls(root, objects, records, Pruner(root, objects, records, bound_of(root, max_size)))

    def close(self) -> None:
        """Say what was added, and make room where that is too much."""
        with self.using():
            self.pruner.settle()
        self.objects.close()

    def give(self, object_id: str, size: int, target: Path) -> str | None:
        """Put an object's file where it is wanted; its name, None where the cache does not have it."""
        try:
            name = self.records.find(object_id)
            if name is None:
                return None
            with closing(os.open(target.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
                return name if self.objects.give(name, size, folder, target.name) else None
        except OSError as error:  # it is fetched instead
            self.give_up(error)
            return None

    def keep(self, object_id: str, local: Path, sha256: str) -> str | None:
        """Keep a file that was fetched, and that nobody may write to; its name, None where it is not kept."""
        try:
            if not self.pruner.takes_more():
                return None
            name, room = self.objects.put(local, sha256)
            self.records.note(object_id, name)
            self.pruner.added(room)
        except OSError as error:  # a full disk: the fetch goes on without the cache, and says so
            self.give_up(error)
            return None
        return name

    @contextmanager
    def using(self) -> Iterator[None]:
        """Do something with the cache that may fail: then it is not used any more."""
        if not self.trouble:
            try:
                yield
            except OSError as error:  # a full disk, a folder that was made read-only: the fetch goes on without it
                self.give_up(error)
        else:
            with suppress(OSError):  # what made it useless is known
                yield

    def give_up(self, error: OSError) -> None:
        """Use it no more."""
        self.trouble = self.trouble or trouble_of(self.root, error)


def trouble_of(root: Path, error: OSError) -> str:
    """Why a cache is not used, for people."""
    return f"the cache of inputs {shown(str(root))!r} is not used: {error.strerror or error}"
