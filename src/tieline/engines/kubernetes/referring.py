"""Which objects of a cluster a plan refers to, and where: read off the plan alone, so nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from tieline.engines.kubernetes.asking import Thing
from tieline.model.access import Volume
from tieline.model.binding import (
    ClaimSource,
    FromConfigMap,
    FromSecret,
    HostPathSource,
    Mount,
    ResourceSource,
    WholeResource,
)
from tieline.model.plan import FetchStep, Plan
from tieline.secrets.names import Resource
from tieline.secrets.needs import Need, place_of

PLURALS: Mapping[Resource, str] = {"secret": "secrets", "configMap": "configmaps"}
DEFAULT_ACCOUNT = "default"
"""The service account of a pod that names none."""
_REFERENCES = frozenset({FromSecret, FromConfigMap, WholeResource, ResourceSource})
_PLAIN = frozenset({str, int, bool, type(None)})
"""Most of a plan: what is told by its type, before anything is asked of it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim that the run mounts; ``where`` is the first place that says so, ``writes`` true if any of them does."""

    claim: str
    where: str
    writes: bool


def in_pod(plan: Plan) -> Plan:
    """The plan without what no pod reads: channels are told things by the submitting machine, with its own secrets; and
    without its volumes' mounts, whose volumes :func:`volume_needs` has."""
    return plan.model_copy(update={"notifications": (), "volumes": ()})


def volume_needs(plan: Plan) -> tuple[Need, ...]:
    """What the pod's own volumes need: a volume that is not ``optional`` keeps the pod from starting."""
    found: dict[Need, None] = {}
    for volume in plan.pod_volumes:
        where = f"volumes[{volume.get('name')}]"
        for source in (volume, *_projected(volume)):
            found.update(dict.fromkeys(_needs(where, "secret", source.get("secret"))))
            found.update(dict.fromkeys(_needs(where, "configMap", source.get("configMap"))))
    return tuple(found)


def _projected(volume: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple((volume.get("projected") or {}).get("sources") or ())


def _needs(where: str, resource: Resource, given: Any) -> Iterator[Need]:
    name = isinstance(given, Mapping) and (given.get("secretName") or given.get("name"))
    if not name or given.get("optional"):
        return
    yield Need(where, resource, str(name))
    yield from (Need(where, resource, str(name), (str(item.get("key")),)) for item in given.get("items") or ())


def resources_of(plan: Plan) -> tuple[Thing, ...]:
    """All secrets and config maps of the pod, each once."""
    found = [Thing(PLURALS[need.resource], need.name) for need in volume_needs(plan)]
    parts: list[FromSecret | FromConfigMap | WholeResource | ResourceSource] = []
    _gather(in_pod(plan), parts)
    return tuple(dict.fromkeys([*found, *map(_thing, parts)]))


def _thing(part: FromSecret | FromConfigMap | WholeResource | ResourceSource) -> Thing:
    if isinstance(part, WholeResource | ResourceSource):
        return Thing(PLURALS[part.resource], part.name)
    resource, name = place_of(part)
    return Thing(PLURALS[resource], name)


def _gather(part: Any, found: list[Any]) -> None:
    """Every reference inside a part of the plan, in the plan's order."""
    kind = type(part)
    if kind in _PLAIN:
        return
    if kind in _REFERENCES:
        found.append(part)
    elif kind is tuple or kind is list:
        for inner in part:
            _gather(inner, found)
    elif kind is dict:
        for inner in part.values():
            _gather(inner, found)
    elif isinstance(part, BaseModel):
        for _, inner in part:
            _gather(inner, found)


def _mounts(plan: Plan) -> Iterator[tuple[str, Mount]]:
    for binding in plan.bindings:
        yield from ((f"connections[{binding.connection}]", mount) for mount in binding.mounts)
    yield from ((f"volumes[{mount.mount_path}]", mount) for mount in plan.volumes)


def _volumes(plan: Plan) -> Iterator[tuple[str, Volume]]:
    """What Tieline's own containers mount."""
    for step in plan.steps:
        if isinstance(step, FetchStep) and isinstance(step.source, Volume):
            yield f"init[{step.name}]", step.source.model_copy(update={"read_only": True})
    if isinstance(plan.store.access, Volume):
        yield f"artifactsStore[{plan.store.connection}]", plan.store.access


def claims_of(plan: Plan) -> tuple[Claimed, ...]:
    """Every claim, once."""
    found = [
        Claimed(mount.source.claim, where, not mount.read_only)
        for where, mount in _mounts(plan)
        if isinstance(mount.source, ClaimSource)
    ]
    found += [Claimed(access.claim, where, not access.read_only) for where, access in _volumes(plan) if access.claim]
    for volume in plan.pod_volumes:
        if name := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            found.append(Claimed(str(name), f"volumes[{volume.get('name')}]", False))  # its mounts say if it is written
    return _merged(found)


def _merged(found: Iterable[Claimed]) -> tuple[Claimed, ...]:
    merged: dict[str, Claimed] = {}
    for one in found:
        before = merged.setdefault(one.claim, one)
        merged[one.claim] = replace(before, writes=before.writes or one.writes)
    return tuple(merged.values())


def host_paths_of(plan: Plan) -> tuple[str, ...]:
    """Every path of the node that the run mounts, once."""
    found = [mount.source.path for _, mount in _mounts(plan) if isinstance(mount.source, HostPathSource)]
    found += [access.host_path for _, access in _volumes(plan) if access.host_path]
    return tuple(dict.fromkeys(found))


def pull_secrets_of(plan: Plan) -> tuple[str, ...]:
    """``environment.imagePullSecrets``."""
    return tuple(dict.fromkeys(map(str, plan.environment.get("imagePullSecrets") or ())))


def account_of(plan: Plan, usual: str = DEFAULT_ACCOUNT) -> str:
    """The run's service account; ``usual``: the one of runs whose job names none."""
    return str(plan.environment.get("serviceAccountName") or usual)
