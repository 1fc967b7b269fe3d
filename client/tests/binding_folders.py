"""Folders of bindings as a run writes them, from connections of a catalog and the secrets that they name.

For the tests of tieline-client. All of it is Tieline's own code; only the source of secrets is a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tieline.kinds import registry
from tieline.kinds.pages import connect
from tieline.model.binding import Binding
from tieline.secrets.names import Resource
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources
from tieline.steps.binding_directory import write_bindings

Secrets = Mapping[str, Mapping[str, bytes]]
"""The values of secrets, by name and key."""


def bind(data: Mapping[str, Any]) -> Binding:
    """What a connection of a catalog binds."""
    kind = registry.get(data["kind"])
    assert kind is not None
    connection = connect(kind, data)
    assert kind.check(connection) == []
    return kind.bind(connection)


def write(root: Path, bindings: Sequence[Binding], secrets: Secrets) -> Resolver:
    """``$SERVICE_BINDING_ROOT`` with a folder per binding; the resolver has the values of variables, too."""
    made = root.parent / "made"
    resolver = Resolver(Sources([_Given(secrets)], "default"), Places(str(root), str(made)))
    write_bindings(bindings, root, resolver.data)
    for variable in (variable for binding in bindings for variable in binding.variables):
        resolver.resolve(variable.value)
    for name, value in resolver.made.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(value.reveal())
    return resolver


@dataclass(frozen=True)
class _Given:
    """A source of secrets: :class:`tieline.secrets.sources.Source`."""

    secrets: Secrets
    name: str = "this test"

    def names(self, resource: Resource) -> list[str]:
        return [*self.secrets] if resource == "secret" else []

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        return sorted(self.secrets[name]) if name in self.names(resource) else None

    def spellings(self, key: str) -> tuple[str, ...]:
        return (key,)

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        return Secret(self.secrets[name][key])

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        return "put it into the test"
