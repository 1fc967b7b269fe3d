"""The record: the one place that knows which runs there are and how each of them stands.

Every method is one short transaction, so a process may be killed between any two of them and the record still
tells the truth. A :class:`Record` keeps nothing in memory: threads and forked children may share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from tieline.errors import Code, RecordError
from tieline.model.run import FINAL, Event, NewRun, Outcome, Run, Status
from tieline.runs import lifecycle, queries, statements
from tieline.runs.database import Database, open_database
from tieline.runs.schema import RUNS

if TYPE_CHECKING:
    from tieline.runs.outbox import Outbox

Runs: TypeAlias = list[Run]
Events: TypeAlias = list[Event]
Uuids: TypeAlias = list[str]


class Record:
    """The record of runs in one database. Every method raises :class:`RecordError` (``home-unusable``) where the
    database cannot be used, and those that take a uuid :class:`NotFound` (``run-not-found``)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url_or_path: str | Path) -> Self:
        """Open the record in this SQLite file (a path or ``sqlite:///PATH``); create or upgrade it if needed."""
        return cls(open_database(url_or_path))

    @property
    def outbox(self) -> Outbox:
        """Who is to be told of what happened."""
        from tieline.runs.outbox import Outbox  # most runs tell nobody: they need not wait for it

        return Outbox(self._database)

    def is_overdue(self) -> bool:
        """Whether something in the outbox should have been sent by now."""
        with self._database.reading() as connection:
            return queries.is_overdue(connection)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def accept(self, new: NewRun, at: datetime | None = None) -> Run:
        """Record a run as ``created``; ``at``: when that was, if not now. Raises :class:`RecordError`
        (``duplicate-name``) for a known uuid."""
        with self._database.writing() as connection:
            if queries.is_known(connection, new.uuid):
                raise RecordError.of(
                    Code.DUPLICATE_NAME,
                    f"run {new.uuid} was accepted before",
                    "a run is accepted once: submit the job again to get a new run",
                )
            statements.insert_run(connection, new, at or datetime.now(UTC))
            run = queries.get(connection, new.uuid)
            statements.append_event(connection, run)
            return run

    def transition(
        self,
        uuid: str,
        to: Status,
        *,
        reason: str = "",
        message: str = "",
        exit_code: int | None = None,
        outcome: Outcome | None = None,
        attempt: int | None = None,
        code: Sequence[dict[str, str]] | None = None,
        at: datetime | None = None,
    ) -> Run:
        """Move a run to another state and record the event. ``at``: when that was, if not now; never before what is
        recorded already.

        ``reason`` and ``message`` replace the run's; the other arguments, where they are given. Raises
        :class:`RecordError` (``bad-transition``) where :mod:`tieline.runs.lifecycle` forbids it; nothing is
        changed then.
        """
        asked = lifecycle.Transition(to, reason, message, exit_code, outcome, attempt, code)
        with self._database.writing() as connection:
            run = queries.get(connection, uuid, for_update=True)
            lifecycle.check(run, asked)
            now = datetime.now(UTC)
            moment = now if at is None else min(now, max(at.astimezone(UTC), run.updated_at))
            statements.change(connection, uuid, lifecycle.changes(run, asked, moment))
            run = queries.get(connection, uuid)
            statements.append_event(connection, run)
            return run

    def request_stop(self, uuid: str) -> bool:
        """Ask the owner of a run to stop it; again is harmless. False where the run has already ended."""
        with self._database.writing() as connection:
            run = queries.get(connection, uuid, for_update=True)
            if run.status.is_final:
                return False
            if not run.stop_requested:
                statements.change(connection, uuid, {"stop_requested": True, "updated_at": datetime.now(UTC)})
        return True

    def remark(self, uuid: str, message: str) -> Run:
        """Say of a run that goes on why it does not get further ("": nothing any more); no event is recorded."""
        with self._database.writing() as connection:
            if not queries.get(connection, uuid, for_update=True).status.is_final:
                statements.change(connection, uuid, {"message": message})
            return queries.get(connection, uuid)

    def set_code(self, uuid: str, code: Sequence[dict[str, str]]) -> None:
        """Record the exact commits that the run works with: ``connection``, ``url`` and ``commit`` of each."""
        with self._database.writing() as connection:
            queries.get(connection, uuid, for_update=True)
            statements.change(connection, uuid, {"code": code, "updated_at": datetime.now(UTC)})

    def delete(self, uuid: str) -> None:
        """Forget a run and its events. Raises :class:`RecordError` (``run-active``) where it has not ended."""
        with self._database.writing() as connection:
            run = queries.get(connection, uuid, for_update=True)
            if not run.status.is_final:
                raise RecordError.of(
                    Code.RUN_ACTIVE,
                    f"run {uuid} is {run.status.value} and cannot be deleted",
                    "stop it and wait until it has ended",
                )
            statements.delete_run(connection, uuid)

    def get(self, uuid: str) -> Run:
        """The run with this uuid, in full."""
        with self._database.reading() as connection:
            return queries.get(connection, uuid)

    def find(self, ref: str, project: str | None = None, namespace: str | None = None) -> Run:
        """The run that a person means: by uuid, by name (the newest of that name), or by the beginning of a uuid
        (at least 4 characters). Raises :class:`NotFound` with the nearest name, or with the candidates."""
        with self._database.reading() as connection:
            return queries.find(connection, ref, queries.scope(project=project, namespace=namespace))

    def list(
        self,
        *,
        project: str | None = None,
        namespace: str | None = None,
        name: str | None = None,
        engine: str | None = None,
        statuses: Iterable[Status] = (),
        limit: int | None = None,
    ) -> Runs:
        """The runs that match everything given, newest first; no statuses means all of them."""
        where = queries.scope(project=project, namespace=namespace, name=name, engine=engine)
        if wanted := tuple(statuses):
            where.append(RUNS.c.status.in_(wanted))
        with self._database.reading() as connection:
            return queries.newest(connection, where, limit)

    def unfinished(self, engine: str) -> Runs:
        """The runs of an engine that have not ended, newest first: what a recovery looks at."""
        return self.list(engine=engine, statuses=(status for status in Status if status not in FINAL))

    def plan(self, uuid: str) -> dict[str, Any]:
        """The plan that was accepted with the run."""
        with self._database.reading() as connection:
            return queries.plan(connection, uuid)

    def events(self, uuid: str) -> Events:
        """What happened to a run, oldest first."""
        with self._database.reading() as connection:
            return queries.events(connection, uuid)

    def usage(self, connection: str, namespace: str) -> Uuids:
        """The uuids of the runs in a namespace that use a connection, newest first."""
        with self._database.reading() as database:
            return queries.usage(database, connection, namespace)
