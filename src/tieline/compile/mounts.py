"""``run.volumes`` and ``container.volumeMounts``: a pod's own volumes, as far as any engine can give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tieline.documents.document import FieldPath
from tieline.documents.forms import Issue
from tieline.errors import Code, did_you_mean
from tieline.model.binding import ClaimSource, EmptyDirSource, HostPathSource, Mount, MountSource, ResourceSource
from tieline.model.job import RunForm

PODS_ONLY = frozenset({
    "projected", "downwardAPI", "nfs", "csi", "ephemeral", "image", "iscsi", "fc", "cephfs", "rbd", "glusterfs",
    "azureDisk", "azureFile", "gcePersistentDisk", "awsElasticBlockStore", "vsphereVolume", "portworxVolume",
    "quobyte", "scaleIO", "storageos", "cinder", "flexVolume", "flocker", "photonPersistentDisk",
})  # fmt: skip
"""Sources that only a cluster has: they are given to it as they stand in the file."""


def volumes_of(run: RunForm, *, pods: bool = False) -> tuple[tuple[Mount, ...], list[Issue]]:
    """The mounts of the main container, each with its volume's source, but for those of ``PODS_ONLY``."""
    issues: list[Issue] = []
    sources: dict[str, MountSource | None] = {}
    for index, volume in enumerate(run.volumes or ()):
        name, source = str(volume.get("name") or ""), _source(volume)
        of_pods = pods and source is None and len(volume) == 2 and not PODS_ONLY.isdisjoint(volume)
        if not name or (source is None and not of_pods):
            issues.append(
                Issue(
                    ("run", "volumes", index),
                    Code.UNSUPPORTED,
                    "is no volume that Tieline can give",
                    "it has a name, and one of emptyDir, hostPath, persistentVolumeClaim, secret, configMap",
                )
            )
        elif name in sources:
            issues.append(
                Issue(
                    ("run", "volumes", index, "name"),
                    Code.DUPLICATE_NAME,
                    f"there are two volumes {name!r}",
                    "rename one",
                )
            )
        else:
            sources[name] = source
    mounts = []
    for index, form in enumerate(run.container.volume_mounts or ()):
        where = ("run", "container", "volumeMounts", index)
        wanted = str(form.get("name") or "")
        if wanted not in sources:
            hint = did_you_mean(wanted, sources, "name one of run.volumes")
            issues.append(Issue((*where, "name"), Code.BAD_VALUE, f"there is no volume {wanted!r}", hint))
            continue
        wrong = list(_wrong_paths(form, where))
        issues += wrong
        mounted = sources[wanted]
        if not wrong and mounted is not None:
            mounts.append(
                Mount(
                    source=mounted,
                    mount_path=form["mountPath"],
                    read_only=bool(form.get("readOnly")),
                    sub_path=form.get("subPath"),
                )
            )
    return tuple(mounts), issues


def _wrong_paths(form: Mapping[str, Any], where: FieldPath) -> Iterator[Issue]:
    """A volume stands at an absolute path, and its part is below it; neither leaves where it is."""
    path, part = form.get("mountPath"), form.get("subPath")
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        yield Issue((*where, "mountPath"), Code.BAD_VALUE, "is no absolute path without '..'", "write one like /data")
    if part is not None and (not isinstance(part, str) or part.startswith("/") or ".." in part.split("/")):
        yield Issue((*where, "subPath"), Code.BAD_VALUE, "is no relative path without '..'", "write one like a/b")


def _source(volume: Mapping[str, Any]) -> MountSource | None:
    given = [key for key in volume if key != "name"]
    if len(given) != 1:
        return None
    data = volume[given[0]] if isinstance(volume[given[0]], Mapping) else {}
    match given[0]:
        case "emptyDir":
            return EmptyDirSource(memory=data.get("medium") == "Memory")
        case "hostPath" if isinstance(data.get("path"), str):
            return HostPathSource(path=data["path"])
        case "persistentVolumeClaim" if isinstance(data.get("claimName"), str):
            return ClaimSource(claim=data["claimName"])
        case "secret" if isinstance(data.get("secretName"), str):
            return ResourceSource(resource="secret", name=data["secretName"])
        case "configMap" if isinstance(data.get("name"), str):
            return ResourceSource(resource="configMap", name=data["name"])
    return None
