"""What a store is: files by key under one root, and the one way in which saving or reading them can fail.

A key is a relative path with ``/`` between its parts; names of any bytes are carried by ``surrogateescape``. Steps and
the collector know this protocol only, so that a folder of this machine and a bucket are the same to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from tieline.errors import Code, Problem, StoreFailed


class Why(StrEnum):
    """What kind of failure it was: callers decide by this, people read the message."""

    NOT_FOUND = "not-found"  # the root, or the key that was to be read
    FORBIDDEN = "forbidden"
    NOT_AUTHENTICATED = "not-authenticated"  # a bucket's server does not know the login, or wants one
    UNREACHABLE = "unreachable"
    CHANGED = "changed"  # an object was written anew while it was read
    FULL = "full"
    READ_ONLY = "read-only"
    IN_THE_WAY = "in-the-way"  # a file where a folder is needed, or the reverse
    UNSAFE = "unsafe"  # a key, or a link, that leaves the store
    SOURCE = "source"  # the local file that was to be saved cannot be read
    DAMAGED = "damaged"  # what arrived, or is there, is not what was sent
    BROKEN = "broken"  # anything else that the system said
    UNSUPPORTED = "unsupported"


AGAIN = frozenset({Why.UNREACHABLE, Why.CHANGED, Why.FULL, Why.DAMAGED, Why.BROKEN})
"""What may be otherwise soon, unless more is known: a server is started again, room is made, a network comes back."""
_CODES = {Why.UNSAFE: Code.UNSAFE_PATH, Why.SOURCE: Code.FILE_UNREADABLE, Why.UNSUPPORTED: Code.UNSUPPORTED}


class StoreTrouble(StoreFailed):
    """One operation of a store failed. ``why`` tells "not found", "forbidden" and "full" apart; ``part`` is what to
    mend in the connection, by its name in the access or among its credentials, where that is known. ``again``: whether
    the same may work soon, without anybody mending anything; by ``why`` where it is not said.
    """

    def __init__(self, why: Why, message: str, hint: str = "", part: str = "", *, again: bool | None = None) -> None:
        self.why, self.part = why, part
        self.again = why in AGAIN if again is None else again
        super().__init__(Problem(_CODES.get(why, Code.STORE_FAILED), message, hint))


What = Literal["file", "dir", "link", "special"]


@dataclass(frozen=True, slots=True)
class Stat:
    """One thing in a store. ``size`` in bytes, ``mtime_ns`` since the epoch, ``mode`` the permission bits.

    A bucket keeps the last two beside the object, where :meth:`Store.stat` and :meth:`Store.fetch_file` find them; its
    listings tell the time at which the object was written, and no mode of its own.

    For a link, ``link`` is its own text and ``points_to`` the key that it leads to in the end: None when that is
    outside the store. Nothing need be there. ``special`` is a fifo, a socket or a device.
    """

    key: str
    size: int
    mtime_ns: int
    mode: int
    what: What = "file"
    link: str = ""
    points_to: str | None = None
    tag: str = field(default="", compare=False)
    """Where it is not empty: another one for every version of the contents."""
    sha256: str | None = field(default=None, compare=False)
    """In hex, where it was asked for (:meth:`Store.fetch_file`)."""
    written_ns: int = field(default=0, compare=False)
    """When a bucket's object was written, whatever time is kept beside it."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved. ``sha256`` in hex: None where nobody asked for it, and it would have cost a reading of its own.

    ``mtime_ns`` is the modification time that the copy carries. A file that was written so recently that a later
    write could carry the same time is stamped one nanosecond earlier, so that whoever compares size and time
    never takes an old copy for the latest.
    """

    size: int
    mtime_ns: int
    sha256: str | None = None


class Store(Protocol):
    """Files by key. Every method raises :class:`StoreTrouble`, and nothing else, when the store fails.

    Any number of threads may use one. ``at_once``: so many files are best saved, or fetched, side by side. ``checks``:
    whether it takes nothing but what was sent; else there may be a damaged copy, of a save that failed.
    """

    at_once: int
    checks: bool

    def save_file(self, local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        """Save a copy atomically: readers find the old file or the new one, whole. ``digest``: say its SHA-256, and
        make sure that the store has these very bytes. ``settled``: nobody writes the file any more.

        The time of modification and the executable bit are kept where the store can. A local file that is not
        there (any more) is a plain ``FileNotFoundError``; one that cannot be read is :attr:`Why.SOURCE`.
        """

    def save_bytes(self, data: bytes, key: str) -> Saved:
        """Save bytes atomically; after a loss of power, too, they are there whole or not at all."""

    def save_chunks(self, chunks: Iterable[bytes], key: str) -> Saved:
        """The same for what is too large for memory. When ``chunks`` raises, nothing has changed."""

    def stat(self, key: str) -> Stat | None:
        """What is at a key ("" is the root), a link as itself; None when nothing is.

        A store that cannot be reached raises: it is never taken for an empty one.
        """

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All files under a folder (or the one file), dotfiles included, sorted; links are not followed."""

    def walk(self, prefix: str = "", unreadable: Callable[[StoreTrouble], None] | None = None) -> Iterator[Stat]:
        """Everything under a folder: files, folders before what is in them, links, special files; sorted.

        A folder that cannot be read raises, unless ``unreadable`` is there to be told.
        """

    def some(self, most: int) -> Sequence[Stat]:
        """Files that there are, so many at the most, in the store's own order: to suggest a name, or to try one."""

    def open(self, key: str, offset: int = 0) -> BinaryIO:
        """Open a file for reading from ``offset``."""

    def fetch_file(self, key: str, local: Path, *, digest: bool = False, size: int = 0) -> Stat:
        """Copy a file here, atomically, with its time and permission bits; ``local``'s folder must exist. ``digest``:
        say its SHA-256; ``size``: what it had in a listing, where that is known (it may have another one by now)."""

    def delete(self, prefix: str) -> None:
        """Delete a file, or a folder and all that is in it; fine when there is nothing.

        In a bucket a file and a folder may have one name: then it is the file.
        """

    def make_dir(self, prefix: str) -> None:
        """Make an empty folder, where the store can have one."""

    def sweep(self, prefix: str = "") -> None:
        """Remove what interrupted saves left under a folder. Only for its one writer."""

    def flush(self) -> None:
        """Return when everything that was saved survives a loss of power."""


def key_parts(key: str) -> tuple[str, ...]:
    """The parts of a key; one that is absolute or has ``.``, ``..`` or empty parts is refused."""
    if not key:
        return ()
    parts = tuple(key.split("/"))
    if "\0" in key or not _encodable(key) or any(part in ("", ".", "..") for part in parts):
        raise StoreTrouble(
            Why.UNSAFE,
            f"{shown(key)!r} is not a path inside the store",
            "write a relative path without '.', '..' and empty parts",
        )
    return parts


def _encodable(key: str) -> bool:
    try:
        os.fsencode(key)
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """A name as a message may carry it: printable, on one line, encodable."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
