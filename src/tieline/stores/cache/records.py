"""What is known of the files of the cache: which version of which object each one is, and who asked for what.

``index/ab/<id>``: of one version of an object, as one login sees it, a symbolic link that says the name of its file: it
is made and read in one step, and is there whole or not at all.

``inputs/<id>``: of a folder or a file that was asked for, all files as they were the last time, with the digest of the
listing then: as long as that is the same, one small file says all that a run needs. Its own time is that of its last
use.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tieline.stores.cache.objects import NAME

VERSION = 1
PART = ".part"
"""What the name of a file ends with while it is written."""


@dataclass(frozen=True, slots=True)
class About:
    """What was asked for, as people are told it. ``what``: file or dir."""

    connection: str
    namespace: str
    address: str
    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Record:
    """What was there. ``listing`` and ``cuts``: see :class:`tieline.stores.listed.Listing`. ``files``: each one's path
    in the folder, its file in the cache, and its size; ``folders``: those above files, and the empty ones."""

    about: About
    listing: str
    folders: list[str]
    files: list[tuple[str, str, int]]
    cuts: Sequence[str] = ()

    @property
    def size(self) -> int:
        return sum(size for _, _, size in self.files)


class Records:
    """The index and the records below a root. Every method raises OSError; what is broken is not there."""

    def __init__(self, root: Path) -> None:
        self._index, self._inputs = root / "index", root / "inputs"
        for folder in (self._index, self._inputs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    # --- the index

    def find(self, object_id: str) -> str | None:
        """The name of an object's file."""
        try:
            name = os.readlink(self._entry(object_id))
        except FileNotFoundError:
            return None
        return name if NAME.match(name) else None

    def note(self, object_id: str, name: str) -> None:
        """Remember the name of an object's file."""
        entry = self._entry(object_id)
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(entry), 0o700)
        try:
            os.symlink(name, entry)
        except FileExistsError:
            if self.find(object_id) != name:  # none any more where it was pruned meanwhile
                _replace(entry, lambda part: os.symlink(name, part))

    def _entry(self, object_id: str) -> str:
        return f"{self._index}/{object_id[:2]}/{object_id}"

    def entries(self) -> Iterator[tuple[str, str]]:
        """All of the index: each entry's path, and the name that it says. What is just being written is none yet."""
        for folder in os.listdir(self._index):
            for name in _whole(self._index / folder):
                path = f"{self._index}/{folder}/{name}"
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield path, os.readlink(path)

    # --- the records

    def read(self, record_id: str) -> Record | None:
        """What was there when it was asked for the last time."""
        return _read(self._inputs / record_id)

    def write(self, record_id: str, record: Record) -> None:
        """Remember what was there now."""
        data = {"version": VERSION, "about": asdict(record.about), "listing": record.listing,
                "folders": record.folders, "files": record.files, "cuts": list(record.cuts)}  # fmt: skip
        text = json.dumps(data, separators=(",", ":"))

        def make(part: str) -> None:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(text)

        _replace(str(self._inputs / record_id), make)

    def used(self, record_id: str) -> None:
        """It was asked for again, just now."""
        with suppress(FileNotFoundError):
            os.utime(self._inputs / record_id)

    def all(self) -> Iterator[tuple[Path, Record, int]]:
        """Every record: where it is, what it says, and when it was used last, in nanoseconds since the epoch."""
        for name in _whole(self._inputs):
            path = self._inputs / name
            with suppress(FileNotFoundError):  # removed meanwhile
                record = _read(path)
                if record is not None:
                    yield path, record, path.stat().st_mtime_ns

    def parts(self) -> Iterator[Path]:
        """What writers that were killed left."""
        yield from self._inputs.glob(f"*{PART}")
        yield from self._index.glob(f"*/*{PART}")


def _whole(folder: Path) -> Iterator[str]:
    """The names in a folder, but for what somebody is writing: who took that away would fail them."""
    return (name for name in os.listdir(folder) if not name.endswith(PART))


def _read(path: Path) -> Record | None:
    try:
        data = json.loads(path.read_bytes())
        if data["version"] != VERSION:
            return None
        files = [(relative, name, size) for relative, name, size in data["files"]]
        folders, cuts = data["folders"], data["cuts"]
        words = [*folders, *cuts, *(relative for relative, _, _ in files)]
        if not all(isinstance(word, str) for word in words):
            return None
        if not all(NAME.match(name) and isinstance(size, int) for _, name, size in files):
            return None
        return Record(About(**data["about"]), data["listing"], folders, files, cuts)
    except (FileNotFoundError, ValueError, TypeError, KeyError):  # a part of it, or of another version of Tieline
        return None


def _replace(path: str, make: Callable[[str], None]) -> None:
    part = f"{path}.{secrets.token_hex(4)}{PART}"
    try:
        make(part)
        os.rename(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
