"""What every engine is to the rooms above it, and what it tells them while it works."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tieline.model.plan import Plan, ProgramStep, Step
from tieline.model.run import Run

if TYPE_CHECKING:
    from tieline.steps.collector import Collected
    from tieline.steps.meter import Meter


SIDECARS_GRACE = 5.0
"""Seconds that sidecars have to end in when the job has, at the most."""


def program_names(plan: Plan) -> list[str]:
    """The programs of a run, by the names of their logs, in the order in which they start."""
    inits = [f"init-{step.program.name}" for step in plan.steps if isinstance(step, ProgramStep)]
    return [*inits, *(f"sidecar-{program.name}" for program in plan.sidecars), "main"]


class Listener(Protocol):
    """Told what happens, as it happens, from any thread. Must not raise and must not block for long."""

    def status(self, run: Run) -> None:
        """The run has reached another state."""

    def step(self, step: Step, state: str, detail: str) -> None:
        """A step ``begins``, is ``done`` or has ``failed``."""

    def output(self, program: str, data: bytes) -> None:
        """Whole lines that a program printed, as they are saved."""

    def note(self, message: str) -> None:
        """Something that a person should know: a save that is being retried, a sidecar that ended."""

    def moving(self, what: str, meter: Meter | None) -> None:
        """Files are being moved, and the meter counts them; None: they are there."""

    def saved(self, collected: Collected) -> None:
        """All of an attempt is saved: what there is."""


class Silent:
    """Nobody listens: a detached supervisor, a recovery."""

    def status(self, run: Run) -> None:
        del run

    def step(self, step: Step, state: str, detail: str) -> None:
        del step, state, detail

    def output(self, program: str, data: bytes) -> None:
        del program, data

    def note(self, message: str) -> None:
        del message

    def moving(self, what: str, meter: Meter | None) -> None:
        del what, meter

    def saved(self, collected: Collected) -> None:
        del collected


class Flag:
    """Set once, from any thread or from a signal's handler. ``threading.Event`` takes a lock: a handler that runs while
    the same thread is inside ``set`` would wait for itself."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


@dataclass(slots=True)
class Controls:
    """How a run in this process is ended from outside: ``stop`` (TERM, grace, KILL) or ``now`` (KILL)."""

    stop: Flag = field(default_factory=Flag)
    now: Flag = field(default_factory=Flag)
    grace: float = 10.0
