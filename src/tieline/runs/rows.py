"""Between the types of :mod:`tieline.model.run` and the rows of the record: no statement is written here."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tieline.model.run import Event, NewRun, Outcome, Run, Status, Watch

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping


def utc_text(value: datetime) -> str:
    """An aware time as ISO 8601 text in UTC with microseconds: SQLite has no type that keeps the zone."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def safe_text(text: str) -> str:
    """Text that every database and terminal takes. A file name or a program's message may hold bytes that are not
    UTF-8 (surrogates in Python) or NUL, which PostgreSQL refuses: they are kept as visible escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def new_run_row(new: NewRun, at: datetime) -> dict[str, Any]:
    """The row of a run that is accepted now."""
    row = {column: getattr(new, column) for column in NewRun.__slots__ if column not in ("connections", "channels")}
    first = {"status": Status.CREATED, "attempt": 1, "created_at": at, "updated_at": at}
    return encoded({**row, **first, "reason": "", "message": "", "stop_requested": False, "code": ()})


def new_uses(new: NewRun) -> list[dict[str, Any]]:
    """The rows of the connections that it uses."""
    names = dict.fromkeys(new.connections)
    return [{"run": new.uuid, "connection": name, "namespace": new.namespace} for name in names]


def encoded(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a run as column values: what has parts becomes JSON text."""
    row = dict(fields)
    for name in row.keys() & {"plan", "tags", "code"}:
        row[name] = json.dumps(row[name])
    if "watches" in row:
        row["watches"] = json.dumps([asdict(watch) for watch in row["watches"]])
    if outcome := row.get("outcome"):
        row["outcome"] = json.dumps({**asdict(outcome), "message": safe_text(outcome.message)})
    return row


def run_of(row: RowMapping) -> Run:
    """The run that a row tells. Raises ValueError where somebody else changed the row into nonsense."""
    fields = dict(row)
    fields["status"] = Status(fields["status"])
    fields["tags"] = tuple(json.loads(fields["tags"]))
    fields["code"] = tuple(json.loads(fields["code"]))
    fields["outcome"] = _outcome_of(fields["outcome"])
    fields["owner"] = fields["owner"] or ""
    fields["watches"] = tuple(Watch(**watch) for watch in json.loads(fields["watches"] or "[]"))
    return Run(**fields)


def _outcome_of(text: str | None) -> Outcome | None:
    if text is None:
        return None
    fields = json.loads(text)
    return Outcome(**{**fields, "status": Status(fields["status"])})


def event_of(row: RowMapping) -> Event:
    """The event that a row tells; raises ValueError as :func:`run_of` does."""
    return Event(**{**row, "status": Status(row["status"])})
