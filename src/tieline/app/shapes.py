"""Runs and events as JSON: the keys that people's scripts read, the same from the command line and the server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tieline.model.notification import Notification
from tieline.model.run import Event, Run


def duration(run: Run, now: datetime | None = None) -> float | None:
    """Seconds from the start of the main program (else from acceptance) to the end, or until now."""
    if run.finished_at is None and run.status.is_final:
        return None
    end = run.finished_at or now or datetime.now(UTC)
    return max(0.0, (end - (run.started_at or run.created_at)).total_seconds())


def run_json(run: Run) -> dict[str, Any]:
    """One run. Every key is always there; times are ISO 8601 in UTC, ``duration`` is in seconds."""
    return {
        "uuid": run.uuid,
        "name": run.name,
        "project": run.project,
        "namespace": run.namespace,
        "kind": run.kind,
        "engine": run.engine,
        "status": run.status.value,
        "reason": run.reason,
        "message": run.message,
        "exitCode": run.exit_code,
        "attempt": run.attempt,
        "createdAt": moment(run.created_at),
        "updatedAt": moment(run.updated_at),
        "startedAt": moment(run.started_at),
        "finishedAt": moment(run.finished_at),
        "duration": duration(run),
        "stopRequested": run.stop_requested,
        "jobFile": run.job_file,
        "catalogDigest": run.catalog_digest,
        "store": run.store,
        "storePrefix": run.store_prefix,
        "queue": run.queue,
        "tags": list(run.tags),
        "code": [dict(item) for item in run.code],
        "owner": run.owner,
    }


def event_json(event: Event) -> dict[str, Any]:
    """One thing that happened to a run."""
    return {
        "sequence": event.sequence,
        "at": moment(event.at),
        "attempt": event.attempt,
        "status": event.status.value,
        "reason": event.reason,
        "message": event.message,
    }


def notification_json(told: Notification) -> dict[str, Any]:
    """One notification, with its attempts where they were read."""
    facts = told.facts
    return {
        "id": told.id,
        "connection": told.connection,
        "namespace": told.namespace,
        "trigger": told.trigger,
        "state": told.state.value,
        "run": facts.run,
        "name": facts.name,
        "project": facts.project,
        "event": {"sequence": facts.sequence, "status": facts.status.value, "at": moment(facts.at)},
        "resolves": told.resolves,
        "status": told.status,
        "reason": told.reason,
        "attempts": told.attempts,
        "createdAt": moment(told.created_at),
        "nextAt": None if told.state.is_over else moment(told.next_at),
        "finishedAt": moment(told.finished_at),
        "history": [
            {
                "number": one.number, "at": moment(one.at), "outcome": one.outcome, "status": one.status,
                "reason": one.reason, "seconds": one.seconds, "digest": one.digest,
            }
            for one in told.history
        ],
    }  # fmt: skip


def moment(time: datetime | None) -> str | None:
    """ISO 8601, or None."""
    return time.isoformat() if time else None
