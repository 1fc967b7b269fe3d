"""Secrets and config maps in Tieline's home: kept, listed and removed. One command changes a namespace's at a time.

Nothing here gives a secret's value back, nor its length: a list has names, keys and when each was set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tieline.errors import Code, InvalidInput, NotFound, Place, Problem, RecordError, did_you_mean
from tieline.secrets.names import COMMANDS, WORDS, Resource, check_key, check_name, check_namespace, is_name
from tieline.secrets.private import LARGEST, Folder, walk
from tieline.secrets.secret import Secret


@dataclass(frozen=True, slots=True)
class Key:
    """One key, and when it was set."""

    name: str
    changed: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret or config map in Tieline's home."""

    namespace: str
    name: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Keeper:
    """What is kept of one sort in Tieline's home."""

    home: Path
    resource: Resource

    def check(self, namespace: str, name: str, keys: Iterable[str]) -> None:
        """Raises InvalidInput for what can be no name of a namespace, a secret or a key."""
        check_namespace(namespace)
        check_name(self.resource, name)
        for key in keys:
            check_key(self.resource, key)

    def set(self, namespace: str, name: str, values: Mapping[str, Secret]) -> None:
        """Set these keys; the others stay. Raises InvalidInput, before anything is written, and RecordError."""
        self.check(namespace, name, values)
        for key, value in values.items():
            if len(value.reveal()) > LARGEST:
                raise InvalidInput.of(
                    Code.TOO_LARGE,
                    f"the value of {key!r} is larger than 1 MiB, more than a {WORDS[self.resource]} can hold",
                    "use a volume for it",
                )
        with self._changing(namespace, create=True) as folder, folder.folder(name, create=True) as inner:
            inner.sweep()
            for key, value in values.items():
                inner.write(key, value.reveal())

    def list(self, namespace: str | None = None, name: str | None = None) -> list[Kept]:
        """All that is kept (``namespace``, ``name``: only there, only that), by name."""
        with self._told():
            top = walk(self.home, COMMANDS[self.resource])
            if top is None:
                return []
            with top:
                spaces = [item for item in top.folders() if namespace in (None, item)]
                return [kept for space in spaces for kept in self._listed(top, space, name)]

    def remove(self, namespace: str, name: str, keys: Sequence[str] = ()) -> None:
        """Remove these keys, or all of it. Raises NotFound with the nearest name or key, and then removes nothing."""
        check_namespace(namespace)
        found = {kept.name: kept for kept in self.list(namespace)}
        if name not in found:
            raise self._missing(f"there is no {WORDS[self.resource]} {name!r}", did_you_mean(name, found), namespace)
        there = [key.name for key in found[name].keys]
        for key in keys:
            if key not in there:
                message = f"the {WORDS[self.resource]} {name!r} has no key {key!r}"
                raise self._missing(message, did_you_mean(key, there), namespace)
        with self._changing(namespace) as folder:
            with folder.folder(name) as inner:
                for key in keys or there:
                    inner.remove(key)
                left = inner.files()
                inner.sweep(all_of_it=not left)
            if not left:
                os.rmdir(name, dir_fd=folder.descriptor)

    def _listed(self, top: Folder, namespace: str, wanted: str | None) -> Iterator[Kept]:
        with top.folder(namespace) as folder:
            for name in folder.folders():
                if is_name(name) and wanted in (None, name):
                    with suppress(FileNotFoundError), folder.folder(name) as inner:  # somebody may be removing it
                        keys = inner.files()
                        yield Kept(namespace, name, tuple(Key(key, _moment(inner.changed(key))) for key in keys))

    @contextmanager
    def _changing(self, namespace: str, *, create: bool = False) -> Iterator[Folder]:
        with self._told():
            folder = walk(self.home, COMMANDS[self.resource], namespace, create=create)
            if folder is None:
                raise self._missing(f"no {WORDS[self.resource]} is kept", "", namespace)
            with folder, folder.locked():
                yield folder

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = Problem(
                Code.HOME_UNUSABLE,
                f"{WORDS[self.resource]}s cannot be kept there: {error.strerror or type(error).__name__}",
                "set TIELINE_HOME to a folder that you can write to",
                Place(str(self.home / COMMANDS[self.resource])),
            )
            raise RecordError(problem) from None

    def _missing(self, message: str, near: str, namespace: str) -> NotFound:
        where = "" if namespace == "default" else f" in the namespace {namespace!r}"
        hint = near or f"`tieline {COMMANDS[self.resource]} list` shows what there is"
        return NotFound.of(Code.SECRET_MISSING, f"{message}{where} in Tieline's home", hint)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
