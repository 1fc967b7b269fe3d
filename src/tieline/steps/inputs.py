"""Copying inputs out of a bucket: through the cache of inputs, where there is one.

An input is read-only to the job, whether it came through the cache or not, the first time or the tenth: a file that may
be shared with other runs must not be written to, and a job that tries it fails every time, not only the second. The
folders are the job's own: it may remove, replace and add files.

A folder that is as it was costs its listing, and a link for each file. Else each file is looked up by its own version.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tieline.steps.copying import Brought, Copier
from tieline.steps.meter import Meter
from tieline.steps.parallel import side_by_side
from tieline.steps.staging import Staging, is_free
from tieline.stores.base import Stat, StoreTrouble
from tieline.stores.cache.folder import Cache
from tieline.stores.cache.objects import read_only
from tieline.stores.cache.records import About, Record
from tieline.stores.cache.scope import Scope, tag_of
from tieline.stores.listed import Listable, Listing

Asked = tuple[str, Future[Stat | Listing | None]]


@dataclass(frozen=True, slots=True)
class Cached:
    """The cache as one connection uses it."""

    cache: Cache
    scope: Scope

    def about(self, key: str, what: str) -> About:
        scope = self.scope
        return About(scope.connection, scope.namespace, scope.address, scope.path(key), what)


class InputCopier(Copier):
    """A :class:`~tieline.steps.copying.Copier` from a bucket."""

    def __init__(
        self,
        store: Listable,
        name: str,
        *,
        avoid: Path,
        cancel: threading.Event | None = None,
        cached: Cached | None = None,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(store, name, avoid=avoid, cancel=cancel, meter=meter)
        self._bucket, self._cached = store, cached
        self._listing: Listing | None = None
        self._root = avoid
        self._folders: list[str] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tieline-listing")
        self._asked: Asked | None = None
        self._staging: Staging | None = None
        self._is_worth_it = True  # what is asked for fits into the cache
        self._digest = cached is not None

    def find(self, source: str) -> Stat:
        """See :meth:`Copier.find`; a folder's listing is kept for :meth:`tree`."""
        asked, self._asked = self._asked, None
        found = self._again(lambda: self._look(source, asked if asked and asked[0] == source else None))
        if found is None:
            raise self._missing(source)
        self._listing = found if isinstance(found, Listing) else None
        return Stat(source, 0, 0, 0o755, "dir") if isinstance(found, Listing) else found

    def _look(self, source: str, asked: Asked | None) -> Stat | Listing | None:
        """What was asked for ahead; it is asked again where that failed."""
        if asked is not None and (asked[1].exception() is None or not isinstance(asked[1].exception(), StoreTrouble)):
            return asked[1].result()
        return self._bucket.look(source)

    def _entries(self, top: str) -> Iterable[Stat]:
        listing = self._listing
        return listing.entries() if listing is not None and listing.top == top else super()._entries(top)

    # --- one file

    def file(self, found: Stat, target: Path) -> None:
        """See :meth:`Copier.file`."""
        self._fits(found.size)
        if self._meter is not None:
            self._meter.begin(1, found.size)
        brought = self._fetch((found, target))
        self._count(brought)
        if (used := self._used()) and brought.kept:
            version = used.scope.object_id(found) or ""
            files = [("", brought.kept, brought.stat.size)]
            with used.cache.using():
                record = Record(used.about(found.key, "file"), version, [], files)
                used.cache.records.write(used.scope.record_id("file", found.key), record)

    def _fetch(self, wanted: tuple[Stat, Path]) -> Brought:
        found, target = wanted
        self._go_on()
        used = self._used()
        version = used.scope.object_id(found) if used else None
        if used and version and (kept := used.cache.give(version, found.size, target)):
            return Brought(found, was_here=True, kept=kept)
        got = self._bring(found, target)
        os.chmod(target, read_only(got.mode))
        if used and version and got.sha256 and self._is_worth_it and _same(found, got):
            return Brought(got, kept=used.cache.keep(version, target, got.sha256))
        return Brought(got)

    # --- a folder

    def expect(self, source: str, target: Path) -> None:
        """See :meth:`Copier.expect`: asks for the listing, and links meanwhile what was there the last time."""
        self._unstage()
        used = self._used()
        if used is None or target == self._root or not is_free(target):
            return
        record = None
        with used.cache.using():
            record = used.cache.records.read(used.scope.record_id("dir", source))
        if record is None:
            return
        self._asked = (source, self._pool.submit(self._bucket.look, source, record.cuts))
        self._staging, filled = Staging(target, record), False
        with used.cache.using():
            filled = self._staging.fill(used.cache, self._go_on)
        if not filled:
            self._unstage()

    def tree(self, top: str, target: Path) -> None:
        """See :meth:`Copier.tree`."""
        used, listing = self._used(), self._listing
        if used is None or listing is None or listing.top != top:
            super().tree(top, target)
            return
        self._fits(listing.size)
        record_id = used.scope.record_id("dir", top)
        if self._takes_place(listing, target):
            with used.cache.using():
                used.cache.records.used(record_id)
            return
        self._unstage()
        target.mkdir(parents=True, exist_ok=True)
        record = self._anew(top, target, listing, used)
        if record is not None and not used.cache.trouble:
            with used.cache.using():
                used.cache.records.write(record_id, record)

    def _takes_place(self, listing: Listing, target: Path) -> bool:
        """Whether what was linked ahead is what is there now; then it is at the target."""
        staging = self._staging
        if staging is None or staging.target != target or staging.record.listing != listing.digest:
            return False
        if not staging.take_place():
            return False
        record, self._staging = staging.record, None
        self.copied.files += len(record.files)
        self.copied.bytes += record.size
        self.copied.cached += record.size
        return True

    def _unstage(self) -> None:
        if self._staging is not None:
            self._staging.remove()
            self._staging = None

    def close(self) -> None:
        """See :meth:`Copier.close`."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._unstage()

    def _anew(self, top: str, target: Path, listing: Listing, used: Cached) -> Record | None:
        """Bring each file; what to remember, if all of them are in the cache now."""
        self._folders = []
        record = Record(used.about(top, "dir"), listing.digest, self._folders, [], listing.cuts)
        start, whole = len(top) + 1 if top else 0, True
        files = list(self._files(top, target))
        if self._meter is not None:
            self._meter.begin(len(files), listing.size)
        for brought in side_by_side(self._fetch, files, self._store.at_once):
            self._count(brought)
            if brought.kept is None:
                whole = False
            else:
                record.files.append((brought.stat.key[start:], brought.kept, brought.stat.size))
        return record if whole else None

    def _other(self, entry: Stat, top: str, relative: str, target: Path) -> None:
        super()._other(entry, top, relative, target)
        if entry.what == "dir" and relative:
            self._folders.append(relative)

    # --- the cache

    def _used(self) -> Cached | None:
        return self._cached if self._cached is not None and not self._cached.cache.trouble else None

    def _fits(self, size: int) -> None:
        """What is larger than the whole cache would push out everything, itself too."""
        used = self._used()
        self._is_worth_it = used is not None and size <= used.cache.pruner.bound
        if used is not None and not self._is_worth_it:
            self.copied.notes.append(f"{self._name} gives more than the cache of inputs may hold: it is not kept there")


def _same(found: Stat, got: Stat) -> bool:
    """Whether what came is what was found: it may have been written anew in between."""
    return found.size == got.size and tag_of(found) == tag_of(got)
