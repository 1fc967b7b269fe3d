"""A run: one acceptance of a job, its states, and the one table of transitions between them.

The table is the contract between the record (which enforces it), the engines (which drive it) and recovery
(which ends what others left): ``tests/contract/test_lifecycle.py`` walks it as a state machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Where a run stands. The words are the field's; triggers of notifications use them too."""

    CREATED = "created"  # accepted and recorded; nothing launched
    QUEUED = "queued"  # waiting for a place in its queue
    STARTING = "starting"  # the steps before the main program
    RUNNING = "running"  # the main program
    STOPPING = "stopping"  # a stop was asked for; processes are being ended
    SAVING = "saving"  # the processes are gone; outputs and logs are being saved
    RETRYING = "retrying"  # this attempt failed; the next one follows
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.STOPPED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.CREATED: frozenset({Status.QUEUED, Status.STARTING, Status.STOPPING, Status.SAVING}),
    Status.QUEUED: frozenset({Status.STARTING, Status.STOPPING, Status.SAVING}),
    Status.STARTING: frozenset({Status.RUNNING, Status.STOPPING, Status.SAVING}),
    Status.RUNNING: frozenset({Status.STOPPING, Status.SAVING}),
    Status.STOPPING: frozenset({Status.SAVING}),
    Status.SAVING: frozenset({Status.RETRYING, Status.SUCCEEDED, Status.FAILED, Status.STOPPED}),
    Status.RETRYING: frozenset({Status.STARTING, Status.STOPPING, Status.SAVING}),
    Status.SUCCEEDED: frozenset(),
    # `runs outputs push` saves what could not be saved, and then tells the job's own outcome.
    Status.FAILED: frozenset({Status.SAVING}),
    Status.STOPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the job itself ended, before it is known whether its outputs could be saved.

    ``status`` is a final one; ``reason`` a :class:`tieline.errors.Code` value, empty on success;
    ``exit_code`` what the command will exit with (128 + n for signal n), None where nothing ran.
    """

    status: Status
    reason: str = ""
    message: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of a run, when. ``channel``: the digest of the channel as the run was accepted with it;
    ``resolves``: it is told of a success, too, that ends what it was told before."""

    connection: str
    trigger: str
    channel: str
    resolves: bool = False


@dataclass(frozen=True, slots=True)
class ChannelPin:
    """A channel as runs were accepted with it: its access, and where its secrets come from, as JSON. No value of a
    secret is in it."""

    digest: str
    connection: str
    namespace: str
    access: dict[str, Any]
    sources: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the record. Times are UTC and aware; ``attempt`` counts from 1."""

    uuid: str
    name: str
    project: str
    namespace: str
    kind: str  # job | service
    engine: str
    status: Status
    attempt: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    stop_requested: bool = False
    job_file: str = ""
    catalog_digest: str = ""
    store: str = ""  # the artifacts store's connection name
    store_prefix: str = ""  # where this run's folder is in that store
    queue: str = ""
    tags: tuple[str, ...] = ()
    code: tuple[dict[str, str], ...] = ()  # the exact commits: {connection, url, commit}
    outcome: Outcome | None = None  # set from `saving` on
    owner: str = ""  # who submitted it
    watches: tuple[Watch, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a run; ``sequence`` counts from 1 in each run without gaps."""

    run: str
    sequence: int
    at: datetime
    attempt: int
    status: Status
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class NewRun:
    """What accept hands to the record: the run's identity, its plan, and the connections that it uses."""

    uuid: str
    name: str
    project: str
    namespace: str
    kind: str
    engine: str
    plan: dict[str, Any]
    catalog_digest: str
    store: str
    store_prefix: str
    job_file: str = ""
    queue: str = ""
    tags: tuple[str, ...] = ()
    connections: tuple[str, ...] = field(default=())
    owner: str = ""
    watches: tuple[Watch, ...] = ()
    channels: tuple[ChannelPin, ...] = ()
