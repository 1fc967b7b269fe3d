"""Between the types of :mod:`tieline.model.notification` and the rows of the outbox: no statement is written here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy.engine import RowMapping

from tieline.model.notification import Attempt, Delivery, EventFacts, Item, Notification
from tieline.model.run import Run, Status, Watch
from tieline.runs.rows import safe_text
from tieline.runs.schema import NOTIFICATIONS

TIMES = ("at", "created_at", "started_at", "finished_at")


def facts_of(run: Run, sequence: int) -> EventFacts:
    """What is told of the event that brought the run where it is now."""
    return EventFacts(
        run=run.uuid,
        sequence=sequence,
        at=run.updated_at,
        status=run.status,
        attempt=run.attempt,
        name=run.name,
        project=run.project,
        namespace=run.namespace,
        kind=run.kind,
        engine=run.engine,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        reason=run.reason,
        message=safe_text(run.message),
        exit_code=run.exit_code,
        owner=run.owner,
        job_file=run.job_file,
        tags=run.tags,
    )


def new_row(facts: EventFacts, watch: Watch, *, resolves: bool) -> dict[str, Any]:
    """The row of a notification that is to be sent now."""
    return {
        "run": facts.run,
        "sequence": facts.sequence,
        "connection": watch.connection,
        "namespace": facts.namespace,
        "trigger": watch.trigger,
        "channel": watch.channel,
        "subject": subject_of(facts),
        "resolves": resolves,
        "event_status": facts.status,
        "facts": facts_text(facts),
        "state": Delivery.PENDING,
        "attempts": 0,
        "created_at": facts.at,
        "next_at": facts.at,
        "status": "",
        "reason": "",
        "reached": "[]",
    }


def subject_of(facts: EventFacts) -> str:
    """What the event is about, as its message says it."""
    return Item("", facts).subject


def facts_text(facts: EventFacts) -> str:
    fields = asdict(facts)
    return json.dumps(fields, default=datetime.isoformat)


def facts_from(text: str) -> EventFacts:
    """Raises ValueError where somebody else changed the row into nonsense, or another version wrote it."""
    try:
        fields = json.loads(text)
        for name in TIMES:
            fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
        return EventFacts(**{**fields, "status": Status(fields["status"]), "tags": tuple(fields["tags"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"a notification's facts can't be read: {error}") from error


def notification_of(row: RowMapping, history: Iterable[RowMapping] = ()) -> Notification:
    """The notification that a row tells."""
    fields = {
        column.name: row[column]
        for column in NOTIFICATIONS.c
        if column.name not in ("run", "sequence", "subject", "event_status")
    }
    fields["state"] = Delivery(fields["state"])
    fields["facts"] = facts_from(fields["facts"])
    fields["reached"] = tuple(json.loads(fields["reached"]))
    return Notification(**fields, history=tuple(map(attempt_of, history)))


def attempt_of(row: RowMapping) -> Attempt:
    """The attempt that a row tells."""
    return Attempt(**{name: value for name, value in row.items() if name != "notification"})
