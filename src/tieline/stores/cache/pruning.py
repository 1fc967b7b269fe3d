"""Keeping the cache within its bound: what was used least recently goes first.

A prune takes a lock, and nobody waits for it: who adds files writes down how much, and prunes where nobody else does.
Who prunes looks again when the lock is free, so that what others added meanwhile counts too. Until there is room they
fetch without keeping: each run under way can take the cache over its bound by a sixteenth of it, and no more. A file
that is removed while a run asks for it is fetched again; a run that has it keeps its link.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tieline.stores.beneath import closing
from tieline.stores.cache.objects import Kept, Objects
from tieline.stores.cache.records import Records
from tieline.stores.local import sha256_of

MAX_SIZE = 20 * 1024**3
SHARE = 10
"""Without a bound of its own, a cache takes a tenth of what the disk has free (with what it has itself)."""
LOW = 0.9
"""A prune that the bound asks for leaves so much of it, for the next files not to ask for another one."""
STEPS = 16
"""A run writes down what it adds after each such part of the bound."""
STALE = 3600.0
"""Seconds after which what is half written has no writer any more."""


@dataclass(slots=True)
class Pruned:
    """What a prune removed (or would have), and what is left."""

    files: int = 0
    size: int = 0
    left_files: int = 0
    left: int = 0
    damaged: list[str] = field(default_factory=list)


class Pruner:
    """Counts what one process adds, and prunes. ``bound``: bytes."""

    def __init__(self, root: Path, objects: Objects, records: Records, bound: int) -> None:
        self._root, self._objects, self._records, self.bound = root, objects, records, bound
        self._lock = threading.Lock()
        self._added = 0
        self._is_full = False

    def takes_more(self) -> bool:
        """Whether more may be added: not while somebody makes room for what there is. Raises OSError."""
        if self._is_full:
            self._is_full = self._estimate() > self.bound
        return not self._is_full

    def added(self, room: int) -> None:
        """A file was added. Raises OSError."""
        with self._lock:
            self._added += room
            if self._added * STEPS < self.bound:
                return
        self.settle()

    def settle(self) -> None:
        """Write down what was added, and prune where that is too much and nobody else does. Raises OSError."""
        with self._lock:
            added, self._added = self._added, 0
        if not added:
            return
        with closing(os.open(self._root / "added", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)) as file:
            os.write(file, b"%d\n" % added)
        while self._estimate() > self.bound:
            self._is_full = True
            with self._locked(wait=False) as mine:
                if not mine:
                    return  # who has the lock looks again after it
                self._prune(keep=int(self.bound * LOW), over=self.bound)
        self._is_full = False

    def prune(self, keep: int, *, used_since_ns: int = 0, verify: bool = False, dry_run: bool = False) -> Pruned:
        """Remove what was not used since then, what is damaged (``verify``: reads every file), and the least recently
        used until ``keep`` bytes are left; waits for a prune that is under way. Raises OSError."""
        with self._locked(wait=True):
            return self._prune(keep, used_since_ns=used_since_ns, verify=verify, dry_run=dry_run)

    def _prune(
        self, keep: int, *, over: int | None = None, used_since_ns: int = 0, verify: bool = False, dry_run: bool = False
    ) -> Pruned:
        if not dry_run:
            self._forget()
        every = sorted(self._objects.all(), key=lambda one: one.used_ns)
        damaged = {one.name for one in every if verify and not self._is_whole(one)}
        total = sum(one.room for one in every)
        keep = total if over is not None and total <= over else keep
        done, gone = Pruned(damaged=sorted(damaged)), set[str]()
        for one in every:
            if total > keep or one.used_ns < used_since_ns or one.name in damaged:
                if not dry_run:
                    with suppress(FileNotFoundError):
                        self._objects.drop(one.name)
                gone.add(one.name)
                total -= one.room
                done.files += 1
                done.size += one.room
        done.left, done.left_files = total, len(every) - len(gone)
        if not dry_run:
            self._tidy({one.name for one in every} - gone)
            self._write_usage(total)
        return done

    def _is_whole(self, one: Kept) -> bool:
        try:
            with closing(self._objects.open(one.name)) as file:
                return sha256_of(file) == one.name.partition("-")[0]
        except OSError:  # it is not what its name says, or cannot be read
            return False

    def _tidy(self, left: set[str]) -> None:
        """Remove what says something of files that are gone, and what killed writers left.

        A file that was added since it was looked for keeps its entry: it is there by now.
        """
        for path, name in self._records.entries():
            if name not in left and not self._objects.is_here(name):
                _remove((Path(path),))
        for place, record, _ in self._records.all():
            if record.files and not any(name in left or self._objects.is_here(name) for _, name, _ in record.files):
                _remove((place,))
        until = time.time() - STALE
        _remove(
            path for path in (*self._records.parts(), *(self._root / "parts").glob("*.part")) if _mtime(path) < until
        )

    # --- how much there is, as far as it is known without looking

    def _estimate(self) -> float:
        """Never less than there is, but for what killed processes did not write down."""
        try:
            base = int((self._root / "usage").read_bytes())
            return base + sum(map(int, (self._root / "added").read_bytes().split()))
        except (FileNotFoundError, ValueError):  # somebody prunes, or was killed while pruning: it is to be looked
            return float("inf")

    def _forget(self) -> None:
        """Before the files are looked for: what is added from here on counts twice rather than never."""
        _remove((self._root / "usage",))
        with closing(os.open(self._root / "added", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)):
            pass

    def _write_usage(self, total: int) -> None:
        part = self._root / "usage.part"  # only who has the lock writes it
        part.write_text(str(total))
        part.rename(self._root / "usage")

    @contextmanager
    def _locked(self, *, wait: bool) -> Iterator[bool]:
        with closing(os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def bound_of(root: Path, max_size: int | None) -> int:
    """The most that a cache may take: what was said, else a share of the disk."""
    if max_size is not None:
        return max_size
    found = os.statvfs(root)
    try:
        own = int((root / "usage").read_bytes())
    except (FileNotFoundError, ValueError):  # not looked at yet
        own = 0
    return min(MAX_SIZE, (found.f_bavail * found.f_frsize + own) // SHARE)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _mtime(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")
