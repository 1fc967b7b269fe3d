"""Testing a connection where jobs run: a pod is made, says what it saw, and is removed, whatever happens.

Whoever asks waits for the pod with a watch. A pod that does not start is told with the cluster's own reason.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from tieline.engines.kubernetes.api import EVENTS, JOBS, PODS, Api
from tieline.engines.kubernetes.probe_message import Question, report_of
from tieline.engines.kubernetes.probe_pod import STARTING, probe_job, probe_labels, probe_name
from tieline.engines.kubernetes.reasons import all_statuses, conditions, event_words, said, waiting_words
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.engines.kubernetes.settings import Cluster
from tieline.errors import Code, Problem, Refused, TielineError
from tieline.probes import Report

HOPELESS = frozenset({
    "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError",
    "CreateContainerError", "RunContainerError",
})  # fmt: skip
"""What a container waits for that does not come by itself."""
STUCK = 30.0
"""Seconds after which a pod that has not started is believed to be kept from it by what the cluster says: before that,
a claim may still have to be bound, or a volume to be attached."""
STEP = 5
"""Seconds of one watch: how often the time is looked at."""


class Probes:
    """The probes of one command in one cluster; ``end_all`` removes what they have made, from any thread."""

    def __init__(self, api: Api, cluster: Cluster, account: str = "") -> None:
        self.api, self.cluster, self.account = api, cluster, account
        self._lock = threading.Lock()
        self._made: set[str] = set()
        self._ended = False

    def ask(self, question: Question) -> Report:
        """The report of one connection, from a pod of its own. Raises ClusterError, or Refused where the pod could not
        say anything, and why."""
        id_ = secrets.token_hex(8)
        with self._job(id_, question):
            pod = self._ended_pod(id_, question.limits.total)
        state = next(filter(None, map(_terminated, all_statuses(pod))), {})
        report = report_of(state.get("message") or "")
        if report is None:
            how = said(state.get("message")) or f"exit code {state.get('exitCode')}, {state.get('reason')}"
            raise _refused(f"its pod ended without an answer: {how}", "does the image have this version of Tieline?")
        return report

    def end_all(self) -> None:
        """Remove all pods now; none is made any more."""
        with self._lock:
            self._ended, made = True, list(self._made)
        for id_ in made:
            self._remove(id_)

    @contextmanager
    def _job(self, id_: str, question: Question) -> Iterator[None]:
        manifest = probe_job(id_, question, self.cluster, self.account)
        with self._lock:
            if self._ended:
                raise _refused("the test was ended", "")
            self._made.add(id_)
        try:
            self.api.create(JOBS, self.cluster.namespace, manifest)
            yield
        finally:
            self._remove(id_)

    def _remove(self, id_: str) -> None:
        """Whoever comes first removes it; its pod goes with it. What can't be removed now, the cluster does later."""
        with self._lock:
            if id_ not in self._made:
                return
            self._made.discard(id_)
        with suppress(TielineError):  # else activeDeadlineSeconds and ttlSecondsAfterFinished remove it
            self.api.delete(JOBS, self.cluster.namespace, probe_name(id_))

    # --- waiting

    def _ended_pod(self, id_: str, total: float) -> Mapping[str, Any]:
        """The pod, when its container has ended. Raises Refused where it will not, or not in time."""
        began = time.monotonic()
        pod: Mapping[str, Any] = {}
        for pod in self._seen(id_, began + STARTING + total + STEP):
            took = time.monotonic() - began
            if any(map(_terminated, all_statuses(pod))):
                return pod
            if not _is_running(pod) and (took > STARTING or self._is_stuck(id_, pod, took)):
                break
        words = waiting_words(pod, self._events(id_)) if pod else self._events_words(id_)
        reason = words or f"it did not {'end' if pod and _is_running(pod) else 'start'} in time"
        raise _refused(f"its pod says nothing: {reason}", "see `kubectl describe job` with the namespace's admin")

    def _seen(self, id_: str, until: float) -> Iterator[Mapping[str, Any]]:
        """The probe's pod as it changes, and at least every few seconds; an empty one before there is any."""
        labels, namespace = probe_labels(id_), self.cluster.namespace
        while time.monotonic() < until:
            found = self.api.list(PODS, namespace, labels)
            pod: Mapping[str, Any] = found["items"][0] if found["items"] else {}
            yield pod
            try:
                for kind, thing in self.api.watch(PODS, namespace, labels, found["metadata"]["resourceVersion"], STEP):
                    if kind in ("ADDED", "MODIFIED"):
                        yield thing
            except ClusterError as error:
                if not error.why.may_pass and error.why is not Why.GONE:
                    raise

    def _is_stuck(self, id_: str, pod: Mapping[str, Any], took: float) -> bool:
        """Whether there is no pod, or it does not start, and the cluster has said why."""
        if not pod:
            return took > STEP and bool(event_words(self._events(id_)))
        return waits_in_vain(pod) or (took > STUCK and (_is_unscheduled(pod) or bool(event_words(self._events(id_)))))

    def _events(self, id_: str) -> list[Mapping[str, Any]]:
        """What the cluster says of the pod, if that may be read."""
        try:
            found = self.api.list(EVENTS, self.cluster.namespace)["items"]
        except TielineError:  # then the pod's own status has to do
            return []
        return [event for event in found if probe_name(id_) in (event.get("involvedObject") or {}).get("name", "")]

    def _events_words(self, id_: str) -> str:
        return event_words(self._events(id_)) or "the cluster made none"


def _terminated(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return (status.get("state") or {}).get("terminated") or {}


def _is_running(pod: Mapping[str, Any]) -> bool:
    return any((status.get("state") or {}).get("running") for status in all_statuses(pod))


def waits_in_vain(pod: Mapping[str, Any]) -> bool:
    """Whether a container waits for what does not come by itself."""
    waiting = [(status.get("state") or {}).get("waiting") or {} for status in all_statuses(pod)]
    return any(state.get("reason") in HOPELESS for state in waiting)


def _is_unscheduled(pod: Mapping[str, Any]) -> bool:
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions(pod))


def _refused(message: str, hint: str) -> Refused:
    return Refused(Problem(Code.CLUSTER_FAILED, message, hint))
