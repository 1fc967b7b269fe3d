"""The outbox: what is to be sent, who sends it now, and what became of it. Deliverers of many processes share it.

A deliverer *holds* a channel, so that each channel has one sender at a time: what people read comes in its order, and
the service's limit is kept by all processes together. Every message is one step, one transaction: how the last one
ended is recorded, and the next one is marked as begun. Where a deliverer dies between the two, the next holder finds
what had been begun, and sends it again: at least once, and with the same key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.engine import Connection, RowMapping

from tieline.errors import Code, NotFound
from tieline.model.notification import Delivery, Notification
from tieline.model.run import ChannelPin
from tieline.runs import telling
from tieline.runs.database import Database
from tieline.runs.outbox_rows import notification_of
from tieline.runs.schema import ATTEMPTS, CHANNELS, NOTIFICATIONS

LEASE = 300.0
"""Seconds after which a channel is taken from a holder that was not heard of: longer than any one message takes."""
OVERDUE = 30.0
"""Seconds after its time at which what was not sent is nobody's."""
INTERRUPTED = "interrupted"
NOT_AGAIN = ":"
"""In what is recorded of a target that was not reached and is not to be tried again: ``refused:ID``."""
_ROWS = NOTIFICATIONS.c
_WAITING = (Delivery.PENDING, Delivery.SENDING)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a channel's service allows. ``burst`` 0: no limit; ``most``: how many notifications one message may tell."""

    burst: int = 0
    per_second: float = 0.0
    most: int = 1


