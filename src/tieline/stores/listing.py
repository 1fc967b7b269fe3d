"""From the objects of a bucket to files and folders. A bucket has no folders: they are implied by names.

One that is empty is kept by an object ``.tieline-folder`` in it, which is never told. Other programs keep theirs by an
object ``name/``; the library tells that one without the slash, as if it were an empty file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator

from tieline.stores.base import Stat

MARKER = ".tieline-folder"
FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""Of what says nothing about its rights."""


def folder(key: str) -> Stat:
    """The :class:`Stat` of a folder of a bucket."""
    return Stat(key, 0, 0, FOLDER_MODE, "dir")


def entries(found: Iterable[Stat], top: str, folders_in: Callable[[str], Collection[str]]) -> Iterator[Stat]:
    """All that is under the folder ``top``, sorted as keys are; ``found``: every object there, as a file.

    ``folders_in``: asks the bucket which folders a folder has. That is asked only where there are empty files.
    """
    files, marked = _files(found)
    implied = {parent for key in files for parent in _parents(key, top)}
    marked = {key for key in marked if key not in files and len(key) > len(top)}
    marked |= {parent for key in marked for parent in _parents(key, top)}
    for key in _disguised(files, implied | marked, folders_in):
        del files[key]
        marked |= {key, *_parents(key, top)}
    every = [*files.values(), *map(folder, implied | marked)]
    return iter(sorted(every, key=_order))


def _files(found: Iterable[Stat]) -> tuple[dict[str, Stat], set[str]]:
    """The files, by key, and the folders that a marker of ours keeps."""
    files: dict[str, Stat] = {}
    marked: set[str] = set()
    for entry in found:
        above, _, name = entry.key.rpartition("/")
        if name == MARKER:
            marked.add(above)
        else:
            files[entry.key] = entry
    return files, marked


def _disguised(
    files: dict[str, Stat], known: Collection[str], folders_in: Callable[[str], Collection[str]]
) -> set[str]:
    """The empty files that are other programs' markers of folders."""
    empty = [key for key, entry in files.items() if entry.size == 0]
    told: dict[str, Collection[str]] = {}
    disguised = set()
    for key in empty:
        if key in known:
            disguised.add(key)
            continue
        above = key.rpartition("/")[0]
        if above not in told:
            told[above] = folders_in(above)
        if key in told[above]:
            disguised.add(key)
    return disguised


def _parents(key: str, top: str) -> Iterator[str]:
    """The folders between ``top`` and the key."""
    while (key := key.rpartition("/")[0]) and len(key) > len(top):
        yield key


def _order(entry: Stat) -> bytes:
    """A folder sorts as its children's keys do: ``a.b`` comes before ``a/b``."""
    return os.fsencode(f"{entry.key}/" if entry.what == "dir" else entry.key)


def kept(said: str | None) -> tuple[int, int] | None:
    """The time (ns) and rights that were kept beside an object (see :func:`tieline.stores.digests.keeping`); None where
    none were, or they are somebody else's words under our name."""
    mtime, _, rest = (said or "").partition(" ")
    mode = rest.partition(" ")[0]
    if not (mtime.isascii() and mtime.isdigit() and mode.isascii() and mode.isdigit()):
        return None
    try:
        return int(mtime), int(mode, 8) & 0o777
    except ValueError:
        return None
