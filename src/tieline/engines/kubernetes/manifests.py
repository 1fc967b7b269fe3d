"""From a plan to the objects that carry it out: a ConfigMap, and a Job; or, of a service, a Deployment and a Service.

Pure and deterministic: the same plan makes the same bytes, so a repeated submit makes nothing new. No secret's value is
in any of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from tieline.engines.kubernetes.building import Building
from tieline.engines.kubernetes.layout import PLAN_FILE, TAKEN_FILE
from tieline.engines.kubernetes.names import RUN, object_name, own_annotations, own_labels
from tieline.engines.kubernetes.pod import pod_template
from tieline.engines.kubernetes.projected import literals_of
from tieline.engines.kubernetes.settings import Cluster
from tieline.engines.kubernetes.values import Known
from tieline.errors import Code, Refused
from tieline.model.plan import Plan

LARGEST = 1_000_000
"""Bytes of a ConfigMap's data; a cluster takes 1 MiB for the whole object."""
LARGEST_TAKEN = 512 * 1024
NOTHING_KNOWN: Known = {}

Manifest = dict[str, Any]


def manifests(plan: Plan, cluster: Cluster, known: Known = NOTHING_KNOWN, taken: bytes = b"") -> list[Manifest]:
    """The objects, in the order in which they are made.

    ``known``: the keys of secrets and config maps that somebody looked at; ``taken``: the packed files that were given
    with the job. Raises Refused with everything that cannot be carried out.
    """
    building = Building.of(plan, cluster, known)
    template = pod_template(building)
    config_map = _config_map(building, taken)
    if building.problems:
        raise Refused(*building.problems)
    if plan.service is None:
        return [config_map, _job(building, template)]
    return [config_map, _deployment(building, template), *services_of(plan, cluster.namespace)]


def _object(building: Building, kind: str, version: str, **parts: Any) -> Manifest:
    return _object_of(building.plan, building.cluster.namespace, kind, version, **parts)


def _object_of(plan: Plan, namespace: str, kind: str, version: str, **parts: Any) -> Manifest:
    metadata = {
        "name": object_name(plan.run.uuid),
        "namespace": namespace,
        "labels": own_labels(plan),
        "annotations": own_annotations(plan),
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def _config_map(building: Building, taken: bytes) -> Manifest:
    """The accepted plan, for Tieline's own containers and for whoever finds the run again; what of the bindings is no
    secret, for the volumes of the user's."""
    data = {PLAN_FILE: building.text, **literals_of(building.projected.values())}
    packed = {TAKEN_FILE: base64.b64encode(taken).decode()} if taken else {}
    if len(taken) > LARGEST_TAKEN:
        message = f"the local files under mount are {len(taken)} bytes, packed; a run takes {LARGEST_TAKEN} along"
        building.refuse(Code.TOO_LARGE, "mount", message, "bring them with init, from a store or from git")
    elif sum(len(text.encode()) for text in (*data, *data.values(), *packed.values())) > LARGEST:
        message = f"the run's ConfigMap is larger than {LARGEST} bytes: {_large_parts(building.plan)}"
        building.refuse(Code.TOO_LARGE, "run", message, "bring large files with init, from a store or from git")
    return _object(building, "ConfigMap", "v1", data=data, **({"binaryData": packed} if packed else {}))


def _large_parts(plan: Plan) -> str:
    """What takes the most room in a plan."""
    files = {f"the file {step.path}": len(step.content.encode()) for step in plan.steps if step.type == "file"}
    parts = {name: len(json.dumps(value)) for name, value in plan.as_json().items() if name != "steps"}
    largest = sorted({**files, **parts}.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name} has {size} bytes" for name, size in largest)


def _job(building: Building, template: Mapping[str, Any]) -> Manifest:
    ending = building.plan.ending
    spec: dict[str, Any] = {"backoffLimit": ending.max_retries}
    if ending.timeout is not None:
        spec["activeDeadlineSeconds"] = ending.timeout
    if ending.ttl is not None:
        spec["ttlSecondsAfterFinished"] = ending.ttl
    if ending.pod_failure_policy is not None:
        spec["podFailurePolicy"] = ending.pod_failure_policy
    return _object(building, "Job", "batch/v1", spec={**spec, "template": template})


def _selector(plan: Plan) -> dict[str, str]:
    return {RUN: plan.run.uuid}


def _deployment(building: Building, template: Mapping[str, Any]) -> Manifest:
    service = building.plan.service
    spec = {
        "replicas": service.replicas if service else 1,
        "selector": {"matchLabels": _selector(building.plan)},
        "strategy": {"type": "Recreate"},
        "template": template,
    }
    return _object(building, "Deployment", "apps/v1", spec=spec)


def services_of(plan: Plan, namespace: str) -> list[Manifest]:
    """The Service of a run that listens on something."""
    ports = plan.service.ports if plan.service else ()
    if not ports:
        return []
    listed = [{"name": f"port-{port}", "port": port, "targetPort": port} for port in ports]
    spec = {"type": "ClusterIP", "selector": _selector(plan), "ports": listed}
    return [_object_of(plan, namespace, "Service", "v1", spec=spec)]
