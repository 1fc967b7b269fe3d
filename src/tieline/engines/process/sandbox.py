"""A root of the job's own, made by bubblewrap: mount paths are true in it, and what is not the job's is absent.

The host's folders are there to be read (a process has no image: it runs the machine's programs); Tieline's home, with
other runs and secrets, is not. The job may write to its own folders, to the volumes that it was given, to ``/tmp`` and
``~/.cache``. Environment and secrets go through the guard's line, never through bubblewrap's arguments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

FLAGS = ("--die-with-parent", "--unshare-user", "--unshare-pid")
TRY_SECONDS = 10
OWN_ROOTS = frozenset({"proc", "dev", "tmp"})
SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108  (emptied for the job, not used by us)
MAX_ENTRIES = 2000


class CannotMount(Exception):
    """A path that cannot be made true here; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder (or file) of the host that appears at ``target``."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the job's root has beside the host's own folders."""

    hidden: tuple[str, ...]  # emptied: Tieline's home, folders of secrets
    own: tuple[str, ...]  # the run's own folders, writable, at their true paths
    places: tuple[Place, ...] = ()  # mounts
    cache: str | None = None  # the user's cache folder, writable

    def command(self) -> list[str]:
        """The arguments that come before the program's own. Raises CannotMount."""
        targets = [place.target for place in self.places]
        argv = ["bwrap", *FLAGS, *_roots(), "--proc", "/proc", "--dev-bind", "/dev", "/dev"]
        for folder in SCRATCH:
            if os.path.isdir(folder) and not any(_is_inside(source, folder) for source in self._sources()):
                argv += ["--tmpfs", folder]
        if self.cache and os.path.isdir(self.cache):
            argv += ["--bind", self.cache, self.cache]
        for folder in _outermost(self.hidden):
            argv += ["--tmpfs", folder]
        argv += [part for folder in _to_open(targets, self.hidden) for part in _opened(folder)]
        for folder in self.own:
            argv += ["--bind", folder, folder]
        for place in sorted(self.places, key=lambda place: place.target.count("/")):
            argv += ["--ro-bind" if place.read_only else "--bind", place.source, place.target]
        return [*argv, "--"]

    def _sources(self) -> Iterator[str]:
        yield from self.own
        yield from self.hidden


def _is_inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _outermost(folders: Iterable[str]) -> list[str]:
    real = sorted({os.path.realpath(folder) for folder in folders if os.path.isdir(folder)})
    return [folder for folder in real if not any(_is_inside(folder, other) for other in real if other != folder)]


def _roots() -> Iterator[str]:
    """The host's top-level folders, to be read; ``/`` itself is new, so that mount paths can be made in it."""
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.name in OWN_ROOTS and entry.name != "tmp":
            continue
        yield from _shown(entry)


def _shown(entry: os.DirEntry[str]) -> tuple[str, ...]:
    if entry.is_symlink():
        return ("--symlink", os.readlink(entry.path), entry.path)
    return ("--ro-bind-try", entry.path, entry.path)


def _to_open(targets: Iterable[str], hidden: Iterable[str]) -> list[str]:
    """Folders of the host in which a mount point has to be made, though they are only there to be read."""
    emptied = [*_outermost(hidden), *SCRATCH]
    found = set()
    for target in targets:
        path = PurePosixPath(target)
        if os.path.lexists(path):
            continue
        parent = next(item for item in path.parents if os.path.isdir(item))
        if str(parent) != "/" and not any(_is_inside(str(parent), folder) for folder in emptied):
            found.add(str(parent))
    return sorted(found, key=lambda folder: folder.count("/"))


def _opened(folder: str) -> Iterator[str]:
    """The folder made anew, with what it has shown in it again."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if len(entries) > MAX_ENTRIES:
        raise CannotMount(f"{folder} has more than {MAX_ENTRIES} entries, too many to make a mount point among them")
    yield from ("--tmpfs", folder)
    for entry in entries:
        yield from _shown(entry)


@lru_cache(maxsize=1)
def missing() -> str:
    """Why bubblewrap cannot be used here, found by using it; empty when it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (its program is bwrap)"
    argv = ["bwrap", *FLAGS, "--ro-bind", "/", "/", "--proc", "/proc", "--dev-bind", "/dev", "/dev", "--", "true"]
    try:
        tried = subprocess.run(argv, capture_output=True, timeout=TRY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap cannot be run: {error}"
    if tried.returncode == 0:
        return ""
    reason = tried.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"bubblewrap does not work here: {reason[-1] if reason else tried.returncode}"
