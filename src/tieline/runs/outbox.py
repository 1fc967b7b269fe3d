"""The outbox: what is to be sent, who sends it now, and what became of it. Deliverers of many processes share it.

A deliverer *holds* a channel, so that each channel has one sender at a time: what people read comes in its order, and
the service's limit is kept by all processes together. Every message is one step, one transaction: how the last one
ended is recorded, and the next one is marked as begun. Where a deliverer dies between the two, the next holder finds
what had been begun, and sends it again: at least once, and with the same key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from tieline.errors import Code, NotFound
from tieline.model.notification import Delivery, Notification
from tieline.model.run import ChannelPin
from tieline.runs import sending, telling
from tieline.runs.database import Database
from tieline.runs.outbox_rows import notification_of
from tieline.runs.schema import ATTEMPTS, CHANNELS, NOTIFICATIONS
from tieline.runs.sending import Ended, Idle, Limits

NOT_AGAIN = ":"
"""In what is recorded of a target that was not reached and is not to be tried again: ``refused:ID``."""
_ROWS = NOTIFICATIONS.c
_WAITING = (Delivery.PENDING, Delivery.SENDING)


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

    def hold(self, digest: str, holder: str, is_dead: Callable[[str], bool]) -> ChannelPin | None:
        """Take a channel, if nobody has it; what a dead holder had begun to send is to be sent again."""
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            row = sending.channel_row(connection, digest)
            if row is None or _is_held(row, holder, now, is_dead):
                return None
            until = now + timedelta(seconds=sending.LEASE)
            sending.set_channel(connection, digest, holder=holder, held_until=until)
            sending.take_back(connection, digest, now)
        access, sources = json.loads(row["access"]), json.loads(row["sources"])
        return ChannelPin(digest, row["connection"], row["namespace"], access, sources)

    def step(self, digest: str, holder: str, limits: Limits, ended: Ended | None) -> list[Notification] | Idle:
        """Record how the last message ended; then begin the next: the notifications that it tells, or when to come
        back. For who does not hold the channel any more (the process was asleep), nothing is recorded."""
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            channel = self._held_by(connection, digest, holder)
            if channel is None:
                return Idle()
            if ended is not None:
                sending.record(connection, digest, ended, now)
                channel = {**channel, "paused_until": ended.paused_until or channel["paused_until"]}
            found = sending.next_rows(connection, channel, limits, now)
            if isinstance(found, Idle):
                sending.set_channel(connection, digest, holder="", held_until=None)
                return found
            return sending.begin(connection, channel, found, now, limits.lease)

    def release(self, digest: str, holder: str, ended: Ended | None = None) -> None:
        """Record how the last message ended, and let others have the channel."""
        now = datetime.now(UTC)
        with self._database.writing() as connection:
            if self._held_by(connection, digest, holder) is not None:
                if ended is not None:
                    sending.record(connection, digest, ended, now)
                sending.take_back(connection, digest, now)
                sending.set_channel(connection, digest, holder="", held_until=None)

    @staticmethod
    def _held_by(connection: Connection, digest: str, holder: str) -> sending.Channel | None:
        row = sending.channel_row(connection, digest)
        return row if row is not None and row["holder"] == holder else None

    # --- looking

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

    def are_waiting(self, ids: Iterable[int]) -> bool:
        """Whether any of these is still to be sent."""
        query = select(_ROWS.id).where(_ROWS.id.in_(tuple(ids)), _ROWS.state.in_(_WAITING)).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

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
            sending.set_channel(connection, fields.get("channel", row.channel), paused_until=None)
        return True


def _is_held(row: sending.Channel, holder: str, now: datetime, is_dead: Callable[[str], bool]) -> bool:
    other = row["holder"]
    return bool(other) and other != holder and row["held_until"] > now and not is_dead(other)
