"""The state of this pod: kept up to date by a watch, and told in the few words that the collector needs.

A list gives the pods of the run (how many came before this one) and where to begin; a watch goes on from there. When
the server does not know that place any more (410), or has another trouble with it (one whose past was just removed says
500, each time), it is listed anew; where a watch is refused, the pod is polled.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tieline.engines.kubernetes.hopeless import STUCK
from tieline.engines.kubernetes.inside.answer import Answer, ApiTrouble, Quiet
from tieline.engines.kubernetes.inside.api import Api
from tieline.steps.retrying import Backoff

GONE = 410
REFUSED = (401, 403, 405)
POLL = 2.0
ROUND = 300
"""Seconds after which a watch is begun anew."""
SILENT = ROUND + 30.0


@dataclass(frozen=True, slots=True)
class State:
    """How one container is. ``id``: another one after a restart. ``finished``: nothing will start it again; ``began``:
    since when it runs or ran, in nanoseconds since 1970; whole seconds, and 0 where that is not known."""

    state: Literal["waiting", "running", "terminated"] = "waiting"
    id: str = ""
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    finished: bool = False
    began: int = 0

    @property
    def is_stuck(self) -> bool:
        """Whether it waits for what it cannot be made without: if the pod is being ended, it will never begin."""
        return self.state == "waiting" and self.reason in STUCK


def state_of(pod: Mapping[str, Any], name: str) -> State:
    """How a container of a pod is, by the pod's status."""
    status = pod.get("status") or {}
    found = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    told: Mapping[str, Any] = next((one for one in found if one.get("name") == name), {})
    state = told.get("state") or {}
    if "running" in state:
        return State("running", told.get("containerID") or "", began=_moment(state["running"]))
    ended = state.get("terminated")
    if ended is None:
        why = (state.get("waiting") or {}).get("reason") or ""
        return State(reason=why, finished=status.get("phase") in ("Succeeded", "Failed"))
    again = (pod.get("spec") or {}).get("restartPolicy", "Always") == "Always"
    return State(
        "terminated",
        told.get("containerID") or ended.get("containerID") or "",
        ended.get("exitCode"),
        ended.get("signal") or None,
        ended.get("reason") or "",
        finished=not again or bool((pod.get("metadata") or {}).get("deletionTimestamp")),
        began=_moment(ended),
    )


def _moment(state: Mapping[str, Any] | None) -> int:
    try:
        return int(datetime.fromisoformat((state or {})["startedAt"]).timestamp()) * 1_000_000_000
    except (KeyError, TypeError, ValueError):  # it is a help only
        return 0


def before(pods: list[Mapping[str, Any]], uid: str) -> int:
    """How many other pods of the run were made before the one with this uid."""
    made = {_meta(pod, "uid"): (_meta(pod, "creationTimestamp"), _meta(pod, "uid")) for pod in pods}
    own = made.pop(uid, None)
    return len(made) if own is None else sum(other < own for other in made.values())


def _meta(pod: Mapping[str, Any], key: str) -> str:
    return str((pod.get("metadata") or {}).get(key) or "")


class PodWatch(threading.Thread):
    """Follows this pod until it is stopped. ``pod``: its last state, empty before the first; ``older``: pods of the run
    that came before it, None before they are known; ``gone``: the pod was removed; ``trouble``: why nothing is known
    now, ``is_refused``: because the server does not allow it."""

    def __init__(self, api: Api, name: str, uid: str, selector: str) -> None:
        super().__init__(name="tieline-watch", daemon=True)
        self._api, self._name, self._uid, self._selector = api, name, uid, selector
        self._changed = threading.Condition()
        self._version = ""
        self._answer: Answer | None = None
        self._backoff = Backoff(0.2, 5.0)
        self.pod: Mapping[str, Any] = {}
        self.older: int | None = None
        self.is_stopping = self.gone = False
        self.trouble = ""
        self.is_refused = False

    def state(self, container: str) -> State:
        """How a container is, as far as it is known."""
        return State(finished=True) if self.gone and not self.pod else state_of(self.pod, container)

    @property
    def is_ending(self) -> bool:
        """Whether somebody has asked for the pod's end."""
        return bool((self.pod.get("metadata") or {}).get("deletionTimestamp"))

    def wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is so, looking at every change and four times a second."""
        until = time.monotonic() + seconds
        with self._changed:
            while not done():
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 0.25))
        return True

    def stop(self) -> None:
        """End soon."""
        self.is_stopping = True
        if self._answer is not None:
            self._answer.close()

    def run(self) -> None:
        """The thread."""
        while not self.is_stopping:
            try:
                if not self._version:
                    self._list()
                self._watch()
                self.trouble = ""
                self._backoff.reset()
            except ApiTrouble as error:
                self._failed(error)
            except Exception as error:  # a defect here must not leave the job without its end
                self.trouble, self.is_refused, self._version = repr(error), False, ""
                time.sleep(self._backoff.next())

    def _failed(self, error: ApiTrouble) -> None:
        self.trouble, self.is_refused = str(error), error.status in REFUSED
        if error.status == GONE:
            self._version = ""
        elif error.status in REFUSED:
            self._version = ""
            time.sleep(POLL)
        else:
            self._version = "" if error.status else self._version
            time.sleep(self._backoff.next())

    def _list(self) -> None:
        found = self._api.pods(labelSelector=self._selector)
        pods = found.get("items") or []
        self.older = before(pods, self._uid)
        own = next((pod for pod in pods if _meta(pod, "uid") == self._uid), None)
        self._version = str((found.get("metadata") or {}).get("resourceVersion") or "")
        self._set(own)

    def _watch(self) -> None:
        query = {
            "watch": "true", "fieldSelector": f"metadata.name={self._name}", "resourceVersion": self._version,
            "allowWatchBookmarks": "true", "timeoutSeconds": str(ROUND),
        }  # fmt: skip
        with self._api.open("", **query) as answer:
            self._answer = answer
            for line in _lines(answer):
                self._event(json.loads(line))
                if self.is_stopping:
                    return

    def _event(self, event: Mapping[str, Any]) -> None:
        what, thing = event.get("type"), event.get("object") or {}
        if what == "ERROR":
            raise ApiTrouble(int(thing.get("code") or 0), str(thing.get("message") or "the watch broke off"))
        self._version = _meta(thing, "resourceVersion") or self._version
        if what == "BOOKMARK" or _meta(thing, "uid") != self._uid:
            return
        self._set(thing, gone=what == "DELETED")

    def _set(self, pod: Mapping[str, Any] | None, *, gone: bool = False) -> None:
        with self._changed:
            if pod is not None:
                self.pod = pod
            self.gone = gone or pod is None
            self._changed.notify_all()


def _lines(answer: Answer) -> Iterator[bytes]:
    """The whole lines of an answer."""
    rest = b""
    while True:
        try:
            data = answer.read(SILENT)
        except Quiet:
            return
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from filter(None, lines)
