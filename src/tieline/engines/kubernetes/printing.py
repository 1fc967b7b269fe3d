"""The lines of a run's programs, passed on to a listener while its pods live: one reader for each attempt."""

from __future__ import annotations

import threading
import time

from tieline.engines.base import Listener
from tieline.engines.kubernetes.api import Api, Object
from tieline.engines.kubernetes.attempts import FINAL_PHASES, Attempt
from tieline.engines.kubernetes.following import Torn, lines_of
from tieline.engines.kubernetes.names import COLLECTOR
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.model.run import Status

BEGUN = (Status.RUNNING, Status.STOPPING, Status.SAVING)


class Printing:
    """Reads what the collectors show."""

    def __init__(self, api: Api, namespace: str, listener: Listener) -> None:
        self._api, self._namespace, self._listener = api, namespace, listener
        self._threads: dict[str, threading.Thread] = {}
        self._over: set[str] = set()
        self._lost: set[str] = set()
        self._ended = False
        self.last = 0.0
        """When lines came last, by the monotonic clock."""

    @property
    def is_busy(self) -> bool:
        """Whether something may still come."""
        return any(thread.is_alive() for uid, thread in self._threads.items() if uid not in self._lost)

    def look(self, attempt: Attempt, pod: Object | None) -> None:
        """Begin to read, where the collector has begun; know that nothing more comes, where the pod is over."""
        if attempt.is_over:
            self._over.add(attempt.uid)
            if _is_out_of_reach(pod):
                self._lost.add(attempt.uid)
                return
        if attempt.uid in self._threads or not (attempt.is_over or (attempt.status in BEGUN and _has_begun(pod))):
            return
        name = f"lines-{attempt.pod}"
        thread = threading.Thread(target=self._pass_on, args=(attempt.uid, attempt.pod), name=name, daemon=True)
        self._threads[attempt.uid] = thread
        thread.start()

    def end(self) -> None:
        """Nobody listens any more."""
        self._ended = True

    def _pass_on(self, uid: str, pod: str) -> None:
        said = b""
        try:
            for program, data in lines_of(self._api, self._namespace, pod, lambda: uid in self._over or self._ended):
                if self._ended:
                    return
                if program:
                    self._listener.output(program, data)
                    self.last = time.monotonic()
                    continue
                *notes, said = (said + data).split(b"\n")
                for note in notes:
                    self._listener.note(note.decode("utf-8", "replace"))
        except Torn:
            self._listener.note("more was printed than the cluster keeps of it: lines are missing here, not in the log")
        except ClusterError as error:
            self._listener.note(f"the job's lines cannot be shown: {error}")


def _is_out_of_reach(pod: Object | None) -> bool:
    """Of a pod that is over, though the cluster does not say so: whether its node is away, and its output with it."""
    return pod is not None and not pod.get("deleted") and (pod.get("status") or {}).get("phase") not in FINAL_PHASES


def _has_begun(pod: Object | None) -> bool:
    """Whether a pod's collector has printed anything, or may have."""
    status = (pod or {}).get("status") or {}
    found = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return any(one["name"] == COLLECTOR and "waiting" not in (one.get("state") or {"waiting": 0}) for one in found)
