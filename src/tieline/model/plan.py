"""The plan: one job, one catalog and one run identity turned into what any engine can carry out.

A plan is a JSON document with a version. It can be printed, stored with the run and carried out again. It holds
*references* to secrets, never a value. Paths in it are those of the engine's :class:`Layout`, so nothing is left to
render.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tieline.model.access import Channel, GitRemote, ObjectStore, Volume
from tieline.model.binding import Binding, Mount, Variable, WholeResource
from tieline.model.form import LATER, Plain

PLAN_VERSION = 1


class Identity(Plain):
    """Who the run is. ``uuid`` is 32 hex digits."""

    uuid: str
    name: str
    project: str
    namespace: str
    kind: Literal["job", "service"]
    attempt: int = 1
    owner: str = ""
    created_at: str  # ISO 8601, UTC


class InputsCache(Plain):
    """Where inputs that were fetched before are kept, and how many bytes of them (None: a share of the disk)."""

    path: str
    max_size: int | None = None


class Layout(Plain):
    """Where an engine puts things, as the *job* sees them. Absolute paths.

    ``claims`` maps a claim's name to the local folder that stands for it, where the engine has no claims (default: one
    of its name in ``claims_root``); ``real_mounts`` says whether a catalog's ``mountPath`` is true for the job
    (else templates and variables give the true path); ``hidden``: folders of this machine that the job is not to see,
    where it has a root of its own; ``inputs_cache``: None where there is none.
    """

    context_path: str
    artifacts_path: str
    outputs_path: str
    work_path: str
    binding_root: str
    store_path: str = ""
    real_mounts: bool = False
    hidden: tuple[str, ...] = ()
    claims: dict[str, str] = Field(default_factory=dict)
    claims_root: str = ""
    inputs_cache: InputsCache | None = None

    def claim_path(self, claim: str) -> str:
        """The local folder that stands for a claim."""
        return self.claims.get(claim) or f"{self.claims_root}/{claim}"


class FetchItem(Plain):
    """One thing to copy: ``source`` is relative to the store's prefix, ``target`` to the step's path; "" is all."""

    source: str
    target: str
    what: Literal["file", "dir", "any"] = "any"


class CloneStep(Plain):
    """Check a git repository out at exactly one commit. A missing revision is an error."""

    type: Literal["clone"] = "clone"
    name: str
    connection: str | None
    remote: GitRemote
    path: str


class FetchStep(Plain):
    """Copy files out of a store or volume. A missing item is an error that names it."""

    type: Literal["fetch"] = "fetch"
    name: str
    connection: str
    source: ObjectStore | Volume = Field(discriminator="type")
    items: tuple[FetchItem, ...]
    path: str


class FileStep(Plain):
    """Write one file."""

    type: Literal["file"] = "file"
    name: str
    path: str
    content: str
    mode: int = 0o644


class TakeStep(Plain):
    """Bring local files that were given with the job (``mount: [from:to]``)."""

    type: Literal["take"] = "take"
    name: str
    source: str  # absolute, on the submitting machine
    path: str


class Program(Plain):
    """A program to run: the main one, a sidecar, or a user's own init step.

    ``container`` keeps what only a cluster can do (image, resources, probes …), as it stood in the file.
    """

    name: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()
    env_from: tuple[WholeResource, ...] = ()
    working_dir: str
    container: dict[str, Any] = Field(default_factory=dict)


class ProgramStep(Plain):
    """A user's own init container; on this machine a local command."""

    type: Literal["program"] = "program"
    name: str
    program: Program


Step = Annotated[CloneStep | FetchStep | FileStep | TakeStep | ProgramStep, Field(discriminator="type")]


class Store(Plain):
    """The artifacts store, and the run's own folder in it."""

    connection: str
    access: ObjectStore | Volume = Field(discriminator="type")
    prefix: str


class Collect(Plain):
    """What the collector saves. ``sync_interval``: seconds between saves; -1: only at the end."""

    outputs: bool = True
    logs: bool = True
    sync_interval: int = 10


class Ending(Plain):
    """``termination``: retries, seconds until the job is ended, seconds that its work folder is kept."""

    max_retries: int = 0
    timeout: int | None = None
    ttl: int | None = None
    pod_failure_policy: dict[str, Any] | None = None  # as it stands in the file, for a cluster


class Notify(Plain):
    """Who is told, when: ``trigger`` is a status or ``done``; ``asked_by``: the job's file, or the catalog.

    ``channel`` has references to secrets only: they are read when something is sent.
    """

    connection: str
    trigger: str
    asked_by: Literal["job", "catalog"] = "job"
    channel: Annotated[Channel, LATER]


class ServicePorts(Plain):
    """What a service listens on, and how it is reached in a cluster."""

    ports: tuple[int, ...] = ()
    rewrite_path: bool = False
    is_external: bool = False
    replicas: int = 1


class Notice(Plain):
    """Something that the file says and that has no effect here, or differs here; said once."""

    field: str
    message: str


class Plan(Plain):
    """The whole of it. ``pod_volumes``: ``run.volumes`` as it stands in the file, where there are pods."""

    version: int = PLAN_VERSION
    run: Annotated[Identity, LATER]
    catalog_digest: str
    engine: str
    layout: Annotated[Layout, LATER]
    store: Annotated[Store, LATER]
    bindings: tuple[Annotated[Binding, LATER], ...] = ()
    volumes: tuple[Annotated[Mount, LATER], ...] = ()
    pod_volumes: tuple[dict[str, Any], ...] = ()
    steps: tuple[Step, ...] = ()
    main: Annotated[Program, LATER]
    sidecars: tuple[Annotated[Program, LATER], ...] = ()
    collect: Annotated[Collect, LATER] = Field(default_factory=Collect)
    ending: Annotated[Ending, LATER] = Field(default_factory=Ending)
    service: Annotated[ServicePorts, LATER] | None = None
    environment: dict[str, Any] = Field(default_factory=dict)
    plugins: dict[str, Any] = Field(default_factory=dict)
    notifications: tuple[Annotated[Notify, LATER], ...] = ()
    queue: str = ""
    queue_limit: int | None = None
    tags: tuple[str, ...] = ()
    job_file: str = ""
    notices: tuple[Annotated[Notice, LATER], ...] = ()

    @property
    def used_connections(self) -> tuple[str, ...]:
        """The names of all connections that the run uses, the store's last."""
        names = [binding.connection for binding in self.bindings]
        names += [step.connection for step in self.steps if step.type in ("clone", "fetch") and step.connection]
        names += [notify.connection for notify in self.notifications]
        return tuple(dict.fromkeys([*names, self.store.connection]))


class Traits(Plain):
    """What compile has to know of an engine: its name, and whether it has images and pods."""

    name: str
    pods: bool = False
