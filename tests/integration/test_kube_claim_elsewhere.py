"""A claim for one node that a pod on another node has: said before a run is accepted, and why its pod waits then.

The other node is a ghost (:mod:`kube_ghost`), the claim's volume one of a driver that nobody wrote: that it is attached
to the ghost says the test, as the driver would; that it cannot be attached here says the cluster's own controller.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kube_ghost import MARK, Ghost, ghost
from kube_rights import KINDS, Space
from kube_runs import There, ns, there
from secrets_kube import kube

from servers.kube_here import IMAGE
from servers.processes import eventually
from tieline.engines.kubernetes.api import Kind
from tieline.engines.kubernetes.reconcile import BEGUN_BY

__all__ = ["kube", "ns", "there"]
ATTACHMENTS = Kind("storage.k8s.io/v1", "volumeattachments", namespaced=False)


@contextmanager
def attached(ns: Space, node: Ghost) -> Iterator[str]:
    """The name of a claim that is attached to this node, for a pod ``holder``, and of its volume."""
    name = f"disk-{ns.name}"
    spec = {"storageClassName": name, "accessModes": ["ReadWriteOnce"]}
    csi = {"driver": "none.tieline.dev", "volumeHandle": name}
    ns.make("PersistentVolume", name, spec={**spec, "capacity": {"storage": "1Gi"}, "csi": csi})
    try:
        ns.make("PersistentVolumeClaim", name, spec={**spec, "resources": {"requests": {"storage": "1Gi"}}})
        eventually(lambda: _phase(ns, name) == "Bound")
        volume = {"name": "disk", "persistentVolumeClaim": {"claimName": name}}
        main = {"name": "main", "image": IMAGE, "volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
        tolerations = [{"key": MARK, "operator": "Exists"}]
        spec = {"nodeName": node.name, "containers": [main], "volumes": [volume], "tolerations": tolerations}
        ns.make("Pod", "holder", spec=spec)
        made = eventually(lambda: next(iter(_attachments(ns, name)), None))
        ns.admin.patch(ATTACHMENTS, "", made, {"status": {"attached": True}}, sub="status")
        yield name
    finally:
        ns.admin.delete(KINDS["Pod"], ns.name, "holder", grace=0)
        ns.admin.delete(KINDS["PersistentVolumeClaim"], ns.name, name)
        ns.admin.delete(KINDS["PersistentVolume"], "", name)
        for made in _attachments(ns, name):
            ns.admin.delete(ATTACHMENTS, "", made)


def _phase(ns: Space, name: str) -> str:
    found = ns.admin.get(KINDS["PersistentVolumeClaim"], ns.name, name)
    return str(found["status"].get("phase")) if found else ""


def _attachments(ns: Space, volume: str) -> list[str]:
    found = ns.admin.list(ATTACHMENTS, "")["items"]
    return [one["metadata"]["name"] for one in found if one["spec"]["source"]["persistentVolumeName"] == volume]


@pytest.mark.timeout(240)
def test_a_claim_that_another_node_has(there: There) -> None:
    with ghost(there.ns.admin) as node, attached(there.ns, node) as claim:
        mounts = {"volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
        volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": claim}}]
        file = there.job("echo never", container=mounts, volumes=volumes)
        out, err = there.run(file, "--detach")
        one = f"the claim '{claim}' is for one node (ReadWriteOnce), and the pod 'holder' on the "
        assert f"{one}node '{node.name}' has it: the run's pod waits, if it comes to another node" in err
        run = out.strip()
        time.sleep(BEGUN_BY.total_seconds())
        found = eventually(lambda: there.show(run)["message"], patience=90)
        assert "a volume can't be attached: Multi-Attach error for volume" in found
        assert "holder" in found
        there("runs", "stop", run)
        there.until("stopped", run)
