"""What a probe says: a result for each operation, with what was proved, what to mend, or why it was not tried.

Never a bare "ok": a pass says what it proved, and a password that nobody looked at proves nothing. Pure data, without
any secret in it, for the command line, the server and the record alike.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What is asked of an external system, in this order."""

    RESOLVE = "resolve"  # its name has an address (that may be asked), or its path is there
    REACH = "reach"  # something answers at that address
    TLS = "tls"  # the server is who it says: its certificate, or ssh's host key
    AUTHENTICATE = "authenticate"  # it knows who we are
    LIST = "list"
    READ = "read"
    WRITE = "write"
    DELETE = "delete"


class Outcome(StrEnum):
    """How an operation ended."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One operation. ``detail``: what was proved, the reason, or why it was skipped.

    ``part``: what to mend, by its name in the access or among its credentials (``host``, ``password``); empty where
    the catalog is right and the world is not. ``milliseconds`` is None where nothing was tried.
    """

    operation: Operation
    outcome: Outcome
    detail: str
    milliseconds: float | None = None
    hint: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All operations of one access, in their order. ``expected``: those that a job counts on."""

    results: tuple[Result, ...]
    expected: frozenset[Operation]

    def of(self, operation: Operation) -> Result:
        """The result of one operation."""
        return next(result for result in self.results if result.operation is operation)

    def failed(self, required: Collection[Operation] = ()) -> tuple[Result, ...]:
        """What stands in the way. ``required``: these have to pass, and nothing else matters; without it, no operation
        that is expected may fail."""
        if required:
            return tuple(r for r in self.results if r.operation in required and r.outcome is not Outcome.PASS)
        return tuple(r for r in self.results if r.operation in self.expected and r.outcome is Outcome.FAIL)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a probe may take: seconds for each operation and for all of them, bytes of one answer, and which
    addresses. Link-local addresses are where clouds hand out credentials to whoever asks."""

    timeout: float = 10.0
    total: float = 60.0
    max_bytes: int = 1024 * 1024
    allow_link_local: bool = False
