"""The Job that keeps a reader's pod: made, waited for, removed. What a killed command leaves, the cluster removes.

It is a Job only for its ``ttlSecondsAfterFinished``: the pod ends by itself when nobody asks any more
(:mod:`inside_reader`), and then both go. Whoever waits may be told to stop at any moment, by a signal's handler too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tieline.engines.kubernetes.api import EVENTS, JOBS, PODS, Api
from tieline.engines.kubernetes.probing import STUCK, waits_in_vain
from tieline.engines.kubernetes.reader_pod import CONTAINER, reader_label, reader_name
from tieline.engines.kubernetes.reasons import all_statuses, event_words, said, waiting_words
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.watch import PodWatch
from tieline.errors import Code, Problem, Refused, StepFailed

STARTING = 120.0
"""Seconds in which the pod has to run: its image may have to be pulled."""
STEP = 5
"""How often, in seconds, the time is looked at, and the events where nothing comes."""
_ENDED = ("Succeeded", "Failed")
Pod = Mapping[str, Any]


@dataclass(slots=True)
class ReaderJob:
    """One such Job. ``pod``: the name of its pod, once that runs."""

    api: Api
    namespace: str
    id_: str
    pod: str = ""
    _changed: threading.Event = field(default_factory=threading.Event)
    _stopped: bool = False

    def start(self, manifest: dict[str, Any], tell: Any) -> None:
        """Make it, and wait until its pod runs. ``tell``: is told what takes long. Raises Refused where it will not
        run, and why; StepFailed (STOPPED); ClusterError. Then nothing is left of it."""
        try:
            self.api.create(JOBS, self.namespace, manifest)
            self._wait(tell)
        except BaseException:
            self.remove()
            raise

    def stop(self) -> None:
        """Nobody wants to wait for it any more."""
        self._stopped = True
        self._changed.set()

    def is_there(self) -> bool:
        """Whether the pod still runs. Raises ClusterError."""
        found = self.api.list(PODS, self.namespace, fieldSelector=f"metadata.name={self.pod}")["items"]
        return any(_runs(pod) and not pod["metadata"].get("deletionTimestamp") for pod in found)

    def remove(self) -> None:
        """Remove it, and its pod without waiting for its end."""
        with suppress(ClusterError):  # it ends by itself, and the cluster removes it
            self.api.delete(JOBS, self.namespace, reader_name(self.id_))
            if self.pod:
                self.api.delete(PODS, self.namespace, self.pod, grace=0)

    # --- waiting

    def _wait(self, tell: Any) -> None:
        began, told = time.monotonic(), False
        pod: Pod = {}
        with self._watched() as watch:
            while (took := time.monotonic() - began) < STARTING:
                pod = next(reversed(watch.pods("")), {})
                self.pod = pod["metadata"]["name"] if pod else ""
                if _runs(pod):
                    return
                if self._is_in_vain(pod, took):
                    break
                if took > STEP and not told and (words := self._why(pod)):
                    tell(f"waiting for the pod: {words}")
                    told = True
                self._changed.wait(STEP)
                self._changed.clear()
                if self._stopped:
                    raise stopped()
                if watch.failure is not None:
                    raise watch.failure
        status = pod.get("status") or {}
        how = said(status.get("message") or status.get("reason")) if status.get("phase") in _ENDED else ""
        reason = "somebody removed it" if pod.get("deleted") else how or self._why(pod) or "it did not start in time"
        raise refused(reason, "the pod gets the image and the podPatch of `clusters:` in the deployment file")

    @contextmanager
    def _watched(self) -> Iterator[PodWatch]:
        labels = reader_label(self.id_)
        watch = PodWatch(self.api, self.namespace, labels, lambda _: self._changed.set(), is_new=True)
        watch.start(f"reader-{self.id_}")
        try:
            yield watch
        finally:
            watch.end()

    def _is_in_vain(self, pod: Pod, took: float) -> bool:
        """Whether it will not run. (That a node, or a volume for one node, is free may take longer.)"""
        if not pod:
            return took > STEP and bool(event_words(self._events()))
        phase = (pod.get("status") or {}).get("phase")
        if pod.get("deleted") or phase in _ENDED or waits_in_vain(pod):
            return True
        return took > STUCK and any(event.get("reason") == "FailedMount" for event in self._events())

    def _why(self, pod: Pod) -> str:
        """Why it does not run yet, as far as that is said."""
        return waiting_words(pod, self._events())

    def _events(self) -> list[Mapping[str, Any]]:
        """Of the pod; of the Job, where there is none."""
        try:
            about = f"involvedObject.name={self.pod or reader_name(self.id_)}"
            found: list[Mapping[str, Any]] = self.api.list(EVENTS, self.namespace, fieldSelector=about)["items"]
        except ClusterError:  # then the pod's own status has to do
            return []
        return found


def _runs(pod: Pod) -> bool:
    """Whether our container does: a cluster may have put others beside it."""
    states = {status["name"]: status.get("state") or {} for status in all_statuses(pod)}
    return bool(states.get(CONTAINER, {}).get("running")) and not pod.get("deleted")


def stopped() -> StepFailed:
    """Why nobody waits for such a pod any more."""
    return StepFailed.of(Code.STOPPED, "stopped while a pod was to be started")


def refused(message: str, hint: str) -> Refused:
    """Why there is no such pod."""
    return Refused(Problem(Code.CLUSTER_FAILED, f"the pod that was to read what the run saved: {message}", hint))
