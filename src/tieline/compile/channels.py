"""Which connections are channels, and what is wrong with what a catalog wants them to be told."""

from __future__ import annotations

from collections.abc import Iterator

from tieline.documents.document import FieldPath
from tieline.documents.forms import Issue
from tieline.errors import Code
from tieline.kinds import registry
from tieline.model.access import Channel
from tieline.model.connection import Connection


def channel_of(connection: Connection) -> Channel | None:
    """What a sender needs; None for a connection that tells nobody."""
    kind = registry.get(connection.kind)
    access = kind.access(connection) if kind else None
    return access if isinstance(access, Channel) else None


def rule_issues(connection: Connection, path: FieldPath) -> Iterator[Issue]:
    """What is wrong with ``events``, or with a connection that stands among the channels and is none."""
    if connection.events and not connection.notifications_only:
        message = "events have an effect under notificationConnections only"
        yield Issue(
            (*path, "events"), Code.BAD_VALUE, message, "move the connection there, or remove them", at_key=True
        )
    for number, rule in enumerate(connection.events):
        if not rule.statuses:
            yield Issue((*path, "events", number, "statuses"), Code.BAD_VALUE, "it names no status", "name one: failed")
    if connection.notifications_only and channel_of(connection) is None:
        message = f"kind {connection.kind} tells nobody, and what stands here is used for notifications only"
        yield Issue((*path, "kind"), Code.WRONG_KIND, message, "move it to connections", warning=not connection.events)
