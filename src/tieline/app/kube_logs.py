"""Reading what a cluster's run printed: while its pods live, from what their collectors show; else out of the store.

What a collector shows begins where the stored log begins, and is redacted by the same rules: so the store goes on where
its output ends, by counting bytes. A store that only the cluster can see is read through a pod, once the run has ended;
before that, and where no such pod can be had, what the run's own pod has shown is all there is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from tieline.app.home import HomeFolder
from tieline.app.kube import refreshed, where
from tieline.app.logs import MAIN, RunLogs
from tieline.app.runs import folder_of, store_of
from tieline.engines.kubernetes.api import PODS, Api, Object
from tieline.engines.kubernetes.following import lines_of
from tieline.engines.kubernetes.frames import Frames, Torn
from tieline.engines.kubernetes.names import COLLECTOR, RUN
from tieline.engines.kubernetes.place import place_of
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.seen import seen
from tieline.model.run import Run
from tieline.runs.record import Record
from tieline.stores.base import StoreTrouble

PAUSE = 0.5


class ClusterLogs(RunLogs):
    """The logs of one run of a cluster."""

    def __init__(self, home: HomeFolder, record: Record, run: Run) -> None:
        super().__init__(home, record, run)
        self._place = where(home, run)
        self._is_near = self._has_looked = False

    def names(self, attempt: int | None = None) -> list[str]:
        """See :class:`RunLogs`; those that the run's own pod shows, where that is all that there is."""
        number = attempt or self._run.attempt
        if self._only_shown(number):
            return self._names_shown(number)
        try:
            return super().names(attempt)
        except StoreTrouble:
            return self._names_shown(number)

    def _names_shown(self, number: int) -> list[str]:
        shown = {name: None for name, _ in self._shown(number)}
        return sorted(shown, key=lambda name: (name != MAIN, name))

    def read(self, program: str = MAIN, attempt: int | None = None) -> Iterator[bytes]:
        """See :class:`RunLogs`."""
        number = attempt or self._run.attempt
        if self._only_shown(number):
            yield from (data for name, data in self._shown(number) if name == program)
            return
        given = 0
        try:
            for data in super().read(program, attempt):
                given += len(data)
                yield data
        except StoreTrouble:
            shown = [] if given else list(self._shown(number))
            if not shown:
                raise
            yield from (data for name, data in shown if name == program)

    def _only_shown(self, number: int) -> bool:
        """Whether a pod would have to read the store, while the run's own shows the log of an attempt under way."""
        access = self._plan.store.access
        if not self._is_near and not (self._has_looked and access.type == "volume" and access.claim):
            self._has_looked = True  # (a folder of this machine may be made at any time)
            with suppress(StoreTrouble):
                store_of(self._plan, asks_pod=False)
                self._is_near = True
        run = self._record.get(self._run.uuid)
        return not self._is_near and not run.status.is_final and run.attempt == number

    def follow(self, program: str = MAIN, attempt: int | None = None) -> Iterator[bytes]:
        """See :class:`RunLogs`."""
        number, given = attempt or self._run.attempt, 0
        with Api.open(self._place.context) as api:
            while True:
                is_over = self._is_over(api, number)
                if not is_over:
                    for data in self._live(api, program, number, given):
                        given += len(data)
                        yield data
                    is_over = self._is_over(api, number)
                for data in self._rest(program, number, given, is_over=is_over):
                    given += len(data)
                    yield data
                if not is_over:
                    time.sleep(PAUSE)
                elif attempt is not None or self._record.get(self._run.uuid).attempt <= number:
                    return
                else:
                    number, given = number + 1, 0

    def _is_over(self, api: Api, number: int) -> bool:
        run = refreshed(self._record, folder_of(self._home, self._run), api, self._run)
        return run.status.is_final or run.attempt > number

    def _live(self, api: Api, program: str, number: int, given: int) -> Iterator[bytes]:
        """What the collector shows beyond what was given, until it has ended. Where that is not whole, nothing: the
        store has it."""
        pod = self._pod(api, number)
        if pod is None or (pod.get("status") or {}).get("phase") in (None, "Pending"):
            return
        skip = given
        try:
            for name, data in lines_of(api, self._place.namespace, pod["metadata"]["name"], lambda: True):
                if name == program:
                    new = data[min(skip, len(data)) :]
                    skip -= min(skip, len(data))
                    if new:
                        yield new
        except Torn:
            return

    def _rest(self, program: str, number: int, given: int, *, is_over: bool) -> Iterator[bytes]:
        """What the store has beyond what was given; if a pod has to read it, only at the end. Where it cannot be read
        and nothing was given by the end, what the pod shows, or StoreTrouble."""
        if not is_over and self._only_shown(number):
            return
        try:
            reader = self._reader(program, number)
            reader.offset = given
            yield from reader.poll()
        except StoreTrouble:
            if is_over and not given:
                yield from self.read(program, number)

    def _shown(self, number: int) -> Iterator[tuple[str, bytes]]:
        """What the collector of this attempt's pod has shown by now, if the pod is there."""
        try:
            with Api.open(self._place.context) as api:
                pod = self._pod(api, number)
                if pod is not None:
                    with api.log(self._place.namespace, pod["metadata"]["name"], COLLECTOR) as pieces:
                        frames = Frames()
                        for piece in pieces:
                            yield from ((name, data) for name, data in frames.feed(piece) if name)
        except (ClusterError, Torn):  # the store's own error says why nothing can be read
            return

    def _pod(self, api: Api, number: int) -> Object | None:
        """The pod of an attempt, if it is there."""
        place = place_of(folder_of(self._home, self._run)) or self._place
        pods = api.list(PODS, self._place.namespace, {RUN: self._run.uuid})["items"]
        by_uid: dict[str, Object] = {pod["metadata"]["uid"]: pod for pod in pods}
        for attempt in seen(self._plan, None, pods, known=place.pods).attempts:
            if attempt.number == number:
                return by_uid[attempt.uid]
        return None
