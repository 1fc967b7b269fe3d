"""Access: what an adapter or a probe needs to open an external system. A small union, by protocol.

Adapters, probes and engines dispatch on these types; which kind of connection one came from is known to
:mod:`tieline.kinds` alone. An access refers to secrets, and never holds one.
"""

from typing import Annotated, Literal

from pydantic import Field

from tieline.model.binding import Value
from tieline.model.form import Plain


class Credentials(Plain):
    """Where an access's secret values are: the connection's secret (variables or files), and how to use it.

    ``values`` has each credential by the name of its entry in the binding directory (``username``, ``password``,
    ``access-key-id`` …), as a reference that the secrets room resolves; which keys hold it is known to the kind alone.
    """

    secret: str | None = None  # the secret's name
    items: tuple[str, ...] | None = None
    mount_path: str | None = None
    method: Literal["secret", "workload-identity", "assume-role", "anonymous"] = "anonymous"
    role: str | None = None
    external_id: str | None = None
    duration: int | None = None  # seconds that credentials of the role are valid
    endpoint: str | None = None  # where the role is taken on
    audience: str | None = None
    values: dict[str, Value] = Field(default_factory=dict)


class Volume(Plain):
    """A folder of files: a path of the host, or a claim."""

    type: Literal["volume"] = "volume"
    host_path: str | None = None
    claim: str | None = None
    mount_path: str
    sub_path: str | None = None
    read_only: bool = False


class ObjectStore(Plain):
    """A bucket (or container) and a prefix in it. ``provider``: s3 | gcs | azure."""

    type: Literal["objectStore"] = "objectStore"
    provider: Literal["s3", "gcs", "azure"]
    bucket: str
    prefix: str = ""
    account: str | None = None  # azure
    endpoint: str | None = None
    region: str | None = None
    project: str | None = None  # gcs
    addressing_style: Literal["path", "virtual"] | None = None
    ca_bundle: str | None = None
    proxy: str | None = None
    insecure: bool = False
    credentials: Credentials = Field(default_factory=Credentials)


class SshHost(Plain):
    """An ssh server, by URL or host and port."""

    type: Literal["ssh"] = "ssh"
    url: str | None = None
    host: str | None = None
    port: int = 22
    user: str | None = None
    known_hosts: str | None = None
    credentials: Credentials = Field(default_factory=Credentials)


class GitRemote(Plain):
    """A git repository by URL; the URL has no user information in it."""

    type: Literal["git"] = "git"
    url: str
    revision: str | None = None
    flags: tuple[str, ...] = ()
    depth: int | None = None
    filter: str | None = None
    sparse: tuple[str, ...] = ()
    submodules: bool = False
    lfs: bool = False
    ca_bundle: str | None = None
    proxy: str | None = None
    ssh: SshHost | None = None
    credentials: Credentials = Field(default_factory=Credentials)


class Registry(Plain):
    """A container registry and a repository in it: ``host`` may carry a port."""

    type: Literal["registry"] = "registry"
    host: str
    repository: str = ""
    insecure: bool = False
    ca_bundle: str | None = None
    credentials: Credentials = Field(default_factory=Credentials)


class Database(Plain):
    """A database server, or a database file (``path``). ``protocol``: postgresql, mysql, redis, sqlite …"""

    type: Literal["database"] = "database"
    protocol: str
    host: str | None = None
    port: int | None = None
    database: str | None = None
    username: str | None = None
    path: str | None = None
    tls: bool | None = None
    options: dict[str, str] = Field(default_factory=dict)
    uri: str | None = None  # without a password; None where parts of it are in the secret
    credentials: Credentials = Field(default_factory=Credentials)


class Http(Plain):
    """Something that answers HTTP."""

    type: Literal["http"] = "http"
    url: str
    tls: bool | None = None
    ca_bundle: str | None = None
    credentials: Credentials = Field(default_factory=Credentials)


class Channel(Plain):
    """A way to tell people. ``service``: slack, email, webhook …; its address is usually in the secret.

    ``resolves``: whether it is to be told of a success that ends what it was told of a failure.
    """

    type: Literal["channel"] = "channel"
    service: str
    url: str | None = None
    channel: str | None = None
    resolves: bool = False
    options: dict[str, str] = Field(default_factory=dict)
    credentials: Credentials = Field(default_factory=Credentials)


class Socket(Plain):
    """A host and port and nothing more that Tieline knows how to speak."""

    type: Literal["socket"] = "socket"
    host: str | None = None
    port: int | None = None
    tls: bool | None = None
    ca_bundle: str | None = None
    credentials: Credentials = Field(default_factory=Credentials)


Access = Annotated[
    Volume | ObjectStore | GitRemote | SshHost | Registry | Database | Http | Channel | Socket,
    Field(discriminator="type"),
]
