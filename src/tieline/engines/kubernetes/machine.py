"""What a catalog names by a path of the machine: in a pod, the machine is the node, and the path is the same.

A repository in a folder, a database file, a file of certificates. A connection whose file is in a volume of the job has
it there; else the node's own folder or file is mounted, and a node that has none says so before anything starts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

from tieline.engines.kubernetes.building import Building
from tieline.engines.kubernetes.layout import CONTEXT
from tieline.engines.kubernetes.names import slug
from tieline.engines.kubernetes.volumes import Source, mount
from tieline.git.url import is_local
from tieline.model.access import ObjectStore
from tieline.model.binding import Binding
from tieline.model.plan import CloneStep, FetchStep, Plan, Step

CERTIFICATES = "ca-bundle"
"""The entry of a binding directory that names a file of certificates."""


def of_step(building: Building, step: Step) -> Iterator[dict[str, Any]]:
    """What one of Tieline's own steps reads of the node."""
    if isinstance(step, CloneStep):
        if is_local(step.remote.url):
            yield from _folder(building, step.remote.url.removeprefix("file://"), read_only=True)
        yield from _file(building, step.remote.ca_bundle)
    if isinstance(step, FetchStep) and isinstance(step.source, ObjectStore):
        yield from _file(building, step.source.ca_bundle)


def of_store(building: Building) -> Iterator[dict[str, Any]]:
    """What the collector reads of the node to reach the artifacts store."""
    access = building.plan.store.access
    if access.type == "objectStore":
        yield from _file(building, access.ca_bundle)


def of_binding(building: Building, binding: Binding) -> Iterator[dict[str, Any]]:
    """What a connection has on the node, for the user's containers."""
    for folder in database_folders(building.plan, [binding]) if binding.files else ():
        yield from _folder(building, folder, read_only=False)
    for entry in binding.entries:
        if entry.name == CERTIFICATES and entry.value.type == "text":
            yield from _file(building, entry.value.text)


def database_folders(plan: Plan, bindings: Iterable[Binding]) -> tuple[str, ...]:
    """The folders of database files that are in no volume of the job; a journal is written beside its file."""
    mounts = [mount.mount_path for binding in plan.bindings for mount in binding.mounts]
    mounts += [mount.mount_path for mount in plan.volumes]
    written = plan.main.container.get("volumeMounts") or ()
    volumes = [CONTEXT, *mounts, *(str(form.get("mountPath")) for form in written)]
    files = [posixpath.normpath(path) for binding in bindings for path in binding.files]
    outside = [path for path in files if not any(_is_below(path, posixpath.normpath(folder)) for folder in volumes)]
    return tuple(dict.fromkeys(map(posixpath.dirname, outside)))


def _folder(building: Building, path: str, *, read_only: bool) -> Iterator[dict[str, Any]]:
    source: Source = {"hostPath": {"path": path, "type": "Directory"}}
    yield mount(building.volumes.name_of(source, f"host-{slug(path, 40)}"), path, read_only=read_only)


def _file(building: Building, path: str | None) -> Iterator[dict[str, Any]]:
    if path is not None and posixpath.isabs(path):
        source: Source = {"hostPath": {"path": path, "type": "File"}}
        yield mount(building.volumes.name_of(source, f"host-{slug(path, 40)}"), path, read_only=True)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
