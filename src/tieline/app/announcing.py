"""Telling people of a run while it is carried out: its own process delivers, and leaves to another what takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tieline.app.background import start_background
from tieline.app.delivering import Deliverer, Told
from tieline.app.submit import Accepted
from tieline.engines.base import Listener
from tieline.errors import TielineError
from tieline.model.notification import Delivery, Notification
from tieline.model.plan import Step
from tieline.model.run import Run

if TYPE_CHECKING:
    from tieline.steps.collector import Collected
    from tieline.steps.meter import Meter

PATIENCE = 10.0
"""Seconds after its end that a run's process waits until everybody was told."""
PAUSE = 0.05


class Announcer:
    """The listener of a run that has people told of it, while it is entered."""

    def __init__(self, accepted: Accepted, listener: Listener, told: Told | None = None) -> None:
        self._accepted, self._inner = accepted, listener
        self._deliverer = Deliverer(accepted.home, accepted.record, told)
        self._delivers = True

    def __enter__(self) -> Self:
        try:
            self._deliverer.start()
        except TielineError as error:  # the run goes on; who is to be told of it stands in the record
            self._delivers = False
            self._inner.note(f"nobody can be told now: {error}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Messages under way are sent; what is left then, of this run or another, is left to a process of its own."""
        self._deliverer.stop()
        with suppress(TielineError):  # whatever became of the run, it is not this that failed
            if self._accepted.record.outbox.waiting():
                start_background(self._accepted.home)

    def finish(self, given_up: Callable[[], bool] = lambda: False) -> list[Notification]:
        """Wait until everybody was told who is to be told of this run: :data:`PATIENCE` seconds, and only as long as
        somebody can be told within them; who was not."""
        self._deliverer.wake()
        until, last = time.monotonic() + PATIENCE, datetime.now(UTC) + timedelta(seconds=PATIENCE)
        while left := self._left():
            if time.monotonic() >= until or given_up() or not self._delivers or self._are_later(left, last):
                break
            time.sleep(PAUSE)
        return left

    def _are_later(self, left: Sequence[Notification], last: datetime) -> bool:
        """Whether the next try of every one comes after ``last``."""
        due = {channel.digest: channel.due_at for channel in self._accepted.record.outbox.waiting()}
        times = [max(one.next_at, due.get(one.channel, one.next_at)) for one in left]
        return all(one.state is Delivery.PENDING for one in left) and min(times) > last

    def _left(self) -> list[Notification]:
        states = (Delivery.PENDING, Delivery.SENDING)
        return self._accepted.record.outbox.list(run=self._accepted.plan.run.uuid, states=states)

    # --- the listener

    def status(self, run: Run) -> None:
        self._inner.status(run)
        self._deliverer.wake()

    def step(self, step: Step, state: str, detail: str) -> None:
        self._inner.step(step, state, detail)

    def output(self, program: str, data: bytes) -> None:
        self._inner.output(program, data)

    def note(self, message: str) -> None:
        self._inner.note(message)

    def moving(self, what: str, meter: Meter | None) -> None:
        self._inner.moving(what, meter)

    def saved(self, collected: Collected) -> None:
        self._inner.saved(collected)
