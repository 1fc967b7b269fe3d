"""Images: container registries. The registry kind gives one Docker ``config.json``, merged over a job's registries."""

import re
from typing import Annotated, ClassVar

from tieline.kinds import keys
from tieline.kinds.base import Kind
from tieline.kinds.bindings import assemble, credentials, from_secret, schema_entries
from tieline.kinds.derived import DOCKER_CONFIG, DOCKER_CONFIG_DIR, DOCKER_CONFIG_FILE, derive
from tieline.kinds.fields import MachinePath, Shape
from tieline.model.access import Registry
from tieline.model.binding import Binding, Text, Value
from tieline.model.connection import Connection
from tieline.model.form import Form

DOCKER_HUB = "docker.io"
_HUB_HOSTS = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = (
    r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?|[A-Za-z0-9-]+:[0-9]+|\[[0-9A-Fa-f:]+\](?::[0-9]+)?|localhost)"
)
_URL = rf"^(?:https?://)?(?:({_HOST})(?:/v[12])?(?:/({_PART}(?:/{_PART})*))?|({_PART}(?:/{_PART})*))/?$"
_PARTS = re.compile(_URL)
_RIGHT = "write HOST/ORG/REPO, HOST, or ORG/REPO for Docker Hub, in small letters"


class RegistrySchema(Form):
    """A container registry."""

    url: Annotated[
        str,
        Shape(
            _URL,
            "this is no registry's address",
            _RIGHT,
            (
                (
                    r"^[^/]*//[^/]*@|^[^/]*:[^/]*@",
                    f"there is a user or password in it|credentials belong into a secret: {_RIGHT}",
                ),
                (
                    r"@sha256:|^(?:https?://|(?!https?://))[^/]+/.*:[^/]*$",
                    f"a tag or digest names an image, not a registry|{_RIGHT}",
                ),
            ),
        ),
    ]
    """The registry and a repository in it: host/org/repo. Without a host (a first part with a dot, a colon, or
    localhost) it is on Docker Hub."""
    insecure: bool = False
    """Speak plain http, or accept a certificate that can't be verified."""
    ca_bundle: MachinePath | None = None
    """A PEM file of the certificates to trust; relative paths (./ca.pem) are relative to the catalog's file."""


def place(url: str) -> tuple[str, str]:
    """The registry's host (with its port) and the repository, which may be empty."""
    found = _PARTS.match(url)
    host, repository, on_hub = found.groups() if found else (None, None, url)
    if host is None or host in _HUB_HOSTS:
        return DOCKER_HUB, repository or on_hub or ""
    return host, repository or ""


class RegistryKind(Kind):
    """``registry``."""

    name = "registry"
    family = "images"
    title = "A container registry"
    schema = RegistrySchema
    relative_paths = ("caBundle",)
    examples: ClassVar = (
        {"name": "docker-hub", "kind": "registry", "schema": {"url": "org/repo"}},
        {
            "name": "images",
            "kind": "registry",
            "schema": {
                "url": "registry.example.org:5000/ml/training",
                "insecure": False,
                "caBundle": "/etc/ssl/registry.pem",
            },
            "secret": {"name": "docker-conf", "mountPath": "/kaniko/.docker", "items": ["config.json"]},
        },
    )

    @staticmethod
    def _secrets(connection: Connection) -> dict[str, Value | None]:
        return {
            "config": from_secret(connection, keys.DOCKER_CONFIG),
            "legacy": from_secret(connection, keys.DOCKER_LEGACY),
            "username": from_secret(connection, keys.USERNAME),
            "password": from_secret(connection, (*keys.PASSWORD, *keys.TOKEN)),
        }

    def bind(self, connection: Connection) -> Binding:
        schema: RegistrySchema = connection.schema_
        host, repository = place(schema.url)
        secrets = self._secrets(connection)
        there = any(value is not None for value in secrets.values())
        config = derive(DOCKER_CONFIG, {"host": host, **secrets}) if there else None
        entries: dict[str, Value | None] = {
            **schema_entries(schema),
            "host": Text(text=host),
            "repository": Text(text=repository) if repository else None,
            "uri": Text(text=f"{host}/{repository}" if repository else host),
            "username": secrets["username"],
            "password": secrets["password"],
            "config.json": config,
        }
        merging = {f"config:{connection.name}": config}
        variables: dict[str, str | Value | None] = {
            "DOCKER_CONFIG": derive(DOCKER_CONFIG_DIR, merging),
            "REGISTRY_AUTH_FILE": derive(DOCKER_CONFIG_FILE, merging),
        }
        names = {".dockerconfigjson": "config.json"}  # the key of a kubernetes.io/dockerconfigjson secret
        modes = {"config.json": 0o600, "password": 0o600}
        return assemble(connection, "registry", entries, variables, modes=modes, file_names=names)

    def access(self, connection: Connection) -> Registry:
        schema: RegistrySchema = connection.schema_
        host, repository = place(schema.url)
        return Registry(
            host=host,
            repository=repository,
            insecure=schema.insecure or schema.url.startswith("http://"),
            ca_bundle=schema.ca_bundle,
            credentials=credentials(connection, self._secrets(connection)),
        )


KINDS = {RegistryKind.name: RegistryKind}
