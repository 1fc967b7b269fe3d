"""Who is told, and when: ``plugins.notifications`` and ``hooks``, each name checked to be a channel, and what the
catalog's notification connections are told without being asked (``events``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tieline.compile.asking import Work, forbidden, listed, try_render
from tieline.compile.channels import channel_of
from tieline.documents.document import FieldPath
from tieline.documents.forms import Issue
from tieline.errors import Code, did_you_mean
from tieline.model.access import Channel
from tieline.model.connection import Connection
from tieline.model.plan import Notify
from tieline.model.trigger import DONE


def wanted_notifications(work: Work, names: Mapping[str, Any]) -> tuple[Notify, ...]:
    """Every notification that is asked for, each once; what is unknown or no channel is an issue."""
    found: dict[tuple[str, str], Notify] = {}
    for name, trigger, path in _asked_by_job(work):
        rendered = try_render(work, name, path, names)
        channel = _channel(work, rendered, path) if isinstance(rendered, str) else None
        if channel is not None:
            key = (rendered, str(trigger or DONE))
            found.setdefault(key, Notify(connection=key[0], trigger=key[1], channel=channel))
    for connection, trigger in _asked_by_catalog(work):
        access = channel_of(connection)
        if access is not None:
            notify = Notify(connection=connection.name, trigger=trigger, asked_by="catalog", channel=access)
            found.setdefault((connection.name, trigger), notify)
    return tuple(found.values())


def _asked_by_job(work: Work) -> Iterator[tuple[Any, Any, FieldPath]]:
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


def _asked_by_catalog(work: Work) -> Iterator[tuple[Connection, str]]:
    """What the rules of the namespace's notification connections say of this run; one whose ``allow`` leaves the run
    out is not told."""
    for connection in work.view.notifications.values():
        if connection.events and not forbidden(connection, work.request):
            for rule in connection.events:
                if rule.covers(work.request.run.project):
                    yield from ((connection, status) for status in rule.statuses)


def _channel(work: Work, name: str, path: FieldPath) -> Channel | None:
    connection = work.view.get(name)
    if connection is None:
        hint = did_you_mean(name, [item.name for item in work.view], "name it under notificationConnections")
        work.issues.append(Issue(path, Code.UNKNOWN_CONNECTION, f"there is no connection {name!r}", hint))
        return None
    access = channel_of(connection)
    if access is None:
        message = f"{name!r} is of kind {connection.kind}, which tells nobody"
        work.issues.append(Issue(path, Code.WRONG_KIND, message, "name a channel: slack, email, webhook …"))
    elif reason := forbidden(connection, work.request):
        work.issues.append(Issue(path, Code.NOT_ALLOWED, f"{name!r} may not be used {reason}", "ask its admin"))
        return None
    return access
