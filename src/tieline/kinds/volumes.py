"""Volumes: folders that are there already, on the host's disk or behind a claim, and appear at a path of the job."""

from typing import ClassVar

from tieline.kinds.base import Kind
from tieline.kinds.bindings import assemble, schema_entries
from tieline.kinds.fields import MachinePath, MountPath, ResourceName, SubPath
from tieline.model.access import Volume
from tieline.model.binding import Binding, ClaimSource, HostPathSource, Mount, Text
from tieline.model.connection import Connection
from tieline.model.form import Form


class VolumeSchema(Form):
    """What the two kinds of volumes share."""

    mount_path: MountPath
    """Where it appears in the job: an absolute path."""
    read_only: bool = False
    """Whether the job may only read."""
    sub_path: SubPath | None = None
    """Only this folder of it: a relative path without '..'."""


class HostPathSchema(VolumeSchema):
    """A folder of the machine that the job runs on."""

    host_path: MachinePath
    """The folder. A relative path is relative to the catalog's file."""


class VolumeClaimSchema(VolumeSchema):
    """A claim."""

    volume_claim: ResourceName
    """The name of the PersistentVolumeClaim, in the run's namespace."""


def _bind(connection: Connection, source: HostPathSource | ClaimSource) -> Binding:
    schema: VolumeSchema = connection.schema_
    mount = Mount(
        source=source,
        mount_path=schema.mount_path,
        read_only=schema.read_only,
        sub_path=schema.sub_path,
        connection=connection.name,
    )
    path = Text(text=schema.mount_path)
    return assemble(connection, "volume", {"path": path, **schema_entries(schema)}, mounts=[mount])


class HostPath(Kind):
    """``host_path``."""

    name = "host_path"
    family = "volumes"
    title = "A folder of the host"
    schema = HostPathSchema
    relative_paths = ("hostPath",)
    auth_methods = ()
    examples: ClassVar = (
        {"name": "data", "kind": "host_path", "schema": {"hostPath": "/srv/data", "mountPath": "/data"}},
        {
            "name": "images",
            "kind": "host_path",
            "description": "Labelled images, read by everyone",
            "schema": {
                "hostPath": "./data",
                "mountPath": "/images",
                "readOnly": True,
                "subPath": "labelled/2024",
            },
        },
    )

    def bind(self, connection: Connection) -> Binding:
        return _bind(connection, HostPathSource(path=connection.schema_.host_path))

    def access(self, connection: Connection) -> Volume:
        schema: HostPathSchema = connection.schema_
        return Volume(
            host_path=schema.host_path,
            mount_path=schema.mount_path,
            sub_path=schema.sub_path,
            read_only=schema.read_only,
        )


class VolumeClaim(Kind):
    """``volume_claim``."""

    name = "volume_claim"
    family = "volumes"
    title = "A Kubernetes persistent volume claim"
    schema = VolumeClaimSchema
    auth_methods = ()
    examples: ClassVar = (
        {"name": "data", "kind": "volume_claim", "schema": {"volumeClaim": "data-pvc", "mountPath": "/data"}},
        {
            "name": "images",
            "kind": "volume_claim",
            "description": "Labelled images, read by everyone",
            "tags": ["images"],
            "schema": {
                "volumeClaim": "images-pvc",
                "mountPath": "/images",
                "readOnly": True,
                "subPath": "labelled/2024",
            },
        },
    )

    def bind(self, connection: Connection) -> Binding:
        return _bind(connection, ClaimSource(claim=connection.schema_.volume_claim))

    def access(self, connection: Connection) -> Volume:
        schema: VolumeClaimSchema = connection.schema_
        return Volume(
            claim=schema.volume_claim,
            mount_path=schema.mount_path,
            sub_path=schema.sub_path,
            read_only=schema.read_only,
        )


KINDS = {kind.name: kind for kind in (HostPath, VolumeClaim)}
