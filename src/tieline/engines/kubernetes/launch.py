"""Making a run's objects in the cluster, and removing them: each step may be repeated, and the process that does it may
be killed between any two.

The names come from the run's uuid, so what is there already was made by an earlier try. The ConfigMap is made before
the Job, for the pod needs it; then it is given to the Job, so that it goes with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tieline.engines.kubernetes.api import CONFIG_MAPS, DEPLOYMENTS, JOBS, SERVICES, Api, Object, kind_of
from tieline.engines.kubernetes.manifests import services_of
from tieline.engines.kubernetes.names import RUN, object_name
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.model.plan import Plan

OWNERS = ("Job", "Deployment")
PAUSES = (0.3, 1.0, 3.0)
"""Between tries of a request that got no answer."""

T = TypeVar("T")


def launch(api: Api, manifests: Sequence[Object]) -> None:
    """Make them all. Raises ClusterError: then some of them may be there (see :func:`withdraw`)."""
    owner: Object | None = None
    before: list[Object] = []
    for manifest in manifests:
        made = _made(api, _owned(manifest, owner))
        if manifest["kind"] in OWNERS:
            owner = made
        elif owner is None:
            before.append(manifest)
    for manifest in before if owner is not None else ():
        give(api, manifest, owner)


def give(api: Api, thing: Object, owner: Object | None) -> None:
    """Have an object go when its owner goes. Raises ClusterError."""
    name, namespace = thing["metadata"]["name"], thing["metadata"]["namespace"]
    change = {"metadata": {"ownerReferences": [reference(owner)] if owner else []}}
    again(lambda: api.patch(kind_of(thing), namespace, name, change))


def finish_launch(api: Api, namespace: str, plan: Plan, owner: Object) -> None:
    """What a launch does last, of one that was killed before. Raises ClusterError."""
    for manifest in services_of(plan, namespace):
        _made(api, _owned(manifest, owner))
    thing = {"kind": "ConfigMap", "metadata": {"name": object_name(plan.run.uuid), "namespace": namespace}}
    give(api, thing, owner)


def withdraw(api: Api, namespace: str, uuid: str, *, is_service: bool = False) -> None:
    """Remove whatever there is of a run, but for its place in a queue. Raises ClusterError."""
    kinds = (DEPLOYMENTS, SERVICES, CONFIG_MAPS) if is_service else (JOBS, CONFIG_MAPS)
    for kind in kinds:
        again(lambda kind=kind: api.delete(kind, namespace, object_name(uuid)))  # type: ignore[misc]


def reference(owner: Object) -> Object:
    """An ownerReference."""
    meta = owner["metadata"]
    version = {"Job": "batch/v1", "Deployment": "apps/v1"}
    kind = owner.get("kind") or "Job"  # of a list's items, the API leaves it out
    return {"apiVersion": version[kind], "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True,
            "blockOwnerDeletion": False}  # fmt: skip


def again(request: Callable[[], T]) -> T:
    """A request that may be repeated, tried again for a few seconds where no answer came."""
    for pause in PAUSES:
        try:
            return request()
        except ClusterError as error:
            if not error.why.may_pass:
                raise
        time.sleep(pause)
    return request()


def _made(api: Api, manifest: Object) -> Object:
    kind, meta, is_owner = kind_of(manifest), manifest["metadata"], manifest["kind"] in OWNERS

    def make() -> Object:
        try:
            return {**api.create(kind, meta["namespace"], manifest), "kind": manifest["kind"]}
        except ClusterError as error:
            if error.why is not Why.EXISTS:
                raise
            listed = (
                api.list(kind, meta["namespace"], {RUN: meta["labels"][RUN]}) if is_owner else {"items": [manifest]}
            )
            if not listed["items"]:
                raise
            return {**listed["items"][0], "kind": manifest["kind"]}

    return again(make)


def _owned(manifest: Object, owner: Object | None) -> Object:
    if owner is None:
        return manifest
    metadata: dict[str, Any] = {**manifest["metadata"], "ownerReferences": [reference(owner)]}
    return {**manifest, "metadata": metadata}
