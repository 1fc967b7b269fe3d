"""Who is told, and when: ``plugins.notifications`` and ``hooks``, each name checked to be a channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tieline.compile.asking import Work, listed, try_render
from tieline.documents.document import FieldPath
from tieline.documents.forms import Issue
from tieline.errors import Code, did_you_mean
from tieline.kinds import registry
from tieline.model.access import Channel
from tieline.model.plan import Notify

DEFAULT_TRIGGER = "done"


def wanted_notifications(work: Work, names: Mapping[str, Any]) -> tuple[Notify, ...]:
    """Every notification that the job asks for; what is unknown or no channel is an issue."""
    found = []
    for name, trigger, path in _wanted(work):
        rendered = try_render(work, name, path, names)
        if isinstance(rendered, str) and _is_channel(work, rendered, path):
            found.append(Notify(connection=rendered, trigger=str(trigger or DEFAULT_TRIGGER)))
    return tuple(found)


def _wanted(work: Work) -> Iterator[tuple[Any, Any, FieldPath]]:
    plugins = work.job.component.get("plugins")
    notifications = plugins.get("notifications") if isinstance(plugins, Mapping) else None
    for index, item in enumerate(listed(notifications)):
        if isinstance(item, Mapping):
            for place, name in enumerate(listed(item.get("connections"))):
                yield name, item.get("trigger"), ("plugins", "notifications", index, "connections", place)
    for index, hook in enumerate(listed(work.job.component.get("hooks"))):
        if not isinstance(hook, Mapping):
            continue
        if hook.get("connection") is None:
            message = "the hook has no connection"
            work.issues.append(Issue(("hooks", index), Code.MISSING_KEY, message, "name a channel"))
        else:
            yield hook["connection"], hook.get("trigger"), ("hooks", index, "connection")


def _is_channel(work: Work, name: str, path: FieldPath) -> bool:
    connection = work.view.get(name)
    kind = registry.get(connection.kind) if connection else None
    if connection is None or kind is None:
        hint = did_you_mean(name, [item.name for item in work.view], "name it under notificationConnections")
        work.issues.append(Issue(path, Code.UNKNOWN_CONNECTION, f"there is no connection {name!r}", hint))
        return False
    if not isinstance(kind.access(connection), Channel):
        message = f"{name!r} is of kind {connection.kind}, which tells nobody"
        work.issues.append(Issue(path, Code.WRONG_KIND, message, "name a channel: slack, email, webhook …"))
        return False
    return True
