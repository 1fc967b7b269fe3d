"""A root of the job's own, made by bubblewrap: mount paths are true in it, and what is not the job's is absent.

The host's folders are there to be read (a process has no image: it runs the machine's programs); Tieline's home, with
other runs and secrets, is not. The job may write to its own folders and to the volumes that it was given.

This module makes bubblewrap's arguments from what is to be where; it starts nothing, and knows no plan.
Nothing of a job's environment is in these arguments: it goes through the guard's line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

FLAGS = ("--unshare-user", "--unshare-pid", "--as-pid-1")
"""The guard is the first process of a pid namespace: when it ends, the kernel ends all that is left in it.

Not ``--die-with-parent``: with its supervisor gone, the guard still has to save what the program printed. It ties
itself to bubblewrap instead (see :mod:`tieline.engines.process.guard`).
"""
OWN_ROOTS = frozenset({"proc", "dev"})
FIXED = ("/proc", "/dev", "/sys")
MAX_ENTRIES = 2000
MAX_ARGUMENTS = 9000
"""Bubblewrap's own limit."""


class CannotMount(Exception):
    """A path that cannot be made true here; the text says why."""


@dataclass(frozen=True, slots=True)
class Appears:
    """A folder (or file) of the host that appears at ``target``."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the job's root has beside the host's own folders. All paths are absolute."""

    hidden: tuple[str, ...]
    """Emptied, wherever they appear: Tieline's home, folders of secrets."""
    absent: tuple[str, ...]
    """Emptied, but there where a mount shows them: the artifacts store, which a connection may name too."""
    own: tuple[str, ...]
    """The run's own folders, writable, at their true paths."""
    emptied: tuple[str, ...] = ()
    """Folders below ``own`` that the job is not to see."""
    shown: tuple[str, ...] = ()
    """To be read though they are in a folder that is emptied: the Python of a virtual environment there."""
    mounts: tuple[Appears, ...] = ()
    scratch: tuple[str, ...] = ()
    """Emptied, and writable: what is there is gone with the job."""
    writable: tuple[str, ...] = ()
    """Folders of the machine that the job may write to, at their own paths: the user's cache, that of a database."""

    def arguments(self) -> list[str]:
        """Bubblewrap's arguments. Raises CannotMount."""
        emptied = outermost((*self.scratch, *self.hidden, *self.absent))
        mounts = [(mount, placed(mount.target, emptied)) for mount in self.mounts]
        for mount, target in mounts:
            self._check(mount, target)
        opened = _to_open([target for _, target in mounts], [*emptied, *map(os.path.realpath, self.writable)])
        argv, hidden = self._machine(emptied, opened)
        for folder in self.own:
            for path in dict.fromkeys((os.path.realpath(folder), placed(folder, emptied))):
                argv += ["--bind", folder, path]
        for folder in map(os.path.realpath, self.emptied):
            argv += ["--tmpfs", folder]
            hidden.append(folder)
        for mount, target in sorted(mounts, key=lambda pair: pair[1].count("/")):
            argv += ["--ro-bind" if mount.read_only else "--bind", mount.source, target]
            below = list(_hidden_below(mount.source, target, self.hidden))
            argv += _emptied(below)
            hidden += below
        for folder in (*hidden, *reversed(opened), "/"):  # what is written into an emptied folder would vanish
            argv += ["--remount-ro", folder]
        if len(argv) > MAX_ARGUMENTS:
            raise CannotMount("the folders in which mount points have to be made have too many entries")
        return argv

    def _machine(self, emptied: list[str], opened: list[str]) -> tuple[list[str], list[str]]:
        """The arguments for what is the machine's, and what of it was emptied and is to be closed at the end.

        Opened first: what is hidden in such a folder is emptied afterwards.
        """
        argv = [*FLAGS, *_roots(), "--proc", "/proc", "--dev-bind", "/dev", "/dev"]
        for folder in opened:
            argv += _opened(folder)
        writable = [os.path.realpath(folder) for folder in self.writable if os.path.isdir(folder)]
        absent = [folder for folder in writable if any(is_inside(folder, other) for other in emptied)]
        for folder in writable:
            if folder not in absent:
                argv += ["--bind", folder, folder]
        argv += _emptied(emptied)
        for folder in self._shown(emptied):
            argv += ["--ro-bind", folder, folder]
        scratch = set(map(os.path.realpath, self.scratch))
        hidden = [folder for folder in emptied if folder not in scratch]
        for folder in absent:
            below = list(_hidden_below(folder, folder, self.hidden))
            argv += ["--bind", folder, folder, *_emptied(below)]
            hidden += below
        return argv, hidden

    def _shown(self, emptied: Iterable[str]) -> list[str]:
        """Those that would be absent, and show nothing of what is to stay hidden."""
        emptied = tuple(emptied)
        kept = {os.path.realpath(folder) for folder in (*self.hidden, *self.own)}
        found = []
        for folder in dict.fromkeys(path for given in self.shown for path in (given, os.path.realpath(given))):
            is_absent = any(is_inside(folder, other) for other in emptied)
            if is_absent and os.path.isdir(folder) and not any(is_inside(other, folder) for other in kept):
                found.append(folder)
        return sorted(found, key=lambda folder: folder.count("/"))

    def _check(self, mount: Appears, target: str) -> None:
        """What bubblewrap would fail at, or what would break the job. Raises CannotMount."""
        told = mount.target
        if target == "/" or any(is_inside(target, folder) for folder in FIXED):
            raise CannotMount(f"nothing can be mounted at {told}: it is the system's own")
        if any(is_inside(os.path.realpath(folder), target) for folder in self.own):
            raise CannotMount(f"a mount at {told} would hide the run's own folder")
        if any(is_inside(target, os.path.realpath(folder)) for folder in self.own):
            raise CannotMount(f"{told} is inside the run's own folder")
        around = self._around(target)
        there = target if around is None else around.source + target[len(around.target) :]
        if os.path.lexists(there):
            if os.path.exists(mount.source) and os.path.isdir(there) != os.path.isdir(mount.source):
                raise CannotMount(f"one of {told} and {mount.source} is a folder, and the other is not")
        elif around is not None and around.read_only:
            raise CannotMount(f"{told} is inside {around.target}, which is read-only and has no such folder")

    def _around(self, target: str) -> Appears | None:
        """The innermost other mount that the target is in."""
        found = [other for other in self.mounts if other.target != target and is_inside(target, other.target)]
        return max(found, key=lambda other: len(other.target), default=None)


