"""What a namespace sees of the catalog: its connections by name, kind, tag and word, and what each says about itself.

Secrets are named here, and never read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tieline.app.deployment import Deployment
from tieline.errors import Code, InvalidInput, NotFound, did_you_mean
from tieline.kinds import registry
from tieline.kinds.base import Kind
from tieline.model.binding import Binding
from tieline.model.catalog import DEFAULT_NAMESPACE, View
from tieline.model.connection import Connection


def view_of(deployment: Deployment, namespace: str | None) -> View:
    """A namespace's view. A catalog without namespaces serves every name. Raises InvalidInput for an unknown one."""
    name = namespace or DEFAULT_NAMESPACE
    views = deployment.catalog.views
    if name in views:
        return views[name]
    if len(views) == 1:
        return views[DEFAULT_NAMESPACE]
    hint = did_you_mean(name, views, f"known: {', '.join(views)}")
    raise InvalidInput.of(Code.UNKNOWN_NAMESPACE, f"there is no namespace {name!r}", hint)


def matching(view: View, kinds: Collection[str] = (), tags: Collection[str] = (), words: str = "") -> list[Connection]:
    """The connections of these kinds, with all of these tags, whose name, kind, tags or description have the words."""
    wanted = [kind.replace("-", "_").lower() for kind in kinds]
    return [
        connection
        for connection in view
        if (not wanted or connection.kind.lower() in wanted)
        and set(tags) <= set(connection.tags)
        and _has(connection, words.lower().split())
    ]


def _has(connection: Connection, words: Collection[str]) -> bool:
    text = " ".join((connection.name, connection.kind, connection.description, *connection.tags)).lower()
    return all(word in text for word in words)


def find(view: View, name: str) -> Connection:
    """The connection of that name. Raises NotFound with the nearest one."""
    connection = view.get(name)
    if connection is None:
        hint = did_you_mean(name, [item.name for item in view], "`tieline connections list` shows what there is")
        raise NotFound.of(Code.UNKNOWN_CONNECTION, f"there is no connection {name!r}", hint)
    return connection


def binding_of(connection: Connection) -> Binding | None:
    """What the connection puts into a job; None for one that only notifies."""
    kind = registry.get(connection.kind)
    return kind.bind(connection) if kind and not connection.notifications_only else None


def kind_named(name: str) -> Kind:
    """The kind of that name. Raises NotFound with the nearest one."""
    kind = registry.get(name)
    if kind is None:
        hint = did_you_mean(name, registry.names(), "`tieline kinds list` shows what there is")
        raise NotFound.of(Code.UNKNOWN_KIND, f"there is no kind {name!r}", hint)
    return kind


def origin_of(connection: Connection, deployment: Deployment, view: View) -> str:
    """Where the connection comes from, as a person would say it."""
    if connection is view.store and deployment.catalog.default_store:
        return "default"
    if connection.origin == "namespaces" and connection is not view.store:
        return f"namespaces.{view.namespace}"
    return connection.origin


def summary(connection: Connection, deployment: Deployment, view: View) -> dict[str, Any]:
    """One connection in a list of them, as JSON."""
    return {
        "name": connection.name,
        "kind": connection.kind,
        "description": connection.description,
        "tags": list(connection.tags),
        "from": origin_of(connection, deployment, view),
        "artifactsStore": connection is view.store,
        "notificationsOnly": connection.notifications_only,
    }


def details(connection: Connection, deployment: Deployment, view: View) -> dict[str, Any]:
    """Everything that the catalog says about a connection, as JSON. Every key is always there."""
    binding = binding_of(connection)

    def plain(value: Any) -> Any:
        return None if value is None else value.model_dump(mode="json", by_alias=True, exclude_none=True)

    return {
        **summary(connection, deployment, view),
        "schema": plain(connection.schema_),
        "secret": plain(connection.secret),
        "configMap": plain(connection.config_map),
        "env": [plain(variable) for variable in connection.env],
        "envPrefix": connection.env_prefix,
        "annotations": connection.annotations,
        "auth": plain(connection.auth),
        "allow": plain(connection.allow),
        "health": plain(connection.health),
        "events": [plain(rule) for rule in connection.events],
        "binding": binding.as_json() if binding else None,
    }
