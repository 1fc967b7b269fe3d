"""Tieline's home as a source: ``<home>/secrets/<namespace>/<name>/<key>``, and ``configmaps`` beside it.

Private like an ssh key: files of mode 0600 in folders of mode 0700. A file that others may read is refused, not used.
A namespace is a folder, so one namespace's secrets are never looked for in another's.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tieline.secrets.failures import unreadable
from tieline.secrets.names import COMMANDS, Resource, is_key, is_name
from tieline.secrets.private import READABLE, WRITABLE, Folder, walk
from tieline.secrets.secret import Secret

Found = TypeVar("Found")
FORBIDDEN: dict[Resource, int] = {"secret": READABLE, "configMap": WRITABLE}


@dataclass(frozen=True, slots=True)
class HomeSource:
    """What ``tieline secrets set`` and ``tieline configmaps set`` have kept for one namespace."""

    home: Path
    namespace: str
    name: str = "Tieline's home"

    def names(self, resource: Resource) -> list[str]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return [name for name in self._in(resource, Folder.folders) or [] if is_name(name)]

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        return self._in(resource, Folder.files, name) if is_name(name) else None

    def spellings(self, key: str) -> tuple[str, ...]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return (key,)

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        if not (is_name(name) and is_key(key)):
            return None
        data = self._in(resource, lambda folder: folder.read(key, FORBIDDEN[resource]), name)
        return None if data is None else Secret(data)

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        """See :class:`~tieline.secrets.sources.Source`."""
        space = "" if self.namespace == "default" else f" -n {self.namespace}"
        wanted = " ".join(map(shlex.quote, keys)) or "KEY…"
        return f"`tieline {COMMANDS[resource]} set {name} {wanted}{space}`"

    def _in(self, resource: Resource, look: Callable[[Folder], Found], *name: str) -> Found | None:
        path = self.home.joinpath(COMMANDS[resource], self.namespace, *name)
        try:
            folder = walk(self.home, COMMANDS[resource], self.namespace, *name)
            if folder is None:
                return None
            with folder:
                return look(folder)
        except OSError as error:
            raise unreadable(path, error.strerror or type(error).__name__, "check its rights") from None
