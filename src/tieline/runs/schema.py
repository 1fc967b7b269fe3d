"""The tables of the record, in portable SQLAlchemy Core, and the types of their columns.

The same code serves SQLite and PostgreSQL, so the types are the ones on which both agree: times and JSON are
text. ``tests/integration/test_runs_migrations.py`` keeps these tables and the migrations equal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from tieline.runs.rows import safe_text, utc_text


class UtcTime(TypeDecorator[datetime]):
    """An aware time as ISO 8601 text in UTC with microseconds: SQLite has no type that keeps the zone."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> str | None:
        return None if value is None else utc_text(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class SafeText(TypeDecorator[str]):
    """Text that is stored as :func:`safe_text`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        return None if value is None else safe_text(value)


def _text(name: str) -> Column[str]:
    return Column(name, SafeText, nullable=False)


METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", Integer, primary_key=True),  # the order of acceptance: clocks go backwards, this does not
    Column("uuid", SafeText, nullable=False, unique=True),
    _text("name"),
    _text("project"),
    _text("namespace"),
    _text("kind"),
    _text("engine"),
    _text("status"),
    Column("attempt", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    _text("reason"),
    _text("message"),
    Column("exit_code", Integer),
    Column("stop_requested", Boolean, nullable=False),
    _text("job_file"),
    _text("catalog_digest"),
    _text("store"),
    _text("store_prefix"),
    _text("queue"),
    _text("tags"),
    _text("code"),
    Column("outcome", SafeText),
    _text("plan"),
    Column("owner", SafeText),  # these two are not there for runs of earlier versions
    Column("watches", SafeText),
)
Index(None, RUNS.c.name)
Index(None, RUNS.c.status)


def _run() -> Column[str]:
    return Column("run", SafeText, ForeignKey("runs.uuid", ondelete="CASCADE"), primary_key=True)


EVENTS = Table(
    "events",
    METADATA,
    _run(),
    Column("sequence", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("attempt", Integer, nullable=False),
    _text("status"),
    _text("reason"),
    _text("message"),
)

RUN_CONNECTIONS = Table(
    "run_connections",
    METADATA,
    _run(),
    Column("connection", SafeText, primary_key=True),
    _text("namespace"),
)
Index(None, RUN_CONNECTIONS.c.connection, RUN_CONNECTIONS.c.namespace)

CHANNELS = Table(
    "channels",
    METADATA,
    Column("digest", SafeText, primary_key=True),
    _text("connection"),
    _text("namespace"),
    _text("access"),
    _text("sources"),
    # Who delivers to it now, and until when that holds if they are never heard of again.
    _text("holder"),
    Column("held_until", UtcTime),
    # What the service's limit allows: messages left at that time.
    Column("allowance", Float),
    Column("allowance_at", UtcTime),
    # The service asked to be left alone, or can't be reached.
    Column("paused_until", UtcTime),
)

NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    Column("id", Integer, primary_key=True),
    # No foreign key: somebody is told of a run that was removed meanwhile, too.
    _text("run"),
    Column("sequence", Integer, nullable=False),
    _text("connection"),
    _text("namespace"),
    _text("trigger"),
    _text("channel"),
    _text("subject"),
    Column("resolves", Boolean, nullable=False),
    _text("event_status"),
    _text("facts"),
    _text("state"),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("next_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    _text("status"),
    _text("reason"),
    _text("reached"),
    UniqueConstraint("run", "sequence", "connection"),
)
Index(None, NOTIFICATIONS.c.state, NOTIFICATIONS.c.channel)
Index(None, NOTIFICATIONS.c.connection, NOTIFICATIONS.c.subject)

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("notification", Integer, ForeignKey("notifications.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    _text("outcome"),
    _text("status"),
    _text("reason"),
    Column("seconds", Float),
    Column("digest", Integer, nullable=False),
)
