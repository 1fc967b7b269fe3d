"""The engine's contract on a real cluster: the same jobs, as pods of a namespace of their own.

The kit's only node is this machine, so the folders that a test and its job share are host paths. A job of the contract
names no image: its containers get the one of Tieline's own containers, which has a shell and Python, as the user that
the tests are (on this machine a process is, too). The pod is in the machine's network: the kit has no service network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from engine_harness import ProcessEngine, ProcessHandle

from integration.kube_pods import Namespace
from servers.kube import kubeconfig
from servers.kube_image import image_of
from tieline.app.preparing import Wanted
from tieline.model.access import Volume
from tieline.model.run import Run

PATIENCE = 150.0
"""Of a machine that has much else to do."""
GRACE = 15
"""Seconds. A kubelet before 1.22 does not shorten a grace that has begun: a pod that is deaf takes all of it."""
POD: dict[str, Any] = {"hostNetwork": True, "terminationGracePeriodSeconds": GRACE}
UNFINISHED = ("Pending", "Running", "Unknown")


class PodHandle(ProcessHandle):
    """A run in a cluster, watched by a thread of this process."""

    cluster: Namespace
    carried_out_elsewhere = True

    def wait(self, patience: float = PATIENCE) -> Run:
        return super().wait(patience)

    def logs(self, program: str = "main", attempt: int | None = None) -> bytes:
        return super().logs(program, attempt) if self._has_saved() else b""

    def outputs(self, attempt: int | None = None) -> dict[str, bytes]:
        return super().outputs(attempt) if self._has_saved() else {}

    def _has_saved(self) -> bool:
        """Whether the run has a folder in the store. Only the test knows that the node is this machine; Tieline cannot
        tell a folder that is not there from one of another node."""
        access = self.plan.store.access
        return isinstance(access, Volume) and Path(str(access.host_path), self.plan.store.prefix).is_dir()

    def leftovers(self) -> int:
        """How many pods of the run have not ended."""
        from lightkube.resources.core_v1 import Pod

        found = self.cluster.client.list(Pod, namespace=self.cluster.name, labels={"tieline.dev/run": self.uuid})
        return sum(pod.status is None or pod.status.phase in UNFINISHED for pod in found)


class KubernetesEngine(ProcessEngine):
    """Jobs as pods."""

    name = "kubernetes"
    a_while = 20
    lines_at_once = 75_000  # a kubelet shows no more than the newest 10 MiB, each line's time with it
    handle = PodHandle
    timeout = 20
    untold = (None,)  # a kubelet before 1.22 may remove a deleted pod's container before it has told how that ended

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        config = kubeconfig()
        self._image = image_of(config)
        self.cluster = Namespace(config)
        self.cluster.begin()
        self._patch = pytest.MonkeyPatch()
        for name, value in {
            "KUBECONFIG": str(config), "TIELINE_STEPS_IMAGE": self._image,
            "TIELINE_KUBERNETES_HOST": self.cluster.host, "TIELINE_KUBERNETES_PORT": str(self.cluster.port),
        }.items():  # fmt: skip
            self._patch.setenv(name, value)
        self._give_rights()
        self._also = {
            "clusters": {"kit": {"serviceAccount": "tieline", "podPatch": {"spec": POD}}},
            "namespaces": {self.cluster.name: {"cluster": "kit", "inherit": "all"}},
        }

    def _give_rights(self) -> None:
        """The service account that the project ships, with no other rights than those."""
        from lightkube import codecs

        rules = resources.files("tieline.engines.kubernetes").joinpath("rbac", "collector.yaml")
        for thing in codecs.load_all_yaml(rules.read_text(encoding="utf-8")):
            self.cluster.client.create(thing, namespace=self.cluster.name)

    def _wanted(self, file: Path, params: Mapping[str, Any]) -> Wanted:
        return Wanted(file, params, namespace=self.cluster.name, engine="kubernetes")

    def _whole(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        whole = json.loads(json.dumps(job))
        run = whole.get("component", whole).get("run", {})
        inits = [step["container"] for step in run.get("init", ()) if "container" in step]
        for container in (run.get("container"), *run.get("sidecars", ()), *inits):
            if container is not None:
                container.setdefault("image", self._image)
                container.setdefault("securityContext", {"runAsUser": os.geteuid()})
        return whole

    def submit_apart(self, *_: Any, **__: Any) -> Any:
        self.lacks("no process of this machine carries a run out that could die with it")

    def _begun(self, handle: Any, before: Any) -> Any:
        handle.cluster = self.cluster
        return super()._begun(handle, before)

    def seen(self, mounted: Path) -> str:
        return f"/mnt{mounted}"

    def close(self) -> None:
        super().close()
        self.cluster.end()
        self._patch.undo()
