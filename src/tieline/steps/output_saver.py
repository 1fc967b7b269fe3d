"""Saving the outputs folder: what changed while the job runs, and in the end exactly what is in it.

A file is saved again when its size or time of modification is not that of the copy in the store, which is also how a
new collector knows what an old one had saved. Empty folders and dotfiles are outputs too. Links: a store may have none,
so a link to a file inside the outputs is saved as that file; one to a folder is left out, for the folder itself is
saved; one that leads out is left out and named. In the end, what the job removed is removed from the store as well: the
store then equals the folder. Nothing is ever removed when there is no such folder.

What is saved is written down in the manifest (:mod:`tieline.steps.manifest`), now and then. The digest of a file that
another process saved comes from the manifest that it left, or else from the local file, whose size and time are the
copy's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tieline.steps.manifest import Entry, Keeper, digest_of
from tieline.steps.meter import Meter
from tieline.steps.parallel import side_by_side
from tieline.stores import FolderStore, Stat, Store, StoreTrouble, Why, settles_in, shown
from tieline.stores.local import digest_here


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the outputs folder that cannot be saved, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be saved this time, and why."""

    name: str
    error: StoreTrouble


@dataclass(slots=True)
class Pass:
    """One look at the outputs folder. ``files`` and ``bytes``: all that is in it and saved by now.

    ``left``: how many files were not even tried, because time was up.
    """

    files: int = 0
    bytes: int = 0
    left: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, saved: Stat) -> None:
        """One more file that the store has."""
        self.files += 1
        self.bytes += saved.size


@dataclass(frozen=True, slots=True)
class Copy:
    """A file as the store has it. ``is_told``: ``sha256`` is all that can be known; else another process saved it."""

    size: int
    mtime_ns: int
    sha256: str | None = None
    saved_ns: int = 0
    is_told: bool = False

    def is_of(self, entry: Stat) -> bool:
        """Whether it is a copy of this file as it is now."""
        return (self.size, self.mtime_ns) == (entry.size, entry.mtime_ns)


@dataclass(slots=True)
class _Seen:
    """What is in the folder now: which file each name is saved from, and the folders that hold nothing else."""

    exists: bool = False
    files: dict[str, Stat] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)


