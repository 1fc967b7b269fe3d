"""A notification: that one channel is to be told of one event of a run, how that stands, and what is told.

A row of the outbox is written in the transaction that records the event. What is told of the event is taken down with
it, so that it can be told whatever becomes of the run meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tieline.model.run import Status


class Delivery(StrEnum):
    """How a notification stands."""

    PENDING = "pending"  # it is to be sent, now or at its time
    SENDING = "sending"  # a deliverer has begun to send it
    DELIVERED = "delivered"  # the service took it
    UNKNOWN = "unknown"  # it may have arrived, and sending it again could tell people twice
    FAILED = "failed"  # the service refused it, or it could not be delivered in time

    @property
    def is_over(self) -> bool:
        """Whether nobody will try again by themselves."""
        return self not in (Delivery.PENDING, Delivery.SENDING)


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What is known of one event of a run at the moment it happened. Times are UTC and aware."""

    run: str  # the uuid
    sequence: int
    at: datetime
    status: Status
    attempt: int
    name: str
    project: str
    namespace: str
    kind: str  # job | service
    engine: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    owner: str = ""
    job_file: str = ""
    tags: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it ran (until now, if it has not ended); None where it has not begun."""
        if self.started_at is None:
            return None
        return ((self.finished_at or self.at) - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Link:
    """Where something is: an address, a path, or a command to type."""

    title: str
    target: str


@dataclass(frozen=True, slots=True)
class Item:
    """One event as a message tells it. ``tail``: the log's last lines, with secrets masked; ``tail_note``: why they
    are not there. ``key``: the same for every attempt to tell this event to this channel, and for no other."""

    key: str
    facts: EventFacts
    links: tuple[Link, ...] = ()
    tail: tuple[str, ...] = ()
    tail_note: str = ""
    resolves: bool = False  # it is told only because it ends what an earlier one began

    @property
    def subject(self) -> str:
        """What the event is about: the same for all runs of one job, so that a success ends what a failure began."""
        return f"{self.facts.namespace}/{self.facts.project}/{self.facts.name}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent at once: one event; several (a digest); or, with ``test``, none: a marked test message."""

    items: tuple[Item, ...] = ()
    test: str = ""  # the words of a test message


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to send a notification. ``status``: what the service said, in short: ``200``, ``refused``, ``SMTP 451``;
    ``outcome``: ``delivered``, ``later``, ``unsure``, ``refused`` or ``interrupted`` (the deliverer died in it)."""

    number: int
    at: datetime
    outcome: str
    status: str = ""
    reason: str = ""
    seconds: float | None = None
    digest: int = 1  # how many notifications the message told


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of the outbox. ``next_at``: when it is to be tried (again)."""

    id: int
    connection: str
    namespace: str
    trigger: str
    state: Delivery
    facts: EventFacts
    attempts: int
    created_at: datetime
    next_at: datetime
    finished_at: datetime | None = None
    status: str = ""
    reason: str = ""
    channel: str = ""  # the digest of the channel that it is sent over
    resolves: bool = False
    reached: tuple[str, ...] = ()  # the targets that have it already; with refused: or unsure: before it, another end
    history: tuple[Attempt, ...] = field(default=())
