"""The statements with which messages are taken from the outbox and recorded, inside a transaction of it.

They are built once: a deliverer carries them out for every message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Boolean, and_, bindparam, exists, func, insert, or_, select, update
from sqlalchemy.engine import Connection, RowMapping

from tieline.model.notification import Delivery, Notification
from tieline.model.run import Status
from tieline.runs.outbox_rows import notification_of
from tieline.runs.schema import ATTEMPTS, CHANNELS, NOTIFICATIONS

LEASE = 300.0
"""Seconds after which a channel is taken from a holder that was not heard of."""
WAIT = timedelta(seconds=2)
"""Until it is looked again whether something that waits for an earlier one is the first: others may come meanwhile."""
INTERRUPTED = "interrupted"
Channel = Mapping[str, Any]
"""The row of a channel."""
LOST = "the process that sent it ended before the answer came: it may have arrived"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a channel's service allows. ``burst`` 0: no limit; ``most``: how many notifications one message may tell;
    ``lease``: seconds for which the channel is held, at least twice what one message to all its targets may take."""

    burst: int = 0
    per_second: float = 0.0
    most: int = 1
    lease: float = LEASE


@dataclass(frozen=True, slots=True)
class Ended:
    """How sending one message ended, for all notifications that it told. ``next_at`` None: they are over.
    ``paused_until``: the whole channel is to be left alone until then. ``reached``: the targets that have it."""

    ids: tuple[int, ...]
    state: Delivery
    outcome: str
    status: str = ""
    reason: str = ""
    seconds: float | None = None
    next_at: datetime | None = None
    paused_until: datetime | None = None
    reached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing can be sent now. ``until``: when something may be; None where nothing is waiting, or others hold it.
    ``limited``: there is something that seems due, and waits: for the service's limit, or for an earlier one."""

    until: datetime | None = None
    limited: bool = False


_ROW = NOTIFICATIONS.c
_EARLIER = NOTIFICATIONS.alias("earlier").c
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_CHANNEL = select(CHANNELS).where(CHANNELS.c.digest == bindparam("digest"))
_LATER = (
    _EARLIER.channel == _ROW.channel, _EARLIER.id < _ROW.id, func.coalesce(_EARLIER.state, "") == Delivery.PENDING,
    _EARLIER.next_at > bindparam("now"),
)  # fmt: skip
"""An earlier one that is to be tried later. (``coalesce``: its run or job finds it, not an index of all that wait.)"""
_ENDS = or_(_EARLIER.event_status == Status.SUCCEEDED, _ROW.event_status == Status.SUCCEEDED)
_WAITS = or_(
    exists().where(_EARLIER.run == _ROW.run, *_LATER),
    and_(
        bindparam("resolves", type_=Boolean()),
        exists().where(_EARLIER.connection == _ROW.connection, _EARLIER.subject == _ROW.subject, _ENDS, *_LATER),
    ),
)
"""An event is told after the earlier ones of its run. Where a success ends what a failure began, their order
counts over all runs of the job: an incident that is opened after its end would stay open."""
_DUE = (
    select(NOTIFICATIONS)
    .where(_ROW.channel == bindparam("digest"), _ROW.state == Delivery.PENDING)
    .where(_ROW.next_at <= bindparam("now"), ~_WAITS)
    .order_by(_ROW.id)
    .limit(bindparam("most"))
)  # fmt: skip
_NEXT_AT = select(func.min(_ROW.next_at)).where(_ROW.channel == bindparam("digest"), _ROW.state == Delivery.PENDING)
_BEGIN = update(NOTIFICATIONS).where(_ROW.id.in_(_IDS)).values(state=Delivery.SENDING, attempts=_ROW.attempts + 1)
_END = (
    update(NOTIFICATIONS)
    .where(_ROW.id.in_(_IDS), _ROW.state == Delivery.SENDING)
    .values({name: bindparam(f"to_{name}") for name in ("state", "status", "reason", "reached", "finished_at")})
    .values(next_at=func.coalesce(bindparam("to_next_at", type_=_ROW.next_at.type), _ROW.next_at))
)
_END_ATTEMPT = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.notification.in_(_IDS), ATTEMPTS.c.outcome == Delivery.SENDING.value)
    .values({name: bindparam(f"to_{name}") for name in ("outcome", "status", "reason", "seconds")})
)
_BEGUN = select(_ROW.id).where(_ROW.channel == bindparam("digest"), _ROW.state == Delivery.SENDING)