class OutputSaver:
    """The only writer of one run's outputs in the store."""

    def __init__(self, store: Store, prefix: str, folder: Path, keeper: Keeper | None = None) -> None:
        self._store, self._folder = store, folder
        self._prefix = f"{prefix.strip('/')}/outputs".lstrip("/")
        self._keeper = keeper or Keeper(store, prefix)
        self._saved: dict[str, Copy] = {}
        self._before: Mapping[str, Entry] = {}
        self._is_known = self._has_news = False
        self._is_all_ours = False  # whether the store has no more than ``_saved``, and the folders of that
        self._listed: set[str] = set()  # of these, only a listing has told the time

    def save(
        self,
        *,
        over: Callable[[], bool],
        told: Callable[[bool], None],
        final: bool = False,
        meter: Meter | None = None,
    ) -> Pass:
        """Save what is not saved yet. ``over``: asked between two files; ``told``: whether each could be saved.

        What fails is in the result, so that one file does not keep the others back; the store's trouble is not raised.
        """
        done = Pass()
        try:
            self._look_up()
            seen = self._look(done)
        except StoreTrouble as error:
            done.failures.append(Failure("the outputs", error))
            return done

        if meter is not None:
            sizes = [entry.size for name, entry in seen.files.items() if not self._is_saved(name, entry, final)]
            meter.begin(len(sizes), sum(sizes))
        for entry, ok in side_by_side(
            lambda item: (item[1], self._file(*item, done, final)),
            self._wanted(seen, done, over, final),
            self._store.at_once,
        ):
            told(ok)
            if ok:
                done.add(entry)
                if meter is not None:
                    meter.add(entry.size, 1)
            self._keep(done)
        self._is_all_ours = self._is_all_ours and not done.failures and not seen.empty
        for name in seen.empty:
            self._attempt(name, done, partial(self._store.make_dir, f"{self._prefix}/{name}"))
        if final and seen.exists and not done.failures and not done.left:
            self._remove_others(seen, done)
        self._keep(done)
        return done

    def _wanted(self, seen: _Seen, done: Pass, over: Callable[[], bool], final: bool) -> Iterator[tuple[str, Stat]]:
        """The files that are to be saved, or at least to be compared, as long as there is time."""
        for name, entry in seen.files.items():
            if over():
                done.left += 1
            elif self._is_saved(name, entry, final):
                done.add(entry)
            else:
                yield name, entry

    def _keep(self, done: Pass) -> None:
        """Write the manifest, where there is something new and it is time for it."""
        if self._has_news and self._keeper.is_due:
            self._has_news = False
            try:
                self._keeper.write(self.entries())
            except StoreTrouble as error:
                self._has_news = True
                done.failures.append(Failure("the manifest", error))

    def entries(self) -> list[Entry]:
        """All that the store has, as the manifest tells it."""
        return [self._entry(key, copy) for key, copy in list(self._saved.items())]

    def _entry(self, key: str, copy: Copy) -> Entry:
        path = self._path(key)
        before = self._before.get(path)
        if not copy.is_told and before is not None and before.size == copy.size:
            return before  # not compared with the copy yet: what was written down is the best that is known
        return Entry(path, copy.size, copy.sha256, copy.mtime_ns, copy.saved_ns or copy.mtime_ns)

    def complete(self) -> list[Entry]:
        """The same in the end, with every digest: of what nobody has told, the copy itself is read. Raises
        StoreTrouble."""

        def tell(key: str) -> None:
            found = self._store.stat(key)
            copy = self._told_before(key, found.size, found.mtime_ns) if found is not None else None
            if copy is not None and not copy.is_told:
                copy = replace(copy, sha256=digest_of(self._store, key)[1], saved_ns=time.time_ns(), is_told=True)
            if copy is not None:
                self._saved[key] = copy
            else:
                self._saved.pop(key, None)

        untold = [key for key, copy in self._saved.items() if not copy.is_told]
        for _ in side_by_side(tell, untold, self._store.at_once):
            continue
        return self.entries()

    def _path(self, key: str) -> str:
        """A key of the store as the manifest has it."""
        return key[len(self._prefix) - len("outputs") :]

    def _told_before(self, key: str, size: int, mtime_ns: int) -> Copy:
        """A copy of this size and time, with what the owner before this one wrote down of it."""
        before = self._before.get(self._path(key))
        if before is None or (before.size, before.mtime_ns) != (size, mtime_ns):
            return Copy(size, mtime_ns)
        is_told = before.sha256 is not None
        return Copy(size, mtime_ns, before.sha256, before.saved_ns, is_told)

    def _look_up(self) -> None:
        """Learn what the store has, by key: asked once, and kept true by every save."""
        if not self._is_known:
            every = list(self._store.walk(self._prefix))
            found = [entry for entry in every if entry.what == "file"]
            self._is_all_ours = not every
            self._before = self._keeper.before() if found else {}
            self._saved = {entry.key: self._told_before(entry.key, entry.size, entry.mtime_ns) for entry in found}
            self._listed, self._is_known = set(self._saved), True

    def _is_saved(self, name: str, entry: Stat, final: bool) -> bool:
        """Whether the store has this very file, as far as that is known here; in the end, its digest is, too."""
        known = self._saved.get(f"{self._prefix}/{name}")
        return known is not None and known.is_of(entry) and (known.is_told or not final)

    def _is_the_same(self, key: str, entry: Stat) -> bool:
        """The same, asked of the store where a listing is all that is known: a bucket's tells when the copy was
        written, and not the file's own time, so the copy is asked, once, before all of it is sent again. Where the
        store itself does not check what it gets, only the manifest tells that somebody did."""
        known = self._saved.get(key)
        if known is not None and known.size == entry.size and key in self._listed:
            self._listed.discard(key)
            found = self._store.stat(key)
            known = self._told_before(key, found.size, found.mtime_ns) if found is not None else Copy(-1, 0)
            self._saved[key] = known
        return known is not None and known.is_of(entry) and (known.is_told or self._store.checks)

    def _look(self, done: Pass) -> _Seen:
        """Walk the folder; what cannot be saved is noted in ``done``."""
        local, seen = FolderStore(self._folder), _Seen()
        try:
            top = local.stat("")
        except StoreTrouble as error:
            if error.why == Why.NOT_FOUND:
                return seen
            raise
        seen.exists = top is not None and top.what == "dir"
        folders = []
        for entry in local.walk("", lambda error: done.failures.append(Failure("the outputs", error))):
            if entry.what == "dir":
                folders.append(entry.key)
                continue
            real, reason = what_is_saved(local, entry)
            if real is None:
                done.skipped.append(Skipped(entry.key, reason))
            else:
                seen.files[entry.key] = real
        held = {_parent(name) for name in seen.files}
        for folder in reversed(folders):  # those below come after those above
            if folder not in held:
                seen.empty.append(folder)
            held.add(_parent(folder))
        return seen

    def _file(self, name: str, entry: Stat, done: Pass, final: bool) -> bool:
        """Save one file; whether that could be done. For any thread."""
        key = f"{self._prefix}/{name}"
        if final and (wait := settles_in(entry.mtime_ns)):
            time.sleep(wait)

        def put() -> None:
            local = self._folder / entry.key
            if not self._is_the_same(key, entry):
                try:
                    copy = self._store.save_file(local, key, digest=True, settled=final)
                except StoreTrouble:  # nobody knows which version the store has now
                    self._saved.pop(key, None)
                    raise
                self._saved[key] = Copy(copy.size, copy.mtime_ns, copy.sha256, time.time_ns(), is_told=True)
            elif final and not self._saved[key].is_told:
                sha256 = digest_here(local, but_holes=isinstance(self._store, FolderStore))
                self._saved[key] = replace(self._saved[key], sha256=sha256, saved_ns=time.time_ns(), is_told=True)
            else:
                return
            self._has_news = True

        return self._attempt(name, done, put)

    def _attempt(self, name: str, done: Pass, action: Callable[[], None]) -> bool:
        """Do ``action``, and once more after what is in its way in the store, and no output any more, is gone."""
        try:
            try:
                action()
            except StoreTrouble as error:
                if error.why != Why.IN_THE_WAY:
                    raise
                self._clear_the_way(f"{self._prefix}/{name}")
                action()
        except FileNotFoundError:
            return True  # the job has removed it again
        except StoreTrouble as error:
            done.failures.append(Failure(name, error))
            return False
        return True

    def _clear_the_way(self, key: str) -> None:
        """Remove a file where a folder has to be, or the reverse: the job turned one into the other."""
        parts = key[len(self._prefix) + 1 :].split("/")
        for count in range(1, len(parts) + 1):
            place = f"{self._prefix}/{'/'.join(parts[:count])}"
            found = self._store.stat(place)
            if found is not None and (found.what != "dir" or place == key):
                self._store.delete(place)
                for other in list(self._saved):
                    if other == place or other.startswith(f"{place}/"):
                        self._saved.pop(other, None)
                return

    def _remove_others(self, seen: _Seen, done: Pass) -> None:
        """Remove from the store what the job itself removed."""
        wanted = {f"{self._prefix}/{name}" for name in (*seen.files, *seen.empty)}
        if self._is_all_ours and wanted.issuperset(self._saved):
            return
        folders = {folder for key in wanted for folder in _parents(key)}
        try:
            folders |= wanted
            there = reversed(list(self._store.walk(self._prefix)))
            gone = [entry for entry in there if entry.key not in (folders if entry.what == "dir" else wanted)]
            for entry in gone:
                self._saved.pop(entry.key, None)
            if any(entry.what != "dir" for entry in gone):
                self._keeper.write(self.entries())  # at no moment does it name what is gone
            for entry in gone:
                self._store.delete(entry.key)
        except StoreTrouble as error:
            done.failures.append(Failure("what the job removed", error))


def what_is_saved(local: FolderStore, entry: Stat) -> tuple[Stat | None, str]:
    """The file that is saved for ``entry`` (itself, or what a link leads to), or None and why there is none."""
    if entry.what == "file":
        return entry, ""
    if entry.what != "link":
        return None, "a pipe, a socket or a device"
    leads = shown(entry.link)
    if entry.points_to is None:
        return None, f"a link that leads out of the outputs, to {leads!r}"
    real = local.stat(entry.points_to)
    if real is None:
        return None, f"a link to {leads!r}, which is not there"
    if real.what == "dir":
        return None, f"a link to the folder {leads!r}, which is saved under its own name"
    if real.what != "file":
        return None, f"a link to {leads!r}, which is not a file"
    return real, ""


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _parents(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
