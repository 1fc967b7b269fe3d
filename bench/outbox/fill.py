"""Fills an outbox at once: rows as the record writes them with an event, without a run for each (which takes long)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sqlalchemy import insert

from tieline.app.pinning import pin_of
from tieline.model.access import Channel
from tieline.model.notification import EventFacts
from tieline.model.run import Status, Watch
from tieline.runs.database import open_database
from tieline.runs.outbox_rows import new_row
from tieline.runs.schema import NOTIFICATIONS
from tieline.runs.telling import pin


def fill(path: str, service: str, url: str, channels: int, rows: int) -> None:
    """``rows`` notifications, taking turns on so many channels of a service."""
    pins = [
        pin_of(f"c{n}", "default", Channel(service=service, url=f"{url}/{service}/{n}"), ()) for n in range(channels)
    ]
    database = open_database(path)
    with database.writing() as connection:
        pin(connection, pins)
        for start in range(0, rows, 1000):
            made = [_row(number, pins[number % channels]) for number in range(start, min(start + 1000, rows))]
            connection.execute(insert(NOTIFICATIONS), made)
    database.close()


def _row(number: int, to) -> dict:
    now = datetime.now(UTC)
    facts = EventFacts(
        uuid.uuid4().hex, 5, now, Status.FAILED, 1, f"job-{number}", "bench", "default", "job", "process",
        now, now, now, "exit-code", "the job exited with 3", 3, "ann", "job.yaml",
    )  # fmt: skip
    return new_row(facts, Watch(to.connection, "done", to.digest), resolves=False)
