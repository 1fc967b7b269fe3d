"""The job file's forms: the field's format (Polyaxon's, version 1.1), typed.

A field that may hold a template is typed by what it must be *after* rendering; the reader checks the shape of the
raw file
first and leaves fields that hold ``{{`` for later. What Tieline does with each field is one table,
:mod:`tieline.compile.support`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tieline.documents.forms import described
from tieline.model.connection import NAME_PATTERN, VARIABLE_PATTERN
from tieline.model.container import Container, ScalarText, TextList
from tieline.model.form import LATER, Form
from tieline.model.trigger import Trigger

IO_NAME_PATTERN = described(r"^[A-Za-z_][A-Za-z0-9_-]*$", "use letters, digits, '_' and '-', a letter first")
RUN_NAME_PATTERN = described(
    r"^[A-Za-z0-9]([-A-Za-z0-9_. ]{0,126}[A-Za-z0-9])?$", "use letters, digits, '-', '_', '.' and spaces"
)


class Validation(Form):
    """Rules for a value of an input or output."""

    delay: bool | None = None
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    multiple_of: float | None = None
    min_digits: int | None = None
    max_digits: int | None = None
    decimal_places: int | None = None
    regex: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    contains: Any = None
    excludes: Any = None
    options: tuple[Any, ...] | None = None
    min_items: int | None = None
    max_items: int | None = None
    keys: tuple[str, ...] | None = None
    contains_keys: tuple[str, ...] | None = None
    excludes_keys: tuple[str, ...] | None = None


class IO(Form):
    """An input or an output of a component."""

    name: str = Field(pattern=IO_NAME_PATTERN)
    type: str | None = None
    """str, int, float, bool, dict, list, uri, date, datetime, uuid, path, artifacts, git, …"""
    value: Any = None
    """The default."""
    is_optional: bool = False
    is_list: bool = False
    is_flag: bool = False
    arg_format: str | None = None
    connection: str | None = None
    to_init: bool | None = None
    to_env: str | None = Field(default=None, pattern=VARIABLE_PATTERN)
    validation: Annotated[Validation, LATER] | None = None
    delay_validation: bool | None = None
    options: tuple[Any, ...] | None = None
    description: str | None = None


class Output(IO):
    """An output: what the job makes."""


class Param(Form):
    """A value for an input, with where it comes from."""

    value: Any = None
    ref: str | None = None
    context_only: bool | None = None
    connection: str | None = None
    to_init: bool | None = Field(default=None)
    init: bool | None = None
    """The documented form of ``toInit``."""
    to_env: str | None = Field(default=None, pattern=VARIABLE_PATTERN)
    artifacts: Any = None
    paths: Any = None
    git: Any = None


class ArtifactsForm(Form):
    """Files and folders of a store: a name, or a [from, to] pair."""

    files: tuple[Any, ...] | None = None
    dirs: tuple[Any, ...] | None = None
    workers: int | None = None


class GitForm(Form):
    """A repository, or what differs from the connection's."""

    url: str | None = None
    revision: ScalarText | None = None
    flags: tuple[str, ...] | None = None


class FileForm(Form):
    """A file with its content."""

    content: str
    filename: str | None = None
    name: str | None = None
    chmod: ScalarText | None = None
    kind: str | None = None


class DockerfileForm(Form):
    """A Dockerfile that is written for a build."""

    image: str
    env: Any = None
    path: tuple[str, ...] | None = None
    copy_: Any = Field(default=None, alias="copy")
    post_run_copy: Any = None
    run: TextList = ()
    lang_env: str | None = None
    uid: int | None = None
    gid: int | None = None
    username: str | None = None
    groupname: str | None = None
    shell: str | None = None
    workdir: str | None = None
    workdir_path: str | None = None
    filename: str | None = None


class Init(Form):
    """One step before the main container: exactly one handler, or a connection alone."""

    artifacts: Annotated[ArtifactsForm, LATER] | None = None
    paths: tuple[Any, ...] | None = None
    git: Annotated[GitForm, LATER] | None = None
    dockerfile: Annotated[DockerfileForm, LATER] | None = None
    file: Annotated[FileForm, LATER] | None = None
    tensorboard: Any = None
    lineage_ref: str | None = None
    artifact_ref: str | None = None
    model_ref: str | None = None
    connection: str | None = None
    path: str | None = None
    container: Annotated[Container, LATER] | None = None


class Environment(Form):
    """The pod's own settings."""

    labels: dict[str, ScalarText] | None = None
    annotations: dict[str, ScalarText] | None = None
    node_selector: dict[str, ScalarText] | None = None
    affinity: dict[str, Any] | None = None
    tolerations: tuple[dict[str, Any], ...] | None = None
    node_name: str | None = None
    service_account_name: str | None = None
    host_aliases: tuple[dict[str, Any], ...] | None = None
    security_context: dict[str, Any] | None = None
    image_pull_secrets: tuple[str, ...] | None = None
    host_network: bool | None = None
    host_pid: bool | None = Field(default=None, alias="hostPID")
    dns_policy: str | None = None
    dns_config: dict[str, Any] | None = None
    scheduler_name: str | None = None
    priority_class_name: str | None = None
    priority: int | None = None
    restart_policy: Literal["Always", "OnFailure", "Never", "ExitCode"] | None = None


