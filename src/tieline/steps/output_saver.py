"""Saving the outputs folder: what changed while the job runs, and in the end exactly what is in it.

A file is saved again when its size or time of modification is not that of the copy in the store, which is also how a
new collector knows what an old one had saved. Empty folders and dotfiles are outputs too. Links: a store may have none,
so a link to a file inside the outputs is saved as that file; one to a folder is left out, for the folder itself is
saved; one that leads out is left out and named. In the end, what the job removed is removed from the store as well: the
store then equals the folder. Nothing is ever removed when there is no such folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tieline.steps.parallel import side_by_side
from tieline.stores import FolderStore, Stat, Store, StoreTrouble, Why, settles_in, shown


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
    """A file as the store has it. ``sha256``: None where another process saved it."""

    size: int
    mtime_ns: int
    sha256: str | None = None

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

    def __init__(self, store: Store, prefix: str, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._prefix = f"{prefix.strip('/')}/outputs".lstrip("/")
        self._saved: dict[str, Copy] = {}
        self._is_known = False
        self._listed: set[str] = set()  # of these, only a listing has told the time

    def save(self, *, over: Callable[[], bool], told: Callable[[bool], None], final: bool = False) -> Pass:
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

        def wanted() -> Iterator[tuple[str, Stat]]:
            for name, entry in seen.files.items():
                if over():
                    done.left += 1
                elif self._is_saved(name, entry):
                    done.add(entry)
                else:
                    yield name, entry

        def put(item: tuple[str, Stat]) -> tuple[Stat, bool]:
            return item[1], self._file(*item, done, final)

        for entry, ok in side_by_side(put, wanted(), self._store.at_once):
            told(ok)
            if ok:
                done.add(entry)
        for name in seen.empty:
            self._attempt(name, done, partial(self._store.make_dir, f"{self._prefix}/{name}"))
        if final and seen.exists and not done.failures and not done.left:
            self._remove_others(seen, done)
        return done

    def _look_up(self) -> None:
        """Learn what the store has, by key: asked once, and kept true by every save."""
        if not self._is_known:
            found = {entry.key: Copy(entry.size, entry.mtime_ns) for entry in self._store.list(self._prefix)}
            self._saved, self._listed, self._is_known = found, set(found), True

    def _is_saved(self, name: str, entry: Stat) -> bool:
        """Whether the store has this very file, as far as that is known here."""
        known = self._saved.get(f"{self._prefix}/{name}")
        return known is not None and known.is_of(entry)

    def _is_the_same(self, key: str, entry: Stat) -> bool:
        """The same, asked of the store where a listing is all that is known: a bucket's tells when the copy was
        written, and not the file's own time, so the copy is asked, once, before all of it is sent again."""
        known = self._saved.get(key)
        if known is not None and known.size == entry.size and key in self._listed:
            self._listed.discard(key)
            found = self._store.stat(key)
            known = self._saved[key] = Copy(found.size, found.mtime_ns) if found is not None else Copy(-1, 0)
        return known is not None and known.is_of(entry)

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
            if not self._is_the_same(key, entry):
                copy = self._store.save_file(self._folder / entry.key, key, digest=True)
                self._saved[key] = Copy(copy.size, copy.mtime_ns, copy.sha256)

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
                return

    def _remove_others(self, seen: _Seen, done: Pass) -> None:
        """Remove from the store what the job itself removed."""
        wanted = {f"{self._prefix}/{name}" for name in (*seen.files, *seen.empty)}
        folders = {folder for key in wanted for folder in _parents(key)}
        try:
            for entry in reversed(list(self._store.walk(self._prefix))):
                keep = folders | wanted if entry.what == "dir" else wanted
                if entry.key not in keep:
                    self._store.delete(entry.key)
                    self._saved.pop(entry.key, None)
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
