"""Bringing a run's outputs here: what is here already is not fetched again, and what is fetched is what was saved.

Both are told by the manifest. A large file that comes from a bucket is fetched in ranges, into a file beside its place
whose name tells of which contents it is the beginning: a later command goes on where this one stopped. Nothing is put
under its own name before its digest is right.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tieline.app.outputs import OUTPUTS, found_output
from tieline.app.runs import attempt_prefix, store_of
from tieline.errors import Code, Damaged, Problem, StepFailed
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.steps.copying import Copied, Copier, told_as
from tieline.steps.manifest import Entry, Manifest, read_manifest
from tieline.steps.meter import Meter
from tieline.steps.paths import folder_inside
from tieline.stores import FolderStore, Stat, Store, StoreTrouble, Why, shown
from tieline.stores.local import digest_here
from tieline.stores.reading import Ranges, in_order
from tieline.stores.sending import write_with_holes
from tieline.stores.walking import PART as UNFINISHED

LARGE = 16 * 1024 * 1024
"""Bytes from which on a file is fetched in ranges, so that the next command can go on."""
RANGES_AT_ONCE = 8
_SHORT = 8
_CHUNK = 1024 * 1024
_PART = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
TURNS = 5
"""So often a file is tried that a run under way writes anew at the same moment."""


@dataclass(slots=True)
class Fetched:
    """What was brought here. ``here``: files that were here already; ``went_on``: bytes that an earlier command had
    fetched of large ones; ``unchecked``: files of which the manifest tells no digest, or not that of this version."""

    copied: Copied = field(default_factory=Copied)
    here: int = 0
    went_on: int = 0
    unchecked: int = 0
    has_manifest: bool = True


def fetch(
    plan: Plan,
    run: Run,
    attempt: int,
    paths: Sequence[str],
    to: Path,
    *,
    meter: Meter | None = None,
    cancel: threading.Event | None = None,
) -> Fetched:
    """Copy outputs (all, or these files and folders) into the folder ``to``, under their own relative paths.

    Raises NotFound for a path that is not there, with the nearest one; StepFailed where copying fails, or ``cancel`` is
    set; in the end Damaged, where the store does not have what was saved.
    """
    store, prefix = store_of(plan), attempt_prefix(plan, attempt)
    top = f"{prefix}/{OUTPUTS}"
    name = f"the outputs of run {run.uuid[:8]}"
    meter, cancel = meter or Meter(), cancel or threading.Event()
    with told_as(Code.FETCH_FAILED, f"cannot fetch {name}"):
        getter = _Getter(store, prefix, run, meter, cancel)
        copier = Copier(store, name, avoid=to, cancel=cancel, meter=meter, fetch=getter)
        wanted = [found_output(store, plan, run, attempt, path) for path in paths or ("",)]
        to.mkdir(parents=True, exist_ok=True)
        for stat in wanted:
            relative = stat.key[len(top) + 1 :]
            if stat.what == "dir":
                copier.tree(stat.key, folder_inside(to, relative))
            else:
                folder_inside(to, relative.rpartition("/")[0]).mkdir(parents=True, exist_ok=True)
                copier.file(copier.find(stat.key), to / relative)
    getter.tell_damage([stat.key for stat in wanted if stat.what == "dir"])
    getter.fetched.copied = copier.copied
    copier.copied.notes += getter.notes
    return getter.fetched


class _Getter:
    """Brings one file after the other, from any thread."""

    def __init__(self, store: Store, prefix: str, run: Run, meter: Meter, cancel: threading.Event) -> None:
        self._store, self._prefix, self._run = store, prefix, run
        self._meter, self._cancel = meter, cancel
        self._one_large = threading.Lock()  # it has threads of its own, and as much memory as is good
        self._counts = threading.Lock()
        self._seen: set[str] = set()
        self._damage: list[Problem] = []
        self.notes: list[str] = []
        try:
            manifest = read_manifest(store, prefix)
        except Damaged as error:  # the files may be as they were: whoever wants them gets them, and is told
            manifest = None
            self.notes.append(str(error))
        self.fetched = Fetched(has_manifest=manifest is not None)
        self._manifest = manifest or Manifest()

    def __call__(self, found: Stat, target: Path) -> None:
        path = found.key[len(self._prefix) + 1 :]
        if target.is_dir() and not target.is_symlink():
            raise StepFailed.of(
                Code.FETCH_FAILED,
                f"{shown(path)!r} cannot be put at {shown(str(target))!r}: a folder is there",
                "take it away, or name another folder with --to",
            )
        for turn in range(1, TURNS + 1):
            try:
                self._bring(found, self._manifest.entries.get(path), target)
                break
            except Damaged as error:
                self._damage += error.problems
                break
            except StoreTrouble as error:
                if error.why == Why.NOT_FOUND and not self._manifest.complete:
                    self.notes.append(f"{shown(path)!r} went away while it was fetched: the run is under way")
                    break
                if error.why != Why.CHANGED or turn == TURNS:
                    raise
        with self._counts:
            self._seen.add(path)

    def tell_damage(self, folders: Sequence[str]) -> None:
        """Raise Damaged for all that was not as the manifest has it; of whole folders, for what is missing, too."""
        tops = tuple(f"{folder[len(self._prefix) + 1 :]}/" for folder in folders)
        if self._manifest.complete and tops:
            gone = (path for path in self._manifest.entries if path.startswith(tops) and path not in self._seen)
            self._damage += [self._damaged(path, "it is missing") for path in gone]
        if self._damage:
            raise Damaged(*self._damage)

    def _damaged(self, path: str, why: str) -> Problem:
        name = path.removeprefix(f"{OUTPUTS}/")
        message = f"{shown(name)!r} of run {self._run.uuid[:8]} is damaged in the store: {why}"
        return Problem(Code.DAMAGED, message, f"tieline runs outputs verify {self._run.uuid[:8]}")

    def _bring(self, found: Stat, entry: Entry | None, target: Path) -> None:
        if entry is None or entry.sha256 is None:
            self._plainly(found, target)
            return
        if self._is_here(entry, target):
            self._meter.add(entry.size)
            with self._counts:
                self.fetched.here += 1
            return
        part = _part_of(target, entry.sha256)
        told = self._whole(found, entry, part)
        if told.sha256 != entry.sha256:
            if self._manifest.complete or told.mtime_ns == entry.mtime_ns:
                part.unlink()
                is_size = told.size != entry.size
                why = f"it has {told.size} bytes, and {entry.size} were saved" if is_size else (
                    "its SHA-256 is not that of what was saved")  # fmt: skip
                raise Damaged(self._damaged(entry.path, why))
            self._count_unchecked()  # the run has saved it again since its manifest was written
        os.replace(part, target)

    def _plainly(self, found: Stat, target: Path) -> None:
        self._store.fetch_file(found.key, target, size=found.size)
        self._meter.add(found.size)
        self._count_unchecked()

    def _count_unchecked(self) -> None:
        with self._counts:
            self.fetched.unchecked += 1

    @staticmethod
    def _is_here(entry: Entry, target: Path) -> bool:
        with suppress(OSError, StoreTrouble):  # whatever is there: it is not the file
            is_like = not target.is_symlink() and target.is_file() and target.stat().st_size == entry.size
            return is_like and digest_here(target) == entry.sha256
        return False

    def _whole(self, found: Stat, entry: Entry, part: Path) -> Stat:
        """Have all of the file in ``part``; what it is."""
        if entry.size < LARGE or found.size != entry.size or isinstance(self._store, FolderStore):
            told = self._store.fetch_file(found.key, part, digest=True, size=found.size)
            self._meter.add(found.size)
            return told
        with self._one_large:
            _clear_others(part)
            told = self._in_ranges(found, entry, part)
            if told.sha256 != entry.sha256:  # what was here was no beginning of it, or it is another by now
                part.unlink()
                told = self._store.fetch_file(found.key, part, digest=True, size=found.size)
            return told

    def _in_ranges(self, found: Stat, entry: Entry, part: Path) -> Stat:
        digest, descriptor = hashlib.sha256(), os.open(part, _PART, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            have = min(os.fstat(descriptor).st_size, entry.size)
            while data := file.read(min(_CHUNK, have - file.tell())):
                digest.update(data)
            self._meter.add(have)
            with self._counts:
                self.fetched.went_on += have
            place = have
            for piece in in_order(Ranges(entry.size - have), self._ranges(found.key, have), RANGES_AT_ONCE):
                write_with_holes(descriptor, place, piece)
                digest.update(piece)
                place += len(piece)
                self._meter.add(len(piece))
            kept = self._store.stat(found.key) or found
            os.ftruncate(descriptor, entry.size)
            os.fchmod(descriptor, kept.mode)
            os.utime(descriptor, ns=(kept.mtime_ns, kept.mtime_ns))
        return replace(kept, size=entry.size, sha256=digest.hexdigest())

    def _ranges(self, key: str, offset: int) -> Callable[[int, int], memoryview]:
        """Ranges of what is behind ``offset``. They may come from two versions: the digest of all tells."""

        def fetch(start: int, end: int) -> memoryview:
            if self._cancel.is_set():
                raise StepFailed.of(Code.STOPPED, f"stopped in the middle of {shown(key)!r}")
            with self._store.open(key, offset + start) as stream:
                data = stream.read(end - start)
            if len(data) != end - start:
                raise StoreTrouble(Why.CHANGED, f"{shown(key)!r} became shorter while it was read", "try again")
            return memoryview(data)

        return fetch


def _part_of(target: Path, sha256: str) -> Path:
    """Where the beginning of these contents is, until they are whole: the same place for every command."""
    return target.with_name(f".tieline-{_hashed(os.fsencode(target.name))}{_hashed(sha256.encode())}.part")


def _clear_others(part: Path) -> None:
    """Remove the beginnings of other contents of the same file: nobody is going to want them again."""
    same = part.name[: len(part.name) - len(".part") - _SHORT]
    for name in os.listdir(part.parent):
        if name.startswith(same) and name != part.name and UNFINISHED.fullmatch(name):
            (part.parent / name).unlink(missing_ok=True)


def _hashed(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_SHORT]
