"""The pod of a run, and what the job's ``environment`` says of it."""

from __future__ import annotations

from typing import Any

from tieline.engines.kubernetes.building import Building
from tieline.engines.kubernetes.containers import init_container, main_container, sidecar_containers
from tieline.engines.kubernetes.groups import Group, groups_of
from tieline.engines.kubernetes.names import (
    DOMAIN,
    MANAGED_BY,
    is_label_key,
    is_label_value,
    own_annotations,
    own_labels,
)
from tieline.engines.kubernetes.ours import collector_container, steps_container
from tieline.engines.kubernetes.patching import patched
from tieline.engines.kubernetes.podvolumes import own_volume
from tieline.engines.kubernetes.users import uid_of
from tieline.errors import Code

GRACE, NATIVE_GRACE = 60, 600
"""Seconds that a pod's containers have to end. A sidecar of the cluster's own has no more to save what is left."""
AS_WRITTEN = (
    "nodeSelector", "affinity", "tolerations", "nodeName", "hostAliases", "securityContext", "hostNetwork", "hostPID",
    "dnsPolicy", "dnsConfig", "schedulerName", "priorityClassName", "priority",
)  # fmt: skip
"""Fields of ``environment`` that a pod has under the same name."""


def pod_template(building: Building) -> dict[str, Any]:
    """``spec.template`` of the Job or the Deployment."""
    inits, containers = _containers(building)
    if building.ends_sidecars:
        _check_sidecars(building)
    for volume in building.plan.pod_volumes:
        own_volume(building.volumes, volume)  # also those that nobody mounts: that is what the file says
    template = {
        "metadata": {"labels": _labels(building), "annotations": _annotations(building)},
        "spec": {
            "restartPolicy": "Always" if building.plan.service else "Never",
            "terminationGracePeriodSeconds": NATIVE_GRACE if building.cluster.native_sidecars else GRACE,
            "enableServiceLinks": False,
            **({"shareProcessNamespace": True} if building.ends_sidecars else {}),
            **_account(building),
            **_environment(building),
            "initContainers": inits,
            "containers": containers,
            "volumes": building.volumes.listed(),
        },
    }
    return patched(template, building.cluster.pod_patch)


def _check_sidecars(building: Building) -> None:
    """Whether the collector can end them, where the cluster does not: a root could, or who is their own user."""
    plan, lacking = building.plan, "this cluster has no sidecars of its own"
    if plan.environment.get("hostPID"):
        message = f"{lacking}: they could not be ended beside the node's processes"
        building.refuse(Code.UNSUPPORTED, "environment.hostPID", message, "leave it out, or the sidecars")
    if building.user.non_root and {uid_of(plan, program) for program in plan.sidecars} != {building.user.ours}:
        field, message = "environment.securityContext.runAsNonRoot", f"{lacking}: only root could end those of others"
        building.refuse(Code.UNSUPPORTED, field, message, "add a runAsUser, the same for the job and its sidecars")


def _containers(building: Building) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Init containers and containers.

    The collector is the first of the cluster's sidecars, so it sees every init container and is the last to end.
    """
    inits = [
        steps_container(building, item) if isinstance(item, Group) else init_container(building, item)
        for item in groups_of(building.plan, building.written)
    ]
    main, sidecars, collector = main_container(building), sidecar_containers(building), collector_container(building)
    if not building.cluster.native_sidecars:
        return inits, [main, *sidecars, collector]
    if building.plan.service:
        return [collector, *inits], [main, *sidecars]
    return [collector, *inits, *sidecars], [main]


def _labels(building: Building) -> dict[str, str]:
    """The job's own, and Tieline's, by which a run is found again."""
    given: dict[str, str] = building.plan.environment.get("labels") or {}
    for key, value in given.items():
        field = f"environment.labels[{key}]"
        if not is_label_key(key) or not is_label_value(value):
            hint = "use letters, digits, '-', '_' and '.', at most 63; environment.annotations takes any text"
            building.refuse(Code.BAD_VALUE, field, f"{key}: {value!r} is no label", hint)
        if key == MANAGED_BY or key.startswith(DOMAIN):
            building.refuse(Code.BAD_VALUE, field, "is a label of Tieline's own", "use another name")
    return {**given, **own_labels(building.plan)}


def _annotations(building: Building) -> dict[str, str]:
    """Those of connections, which may not differ; the job's own win over them."""
    own: dict[str, str] = building.plan.environment.get("annotations") or {}
    found: dict[str, str] = {}
    by: dict[str, str] = {}
    for binding in building.plan.bindings:
        for key, value in binding.annotations.items():
            if key not in own and found.get(key, value) != value:
                message = f"{by[key]!r} and {binding.connection!r} both set the annotation {key}"
                hint = "say which under environment.annotations"
                building.refuse(Code.VARIABLE_COLLISION, "run.connections", message, hint)
            found[key] = value
            by[key] = binding.connection
    return {**found, **own, **own_annotations(building.plan)}


def _account(building: Building) -> dict[str, Any]:
    """The job's service account, whose token the job has; else the cluster's setting, or the default, without one."""
    named = building.plan.environment.get("serviceAccountName")
    account = named or building.cluster.service_account
    found: dict[str, Any] = {"serviceAccountName": account} if account else {}
    return found if named else {**found, "automountServiceAccountToken": False}


def _environment(building: Building) -> dict[str, Any]:
    given = building.plan.environment
    found = {name: given[name] for name in AS_WRITTEN if given.get(name) is not None}
    if secrets := given.get("imagePullSecrets"):
        found["imagePullSecrets"] = [{"name": name} for name in secrets]
    return found