def channel_row(connection: Connection, digest: str) -> Channel | None:
    """The channel of this digest."""
    row = connection.execute(_CHANNEL, {"digest": digest}).mappings().first()
    return dict(row) if row is not None else None


def set_channel(connection: Connection, digest: str, **fields: Any) -> None:
    """Set fields of a channel."""
    connection.execute(update(CHANNELS).where(CHANNELS.c.digest == digest).values(fields))


def take_back(connection: Connection, digest: str, now: datetime) -> None:
    """What a deliverer had begun to send when it died may have arrived or not: it is to be sent (again)."""
    ids = tuple(connection.execute(_BEGUN, {"digest": digest}).scalars())
    if ids:
        _end(connection, Ended(ids, Delivery.PENDING, INTERRUPTED, INTERRUPTED, LOST, next_at=now), now, keep=True)


def record(connection: Connection, digest: str, ended: Ended, now: datetime) -> None:
    """How a message ended; only for who holds the channel."""
    _end(connection, ended, now)
    if ended.paused_until is not None:
        set_channel(connection, digest, paused_until=ended.paused_until)


def _end(connection: Connection, ended: Ended, now: datetime, *, keep: bool = False) -> None:
    """``keep``: what was reached stays as it was recorded."""
    told = {f"to_{name}": getattr(ended, name) for name in ("status", "reason")}
    finished = None if ended.next_at else now
    more = {"to_state": ended.state, "to_next_at": ended.next_at, "to_finished_at": finished}
    statement = _END.values(reached=_ROW.reached) if keep else _END
    reached = {} if keep else {"to_reached": json.dumps(ended.reached)}
    connection.execute(statement, {"ids": ended.ids, **told, **more, **reached})
    attempt = {"to_outcome": ended.outcome, "to_seconds": ended.seconds}
    connection.execute(_END_ATTEMPT, {"ids": ended.ids, **told, **attempt})


def next_rows(connection: Connection, channel: Channel, limits: Limits, now: datetime) -> list[RowMapping] | Idle:
    """What the next message tells: one notification; or, where more wait than the service's limit allows messages,
    all that fit into one."""
    digest, paused = channel["digest"], channel["paused_until"]
    if paused is not None and paused > now:
        return Idle(paused)
    resolves = bool(json.loads(channel["access"]).get("resolves"))
    given = {"digest": digest, "now": now, "most": limits.most if limits.burst else 1, "resolves": resolves}
    rows = connection.execute(_DUE, given).mappings().all()
    if not rows:
        until = connection.execute(_NEXT_AT, {"digest": digest}).scalar()
        return Idle(now + WAIT, limited=True) if until is not None and until <= now else Idle(until)
    if not limits.burst:
        return [rows[0]]
    allowance = _allowance(channel, limits, now)
    if allowance < 1:
        return Idle(now + timedelta(seconds=(1 - allowance) / limits.per_second), limited=True)
    set_channel(connection, digest, allowance=allowance - 1, allowance_at=now)
    alone = limits.most == 1 or len(rows) <= allowance or allowance >= 2 or rows[0]["reached"] != "[]"
    return [rows[0]] if alone else [row for row in rows if row["reached"] == "[]"]


def _allowance(channel: Channel, limits: Limits, now: datetime) -> float:
    """How many messages the limit allows now (a token bucket)."""
    if channel["allowance"] is None:
        return float(limits.burst)
    passed = max(float((now - channel["allowance_at"]).total_seconds()), 0.0)
    return min(float(limits.burst), float(channel["allowance"]) + passed * limits.per_second)


def begin(
    connection: Connection, channel: Mapping[str, Any], rows: Sequence[RowMapping], now: datetime, lease: float = LEASE
) -> list[Notification]:
    """Mark them as begun, each with an attempt; and go on holding the channel."""
    ids = tuple(row["id"] for row in rows)
    connection.execute(_BEGIN, {"ids": ids})
    attempts = [
        {"notification": row["id"], "number": row["attempts"] + 1, "at": now, "outcome": Delivery.SENDING.value,
         "status": "", "reason": "", "digest": len(ids)}
        for row in rows
    ]  # fmt: skip
    connection.execute(insert(ATTEMPTS), attempts)
    if channel["held_until"] < now + timedelta(seconds=lease / 2):
        set_channel(connection, channel["digest"], held_until=now + timedelta(seconds=lease))
    return [replace(notification_of(row), attempts=row["attempts"] + 1) for row in rows]
