"""Secrets that a program has in its hands: the in-memory twin of the other sources, for tests and for embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tieline.secrets.names import Resource
from tieline.secrets.secret import Secret

Data = Mapping[str, Mapping[str, bytes | str | Secret]]
"""Keys and values by the name of the secret."""


@dataclass(frozen=True, slots=True, repr=False)
class MemorySource:
    """A source of what it is given. ``read_keys``: which values were asked for, in that order."""

    secrets: Data = field(default_factory=dict)
    config_maps: Data = field(default_factory=dict)
    name: str = "memory"
    read_keys: list[tuple[Resource, str, str]] = field(default_factory=list)

    def names(self, resource: Resource) -> list[str]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return sorted(self._data(resource))

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        found = self._data(resource).get(name)
        return None if found is None else sorted(found)

    def spellings(self, key: str) -> tuple[str, ...]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return (key,)

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        self.read_keys.append((resource, name, key))
        value = self._data(resource).get(name, {}).get(key)
        return value if value is None or isinstance(value, Secret) else Secret(value)

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        """See :class:`~tieline.secrets.sources.Source`."""
        del resource
        return f"give {name} {' '.join(keys) or 'KEY…'}"

    def _data(self, resource: Resource) -> Data:
        return self.secrets if resource == "secret" else self.config_maps
