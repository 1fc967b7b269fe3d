"""The volumes of a pod: one for each distinct source, however many mounts it has, under a name that cannot collide."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tieline.engines.kubernetes.names import LONGEST, is_dns_label, slug
from tieline.model.binding import Mount
from tieline.secrets.names import Resource
from tieline.secrets.resolve import file_names

Source = dict[str, Any]
"""A volume without its name: ``{"emptyDir": {}}``."""

NAMED = {"secret": "secretName", "configMap": "name"}


class Volumes:
    """The volumes of one pod, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._empty: dict[tuple[str, bool], str] = {}
        self._sources: dict[str, Source] = {}

    def name_of(self, source: Source, hint: str, apart: str = "") -> str:
        """The volume of this source. ``hint``: for people; ``apart``: keeps sources apart that only look the same, as
        two empty folders do."""
        key = f"{apart}={source}"
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = self._free_name(hint, key)
            self._sources[name] = source
        return name

    def empty(self, hint: str, apart: str, *, memory: bool = False) -> str:
        """A folder that is empty at first; most containers have the same ones."""
        name = self._empty.get((apart, memory))
        if name is None:
            source: Source = {"emptyDir": {"medium": "Memory"} if memory else {}}
            name = self._empty[apart, memory] = self.name_of(source, hint, apart)
        return name

    def listed(self) -> list[dict[str, Any]]:
        return [{"name": name, **source} for name, source in self._sources.items()]

    def _free_name(self, hint: str, key: str) -> str:
        if hint not in self._sources and is_dns_label(hint):
            return hint
        digest = hashlib.sha256(key.encode()).hexdigest()
        lengths = range(8, 40, 8)
        names = (f"{slug(hint, LONGEST - 1 - length)}-{digest[:length]}" for length in lengths)
        return next(name for name in names if name not in self._sources)


def mount(name: str, path: str, sub_path: str | None = None, *, read_only: bool = False) -> dict[str, Any]:
    """One of a container's ``volumeMounts``."""
    found: dict[str, Any] = {"name": name, "mountPath": path}
    if sub_path and sub_path.strip("/"):
        found["subPath"] = sub_path.strip("/")
    return {**found, "readOnly": True} if read_only else found


def host_path(path: str, *, made: bool = False) -> Source:
    """A folder of the node. ``made``: where it is not there yet; else its pod does not start, and says so."""
    return {"hostPath": {"path": path, "type": "DirectoryOrCreate" if made else "Directory"}}


def claim(name: str) -> Source:
    """A claim. Whether it is read-only is said where it is mounted: a claim stands in a pod once."""
    return {"persistentVolumeClaim": {"claimName": name}}


def resource_files(
    resource: Resource,
    name: str,
    mode: int,
    items: tuple[str, ...] | None = None,
    names: Mapping[str, str] | None = None,
    *,
    optional: bool = False,
) -> Source:
    """The files of a secret or config map, all or ``items``; ``names``: keys whose file has another name."""
    said = {"optional": True} if optional else {}
    if items is None and names:
        renamed = [{"key": key, "path": path} for key, path in sorted(names.items())]
        parts = [
            {resource: {"name": name, "items": renamed, "optional": True}},
            {resource: {"name": name, **said}},  # the later wins: a key that has that name itself
        ]
        return {"projected": {"sources": parts, "defaultMode": mode}}
    found: dict[str, Any] = {NAMED[resource]: name, "defaultMode": mode, **said}
    if items is not None:
        found["items"] = [{"key": key, "path": path} for path, key in file_names(items, names or {}).items()]
    return {resource: found}


def bound_volume(volumes: Volumes, bound: Mount, mode: int) -> str:
    """The volume of a connection's mount. ``mode``: of the files of a secret or config map."""
    source = bound.source
    if source.type == "hostPath":
        return volumes.name_of(host_path(source.path), f"host-{slug(source.path, 40)}")
    if source.type == "claim":
        return volumes.name_of(claim(source.claim), f"claim-{source.claim}")
    if source.type == "emptyDir":
        return volumes.empty(f"empty-{slug(bound.mount_path, 40)}", bound.mount_path, memory=source.memory)
    files = resource_files(source.resource, source.name, mode, source.items, source.names)
    return volumes.name_of(files, f"{source.resource.lower()}-{source.name}")
