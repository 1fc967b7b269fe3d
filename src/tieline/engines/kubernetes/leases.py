"""The places of a queue in a cluster, as Leases: what they are called, who has one, and which is free. Pure.

A place is the Lease of the queue's name and a number below its limit, in the run's Kubernetes namespace. Making it is
atomic, so nobody counts, and no server has to be there. Whoever finds one looks its holder up by the run's own Job: a
killed process blocks nobody. A Lease is never handed on: it is deleted and made anew, so its uid is one holder's alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tieline.engines.kubernetes.api import JOBS, Object, kind_of
from tieline.engines.kubernetes.attempts import FINAL_PHASES
from tieline.engines.kubernetes.names import (
    DOMAIN,
    LONGEST,
    MANAGED_BY,
    MANAGER,
    RUN,
    RUN_NAME,
    is_dns_label,
    is_label_value,
    slug,
)
from tieline.engines.kubernetes.reasons import conditions
from tieline.engines.kubernetes.seen import GIVEN_UP, STOPPED
from tieline.engines.kubernetes.services import is_scaled_down
from tieline.engines.kubernetes.watch import run_of
from tieline.model.plan import Plan

QUEUE, KIND = f"{DOMAIN}queue", f"{DOMAIN}kind"
DURATION = 30
"""Seconds for which a place is its holder's without a Job. While it makes its Job it says so three times as often."""
MANY = 50
"""Runs that are named in a request, at the most."""


@dataclass(frozen=True, slots=True)
class Held:
    """A place that somebody has. ``version`` changes whenever its holder says that it is still there."""

    lease: str
    uid: str
    version: str
    run: str
    name: str = ""
    is_service: bool = False
    seconds: float = DURATION

    def __str__(self) -> str:
        return f"{self.run[:8]} {self.name}".strip()


def queue_key(queue: str) -> str:
    """A queue's name as a part of names and as a label; of two queues it is never the same."""
    if is_dns_label(queue):
        return queue
    return f"{slug(queue, LONGEST - 17)}.{hashlib.sha256(queue.encode()).hexdigest()[:16]}"


def lease_name(queue: str, number: int) -> str:
    return f"tieline-queue.{queue_key(queue)}.{number}"


def lease_of(plan: Plan, namespace: str, number: int) -> Object:
    """The place of this number, held by this run."""
    labels = {MANAGED_BY: MANAGER, RUN: plan.run.uuid, QUEUE: queue_key(plan.queue)}
    annotations = {RUN_NAME: plan.run.name, KIND: plan.run.kind}
    meta = {"name": lease_name(plan.queue, number), "namespace": namespace, "labels": labels}
    now = moment()
    spec = {
        "holderIdentity": plan.run.uuid, "leaseDurationSeconds": DURATION, "acquireTime": now, "renewTime": now,
    }  # fmt: skip
    return {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {**meta, "annotations": annotations},
        "spec": spec,
    }  # fmt: skip


def renewal(held: Held) -> Object:
    """The change by which a holder says that it is still there; refused where the Lease is another's by now."""
    return {"metadata": {"uid": held.uid}, "spec": {"renewTime": moment()}}


def moment() -> str:
    """Now, as a Lease has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def held_of(lease: Object) -> Held:
    """Who has a place."""
    meta, spec = lease["metadata"], lease.get("spec") or {}
    notes: Mapping[str, str] = meta.get("annotations") or {}
    run = str(spec.get("holderIdentity") or "")
    seconds = float(spec.get("leaseDurationSeconds") or DURATION)
    version = str(meta.get("resourceVersion") or "")
    is_service = notes.get(KIND) == "service"
    return Held(meta["name"], meta["uid"], version, run, notes.get(RUN_NAME, ""), is_service, seconds)


def selecting(runs: Iterable[str]) -> str:
    """A selector for the objects of these runs; of many, for those of all runs."""
    wanted = sorted({run for run in runs if run and is_label_value(run)})
    return f"{RUN} in ({','.join(wanted)})" if 0 < len(wanted) <= MANY else f"{MANAGED_BY}={MANAGER}"


def is_live(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in FINAL_PHASES


def has_ended(owner: Object) -> bool:
    """Whether a holder's Job is over, or its Deployment was stopped."""
    if kind_of(owner) == JOBS:
        return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions(owner))
    was_stopped = not {STOPPED, GIVEN_UP}.isdisjoint(owner["metadata"].get("annotations") or {})
    return was_stopped and is_scaled_down(owner)


def left_by(
    held: Sequence[Held], owners: Iterable[Object], pods: Iterable[Object], quiet: Iterable[Held]
) -> list[Held]:
    """The places whose holders do not need them any more: their run has ended, or there is none and nobody is about
    to make it. ``owners``: the holders' Jobs and Deployments; ``quiet``: who has said nothing for the time that the
    Lease itself names. A run whose pods are still ending has not ended."""
    found = {run_of(owner): owner for owner in owners}
    busy = {run_of(pod) for pod in pods if is_live(pod)}
    silent = {one.uid for one in quiet}
    return [
        one for one in held
        if one.run not in busy and (has_ended(found[one.run]) if one.run in found else one.uid in silent)
    ]  # fmt: skip
