"""A run that somebody waits for: watched until it has ended, its steps, lines and troubles told as they come.

It is carried out by the cluster, not by this process, which may be killed at any moment: the next command brings the
record up to date. While it lives it holds the run's lock, so that the record has one writer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tieline.engines.kubernetes.api import DEPLOYMENTS, EVENTS, JOBS, Object
from tieline.engines.kubernetes.charge import Charge
from tieline.engines.kubernetes.names import RUN, object_name
from tieline.engines.kubernetes.printing import Printing
from tieline.engines.kubernetes.reconcile import Look, bring_up, look_closely
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.engines.kubernetes.seeing_to import SeeingTo
from tieline.engines.kubernetes.seen import Seen
from tieline.engines.kubernetes.slots import let_go
from tieline.engines.kubernetes.stopping import hurry, stop, suppress_forbidden
from tieline.engines.kubernetes.telling import Teller
from tieline.engines.kubernetes.unrecorded import Unrecorded
from tieline.engines.kubernetes.watch import PodWatch
from tieline.errors import RecordError
from tieline.model.run import Run

TICK = 0.2
OWNER_EVERY = (0.5, 5.0)
"""The Job is looked at only where the pods don't say all: at first so often, then so seldom."""
EVENTS_AFTER, EVENTS_EVERY = 5.0, 15.0
"""Why a pod does not begin is looked for when it has not after so many seconds."""
LAST_LINES = 15.0
"""Seconds for which the end waits for more of the last lines to be shown."""


