"""Waiting for a place in a queue, and making the run's objects when it has one.

Of the runs that wait on one machine only the first asks the cluster, so they come in the order in which they were
accepted, and a long line costs no more than a short one. Between machines nobody keeps an order: who asks first. A run
that says nothing (killed, or suspended) is passed by.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes.api import Object
from tieline.engines.kubernetes.charge import Charge
from tieline.engines.kubernetes.launch import launch
from tieline.engines.kubernetes.leases import Held
from tieline.engines.kubernetes.place import Place, place_of
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.slots import Slots, kept
from tieline.model.plan import Plan
from tieline.model.run import Run, Status

if TYPE_CHECKING:
    from tieline.runs.record import Record

ENGINE = "kubernetes"
PAUSES = (0.3, 3.0)
"""Seconds between two looks, at first and at the most."""
TICK = 0.1
STOP_EVERY = 0.5
"""A stop is looked for so often."""
STALE = 20.0
"""Who has not said for so many seconds that it waits is passed by."""
NAMED = 3


@dataclass(slots=True)
class Turn(Charge):
    """One run that is to be launched, when it is its turn."""

    _slots: Slots = field(init=False)
    _held: Held | None = None
    _words: str = ""
    _trouble: str = ""
    _wait: float = PAUSES[0]

    def __post_init__(self) -> None:
        self._slots = Slots(self.api, self.place.namespace, self.plan)

    def launch(self, manifests: Sequence[Object]) -> bool:
        """Wait, and make the objects; False where a stop came first, and nothing was made. Raises ClusterError."""
        while not self.is_stopped():
            if self.comes():
                self.make(manifests)
                return True
            self._pause()
        return False

    def is_stopped(self) -> bool:
        """Whether somebody wants it to end, here or in another process."""
        if self.controls.stop.is_set():
            self.record.request_stop(self.plan.run.uuid)
        return self.record.get(self.plan.run.uuid).stop_requested

    def comes(self) -> bool:
        """One look: whether it may be launched now. If not, who has the places is told. Raises ClusterError."""
        if self.plan.queue_limit is None or self._held is not None:
            return True
        run = self.record.get(self.plan.run.uuid)
        _file(self.folder).touch()
        before = ahead(self.record, self.folder, run, self.place)
        try:
            self._held = None if before else self._slots.take()
        except ClusterError as error:
            if not error.why.may_pass:
                raise
            self._say_trouble(error)
        else:
            self._trouble = ""
        if before:
            self._wait = PAUSES[0]  # it costs the cluster nothing
        if self._held is None:
            self._tell(run, before)
        return self._held is not None

    def make(self, manifests: Sequence[Object]) -> None:
        """Make the objects of a run that may be launched. Raises ClusterError."""
        if self._held is None:
            launch(self.api, manifests)
        else:
            with kept(self.api, self.place.namespace, self._held):
                launch(self.api, manifests)
            with suppress(OSError):  # an old one is not believed for long
                _file(self.folder).unlink(missing_ok=True)
        self.see_to_stop()

    # --- while it waits

    def _tell(self, run: Run, before: Sequence[Run]) -> None:
        words = waiting_words(self.plan, self._slots.holders, before)
        if run.status is Status.CREATED:
            self.listener.status(self.record.transition(run.uuid, Status.QUEUED, message=words))
        elif words != run.message:
            self.record.remark(run.uuid, words)
            if words != self._words:
                self.listener.note(words)
        self._words = words

    def _say_trouble(self, error: ClusterError) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            self.listener.note(f"it still waits for its place, which cannot be asked for now: {error}")

    def _pause(self) -> None:
        """Longer each time; a stop ends it."""
        now = time.monotonic()
        until, next_look = now + self._wait, now + STOP_EVERY
        while (now := time.monotonic()) < until and not self.controls.stop.is_set():
            time.sleep(TICK)
            if now >= next_look:
                if self.is_stopped():
                    return
                next_look = now + STOP_EVERY
        self._wait = min(self._wait * 1.5, PAUSES[1])


def ahead(record: Record, folder: RunFolder, run: Run, place: Place) -> list[Run]:
    """The runs that wait on this machine for the same queue of the same cluster and were accepted before this one, the
    first one first."""
    queued = record.list(engine=ENGINE, statuses=(Status.QUEUED,))
    found = [other for other in queued if other.queue == run.queue and _order(other) < _order(run)]
    return [other for other in reversed(found) if _waits(RunFolder(folder.root.parent / other.uuid), place)]


def _order(run: Run) -> tuple[object, str]:
    return run.created_at, run.uuid


def _waits(folder: RunFolder, place: Place) -> bool:
    try:
        said = _file(folder).stat().st_mtime
    except OSError:  # it is launched, or it is gone
        return False
    other = place_of(folder)
    is_same = other is not None and (other.context, other.namespace) == (place.context, place.namespace)
    return is_same and abs(time.time() - said) < STALE


def _file(folder: RunFolder) -> Path:
    """Its time says when the run was last known to wait."""
    return folder.root / "waits"


def waiting_words(plan: Plan, holders: Sequence[Held], before: Sequence[Run]) -> str:
    """Who has the places, or who comes first."""
    queue = f"the queue {plan.queue!r} (at most {plan.queue_limit} at once)"
    if before:
        who = _some([f"{run.uuid[:8]} {run.name}" for run in before])
        return f"it waits for a place in {queue}, on this machine after {who}"
    if not holders:
        return f"it waits for a place in {queue}"
    return f"it waits for a place in {queue}: {_some([*map(str, holders)])} {'have' if len(holders) > 1 else 'has'} it"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
