"""Between the types of :mod:`tieline.model.run` and the rows of the record: no statement is written here."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy.engine import RowMapping

from tieline.model.run import Event, NewRun, Outcome, Run, Status, Watch
from tieline.runs.schema import RUNS, safe_text

RUN_COLUMNS = [column for column in RUNS.c if column.name not in ("id", "plan")]
"""What a :class:`Run` is read from; its plan may be large and is read alone."""


def new_run_row(new: NewRun, at: datetime) -> dict[str, Any]:
    """The row of a run that is accepted now."""
    row = {column: getattr(new, column) for column in NewRun.__slots__ if column not in ("connections", "channels")}
    first = {"status": Status.CREATED, "attempt": 1, "created_at": at, "updated_at": at}
    return encoded({**row, **first, "reason": "", "message": "", "stop_requested": False, "code": ()})


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
