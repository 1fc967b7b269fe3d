"""Who is to be told of an event, written in the event's own transaction: there is no event of which somebody should
hear and for which there is no row in the outbox, whatever is killed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from tieline.model.run import ChannelPin, Run, Status, Watch
from tieline.model.trigger import fires
from tieline.runs.outbox_rows import facts_of, new_row, subject_of
from tieline.runs.schema import CHANNELS, NOTIFICATIONS


def pin(connection: Connection, channels: Iterable[ChannelPin]) -> None:
    """Keep the channels as a run was accepted with them; many runs have the same ones."""
    for channel in channels:
        known = select(CHANNELS.c.digest).where(CHANNELS.c.digest == channel.digest)
        if connection.execute(known).first() is None:
            row = {
                "digest": channel.digest,
                "connection": channel.connection,
                "namespace": channel.namespace,
                "access": json.dumps(channel.access),
                "sources": json.dumps(channel.sources),
                "holder": "",
            }
            connection.execute(insert(CHANNELS), row)


def tell(connection: Connection, run: Run, sequence: int) -> None:
    """A row for each connection that is to be told of the event that brought the run where it is."""
    facts = facts_of(run, sequence)
    rows = [new_row(facts, watch, resolves=ends) for watch, ends in _told(connection, run, subject_of(facts))]
    if rows:
        connection.execute(insert(NOTIFICATIONS), rows)


def _told(connection: Connection, run: Run, subject: str) -> Iterator[tuple[Watch, bool]]:
    """Each connection once; with whether it is told only because a success ends what it was told before."""
    asked: dict[str, Watch] = {}
    for watch in run.watches:
        if fires(watch.trigger, run.status):
            asked.setdefault(watch.connection, watch)
    yield from ((watch, False) for watch in asked.values())
    if run.status is Status.SUCCEEDED:
        others = {watch.connection: watch for watch in run.watches if watch.resolves and watch.connection not in asked}
        yield from ((watch, True) for watch in others.values() if _is_open(connection, run.namespace, watch, subject))


def _is_open(connection: Connection, namespace: str, watch: Watch, subject: str) -> bool:
    """Whether the last that the channel was told of this job was anything but a success."""
    rows = NOTIFICATIONS.c
    last = (
        select(rows.event_status)
        .where(rows.connection == watch.connection, rows.namespace == namespace, rows.subject == subject)
        .order_by(rows.id.desc())
        .limit(1)
    )
    status = connection.execute(last).scalar()
    return status is not None and status != Status.SUCCEEDED
