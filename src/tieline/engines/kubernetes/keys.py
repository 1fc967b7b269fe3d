"""A namespace's secrets and config maps as a source of *keys*: of what a preflight asked for once, no value is left.

It is what :mod:`tieline.secrets.preflight` looks at, so that a missing key is told on a cluster as on a laptop.
"""

from __future__ import annotations

from tieline.engines.kubernetes.asking import Asked, Thing
from tieline.engines.kubernetes.claims import unchecked
from tieline.engines.kubernetes.referring import PLURALS
from tieline.secrets.cluster import creating
from tieline.secrets.failures import SourceFailed
from tieline.secrets.names import WORDS, Resource, is_name
from tieline.secrets.secret import Secret


class ClusterKeys:
    """See :class:`~tieline.secrets.sources.Source`, whose methods these are."""

    def __init__(self, asked: Asked, context: str | None) -> None:
        self._asked, self._context = asked, context

    @property
    def name(self) -> str:
        where = f"the context {self._context!r}" if self._context else "the current context"
        return f"the namespace {self._asked.namespace} of the cluster of {where}"

    def names(self, resource: Resource) -> list[str]:
        del resource
        return []  # a list would bring all values of the namespace, too

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        """What may not be looked at is told as a warning: nobody knows that it is missing."""
        thing = Thing(PLURALS[resource], name)
        if not is_name(name):
            return None
        if self._asked[thing].denied:
            raise SourceFailed(unchecked(thing, f"the {WORDS[resource]} {name!r}", self._asked.namespace, ""))
        return None if self._asked[thing].missing else list(self._asked[thing].keys)

    def spellings(self, key: str) -> tuple[str, ...]:
        return (key,)

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        """Values are never kept here."""
        del resource, name, key
        return None

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        return creating(resource, name, keys, self._asked.namespace, self._context)
