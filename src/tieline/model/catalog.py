"""The deployment file's forms, and the catalog that they become: every connection that a namespace may see, by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tieline.documents.forms import described
from tieline.model.connection import AbsolutePath, Connection, Name, RelativePath
from tieline.model.form import LATER, Form
from tieline.model.sizes import SIZE

DEFAULT_NAMESPACE = "default"
SIZE_PATTERN = described(SIZE, "a number and a unit: 20GiB, 500MB")


class Persistence(Form):
    """A volume that Tieline's own components keep things on: a host path or an existing claim."""

    mount_path: AbsolutePath
    host_path: str | None = None
    """A path of the host. Not together with ``existingClaim``."""
    existing_claim: str | None = None
    """The name of a PersistentVolumeClaim."""
    sub_path: RelativePath | None = None
    read_only: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.host_path and self.existing_claim:
            raise ValueError("hostPath and existingClaim are both given|keep one of them")
        return self


class ClaimFolder(Form):
    """The local folder that stands for a claim where there are no claims (on a laptop)."""

    host_path: str
    """A folder of this machine; relative paths are relative to the deployment file."""


class PersistenceSection(Form):
    """Volumes of the deployment."""

    repos: Annotated[Persistence, LATER] | None = None
    """Where hosted repositories and mirrors live."""
    logs: Annotated[Persistence, LATER] | None = None
    claims: dict[str, Annotated[ClaimFolder, LATER]] = Field(default_factory=dict)
    """On a laptop: which folder stands for which claim. Default: a folder in Tieline's home."""


class ClusterForm(Form):
    """A Kubernetes cluster: a context of the kubeconfig, or the agent that serves it."""

    context: str | None = None
    agent: str | None = None
    image: str | None = None
    """The image of Tieline's own containers. Default: $TIELINE_STEPS_IMAGE, else ``tieline`` of this version."""
    service_account: str | None = None
    """The service account of pods whose job names none. Default: the namespace's own."""
    native_sidecars: bool | None = None
    """Whether the cluster has sidecars of its own (1.29 and newer). Default: its server is asked."""
    pod_patch: dict[str, Any] | None = None
    """Merged into the template of every pod: items of lists are found by their name, which may have a ``*``."""


class HomeSecrets(Form):
    """Tieline's home: what ``tieline secrets set`` and ``tieline configmaps set`` keep there."""


class DirectorySecrets(Form):
    """A folder with a folder per secret and in that a file per key, as Docker and Kubernetes mount them.

    ``{namespace}`` in a path stands for the run's namespace; without it all namespaces share the folder.
    """

    path: str
    """Where the folders of the secrets are; relative paths are relative to the deployment file."""
    config_maps: str | None = None
    """The same for config maps. Default: this source has none."""


class EnvironmentSecrets(Form):
    """Variables: ``TIELINE_SECRET_<NAME>__<KEY>`` and ``TIELINE_CONFIG_MAP_<NAME>__<KEY>``."""


class ClusterSecrets(Form):
    """The Secrets and ConfigMaps of a Kubernetes cluster, read with the rights of the kubeconfig's user."""

    context: str | None = None
    """A context of the kubeconfig. Default: that of the namespace's cluster, else the current one."""
    namespace: str | None = None
    """A namespace of the cluster. Default: the run's."""


class SecretSourceForm(Form):
    """One place where secrets and config maps come from: exactly one of these keys."""

    home: HomeSecrets | None = None
    directory: DirectorySecrets | None = None
    environment: EnvironmentSecrets | None = None
    kubernetes: ClusterSecrets | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_settings(cls, data: Any) -> Any:
        """``- home:`` means ``- home: {}``."""
        return {key: {} if value is None else value for key, value in data.items()} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("every item names one source|write home, directory, environment or kubernetes")
        return self


class NamespaceForm(Form):
    """A namespace's own catalog, and what it takes from the shared one."""

    cluster: str | None = None
    inherit: Literal["all", "none"] | tuple[Name, ...] = "none"
    """``all``, ``none`` or a list of names of the shared catalog."""
    artifacts_store: dict[str, Any] | None = None
    connections: tuple[dict[str, Any], ...] = ()
    notification_connections: tuple[dict[str, Any], ...] = ()


class QueueForm(Form):
    """A concurrency limit, by name."""

    concurrency: Annotated[int, Field(ge=1, le=100_000)]
    """How many runs of this queue may be under way at once."""


class InputsCacheForm(Form):
    """Files that were fetched from buckets, kept on this machine: the next run that asks for them moves no data."""

    enabled: bool = True
    """Whether there is a cache. Default: yes."""
    path: str | None = None
    """Its folder; relative paths are relative to the deployment file. Default: ``cache/inputs`` in Tieline's home."""
    max_size: str | None = Field(default=None, pattern=SIZE_PATTERN)
    """The most that it may take. Default: 20GiB, or a tenth of what the disk has free, if that is less."""


class DeploymentForm(Form):
    """The deployment file, ``tieline.yaml``. Its connections are read by their kinds afterwards."""

    version: float | str | None = None
    artifacts_store: dict[str, Any] | None = None
    """Where outputs and logs are kept: host_path, volume_claim, gcs, s3 or wasb. Default: a local folder."""
    connections: tuple[Any, ...] = ()
    """The shared catalog."""
    notification_connections: tuple[Any, ...] = ()
    """Connections that are used for notifications only."""
    persistence: Annotated[PersistenceSection, LATER] = Field(default_factory=PersistenceSection)
    namespaces: dict[Name, NamespaceForm] = Field(default_factory=dict)
    """A catalog per namespace."""
    clusters: dict[Name, Annotated[ClusterForm, LATER]] = Field(default_factory=dict)
    queues: dict[Name, Annotated[QueueForm, LATER]] = Field(default_factory=dict)
    """Concurrency limits that a job asks for with ``queue``."""
    secrets: tuple[SecretSourceForm, ...] = ()
    """Where secrets and config maps come from; the first source that has one wins. Default: home, then environment."""
    inputs_cache: Annotated[InputsCacheForm, LATER] = Field(default_factory=InputsCacheForm)
    """What is kept of inputs that were fetched from buckets."""
    presets: str | None = None
    """The folder of presets; relative to this file. Default: ``presets``."""


@dataclass(frozen=True, slots=True)
class View:
    """What one namespace sees. ``names`` iterates in the file's order."""

    namespace: str
    store: Connection
    connections: Mapping[str, Connection]
    notifications: Mapping[str, Connection]
    cluster: str = ""

    def __iter__(self) -> Iterator[Connection]:
        yield from self.connections.values()
        yield from self.notifications.values()

    def get(self, name: str) -> Connection | None:
        return self.connections.get(name) or self.notifications.get(name)


@dataclass(frozen=True, slots=True)
class Catalog:
    """A deployment file that was read and found right. ``views`` has an entry for every namespace by name."""

    file: str
    digest: str
    views: Mapping[str, View]
    persistence: PersistenceSection
    claims: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, ClusterForm] = field(default_factory=dict)
    queues: Mapping[str, int] = field(default_factory=dict)
    secrets: tuple[SecretSourceForm, ...] = ()
    inputs_cache: InputsCacheForm = field(default_factory=InputsCacheForm)
    presets: str = ""
    default_store: bool = False
