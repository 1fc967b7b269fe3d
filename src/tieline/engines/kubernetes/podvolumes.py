"""``run.volumes``: a pod's own volumes as the job's file has them, under names that cannot collide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tieline.engines.kubernetes.volumes import Source, Volumes

SHARED = ("persistentVolumeClaim", "secret", "configMap", "hostPath")
"""Sources of which two that are written alike are one and the same."""


def own_volume(volumes: Volumes, volume: Mapping[str, Any]) -> tuple[str, bool]:
    """The volume's name in the pod, and whether all of its mounts are read-only.

    A claim stands in a pod once (a node that has it twice mounts it once, and waits for the other forever).
    """
    source: Source = {key: value for key, value in volume.items() if key != "name"}
    name = str(volume["name"])
    read_only = False
    given = source.get("persistentVolumeClaim")
    if isinstance(given, Mapping):
        read_only = bool(given.get("readOnly"))
        source = {"persistentVolumeClaim": {key: value for key, value in given.items() if key != "readOnly"}}
    kind = next(iter(source), "")
    if kind in ("secret", "configMap") and isinstance(source[kind], Mapping):
        source = {kind: _with_modes(source[kind])}
    if kind == "persistentVolumeClaim":
        return volumes.name_of(source, f"claim-{source[kind].get('claimName')}"), read_only
    return volumes.name_of(source, f"volume-{name}", "" if kind in SHARED else f"volumes[{name}]"), read_only


def _with_modes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Modes as numbers: ``0600`` is one in the file, and ``"0600"`` means the same."""
    found = dict(given)
    if "defaultMode" in found:
        found["defaultMode"] = _mode(found["defaultMode"])
    if isinstance(found.get("items"), list | tuple):
        found["items"] = [
            {**item, "mode": _mode(item["mode"])} if isinstance(item, Mapping) and "mode" in item else item
            for item in found["items"]
        ]
    return found


def _mode(value: Any) -> Any:
    return int(value, 8) if isinstance(value, str) and value.isdigit() else value
