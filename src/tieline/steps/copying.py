"""Copying a file or a folder out of a store into a run's folder: what fetch and take have in common.

Dotfiles, empty folders, files' times and permission bits are kept. Links are links in the copy, never what they lead
to. What is neither file, folder nor link (a pipe, a socket) is left out, and said.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tieline.errors import Code, StepFailed, TielineError, nearest
from tieline.model.sizes import amount
from tieline.steps.meter import Meter
from tieline.steps.parallel import side_by_side
from tieline.steps.paths import folder_inside
from tieline.steps.retrying import persistently
from tieline.stores import FolderStore, Stat, Store, StoreTrouble, Why, shown

T = TypeVar("T")
_LOOKED_AT = 5000  # names that are compared to find the one that was meant


@dataclass(slots=True)
class Copied:
    """What a step brought: counts, and what people should know about it."""

    files: int = 0
    bytes: int = 0
    cached: int = 0  # bytes of these that were on this machine before
    notes: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """``2000 files, 31.2 MiB (1.2 MiB from the cache)``."""
        text = f"{self.files} file{'' if self.files == 1 else 's'}, {amount(self.bytes)}"
        if not self.cached:
            return text
        part = "all of it" if self.cached == self.bytes else amount(self.cached)
        return f"{text} ({part} from the cache)"


@dataclass(frozen=True, slots=True)
class Brought:
    """One file that is there now. ``was_here``: it came from the cache; ``kept``: its name in the cache."""

    stat: Stat
    was_here: bool = False
    kept: str | None = None


class Copier:
    """Copies from ``store``. ``name`` is what messages call it; ``avoid`` a folder never to copy (the run's own).

    ``foreign_links``: whether a link that leaves the copied folder is kept (it leads to the same place as before) or
    refused. ``without``: names that are left out wherever they are. ``meter`` counts what is copied. ``fetch`` copies
    one file the store's own way, unless another is given, which then counts the bytes itself.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        avoid: Path,
        cancel: threading.Event | None = None,
        foreign_links: bool = False,
        without: frozenset[str] = frozenset(),
        meter: Meter | None = None,
        fetch: Callable[[Stat, Path], object] | None = None,
    ) -> None:
        self.copied = Copied()
        self._store, self._name, self._cancel = store, name, cancel
        self._foreign_links, self._without = foreign_links, without
        self._avoid = _key_of(store, avoid)
        self._meter = meter
        self._other_way, self._counts_bytes = fetch, fetch is None
        self._digest = False

    def expect(self, source: str, target: Path) -> None:
        """What is at ``source`` is going to be asked for, and, if it is a folder, copied to ``target``."""

    def close(self) -> None:
        """Nothing more is going to be copied."""

    def find(self, source: str) -> Stat:
        """What is at ``source``, a link followed where it stays inside the store; an error when nothing is."""
        found = self._again(lambda: self._store.stat(source))
        if found is None:
            raise self._missing(source)
        if found.what != "link":
            return found
        if found.points_to is None:
            raise self._leaving(found)
        real = self._store.stat(found.points_to)
        if real is None:
            raise _absent(f"{self._quoted(source)} is a link to {shown(found.link)!r}, which is not there", "")
        return real

    def file(self, found: Stat, target: Path) -> None:
        """Copy one file; ``target`` is where it will be."""
        if self._meter is not None:
            self._meter.begin(1, found.size)
        self._count(self._fetch((found, target)))

    def _fetch(self, wanted: tuple[Stat, Path]) -> Brought:
        found, target = wanted
        self._go_on()
        return Brought(self._bring(found, target))

    def _bring(self, found: Stat, target: Path) -> Stat:
        """Fetch one file: the one place where that is done."""

        def bring() -> Stat:
            if self._other_way is None:
                return self._store.fetch_file(found.key, target, digest=self._digest, size=found.size)
            self._other_way(found, target)
            return found

        return self._again(bring)

    def _go_on(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise StepFailed.of(Code.STOPPED, f"the run was stopped while copying from {self._name}")

    def _again(self, action: Callable[[], T]) -> T:
        """What ``action`` returns, tried again while the store's trouble may pass."""
        return persistently(action, cancel=self._cancel, told=self._say)

    def _say(self, trouble: StoreTrouble) -> None:
        if (note := f"tried again: {trouble}") not in self.copied.notes:
            self.copied.notes.append(note)

    def _count(self, brought: Brought) -> None:
        self.copied.files += 1
        self.copied.bytes += brought.stat.size
        if brought.was_here:
            self.copied.cached += brought.stat.size
        if self._meter is not None:
            self._meter.add(brought.stat.size if self._counts_bytes else 0, 1)

    def tree(self, top: str, target: Path) -> None:
        """Copy what is in the folder ``top`` into ``target``, beside what is there."""
        self._not_into_itself(top, target)
        target.mkdir(parents=True, exist_ok=True)
        files: Iterable[tuple[Stat, Path]] = self._files(top, target)
        if self._meter is not None:
            files = list(files)
            self._meter.begin(len(files), sum(found.size for found, _ in files))
        for brought in side_by_side(self._fetch, files, self._store.at_once):
            self._count(brought)

    def _entries(self, top: str) -> Iterable[Stat]:
        if self._store.at_once > 1:  # a bucket tells all at once, or nothing
            return self._again(lambda: list(self._store.walk(top)))
        return self._store.walk(top)

    def _files(self, top: str, target: Path) -> Iterator[tuple[Stat, Path]]:
        """The files of a folder, and where each goes. All else is made while it is met: a folder before its files."""
        left_out = ""
        for entry in self._entries(top):
            if left_out and entry.key.startswith(left_out):
                continue
            left_out = ""
            if self._is_left_out(entry):
                left_out = entry.key + "/"
                continue
            relative = entry.key[len(top) + 1 :] if top else entry.key
            if entry.what == "file":
                yield entry, target / relative
            else:
                self._other(entry, top, relative, target)

    def _not_into_itself(self, top: str, target: Path) -> None:
        place = _key_of(self._store, target)
        if place is None or not _is_in(place, top) or (self._avoid and _is_in(place, self._avoid)):
            return
        raise StepFailed.of(
            Code.UNSAFE_PATH,
            f"the folder {self._quoted(top)} cannot be copied into itself, to {shown(str(target))!r}",
            "give this init entry a path elsewhere",
        )

    def _is_left_out(self, entry: Stat) -> bool:
        if entry.key == self._avoid:
            self.copied.notes.append(f"{self._quoted(entry.key)} is this run's own folder: not copied")
            return True
        return entry.key.rpartition("/")[2] in self._without

    def _other(self, entry: Stat, top: str, relative: str, target: Path) -> None:
        place = target / relative
        if entry.what == "dir":
            folder_inside(target, relative).mkdir(exist_ok=True)  # a link that is there may not lead us out
        elif entry.what == "link":
            text = self._link_text(entry, top)
            with suppress(FileNotFoundError):
                place.unlink()
            place.symlink_to(text)
        else:
            self.copied.notes.append(
                f"{self._quoted(entry.key)} is not a file (a pipe, a socket, a device): not copied"
            )

    def _link_text(self, link: Stat, top: str) -> str:
        """What the copy of a link says, so that it leads to the copy of what the link leads to."""
        here = os.path.dirname(link.key)
        if link.points_to is not None and _is_in(link.points_to, top):
            # Its own words, unless they climb above what is copied: there the names may be others.
            below = os.path.relpath(here or ".", top or ".")
            plain = os.path.normpath(os.path.join(below, link.link))
            return link.link if _is_in(plain, "") else os.path.relpath(link.points_to, here or ".")
        if not self._foreign_links:
            raise self._leaving(link, top)
        self.copied.notes.append(
            f"the link {self._quoted(link.key)} leads to {shown(link.link)!r}, which is not copied"
        )
        root = self._store.root if isinstance(self._store, FolderStore) else Path("/")
        return link.link if os.path.isabs(link.link) else os.path.realpath(root / here / link.link)

    def _quoted(self, key: str) -> str:
        return f"{shown(key)!r} of {self._name}"

    def _leaving(self, link: Stat, top: str = "") -> TielineError:
        where = f"the folder {shown(top)!r}" if top else self._name
        return StepFailed.of(
            Code.UNSAFE_PATH,
            f"the link {self._quoted(link.key)} leads to {shown(link.link)!r}, out of {where}",
            "replace it by what it leads to, or fetch a folder that has both",
        )

    def _missing(self, source: str) -> TielineError:
        if not source:
            return _absent(f"{self._name} has no such folder", "check its subPath, or a bucket's prefix")
        files = [entry.key for entry in self._store.some(_LOOKED_AT)]
        keys = list(dict.fromkeys(key for file in files for key in (file, *_folders(file))))
        name = source.rpartition("/")[2]
        near = next((key for key in keys if key.rpartition("/")[2] == name), None) or nearest(source, keys)
        hint = f"did you mean {shown(near)!r}?" if near else "check the name" if keys else f"{self._name} is empty"
        return _absent(f"{self._quoted(source)} is not there", hint)


def _folders(key: str) -> Iterator[str]:
    while key := key.rpartition("/")[0]:
        yield key


def _absent(message: str, hint: str) -> TielineError:
    return StepFailed.of(Code.ARTIFACT_MISSING, message, hint)


def _is_in(key: str, top: str) -> bool:
    outside = key == ".." or key.startswith(("../", "/"))
    return not outside if not top else key == top or key.startswith(top + "/")


def _key_of(store: Store, folder: Path) -> str | None:
    """The key of a local folder, where a store holds it."""
    if not isinstance(store, FolderStore):
        return None
    root, real = os.path.realpath(store.root).rstrip("/") + "/", os.path.realpath(folder) + "/"
    return real[len(root) : -1] if real.startswith(root) else None


@contextmanager
def told_as(code: Code, doing: str) -> Iterator[None]:
    """Tell a failure of the store, or of the place that is written to, as that of a step."""
    try:
        yield
    except StoreTrouble as error:
        problem = error.problems[0]
        unsafe = error.why == Why.UNSAFE
        raise StepFailed.of(
            Code.UNSAFE_PATH if unsafe else code, f"{doing}: {problem.message}", problem.hint
        ) from error
    except OSError as error:
        where = shown(str(error.filename or ""))
        raise StepFailed.of(
            code, f"{doing}: {error.strerror or error}: {where!r}", "check the rights and the space there"
        ) from error
