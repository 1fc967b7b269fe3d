"""Runs that a cluster has, and nobody here knows: found by their labels, and read from their ConfigMaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tieline.engines.kubernetes.api import CONFIG_MAPS, DEPLOYMENTS, JOBS, Api
from tieline.engines.kubernetes.layout import PLAN_FILE
from tieline.engines.kubernetes.names import MANAGED_BY, MANAGER, object_name
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.engines.kubernetes.watch import run_of
from tieline.model.plan import PLAN_VERSION, Plan

MINE = {MANAGED_BY: MANAGER}


def unknown_plans(api: Api, namespace: str, is_known: Callable[[str], bool]) -> Iterator[Plan]:
    """The plans of the runs of a namespace that are not known, the oldest first; those of a newer Tieline are left to
    it. Raises ClusterError."""
    owners = [*api.list(JOBS, namespace, MINE)["items"], *_services(api, namespace)]
    owners.sort(key=lambda owner: owner["metadata"].get("creationTimestamp") or "")
    for uuid in dict.fromkeys(map(run_of, owners)):
        if not uuid or is_known(uuid):
            continue
        found = api.get(CONFIG_MAPS, namespace, object_name(uuid))
        plan = _read((found or {}).get("data", {}).get(PLAN_FILE, ""))
        if plan is not None and plan.run.uuid == uuid:
            yield plan


def _services(api: Api, namespace: str) -> list[Any]:
    """None for one who submits jobs only, and may not look at Deployments."""
    try:
        found: list[Any] = api.list(DEPLOYMENTS, namespace, MINE)["items"]
    except ClusterError as error:
        if error.why is Why.FORBIDDEN:
            return []
        raise
    return found


def _read(text: str) -> Plan | None:
    try:
        plan = Plan.model_validate_json(text)
    except ValueError:
        return None
    return plan if plan.version <= PLAN_VERSION else None
