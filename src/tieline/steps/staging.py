"""A folder from the cache, linked beside its place while the bucket is still being listed.

Linking takes about as long as the listing does, and neither needs the other: only when both are there is it known
whether the folder is still as it was. If it is, it is renamed into its place; if not, it goes, and nothing was touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from tieline.stores.base import StoreTrouble, key_parts
from tieline.stores.beneath import open_folder
from tieline.stores.cache.folder import Cache
from tieline.stores.cache.records import Record


class Staging:
    """A folder beside ``target``, in which a record's files are linked."""

    def __init__(self, target: Path, record: Record) -> None:
        self.record, self.target = record, target
        self._folder = target.parent / f".tieline-{secrets.token_hex(8)}.part"

    def fill(self, cache: Cache, go_on: Callable[[], None]) -> bool:
        """Link everything; False where one of the files cannot be had. Raises what ``go_on`` does, and OSError."""
        self._folder.mkdir(parents=True)
        try:
            return self._fill(cache, go_on)
        except StoreTrouble:  # a path that leads out: this is no record of ours
            return False

    def _fill(self, cache: Cache, go_on: Callable[[], None]) -> bool:
        for folder in self.record.folders:
            os.close(open_folder(self._folder, key_parts(folder), create=True))
        here, opened, give = "", open_folder(self._folder, ()), cache.objects.give
        try:
            for relative, name, size in self.record.files:
                above, _, file = relative.rpartition("/")
                if above != here:
                    go_on()
                    former, opened = opened, open_folder(self._folder, key_parts(above), create=True)
                    os.close(former)
                    here = above
                if not give(name, size, opened, file):
                    return False
        finally:
            os.close(opened)
        return True

    def take_place(self) -> bool:
        """Become the target, where there is nothing or an empty folder; whether that was so."""
        try:
            os.rename(self._folder, self.target)
        except OSError:  # something is there by now: the files are brought one by one, beside it
            return False
        return True

    def remove(self) -> None:
        """Remove what did not take its place; the cache's files are only unlinked."""
        shutil.rmtree(self._folder, ignore_errors=True)


def is_free(target: Path) -> bool:
    """Whether a whole folder can be put there."""
    try:
        with os.scandir(target) as entries:
            return not target.is_symlink() and next(entries, None) is None
    except FileNotFoundError:
        return not target.is_symlink()
    except OSError:  # a file: whoever copies says so
        return False
