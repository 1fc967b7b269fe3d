"""The end of an attempt, kept in the artifacts store: for whoever looks when the run's Job and pods are gone.

Its collector writes down what it knows when all is saved: the pod, as the cluster had it, and what the collector itself
says. Of this a pod can be made again that :mod:`tieline.engines.kubernetes.seen` reads like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from tieline.engines.kubernetes.names import COLLECTOR
from tieline.stores import Store

ENDED, OWNER = "ended.json", "pod"
"""Of an attempt's folder: how its pod ended, and the uid of the pod whose attempt it is."""
VERSION = 1
_META = ("name", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_STATUS = ("phase", "reason", "message", "startTime", "conditions", "initContainerStatuses", "containerStatuses")
_CONTAINER = ("name", "image", "state", "restartCount")
LARGEST = 1 << 20
"""Bytes of one that is read."""


def attempt_prefix(prefix: str, number: int) -> str:
    """An attempt's folder in the store."""
    return f"{prefix}/attempt-{number}".lstrip("/")


def end_of(pod: Mapping[str, Any], said: Mapping[str, Any], now: str) -> dict[str, Any]:
    """What is kept. ``said``: what the collector leaves when it ends; ``now``: when that is."""
    spec, status = pod.get("spec") or {}, _some(pod.get("status"), _STATUS)
    for name in ("initContainerStatuses", "containerStatuses"):
        status[name] = [_some(one, _CONTAINER) for one in status.get(name) or ()]
    limits = {
        name: [{"name": one["name"], "resources": one.get("resources") or {}} for one in spec.get(name) or ()]
        for name in ("initContainers", "containers")
    }
    node = {"nodeName": spec["nodeName"]} if spec.get("nodeName") else {}
    kept = {"metadata": _some(pod.get("metadata"), _META), "spec": {**limits, **node}, "status": status}
    return {"version": VERSION, "at": now, "pod": kept, "collector": dict(said)}


def _some(thing: Mapping[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: thing[name] for name in names if thing.get(name) is not None} if thing else {}


def pod_again(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The pod, after its end. Raises ValueError where it is none that was kept so."""
    try:
        pod, at, said = dict(kept["pod"]), str(kept["at"]), json.dumps(kept["collector"])
        if kept["version"] != VERSION or not pod["metadata"]["uid"] or not pod["metadata"]["name"]:
            raise ValueError(f"version {kept['version']}")
        ended = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": at, "message": said}}
        status = dict(pod["status"])
        for name in ("initContainerStatuses", "containerStatuses"):
            status[name] = [
                {**one, "state": ended} if one["name"] == COLLECTOR else one for one in status.get(name) or ()
            ]
        return {**pod, "status": status, "deleted": True}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it has no {error}") from None


def kept_pods(store: Store, prefix: str) -> list[dict[str, Any]]:
    """The pods of a run's attempts; none, where the last of them that began left nothing. Raises StoreTrouble."""
    found: list[dict[str, Any]] = []
    for attempt in count(1):
        folder = attempt_prefix(prefix, attempt)
        if store.stat(f"{folder}/{ENDED}") is None:
            if store.stat(f"{folder}/{OWNER}") is None:
                return found
            found = []
            continue
        with store.open(f"{folder}/{ENDED}") as stream:
            data = stream.read(LARGEST)
        try:
            found.append(pod_again(json.loads(data)))
        except ValueError:  # somebody else wrote it: then nobody knows how the attempt ended
            found = []
    return found