def is_inside(path: str, folder: str) -> bool:
    """Whether a path is that folder, or below it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def outermost(folders: Iterable[str]) -> list[str]:
    """The folders that are there, as they truly are, without those inside others."""
    real = sorted({os.path.realpath(folder) for folder in folders if os.path.isdir(folder)})
    return [folder for folder in real if not any(is_inside(folder, other) for other in real if other != folder)]


def placed(target: str, emptied: Iterable[str]) -> str:
    """Where to make a mount point so that it is found at ``target``: through the host's links, which are there too.

    Those in a folder that is emptied are not.
    """
    path = os.path.normpath(target)
    if any(is_inside(path, folder) for folder in emptied):
        return path
    return os.path.realpath(path)


def _hidden_below(source: str, target: str, hidden: Iterable[str]) -> Iterator[str]:
    """Where a mount shows what is to be hidden."""
    real = os.path.realpath(source)
    for folder in outermost(hidden):
        if is_inside(folder, real):
            yield f"{target.rstrip('/')}/{os.path.relpath(folder, real)}".removesuffix("/.")


def _emptied(folders: Iterable[str]) -> list[str]:
    return [part for folder in folders for part in ("--tmpfs", folder)]


def _roots() -> Iterator[str]:
    """The host's top-level folders, to be read; ``/`` itself is new, so that mount points can be made in it."""
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.name not in OWN_ROOTS:
            yield from _kept(entry)


def _kept(entry: os.DirEntry[str]) -> tuple[str, ...]:
    if entry.is_symlink():
        return ("--symlink", os.readlink(entry.path), entry.path)
    return ("--ro-bind-try", entry.path, entry.path)


def _to_open(targets: Iterable[str], emptied: Iterable[str]) -> list[str]:
    """Folders of the host in which a mount point has to be made, though they are only there to be read."""
    targets, emptied = tuple(targets), tuple(emptied)
    found = set()
    for target in targets:
        if os.path.lexists(target):
            continue
        parent = next(str(item) for item in PurePosixPath(target).parents if os.path.lexists(item))
        if not os.path.isdir(parent):
            raise CannotMount(f"nothing can be mounted at {target}: {parent} is no folder")
        covered = any(is_inside(parent, other) for other in targets if other != target)
        if parent != "/" and not covered and not any(is_inside(parent, folder) for folder in emptied):
            found.add(parent)
    return sorted(found, key=lambda folder: folder.count("/"))


def _opened(folder: str) -> Iterator[str]:
    """The folder made anew, with what it has shown in it again."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise CannotMount(f"no mount point can be made in {folder}: {error.strerror}") from None
    if len(entries) > MAX_ENTRIES:
        raise CannotMount(f"{folder} has more than {MAX_ENTRIES} entries, too many to make a mount point among them")
    yield from ("--tmpfs", folder)
    for entry in entries:
        yield from _kept(entry)
