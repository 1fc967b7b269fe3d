"""A node of which there is only the object: pods are bound to it, and nobody is there who runs them.

Where a kubelet would say something, a test says it. Its zone is its own: the cluster's controller removes no pods in a
zone of which half is lost, and other tests have ghosts, too.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tieline.engines.kubernetes.api import PODS, Api, Kind, Object
from tieline.engines.kubernetes.refusals import ClusterError

NODES = Kind("v1", "nodes", namespaced=False)
MARK = "tieline.dev/ghost"
ATTACHED_HERE = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
"""What a kubelet notes on its node: volumes are attached by the cluster's controller."""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Ghost:
    """One such node."""

    admin: Api
    name: str
    since: str

    def comes_first(self, **unreachable: int) -> dict[str, Any]:
        """The ``environment`` of a job whose pod goes there as long as that can be. ``tolerationSeconds``: how long
        the pod stays when the node is away."""
        away = ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"]
        stays = [{"key": key, "operator": "Exists", "effect": "NoExecute", **unreachable} for key in away]
        term = {"matchExpressions": [{"key": MARK, "operator": "In", "values": [self.name]}]}
        preferred = [{"weight": 100, "preference": term}]
        return {
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}},
            "tolerations": [{"key": MARK, "operator": "Exists"}, *stays],
        }

    def has(self, namespace: str, count: int) -> list[Object]:
        """So many pods that are bound here, once they are. Until then, and only until then, the node lives; it takes no
        others: who is evicted could else come back before the cluster has marked the node."""
        while len(pods := self._pods(namespace)) < count:
            self.lives()
            time.sleep(1.0)
        self.admin.patch(NODES, "", self.name, {"spec": {"unschedulable": True}})
        return pods

    def _pods(self, namespace: str) -> list[Object]:
        pods: list[Object] = self.admin.list(PODS, namespace, fieldSelector=f"spec.nodeName={self.name}")["items"]
        return pods

    def lives(self) -> None:
        """What its kubelet would say now and then."""
        room = {"cpu": "8", "memory": "16Gi", "pods": "20", "ephemeral-storage": "10Gi"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": self.since}
        conditions = [{**ready, "lastHeartbeatTime": now()}]
        status = {"capacity": room, "allocatable": room, "conditions": conditions}
        self.admin.patch(NODES, "", self.name, {"status": status}, sub="status")

    def runs(self, pod: Object) -> None:
        """What its kubelet would say of a pod: that all its containers run."""
        containers = [
            {"name": c["name"], "image": c["image"], "imageID": "", "ready": True, "started": True, "restartCount": 0,
             "state": {"running": {"startedAt": now()}}}
            for c in pod["spec"]["containers"]
        ]  # fmt: skip
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now()}
            for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
        ]
        status = {"phase": "Running", "startTime": now(), "conditions": conditions, "containerStatuses": containers}
        where = pod["metadata"]["namespace"], pod["metadata"]["name"]
        self.admin.patch(PODS, *where, {"status": status}, sub="status")


@contextmanager
def ghost(admin: Api) -> Iterator[Ghost]:
    """One that is ready, and is removed afterwards with all that is bound to it."""
    name = f"ghost-{secrets.token_hex(4)}"
    labels = {MARK: name, "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name}
    spec = {"taints": [{"key": MARK, "effect": "NoSchedule"}]}
    metadata = {"name": name, "labels": labels, "annotations": ATTACHED_HERE}
    admin.create(NODES, "", {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})
    try:
        found = Ghost(admin, name, now())
        found.lives()
        yield found
    finally:
        admin.delete(NODES, "", name)
        for pod in admin.list(PODS, "", fieldSelector=f"spec.nodeName={name}")["items"]:
            with suppress(ClusterError):  # the cluster was quicker
                admin.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], grace=0)
