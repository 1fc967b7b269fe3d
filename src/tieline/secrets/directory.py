"""A folder with a folder per secret and in that a file per key: what Docker and Kubernetes mount, and what people keep.

Kubernetes' mounted secrets are links into ``..data``, so links are followed, but not out of the secret's own folder.
Whoever mounts a folder chooses who may read it; only a file that everybody may *write* is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tieline.model.catalog import DirectorySecrets
from tieline.secrets.failures import unreadable
from tieline.secrets.names import Resource, is_key, is_name
from tieline.secrets.private import read_file
from tieline.secrets.secret import Secret

NAMESPACE = "{namespace}"
_ALL_WRITE = 0o002
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """The folder of the secrets, and that of the config maps if there is one."""

    path: Path
    config_maps: Path | None = None

    @classmethod
    def of(cls, form: DirectorySecrets, namespace: str) -> Self:
        """As the deployment file has it, for one namespace."""
        maps = form.config_maps
        return cls(
            Path(form.path.replace(NAMESPACE, namespace)),
            None if maps is None else Path(maps.replace(NAMESPACE, namespace)),
        )

    @property
    def name(self) -> str:
        """See :class:`~tieline.secrets.sources.Source`."""
        return f"the folder {self.path}"

    def names(self, resource: Resource) -> list[str]:
        """See :class:`~tieline.secrets.sources.Source`."""
        root = self._root(resource)
        if root is None or not root.is_dir():
            return []
        try:
            return sorted(entry.name for entry in os.scandir(root) if is_name(entry.name) and entry.is_dir())
        except OSError as error:
            raise _failed(root, error) from None

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        root = self._root(resource)
        if root is None or not is_name(name):
            return None
        folder = root / name
        try:
            with os.scandir(folder) as entries:
                return sorted(entry.name for entry in entries if is_key(entry.name) and not entry.is_dir())
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise unreadable(
                folder, "is a file; a secret is a folder with a file per key", "make it a folder"
            ) from None
        except OSError as error:
            raise _failed(folder, error) from None

    def spellings(self, key: str) -> tuple[str, ...]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return (key,)

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        root = self._root(resource)
        if root is None or not (is_name(name) and is_key(key)):
            return None
        path = root / name / key
        try:
            real = Path(os.path.realpath(path, strict=True))
            if not real.is_relative_to(os.path.realpath(root / name, strict=True)):
                raise unreadable(path, f"is a link out of its folder, to {real}", "put the file itself here")
            return Secret(read_file(os.open(real, _FLAGS), path, _ALL_WRITE))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(path, error) from None

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        """See :class:`~tieline.secrets.sources.Source`."""
        root = self._root(resource)
        if root is None:
            return "name a folder of config maps, `configMaps:`, beside the directory's `path:`"
        return f"write the file {root / name / (keys[0] if keys else 'KEY')}"

    def _root(self, resource: Resource) -> Path | None:
        return self.path if resource == "secret" else self.config_maps


def _failed(path: Path, error: OSError) -> Exception:
    return unreadable(path, error.strerror or type(error).__name__, "check its rights")