@dataclass(frozen=True, slots=True)
class Held:
    """A channel that this deliverer holds."""

    digest: str
    connection: str
    namespace: str
    access: dict[str, Any]
    sources: list[dict[str, Any]]


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
    ``limited``: it is the service's limit that is waited for."""

    until: datetime | None = None
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A channel with something to send."""

    digest: str
    due_at: datetime
    holder: str
    held_until: datetime | None


class Outbox:
    """The outbox of one record; see the module. Every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- sending

    def waiting(self) -> list[Waiting]:
        """The channels that have something to send, with when, the earliest first."""
        query = (
            select(
                _ROWS.channel, func.min(_ROWS.next_at), CHANNELS.c.paused_until, CHANNELS.c.holder,
                CHANNELS.c.held_until,
            )
            .join(CHANNELS, CHANNELS.c.digest == _ROWS.channel)
            .where(_ROWS.state.in_(_WAITING))
            .group_by(_ROWS.channel)
        )  # fmt: skip
        with self._database.reading() as connection:
            found = connection.execute(query).all()
        channels = [
            Waiting(digest, max(due, paused or due), holder, held) for digest, due, paused, holder, held in found
        ]
        return sorted(channels, key=lambda channel: channel.due_at)

    def hold(self, digest: str, holder: str, is_dead: Callable[[str], bool]) -> Held | None:
        """Take a channel, if nobody has it; what a dead holder had begun to send is to be sent again."""
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            row = connection.execute(select(CHANNELS).where(CHANNELS.c.digest == digest)).mappings().first()
            if row is None or _is_held(row, holder, now, is_dead):
                return None
            _set(connection, digest, holder=holder, held_until=now + timedelta(seconds=LEASE))
            _take_back(connection, digest, now)
        return Held(digest, row["connection"], row["namespace"], json.loads(row["access"]), json.loads(row["sources"]))

    def step(self, digest: str, holder: str, limits: Limits, ended: Ended | None) -> list[Notification] | Idle:
        """Record how the last message ended; then begin the next: the notifications that it tells, or when to come
        back."""
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            if ended is not None:
                _record(connection, digest, ended, now)
            channel = connection.execute(select(CHANNELS).where(CHANNELS.c.digest == digest)).mappings().one()
            if channel["holder"] != holder:
                return Idle()
            found = _next(connection, channel, limits, now)
            if isinstance(found, Idle):
                _set(connection, digest, holder="", held_until=None)
                return found
            return _begin(connection, digest, found, now)

    def record(self, digest: str, ended: Ended) -> None:
        """How a message ended, where no other follows."""
        with self._database.writing() as connection:
            _record(connection, digest, ended, datetime.now(UTC))

    def release(self, digest: str, holder: str) -> None:
        """Let others have the channel; what was begun and not recorded is to be sent again."""
        with self._database.writing() as connection:
            held = select(CHANNELS.c.holder).where(CHANNELS.c.digest == digest)
            if connection.execute(held).scalar() == holder:
                _take_back(connection, digest, datetime.now(UTC))
                _set(connection, digest, holder="", held_until=None)

    # --- looking

    def is_overdue(self) -> bool:
        """Whether something waits that a living deliverer would have begun to send by now."""
        before = datetime.now(UTC) - timedelta(seconds=OVERDUE)
        query = select(_ROWS.id).where(_ROWS.state.in_(_WAITING), _ROWS.next_at < before).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def list(
        self,
        *,
        run: str | None = None,
        connection: str | None = None,
        states: Iterable[Delivery] = (),
        limit: int | None = None,
    ) -> list[Notification]:
        """The notifications that match everything given, newest first; no states means all of them."""
        given = {"run": run, "connection": connection}
        where = [_ROWS[name] == value for name, value in given.items() if value is not None]
        if wanted := tuple(states):
            where.append(_ROWS.state.in_(wanted))
        query = select(NOTIFICATIONS).where(*where).order_by(_ROWS.id.desc()).limit(limit)
        with self._database.reading() as database:
            return [notification_of(row) for row in database.execute(query).mappings()]

    def get(self, number: int) -> Notification:
        """One notification with all its attempts. Raises :class:`NotFound`."""
        with self._database.reading() as connection:
            row = connection.execute(select(NOTIFICATIONS).where(_ROWS.id == number)).mappings().first()
            if row is None:
                hint = "see `tieline notifications list`"
                raise NotFound.of(Code.NOTIFICATION_NOT_FOUND, f"there is no notification {number}", hint)
            attempts = select(ATTEMPTS).where(ATTEMPTS.c.notification == number).order_by(ATTEMPTS.c.number)
            return notification_of(row, connection.execute(attempts).mappings().all())

    def retry(self, number: int, channel: ChannelPin | None = None) -> bool:
        """Have it sent now, over the channel as it is now where one is given. False where it was delivered, or is
        being sent."""
        now = datetime.now(UTC)
        fields: dict[str, Any] = {"state": Delivery.PENDING, "next_at": now, "created_at": now, "finished_at": None}
        with self._database.writing() as connection:
            if channel is not None:
                telling.pin(connection, [channel])
                fields["channel"] = channel.digest
            able = (Delivery.FAILED, Delivery.UNKNOWN, Delivery.PENDING)
            query = select(_ROWS.channel, _ROWS.reached).where(_ROWS.id == number, _ROWS.state.in_(able))
            row = connection.execute(query).first()
            if row is None:
                return False
            fields["reached"] = json.dumps([one for one in json.loads(row.reached) if NOT_AGAIN not in one])
            connection.execute(update(NOTIFICATIONS).where(_ROWS.id == number).values(fields))
            _set(connection, fields.get("channel", row.channel), paused_until=None)
        return True


def _set(connection: Connection, digest: str, **fields: Any) -> None:
    connection.execute(update(CHANNELS).where(CHANNELS.c.digest == digest).values(fields))


def _is_held(row: RowMapping, holder: str, now: datetime, is_dead: Callable[[str], bool]) -> bool:
    other = row["holder"]
    return bool(other) and other != holder and row["held_until"] > now and not is_dead(other)


def _take_back(connection: Connection, digest: str, now: datetime) -> None:
    """What a deliverer had begun to send when it died may have arrived or not: it is to be sent (again)."""
    begun = select(_ROWS.id, _ROWS.attempts).where(_ROWS.channel == digest, _ROWS.state == Delivery.SENDING)
    reason = "the process that sent it ended before the answer came: it may have arrived"
    for number, attempts in connection.execute(begun).all():
        last = and_(ATTEMPTS.c.notification == number, ATTEMPTS.c.number == attempts)
        connection.execute(update(ATTEMPTS).where(last).values(outcome=INTERRUPTED, reason=reason))
        back = {"state": Delivery.PENDING, "next_at": now, "status": INTERRUPTED, "reason": reason}
        connection.execute(update(NOTIFICATIONS).where(_ROWS.id == number).values(back))


