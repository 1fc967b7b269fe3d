"""One list and one watch for all pods that a selector matches: what every run's pods are, as it changes.

The watch goes on from the resource version that it was at when its line broke (again and again, with growing pauses),
and begins anew with a list where the server says that this is too old, or twice in a row that something is wrong (one
whose past was just removed says so with a 500, each time). What was missed meanwhile is found by that list.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tieline.engines.kubernetes.api import PODS, Api, Object
from tieline.engines.kubernetes.names import RUN
from tieline.engines.kubernetes.refusals import ClusterError, Why

PAUSES = (0.2, 30.0)
"""After the first failure, and at most."""
PAGE = 100
"""Pods of one answer: each is some 100 KB before it is slim."""
UNUSED = ("managedFields", "ownerReferences", "annotations")


class PodWatch:
    """The pods by run, up to date from :meth:`start` to :meth:`end`.

    ``changed`` is told the uuid of each run that changed, and "" at a ``failure``; ``trouble``, why the cluster cannot
    be watched now, or "". ``is_new``: the run was launched just now. Then a watch without a
    beginning, which tells first what there is, is enough, and the list is left out.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        labels: Mapping[str, str],
        changed: Callable[[str], None],
        *,
        is_new: bool = False,
    ) -> None:
        self._is_new = is_new
        self._api, self._namespace, self._labels, self._changed = api, namespace, dict(labels), changed
        self._pods: dict[str, dict[str, Object]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._version = ""
        self.trouble: ClusterError | None = None
        self.failure: ClusterError | None = None
        """Why it has ended by itself: trying again is no use."""
        self.is_listed = False
        """Whether the pods of the beginning are known."""

    def pods(self, uuid: str) -> list[Object]:
        """A run's pods; those that are gone with ``deleted``, as they were at last."""
        with self._lock:
            return list(self._pods.get(uuid, {}).values())

    def forget(self, uuid: str) -> None:
        """The run has ended: its pods are of no interest any more."""
        with self._lock:
            self._pods.pop(uuid, None)

    def end(self) -> None:
        """Stop; a watch that says nothing is left to itself."""
        self._ended.set()

    def start(self, name: str) -> None:
        """Watch, in a thread of this name."""
        threading.Thread(target=self._carry_on, name=name, daemon=True).start()

    def _carry_on(self) -> None:
        try:
            self.run()
        except ClusterError as error:
            self.failure = error
            self._changed("")

    def run(self) -> None:
        """Until :meth:`end`. Raises ClusterError where trying again is no use: the right to watch is missing."""
        pause, refused = PAUSES[0], 0
        while not self._ended.is_set():
            try:
                if not self._is_new and not self._version:
                    self._list()
                self._watch()
                self.trouble, pause, refused = None, PAUSES[0], 0
            except ClusterError as error:
                if error.why is Why.GONE:
                    self._version = ""
                    continue
                refused += error.why is Why.BROKEN
                if refused > 1:
                    self._version, refused = "", 0
                self.trouble = error
                if not error.why.may_pass and not self.is_listed:
                    raise
                self._ended.wait(pause)
                pause = min(pause * 2, PAUSES[1])

    def _list(self) -> None:
        now: dict[str, dict[str, Object]] = {}
        version = ""
        for page in self._api.pages(PODS, self._namespace, self._labels, PAGE):
            version = page["metadata"]["resourceVersion"]
            for pod in page["items"]:
                now.setdefault(run_of(pod), {})[pod["metadata"]["uid"]] = slim(pod)
        with self._lock:
            for uuid, before in self._pods.items():
                for uid, pod in before.items():
                    if uid not in now.get(uuid, {}):
                        now.setdefault(uuid, {})[uid] = {**pod, "deleted": True}
            changed = [uuid for uuid, pods in now.items() if pods != self._pods.get(uuid)]
            self._pods, self.is_listed = now, True
        self._version = version
        self.trouble = None
        for uuid in changed:
            self._changed(uuid)

    def _watch(self) -> None:
        began = time.monotonic()
        for kind, pod in self._api.watch(PODS, self._namespace, self._labels, self._version, begun=self._begun):
            self._version = pod["metadata"]["resourceVersion"]
            self.trouble = None
            if self._ended.is_set():
                return
            if kind != "BOOKMARK":
                self._take(pod, deleted=kind == "DELETED")
        if time.monotonic() - began < PAUSES[0]:
            self._ended.wait(PAUSES[0])  # a server that ends every watch at once is not asked in a circle

    def _begun(self) -> None:
        self._is_new, self.is_listed = False, True

    def _take(self, pod: Object, *, deleted: bool) -> None:
        uuid, kept = run_of(pod), slim(pod)
        with self._lock:
            self._pods.setdefault(uuid, {})[pod["metadata"]["uid"]] = {**kept, "deleted": True} if deleted else kept
        self._changed(uuid)


def run_of(pod: Object) -> str:
    """The run that a pod belongs to."""
    return str((pod["metadata"].get("labels") or {}).get(RUN, ""))


def slim(pod: Object) -> Object:
    """What is looked at of a pod: a process may watch hundreds."""
    spec = pod.get("spec") or {}
    containers = ("initContainers", "containers")
    limits: dict[str, Any] = {
        name: [{"name": c["name"], "resources": c.get("resources") or {}} for c in spec.get(name) or ()]
        for name in containers
    }
    meta = {key: value for key, value in pod["metadata"].items() if key not in UNUSED}
    node = {"nodeName": spec["nodeName"]} if spec.get("nodeName") else {}
    return {"metadata": meta, "spec": {**limits, **node}, "status": pod.get("status") or {}}
