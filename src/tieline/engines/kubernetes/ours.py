"""Tieline's own containers: the groups of steps, and the collector. Each reads only the secrets that it needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tieline.engines.kubernetes import machine
from tieline.engines.kubernetes.building import Building
from tieline.engines.kubernetes.groups import Group
from tieline.engines.kubernetes.layout import (
    CONFIG_MAPS,
    PLAN,
    SECRETS,
    SPOOL,
    STORE,
    TOKEN,
    source_path,
)
from tieline.engines.kubernetes.mounts import context_mount, memory_mounts, promised_mounts
from tieline.engines.kubernetes.names import COLLECTOR, object_name, steps_name
from tieline.engines.kubernetes.others import ENDS_SIDECARS
from tieline.engines.kubernetes.reach import Wanted, of_collector, of_group
from tieline.engines.kubernetes.times import GIVES_UP, PATIENCE, ready_after
from tieline.engines.kubernetes.users import own_security
from tieline.engines.kubernetes.volumes import Source, claim, host_path, mount, resource_files
from tieline.model.access import Volume
from tieline.model.plan import FetchStep

INSIDE = ("python", "-m", "tieline.engines.kubernetes.inside")
READABLE = 0o444
"""Of the files that only our own containers have: they may run as the job's user."""
RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}}
TOKEN_SECONDS = 3600
PROBE = 60
"""Seconds that a probe may take which only has to begin."""


def steps_container(building: Building, group: Group) -> dict[str, Any]:
    """The init container of one group of steps."""
    prepares = ["--first", *building.written] if group.first else []
    command = [*INSIDE, "steps", str(group.begin), str(group.end), *prepares]
    name = steps_name(group.number)
    mounts = [context_mount(building), *(memory_mounts(building) if group.first else [])]
    mounts += _own_mounts(building, name, of_group(building.plan, group, building.written))
    for index in range(group.begin, group.end):
        step = building.plan.steps[index]
        if isinstance(step, FetchStep) and isinstance(step.source, Volume):
            volume = building.volumes.name_of(*_volume(step.source))
            mounts.append(mount(volume, source_path(index), step.source.sub_path, read_only=True))
        mounts += [item for item in machine.of_step(building, step) if item not in mounts]
    return _ours(building, name, command, mounts)


def collector_container(building: Building) -> dict[str, Any]:
    """What saves outputs and logs while the job runs, and to the end."""
    plan, cluster = building.plan, building.cluster
    mounts = [context_mount(building), *promised_mounts(building)]
    mounts += _own_mounts(building, COLLECTOR, of_collector(plan, building.maskable))
    spool = building.volumes.empty("tieline-spool", "spool")
    mounts += [mount(spool, SPOOL), mount(building.volumes.name_of(_token(), "tieline-token"), TOKEN, read_only=True)]
    access = plan.store.access
    if isinstance(access, Volume):
        own = "/".join(part.strip("/") for part in (access.sub_path or "", plan.store.prefix) if part.strip("/"))
        mounts.append(mount(building.volumes.name_of(*_volume(access, made=True)), STORE, own))
    mounts += machine.of_store(building)
    found = _ours(building, COLLECTOR, [*INSIDE, "collect"], mounts)
    found["env"] += _pod_variables()
    for name, value in (("HOST", cluster.api_host), ("PORT", cluster.api_port)):
        if value:
            found["env"].append({"name": f"KUBERNETES_SERVICE_{name}", "value": value})
    given = (plan.plugins.get("sidecar") or {}).get("resources")
    found["resources"] = given or RESOURCES
    if building.ends_sidecars:
        found["env"].append({"name": ENDS_SIDECARS, "value": "1"})
        found["securityContext"] = own_security(building.user, ends_others=True)
    if not cluster.native_sidecars and plan.service is None:  # else the cluster ends it, or begins it again
        found["env"].append({"name": GIVES_UP, "value": str(PATIENCE)})
    if cluster.native_sidecars:
        found["restartPolicy"] = "Always"
    late = ready_after(plan)
    if late is not None:
        found["readinessProbe"] = {
            "exec": {"command": ["python", "-c", ""]}, "initialDelaySeconds": late, "timeoutSeconds": PROBE,
        }  # fmt: skip
    return found


def _ours(building: Building, name: str, command: list[str], mounts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "image": building.cluster.image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "PYTHONUNBUFFERED", "value": "1"}],  # noqa: S108
        "workingDir": "/tmp",  # noqa: S108
        "resources": RESOURCES,
        "securityContext": own_security(building.user),
        "volumeMounts": mounts,
    }


def _own_mounts(building: Building, container: str, wanted: Iterable[Wanted]) -> list[dict[str, Any]]:
    """The plan, a folder for what is for the moment, and the secrets and config maps of one container."""
    volumes = building.volumes
    plan: Source = {"configMap": {"name": object_name(building.plan.run.uuid), "defaultMode": READABLE}}
    scratch = volumes.empty("tieline-scratch", "scratch")
    found = [
        mount(volumes.name_of(plan, "tieline-plan"), PLAN, read_only=True),
        mount(scratch, "/tmp", container),  # noqa: S108
    ]
    for resource, name in wanted:
        source = resource_files(resource, name, READABLE, optional=(resource, name) not in building.required)
        folder = SECRETS if resource == "secret" else CONFIG_MAPS
        volume = volumes.name_of(source, f"own-{resource.lower()}-{name}")
        found.append(mount(volume, f"{folder}/{name}", read_only=True))
    return found


def _volume(access: Volume, *, made: bool = False) -> tuple[Source, str]:
    if access.claim is not None:
        return claim(access.claim), f"claim-{access.claim}"
    return host_path(access.host_path or "/", made=made), "host-store" if made else "host-source"


def _pod_variables() -> list[dict[str, Any]]:
    names = {"TIELINE_POD_NAME": "name", "TIELINE_POD_UID": "uid", "TIELINE_NAMESPACE": "namespace"}
    return [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.{path}"}}} for name, path in names.items()
    ]


def _token() -> Source:
    """What the collector asks the API server with; nothing else in the pod has it."""
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources: list[dict[str, Any]] = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"projected": {"sources": sources, "defaultMode": READABLE}}
