"""What is read from the record, inside a transaction that :mod:`tieline.runs.record` has begun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.engine import Connection

from tieline.errors import Code, NotFound, TielineError, did_you_mean
from tieline.model.run import Event, Run
from tieline.runs.rows import event_of, run_of
from tieline.runs.schema import EVENTS, NOTIFICATIONS, RUN_CONNECTIONS, RUNS

PREFIX_LENGTH = 4
"""The shortest beginning of a uuid that names a run."""

OVERDUE = 30.0
"""Seconds after its time at which what was not sent is nobody's."""

_CANDIDATES = 10
_NAMES = 1000
_RUN = [column for column in RUNS.c if column.name not in ("id", "plan")]
"""What a :class:`Run` is read from; its plan may be large and is read alone."""

Where = Sequence[ColumnElement[bool]]


def scope(**wanted: str | None) -> list[ColumnElement[bool]]:
    """The conditions on columns of ``runs`` that are given; None leaves a column free."""
    return [RUNS.c[name] == value for name, value in wanted.items() if value is not None]


def newest(connection: Connection, where: Where, limit: int | None = None) -> list[Run]:
    """The runs that meet every condition, newest first."""
    query = select(*_RUN).where(*where).order_by(RUNS.c.id.desc()).limit(limit)
    return [run_of(row) for row in connection.execute(query).mappings()]


def get(connection: Connection, uuid: str, *, for_update: bool = False) -> Run:
    """The run, or :class:`NotFound`; ``for_update`` holds its row where the database has row locks."""
    query = select(*_RUN).where(RUNS.c.uuid == uuid)
    row = connection.execute(query.with_for_update() if for_update else query).mappings().first()
    if row is None:
        raise _not_found(uuid)
    return run_of(row)


def is_known(connection: Connection, uuid: str) -> bool:
    return connection.execute(select(RUNS.c.id).where(RUNS.c.uuid == uuid)).first() is not None


def find(connection: Connection, ref: str, where: Where) -> Run:
    """The run that a person means, among those that meet the conditions.

    A name goes before the beginning of a uuid: a beginning can be made longer, a name can not.
    """
    is_uuid = RUNS.c.uuid == ref.lower()
    exact = select(*_RUN).where(or_(is_uuid, RUNS.c.name == ref), *where)
    row = connection.execute(exact.order_by(is_uuid.desc(), RUNS.c.id.desc()).limit(1)).mappings().first()
    if row is not None:
        return run_of(row)
    begins = RUNS.c.uuid.startswith(ref.lower(), autoescape=True)
    runs = newest(connection, [begins, *where], _CANDIDATES + 1) if len(ref) >= PREFIX_LENGTH else []
    if len(runs) == 1:
        return runs[0]
    if runs:
        raise _ambiguous(ref, runs)
    names = select(RUNS.c.name).where(*where).order_by(RUNS.c.id.desc()).limit(_NAMES)
    raise _not_found(ref, connection.execute(names).scalars().all())


def plan(connection: Connection, uuid: str) -> dict[str, Any]:
    """The plan of a run, or :class:`NotFound`."""
    text = connection.execute(select(RUNS.c.plan).where(RUNS.c.uuid == uuid)).scalar()
    if text is None:
        raise _not_found(uuid)
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def events(connection: Connection, uuid: str) -> list[Event]:
    """The events of a run by sequence, or :class:`NotFound`: every run has at least one."""
    query = select(EVENTS).where(EVENTS.c.run == uuid).order_by(EVENTS.c.sequence)
    found = [event_of(row) for row in connection.execute(query).mappings()]
    if not found:
        raise _not_found(uuid)
    return found


def usage(connection: Connection, name: str, namespace: str) -> list[str]:
    """The uuids of the runs in a namespace that use the connection of this name, newest first."""
    query = (
        select(RUNS.c.uuid)
        .join(RUN_CONNECTIONS, RUN_CONNECTIONS.c.run == RUNS.c.uuid)
        .where(RUN_CONNECTIONS.c.connection == name, RUN_CONNECTIONS.c.namespace == namespace)
        .order_by(RUNS.c.id.desc())
    )
    return [*connection.execute(query).scalars()]


def is_overdue(connection: Connection) -> bool:
    """Whether something waits in the outbox that a living deliverer would have begun to send by now."""
    before = datetime.now(UTC) - timedelta(seconds=OVERDUE)
    rows = NOTIFICATIONS.c
    query = select(rows.id).where(rows.state.in_(("pending", "sending")), rows.next_at < before).limit(1)
    return connection.execute(query).first() is not None


def _not_found(ref: str, names: Sequence[str] = ()) -> TielineError:
    hint = did_you_mean(ref, names, "see `tieline runs list`")
    return NotFound.of(Code.RUN_NOT_FOUND, f"there is no run {ref!r}", hint)


def _ambiguous(ref: str, runs: Sequence[Run]) -> TielineError:
    shown = ", ".join(f"{run.uuid} ({run.name})" for run in runs[:_CANDIDATES])
    more = ", …" if len(runs) > _CANDIDATES else ""
    return NotFound.of(
        Code.RUN_NOT_FOUND, f"{ref!r} is the beginning of more than one run: {shown}{more}", "give more of the uuid"
    )