def _record(connection: Connection, digest: str, ended: Ended, now: datetime) -> None:
    """How a message ended. Rows that somebody else has taken meanwhile (this process was asleep) are left alone."""
    ours = and_(_ROWS.id.in_(ended.ids), _ROWS.state == Delivery.SENDING)
    begun = connection.execute(select(_ROWS.id, _ROWS.attempts).where(ours)).all()
    numbers = {row.id: row.attempts for row in begun}
    for number, attempt in numbers.items():
        last = and_(ATTEMPTS.c.notification == number, ATTEMPTS.c.number == attempt)
        told = {name: getattr(ended, name) for name in ("outcome", "status", "reason", "seconds")}
        connection.execute(update(ATTEMPTS).where(last).values(told))
    fields: dict[str, Any] = {"state": ended.state, "status": ended.status, "reason": ended.reason}
    fields["reached"] = json.dumps(ended.reached)
    fields |= {"next_at": ended.next_at} if ended.next_at else {"finished_at": now}
    connection.execute(update(NOTIFICATIONS).where(_ROWS.id.in_(numbers)).values(fields))
    if ended.paused_until is not None:
        _set(connection, digest, paused_until=ended.paused_until)


def _next(connection: Connection, channel: RowMapping, limits: Limits, now: datetime) -> list[RowMapping] | Idle:
    """What the next message tells: one notification; or, where more wait than the service's limit allows messages,
    all that fit into one."""
    digest, paused = channel["digest"], channel["paused_until"]
    if paused is not None and paused > now:
        return Idle(paused)
    rows = connection.execute(_due(digest, now, limits.most)).mappings().all()
    if not rows:
        pending = select(func.min(_ROWS.next_at)).where(_ROWS.channel == digest, _ROWS.state == Delivery.PENDING)
        return Idle(connection.execute(pending).scalar())
    if not limits.burst:
        return [rows[0]]
    allowance = _allowance(channel, limits, now)
    if allowance < 1:
        return Idle(now + timedelta(seconds=(1 - allowance) / limits.per_second), limited=True)
    _set(connection, digest, allowance=allowance - 1, allowance_at=now)
    alone = limits.most == 1 or len(rows) <= allowance or allowance >= 2 or rows[0]["reached"] != "[]"
    return [rows[0]] if alone else [row for row in rows if row["reached"] == "[]"]


def _allowance(channel: RowMapping, limits: Limits, now: datetime) -> float:
    """How many messages the limit allows now (a token bucket)."""
    if channel["allowance"] is None:
        return float(limits.burst)
    passed = max(float((now - channel["allowance_at"]).total_seconds()), 0.0)
    return min(float(limits.burst), float(channel["allowance"]) + passed * limits.per_second)


def _due(digest: str, now: datetime, most: int) -> Any:
    """What is due, in its order: an event is told after the earlier ones of its run."""
    earlier = NOTIFICATIONS.alias("earlier").c
    waits_for = exists().where(
        earlier.run == _ROWS.run, earlier.channel == _ROWS.channel, earlier.id < _ROWS.id,
        earlier.state == Delivery.PENDING, earlier.next_at > now,
    )  # fmt: skip
    where = (_ROWS.channel == digest, _ROWS.state == Delivery.PENDING, _ROWS.next_at <= now, ~waits_for)
    return select(NOTIFICATIONS).where(*where).order_by(_ROWS.id).limit(most)


def _begin(connection: Connection, digest: str, rows: Sequence[RowMapping], now: datetime) -> list[Notification]:
    """Mark them as begun, each with an attempt."""
    ids = [row["id"] for row in rows]
    begun = {"state": Delivery.SENDING, "attempts": _ROWS.attempts + 1}
    connection.execute(update(NOTIFICATIONS).where(_ROWS.id.in_(ids)).values(begun))
    attempts = [
        {"notification": row["id"], "number": row["attempts"] + 1, "at": now, "outcome": Delivery.SENDING.value,
         "status": "", "reason": "", "digest": len(ids)}
        for row in rows
    ]  # fmt: skip
    connection.execute(insert(ATTEMPTS), attempts)
    _set(connection, digest, held_until=now + timedelta(seconds=LEASE))
    return [replace(notification_of(row), attempts=row["attempts"] + 1) for row in rows]
