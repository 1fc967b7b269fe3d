"""The pod that reads an artifacts store which only the cluster can see. Pure.

It has the store and nothing else: no secret, no token. To read, it has the run's own folder, read-only; to remove that
folder, the one that it is in. It runs as the run's collector did, which wrote what is to be read.

**Where it runs.** A claim: wherever the cluster says, best beside the run's own pod if that is still there (a volume
for one node is mounted there); not where the job's ``nodeSelector`` says, for that may start a machine with a GPU to
read a log. A folder of the node: on the node of the run's pod; where nobody knows it any more, as the job says.
"""

from __future__ import annotations

from typing import Any

from tieline.engines.kubernetes.inside_reader import ALONE, WRITES
from tieline.engines.kubernetes.layout import STORE
from tieline.engines.kubernetes.names import DOMAIN, MANAGED_BY, MANAGER
from tieline.engines.kubernetes.patching import patched
from tieline.engines.kubernetes.settings import Cluster
from tieline.engines.kubernetes.users import own_security, user_of
from tieline.engines.kubernetes.volumes import claim, mount
from tieline.model.access import Volume
from tieline.model.plan import Plan

READER = f"{DOMAIN}reader"
"""The label of such pods; its value is the run's uuid. They have no label of a run: they are no attempt of it."""
READER_ID = f"{DOMAIN}reader-id"
"""The label that tells one such Job's pod from the others."""
CONTAINER = "tieline-reader"
INSIDE = ("python", "-m", "tieline.engines.kubernetes.inside_reader")
ALONE_SECONDS = 10
"""The pod ends when nobody has been there for so long."""
LONGEST = 3600
"""Seconds after which the cluster ends the pod in any case; who still reads gets another."""
KEPT = 60
"""Seconds for which the cluster keeps what has ended, and nobody removed."""
ON_ITS_NODE = ("tolerations", "schedulerName", "priorityClassName", "securityContext")
"""Fields of ``environment`` that a pod needs wherever it runs."""
WHERE_THE_JOB_RAN = ("nodeSelector", "affinity", "nodeName")


def reader_name(id_: str) -> str:
    """The name of the Job."""
    return f"tieline-reader-{id_}"


def reader_label(id_: str) -> dict[str, str]:
    """What only this Job's pod has."""
    return {READER_ID: id_}


def reader_job(id_: str, plan: Plan, cluster: Cluster, *, node: str = "", writes: bool = False) -> dict[str, Any]:
    """The Job of one pod. ``node``: where a pod of the run is or was, "" where nobody knows; ``writes``: to remove the
    folder."""
    access = plan.store.access
    assert isinstance(access, Volume)  # noqa: S101 - whoever calls has looked
    name = "store"
    source, mounted = _mounted(access, plan.store.prefix, name, writes=writes)
    given = plan.environment
    account = given.get("serviceAccountName") or cluster.service_account
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LONGEST,
        "terminationGracePeriodSeconds": 1,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        **({"serviceAccountName": account} if account else {}),
        **{field: given[field] for field in ON_ITS_NODE if given.get(field) is not None},
        **_place(plan, access, node),
        "initContainers": [],
        "containers": [_container(plan, cluster, mounted, writes=writes)],
        "volumes": [{"name": "tieline-scratch", "emptyDir": {}}, {"name": name, **source}],
    }
    if secrets := given.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": secret} for secret in secrets]
    labels = {**reader_labels(plan.run.uuid), **reader_label(id_)}
    job = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": LONGEST,  # of one that waits for a node, too
        "ttlSecondsAfterFinished": KEPT,
        "template": patched({"metadata": {"labels": labels}, "spec": spec}, cluster.pod_patch),
    }
    metadata = {"name": reader_name(id_), "namespace": cluster.namespace, "labels": labels}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job}


def reader_labels(uuid: str) -> dict[str, str]:
    return {MANAGED_BY: MANAGER, READER: uuid}


def _container(plan: Plan, cluster: Cluster, mounted: dict[str, Any], *, writes: bool) -> dict[str, Any]:
    env = {"HOME": "/tmp", ALONE: str(ALONE_SECONDS), **({WRITES: "1"} if writes else {})}  # noqa: S108
    return {
        "name": CONTAINER,
        "image": cluster.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*INSIDE, "wait"],
        "workingDir": "/tmp",  # noqa: S108
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": own_security(user_of(plan)),
        "volumeMounts": [mount("tieline-scratch", "/tmp"), mounted],  # noqa: S108
    }


def _mounted(access: Volume, prefix: str, name: str, *, writes: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume, and its mount: keys are in the pod what they are in the store.

    Of a node's folder the run's own is the volume itself, and it has to be there: on another node nothing is made.
    """
    own = "" if writes else prefix
    target = _joined(STORE, own)
    if access.claim is not None:
        return claim(access.claim), mount(name, target, _joined(access.sub_path or "", own), read_only=not writes)
    path = _joined(access.host_path or "/", access.sub_path or "", own)
    return {"hostPath": {"path": path, "type": "Directory"}}, mount(name, target, read_only=not writes)


def _joined(*parts: str) -> str:
    first, *others = parts
    return "/".join([first.rstrip("/"), *(part.strip("/") for part in others if part.strip("/"))])


def _place(plan: Plan, access: Volume, node: str) -> dict[str, Any]:
    if access.claim is None and not node:
        return {field: plan.environment[field] for field in WHERE_THE_JOB_RAN if plan.environment.get(field)}
    if not node:
        return {}
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    if access.claim is None:
        rule: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    else:
        rule = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": term}]}
    return {"affinity": {"nodeAffinity": rule}}