@dataclass(slots=True)
class Attendant(Charge):
    """One run in a cluster, and whoever waits for it."""

    is_new: bool = False
    """Whether it was launched by this process, just now."""
    _changed: threading.Event = field(default_factory=threading.Event)
    _owner: Object | None = None
    _owner_asked: bool = False
    _owner_due: float = 0.0
    _owner_wait: float = OWNER_EVERY[0]
    _events: Sequence[Object] = ()
    _events_due: float = 0.0
    _over_since: float = 0.0
    _is_cut: bool = False
    _stopped: bool = False
    _hurried: bool = False
    _troubles: set[Why] = field(default_factory=set)
    _unrecorded: Unrecorded = field(init=False)
    _seeing_to: SeeingTo = field(init=False)

    def __post_init__(self) -> None:
        self._seeing_to = SeeingTo(self.api, self.place.namespace, self.plan)
        self._unrecorded = Unrecorded(self.record, self.folder, self.listener)

    def run(self, seconds: float | None = None) -> Run:
        """Until the run has ended (or so many seconds have passed). Raises ClusterError where it may not be watched,
        RecordError where it cannot be recorded: the run goes on then."""
        until = None if seconds is None else time.monotonic() + seconds
        uuid = self.plan.run.uuid
        watch = PodWatch(self.api, self.place.namespace, {RUN: uuid}, lambda _: self._changed.set(), is_new=self.is_new)
        teller, printing = Teller(self.plan, self.listener), Printing(self.api, self.place.namespace, self.listener)
        self._events_due = time.monotonic() + EVENTS_AFTER
        watch.start(f"watch-{uuid[:8]}")
        try:
            run = self.record.get(uuid)
            while not run.status.is_final and (until is None or time.monotonic() < until):
                self._changed.wait(TICK)
                self._changed.clear()
                if watch.failure is not None:
                    raise watch.failure
                self._control(run)
                self._tell_trouble(watch)
                if watch.is_listed:
                    run = self._look(run, watch, teller, printing)
            if run.status.is_final:
                let_go(self.api, self.place.namespace, self.plan)
            return run
        finally:
            watch.end()
            printing.end()

    def _look(self, run: Run, watch: PodWatch, teller: Teller, printing: Printing) -> Run:
        pods = watch.pods(run.uuid)
        self._ask_owner(pods)
        self._ask_events(run, pods)
        look = Look(self._owner, pods, self._owner_asked, self._events)
        found = look_closely(self.plan, self.place, run, look)
        self._see_to(found, pods)
        for attempt in found.attempts:
            pod = next((pod for pod in pods if pod["metadata"]["uid"] == attempt.uid), None)
            teller.tell(attempt, pod)
            printing.look(attempt, pod)
        if self._waits_for_lines(found, printing):
            return run
        try:
            after, self.place = bring_up(self.record, self.folder, self.place, run, found, self.listener)
        except RecordError as error:
            return self._unrecorded.failed(run, error)
        self._unrecorded.done()
        teller.tell_waiting(found.waiting)
        return after

    def _see_to(self, found: Seen, pods: Sequence[Object]) -> None:
        try:
            self._seeing_to.look(found, self._owner, pods, datetime.now(UTC))
        except ClusterError as error:
            self._say_trouble(error)

    def _waits_for_lines(self, found: Seen, printing: Printing) -> bool:
        """Whether the end is not told yet: the last lines come first."""
        if not found.attempts or not found.attempts[-1].is_over or not printing.is_busy:
            self._over_since = 0.0
            return False
        self._over_since = self._over_since or time.monotonic()
        if time.monotonic() < max(self._over_since, printing.last) + LAST_LINES:
            return True
        if not self._is_cut:
            self._is_cut = True
            self.listener.note("the job's last lines do not come, and are not shown: `tieline runs logs` has them")
        return False

    # --- what the pods don't say

    def _ask_owner(self, pods: Sequence[Object]) -> None:
        """Look at the Job where there is no pod, or one that ended otherwise than well: whether there is more to come,
        or somebody ended it from outside."""
        is_needed = not pods or any(_is_dubious(pod) for pod in pods)
        if not is_needed or time.monotonic() < self._owner_due:
            return
        kind = JOBS if self.plan.service is None else DEPLOYMENTS
        if not pods and not self._owner_asked and self._owner_due == 0.0:
            self._owner_due = time.monotonic() + 2 * OWNER_EVERY[0]  # a pod takes a moment to be made
            return
        try:
            found = self.api.list(kind, self.place.namespace, {RUN: self.plan.run.uuid})["items"]
            self._owner, self._owner_asked = (found[0] if found else None), True
        except ClusterError as error:
            self._say_trouble(error)
        self._owner_due = time.monotonic() + self._owner_wait
        self._owner_wait = min(self._owner_wait * 1.5, OWNER_EVERY[1])

    def _ask_events(self, run: Run, pods: Sequence[Object]) -> None:
        if run.started_at is not None and any(not pod.get("deleted") for pod in pods):
            self._events = ()
            return
        if time.monotonic() < self._events_due:
            return
        self._events_due = time.monotonic() + EVENTS_EVERY
        name = pods[-1]["metadata"]["name"] if pods else object_name(run.uuid)
        try:
            found = self.api.list(EVENTS, self.place.namespace, fieldSelector=f"involvedObject.name={name}")
            self._events = found["items"]
        except ClusterError:  # it is a help only; whoever may not see events sees what the pod says
            self._events_due = float("inf")

    # --- what is asked of it

    def _control(self, run: Run) -> None:
        grace = 0.0 if self.controls.now.is_set() else self.controls.grace
        try:
            if self.controls.stop.is_set() and not self._stopped:
                with suppress(RecordError):  # a full disk: its objects in the cluster say that it was asked for
                    self.record.request_stop(run.uuid)
                stop(self.api, self.place.namespace, run.uuid, grace, is_service=self.plan.service is not None)
                self._stopped, self._hurried = True, self.controls.now.is_set()
                self._owner_due = 0.0
            elif self.controls.now.is_set() and not self._hurried:
                with suppress_forbidden():
                    is_service = self.plan.service is not None
                    hurry(self.api, self.place.namespace, run.uuid, 0.0, is_service=is_service)
                self._hurried = True
        except ClusterError as error:
            if not error.why.may_pass:
                raise
            self._say_trouble(error)

    def _tell_trouble(self, watch: PodWatch) -> None:
        if watch.trouble is not None:
            self._say_trouble(watch.trouble)
        else:
            self._troubles.clear()

    def _say_trouble(self, error: ClusterError) -> None:
        """Once, however the words change: a server that is away is so in many ways."""
        if error.why not in self._troubles:
            self._troubles.add(error.why)
            self.listener.note(f"the run goes on, and cannot be seen now: {error}")


def _is_dubious(pod: Object) -> bool:
    status = pod.get("status") or {}
    return bool(
        pod.get("deleted") or pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Failed", "Unknown")
    )