class Termination(Form):
    """How the run ends."""

    max_retries: int | None = Field(default=None, ge=0, le=1000)
    """How often a failed attempt is tried again."""
    ttl: int | None = Field(default=None, ge=0)
    """Seconds that a finished run's resources (locally: its work folder) are kept."""
    timeout: int | None = Field(default=None, ge=1)
    """Seconds after which the run is ended."""
    culling: Any = None
    probe: Any = None
    pod_failure_policy: Any = None


class Notification(Form):
    connections: tuple[str, ...]
    trigger: Trigger | None = None


class Sidecar(Form):
    """Tieline's collector."""

    sync_interval: int | None = Field(default=None, ge=-1)
    """Seconds between saves; -1: only at the end."""
    sleep_interval: int | None = None
    image: str | None = None
    image_tag: str | None = None
    image_pull_policy: str | None = None
    monitor_logs: bool | None = None
    monitor_spec: bool | None = None
    no_connections: bool | None = None
    resources: dict[str, Any] | None = None


class Plugins(Form):
    auth: bool | None = None
    docker: bool | None = None
    shm: bool | None = None
    tmux: bool | None = None
    sandbox: bool | None = None
    ssh: bool | None = None
    mount_artifacts_store: bool | None = None
    collect_artifacts: bool | None = None
    collect_logs: bool | None = None
    collect_resources: bool | None = None
    sync_statuses: bool | None = None
    auto_resume: bool | None = None
    log_level: str | None = None
    external_host: bool | None = None
    sidecar: Annotated[Sidecar, LATER] | None = None
    notifications: tuple[Annotated[Notification, LATER], ...] | None = None


class Hook(Form):
    connection: str | None = None
    trigger: Trigger | None = None
    hub_ref: str | None = None
    conditions: str | None = None
    presets: tuple[str, ...] | None = None
    queue: str | None = None
    namespace: str | None = None
    params: dict[str, Any] | None = None
    disable_defaults: bool | None = None


class Cache(Form):
    disable: bool | None = None
    ttl: int | None = None
    io: tuple[str, ...] | None = None
    sections: tuple[str, ...] | None = None


class RunForm(Form):
    """``run`` of kind job or service."""

    kind: Literal["job", "service"]
    connections: tuple[str, ...] | None = None
    init: tuple[Annotated[Init, LATER], ...] | None = None
    environment: Annotated[Environment, LATER] | None = None
    volumes: tuple[dict[str, Any], ...] | None = None
    sidecars: tuple[Annotated[Container, LATER], ...] | None = None
    container: Annotated[Container, LATER]
    ports: tuple[int, ...] | None = None
    rewrite_path: bool | None = None
    is_external: bool | None = None
    replicas: int | None = Field(default=None, ge=0)


class Shared(Form):
    """What components and operations have in common."""

    version: float | str | None = None
    name: str | None = Field(default=None, pattern=RUN_NAME_PATTERN)
    description: str | None = None
    tags: tuple[str, ...] = ()
    presets: tuple[str, ...] | None = None
    queue: str | None = None
    namespace: str | None = Field(default=None, pattern=NAME_PATTERN)
    cache: Annotated[Cache, LATER] | None = None
    termination: Annotated[Termination, LATER] | None = None
    plugins: Annotated[Plugins, LATER] | None = None
    build: Any = None
    hooks: tuple[Annotated[Hook, LATER], ...] | None = None
    is_approved: bool | None = None
    cost: float | None = None
    template: Any = None


class Component(Shared):
    """A component: inputs, outputs and what to run."""

    kind: Literal["component"] = "component"
    inputs: tuple[Annotated[IO, LATER], ...] = ()
    outputs: tuple[Annotated[Output, LATER], ...] = ()
    run: RunForm


PatchStrategy = Literal["replace", "isnull", "post_merge", "pre_merge"]


class Operation(Shared):
    """An operation: a component, and the values and overrides of one use of it."""

    kind: Literal["operation"] = "operation"
    params: dict[str, Any] | None = None
    strict_params: bool | None = None
    mount: tuple[Any, ...] | None = None
    """Local files taken along: a path, or ``from:to``."""
    run_patch: dict[str, Any] | None = None
    patch_strategy: PatchStrategy | None = None
    is_preset: bool | None = None
    component: dict[str, Any] | None = None
    path_ref: str | None = None
    url_ref: str | None = None
    hub_ref: str | None = None
    dag_ref: str | None = None
    matrix: Any = None
    schedule: Any = None
    joins: Any = None
    events: Any = None
    dependencies: Any = None
    trigger: Any = None
    conditions: Any = None
    skip_on_upstream_skip: bool | None = None
