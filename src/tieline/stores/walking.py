"""Walking a folder: everything in it once, in the order of keys, links told and not followed."""

from __future__ import annotations

import os
import re
import stat as modes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tieline.stores.base import Stat, StoreTrouble, What, shown
from tieline.stores.beneath import closing, resolve
from tieline.stores.reasons import trouble

PART = re.compile(r"\.tieline-[0-9a-f]{16}\.part")
"""The name of a file that is still being written: no reader ever sees it."""

_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def describe(root: Path, parts: tuple[str, ...], found: os.stat_result, folder: int | None = None) -> Stat:
    """The :class:`Stat` of what is at ``root/parts``; ``folder`` is the descriptor of the folder that it is in."""
    what: What = "special"
    link, points_to = "", None
    if modes.S_ISREG(found.st_mode):
        what = "file"
    elif modes.S_ISDIR(found.st_mode):
        what = "dir"
    elif modes.S_ISLNK(found.st_mode):
        what = "link"
        link = os.readlink(parts[-1], dir_fd=folder)
        real = resolve(root, parts)
        points_to = None if real is None else "/".join(real)
    mode = modes.S_IMODE(found.st_mode)
    return Stat("/".join(parts), found.st_size, found.st_mtime_ns, mode, what, link, points_to)


def unfinished(folder: int) -> list[str]:
    """The names of files in an open folder that interrupted saves left."""
    with closing(os.open(".", _LIST, dir_fd=folder)) as listed:
        return [entry.name for entry in os.scandir(listed) if PART.fullmatch(entry.name)]


@dataclass(slots=True)
class _Level:
    """One open folder and what is still to be told of it."""

    fd: int
    path: tuple[str, ...]
    entries: Iterator[Stat]


def walk(
    root: Path, parts: tuple[str, ...], top: int, unreadable: Callable[[StoreTrouble], None] | None
) -> Iterator[Stat]:
    """Everything under the open folder ``top`` (``root/parts``), sorted as plain keys would be.

    No recursion: a tree may be deeper than Python's stack. What vanishes meanwhile is left out.
    """
    levels: list[_Level] = []
    try:
        _enter(levels, root, parts, ".", top, unreadable)
        while levels:
            level = levels[-1]
            entry = next(level.entries, None)
            if entry is None:
                os.close(levels.pop().fd)
                continue
            yield entry
            if entry.what == "dir":
                name = entry.key.rpartition("/")[2]
                _enter(levels, root, (*level.path, name), name, level.fd, unreadable)
    finally:
        for level in levels:
            os.close(level.fd)


def _enter(
    levels: list[_Level],
    root: Path,
    path: tuple[str, ...],
    name: str,
    folder: int,
    unreadable: Callable[[StoreTrouble], None] | None,
) -> None:
    try:
        fd = os.open(name, _LIST, dir_fd=folder)
        try:
            entries = _entries(root, path, fd)
        except BaseException:
            os.close(fd)
            raise
    except FileNotFoundError:
        return
    except OSError as error:
        told = trouble(error, "read", f"the folder {shown(os.path.join(root, *path))!r}")
        if unreadable is None:
            raise told from error
        unreadable(told)
    else:
        levels.append(_Level(fd, path, iter(entries)))


def _entries(root: Path, path: tuple[str, ...], fd: int) -> list[Stat]:
    found = []
    for name in os.listdir(fd):
        if PART.fullmatch(name):
            continue
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            found.append(describe(root, (*path, name), status, fd))
        except FileNotFoundError:  # removed since it was listed: it is no entry any more
            continue
    return sorted(found, key=_order)


def _order(entry: Stat) -> bytes:
    """A folder sorts as its children's keys do: ``a.b`` comes before ``a/b``."""
    return os.fsencode(entry.key + "/" if entry.what == "dir" else entry.key)
