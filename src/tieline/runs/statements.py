"""What is written to the record, inside a transaction that :mod:`tieline.runs.record` has begun."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Connection

from tieline.model.run import NewRun, Run
from tieline.runs.rows import encoded, new_run_row, new_uses
from tieline.runs.schema import EVENTS, NOTIFICATIONS, RUN_CONNECTIONS, RUNS


def insert_run(connection: Connection, new: NewRun, at: datetime) -> None:
    """The run, the connections that it uses, and the channels that are told of it."""
    connection.execute(insert(RUNS), new_run_row(new, at))
    if new.channels:
        from tieline.runs.telling import pin  # most runs tell nobody: they need not wait for it

        pin(connection, new.channels)
    if uses := new_uses(new):
        connection.execute(insert(RUN_CONNECTIONS), uses)


def change(connection: Connection, uuid: str, fields: dict[str, Any]) -> None:
    """Set fields of the run."""
    connection.execute(update(RUNS).where(RUNS.c.uuid == uuid).values(encoded(fields)))


def append_event(connection: Connection, run: Run) -> None:
    """Record how the run stands now as its next event, and who is to be told of it."""
    last = select(func.coalesce(func.max(EVENTS.c.sequence), 0)).where(EVENTS.c.run == run.uuid).scalar_subquery()
    connection.execute(
        insert(EVENTS).values(
            run=run.uuid,
            sequence=last + 1,
            at=run.updated_at,
            attempt=run.attempt,
            status=run.status,
            reason=run.reason,
            message=run.message,
        )
    )
    if run.watches:
        from tieline.runs.telling import tell

        sequence = connection.execute(select(func.max(EVENTS.c.sequence)).where(EVENTS.c.run == run.uuid)).scalar_one()
        tell(connection, run, sequence)


def delete_run(connection: Connection, uuid: str) -> None:
    """Forget the run; its events, its uses of connections and who was told of it go with it. Who waits is told."""
    over = NOTIFICATIONS.c.state.not_in(("pending", "sending"))
    connection.execute(delete(NOTIFICATIONS).where(NOTIFICATIONS.c.run == uuid, over))
    connection.execute(delete(RUNS).where(RUNS.c.uuid == uuid))
