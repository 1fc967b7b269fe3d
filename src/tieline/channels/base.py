"""What all senders have in common: what they are given, what they answer, and what is known of their services.

A sender opens a :class:`~tieline.model.access.Channel` with its secrets. It raises nothing when it sends: whatever
happens becomes an :class:`Answer`, with no secret in it, that says whether and when it is worth trying again.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from tieline.errors import TielineError
from tieline.model.access import Channel
from tieline.model.notification import Message
from tieline.secrets.scrub import Scrubber
from tieline.secrets.secret import Secret


class Outcome(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"  # the service took it
    LATER = "later"  # it did not take it, for certain, and may take it later
    UNSURE = "unsure"  # it may have taken it
    REFUSED = "refused"  # it does not take it, and never will as it is


@dataclass(frozen=True, slots=True)
class Answer:
    """How one try ended. ``status``: in a word or two (``200``, ``429``, ``connection refused``, ``SMTP 550``);
    ``reason``: a sentence for a person, with what to do in ``hint``. ``retry_after``: seconds that the service asks
    for; ``busy``: whether that holds for all messages to this channel, and not for this one alone."""

    outcome: Outcome
    status: str
    reason: str = ""
    hint: str = ""
    retry_after: float | None = None
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """What a service allows: ``burst`` messages at once, and ``per_second`` on average."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a service. ``keyed``: a message that is sent twice with one key has the effect of one;
    ``folds``: people read it, so that many events may be told in one message; ``most``: how many, then."""

    rate: Rate | None = None
    keyed: bool = False
    folds: bool = True
    most: int = 50


class Unusable(Exception):
    """A sender cannot be made of what the connection and its secret have. ``part``: the credential or field."""

    def __init__(self, reason: str, hint: str = "", part: str = "") -> None:
        super().__init__(reason)
        self.reason, self.hint, self.part = reason, hint, part


@dataclass(frozen=True, slots=True)
class Target:
    """One of the places that a channel sends to: usually there is one. ``id`` tells it from the others, and tells
    nobody where it is; ``words`` is what a person may see of it."""

    id: str
    words: str
    number: int = 0


class Sender(ABC):
    """One channel, opened. Used by one thread at a time."""

    traits: ClassVar[Traits]

    def __init__(self, access: Channel, secrets: Mapping[str, Secret]) -> None:
        """``secrets``: the values of ``access.credentials.values`` that there are. Raises :class:`Unusable`."""
        self.access = access
        self.scrub = Scrubber(secrets.values())
        self._secrets = secrets

    @property
    @abstractmethod
    def targets(self) -> tuple[Target, ...]:
        """Where it sends to."""

    @abstractmethod
    def send(self, target: Target, message: Message) -> Answer:
        """Send a message to one target, within :data:`LIMIT` seconds. Raises nothing."""

    def close(self) -> None:  # noqa: B027  (one that keeps nothing open has nothing to close)
        """Close what is open."""

    def secret(self, name: str) -> str | None:
        """The text of a credential, without spaces around it, if there is one."""
        value = self._secrets.get(name)
        return (value.reveal_text().strip() or None) if value is not None else None


LIMIT = 30.0
"""Seconds that sending one message may take."""


def target_id(address: str) -> str:
    """What tells a target from others: a digest, so that an address that is a secret is in no record."""
    return hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def reason_of(error: TielineError) -> str:
    """The first problem of an error, in one sentence."""
    problem = error.problems[0]
    return f"{problem.message}; {problem.hint}" if problem.hint else problem.message
