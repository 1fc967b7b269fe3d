"""A connection: one external system, named once. The envelope that all kinds share.

The field's form, with Tieline's own additions (``envPrefix``, ``auth``, ``allow``, ``health``). The ``schema`` part
is typed by the connection's kind, see :mod:`tieline.kinds`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tieline.documents.forms import described
from tieline.model.form import LATER, Form
from tieline.model.trigger import Trigger

NAME_PATTERN = described(
    r"^[a-z0-9]([-a-z0-9_]{0,61}[a-z0-9])?$", "use lower-case letters, digits and '-', at most 63 characters"
)
VARIABLE_PATTERN = described(r"^[A-Za-z_][A-Za-z0-9_]*$", "use letters, digits and '_', not a digit first")
DURATION_PATTERN = described(r"^[1-9][0-9]*(s|m|h|d)$", "a number and s, m, h or d: 10m")
ABSOLUTE_PATTERN = described(r"^/[^\x00]*$", "use an absolute path: /data")
RELATIVE_PATTERN = described(r"^(?!/)(?!(.*/)?\.\.(/|$))[^\x00]+$", "use a relative path without '..'")


def file_mode(value: Any) -> Any:
    """``0600`` (YAML's octal: 384), ``"0600"`` and ``384`` all mean mode 0600."""
    if isinstance(value, str) and value.isdecimal():
        try:
            return int(value, 8)
        except ValueError:
            return value
    return value


Name = Annotated[str, Field(pattern=NAME_PATTERN, description="A DNS-1123 label (underscores are accepted).")]
AbsolutePath = Annotated[str, Field(pattern=ABSOLUTE_PATTERN, description="An absolute path.")]
RelativePath = Annotated[str, Field(pattern=RELATIVE_PATTERN, description="A relative path without '..'.")]
FileMode = Annotated[int, BeforeValidator(file_mode), Field(ge=0, le=0o777)]
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, description="A number and s, m, h or d: 10m.")]


class ResourceRef(Form):
    """A secret or a config map, by name. Without ``mountPath``: variables; with it: read-only files there."""

    name: str = Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$")
    """The name of the secret or config map."""
    mount_path: AbsolutePath | None = None
    """Where its items appear as files, read-only. Without it they become environment variables."""
    items: tuple[str, ...] | None = None
    """Only these keys. Default: all of them."""
    default_mode: FileMode | None = None
    """The files' mode: 0600, "0600" or 384."""


class EnvVar(Form):
    """A variable that is injected wherever the connection is bound."""

    name: str = Field(pattern=VARIABLE_PATTERN)
    value: str = ""

    @model_validator(mode="before")
    @classmethod
    def _scalar_value(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("value"), (bool, int, float)):
            value = data["value"]
            return {**data, "value": str(value).lower() if isinstance(value, bool) else str(value)}
        return data


class Auth(Form):
    """How the connection proves who it is."""

    method: Literal["secret", "workload-identity", "assume-role", "anonymous"]
    """``secret``: the named secret; ``workload-identity``: the identity of the run's service account."""
    role: str | None = None
    """The role to take on (an ARN on AWS). For ``workload-identity``, the default is AWS_ROLE_ARN's."""
    external_id: str | None = None
    """``assume-role``: the external id that the role's owner asks for."""
    duration: Duration | None = None
    """How long credentials of the role are valid, 15m to 12h. Default: what the server gives, one hour."""
    endpoint: str | None = None
    """Where roles are taken on (STS): https://sts.eu-central-1.amazonaws.com. Default: the bucket's own server,
    or Amazon's STS in the bucket's region."""
    audience: str | None = None
    """``workload-identity``: the audience of the token."""


class Allow(Form):
    """Who may use the connection; a list that is not given allows everyone in the namespace."""

    namespaces: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    teams: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None


class Health(Form):
    """How often the connection is probed, and what it must pass."""

    every: Duration = "10m"
    require: tuple[Literal["resolve", "reach", "authenticate", "list", "read", "write", "delete"], ...] = ()


class EventRule(Form):
    """What a notification connection is told without being asked: the statuses of these projects' runs."""

    statuses: tuple[Trigger, ...] = ("done",)
    """succeeded, failed, stopped, done (any of the three), or another status."""
    projects: tuple[str, ...] = ()
    """Only these projects' runs; with * and ?: "exp-*". Default: all projects."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        """``- failed`` means ``- {statuses: [failed]}``."""
        return {"statuses": [data]} if isinstance(data, str) else data

    def covers(self, project: str) -> bool:
        """Whether the rule is about this project."""
        return not self.projects or any(fnmatchcase(project, pattern) for pattern in self.projects)


class ConnectionForm(Form):
    """A connection as it stands in the file, its ``schema`` not yet read by its kind."""

    name: Name
    """How jobs ask for it; unique in a namespace's view."""
    kind: str
    """The kind of system: s3, git, postgres …"""
    description: str | None = None
    tags: tuple[str, ...] = ()
    schema_: Any = Field(default=None, alias="schema")
    """What the system is and where; its form depends on the kind."""
    secret: ResourceRef | None = None
    config_map: ResourceRef | None = None
    env: tuple[EnvVar, ...] = ()
    """Variables that are always injected with the connection."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Put on the run's pod."""
    env_prefix: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    """A prefix for every variable that this connection injects."""
    auth: Annotated[Auth, LATER] | None = None
    allow: Annotated[Allow, LATER] | None = None
    health: Annotated[Health, LATER] | None = None
    events: tuple[Annotated[EventRule, LATER], ...] = ()
    """Under notificationConnections: what it is told of all runs that it may see."""
    is_alias: bool | None = None
    """Accepted from older files; has no effect here."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Connection:
    """A connection whose kind is known and whose schema is typed by it: ``schema_`` is an instance of the kind's form.

    Each is one thing of one catalog, so it is equal to itself alone: what is made from it can be remembered by it.
    """

    name: str
    kind: str
    schema_: Any
    description: str = ""
    tags: tuple[str, ...] = ()
    secret: ResourceRef | None = None
    config_map: ResourceRef | None = None
    env: tuple[EnvVar, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    env_prefix: str = ""
    auth: Auth | None = None
    allow: Allow | None = None
    health: Health | None = None
    notifications_only: bool = False
    events: tuple[EventRule, ...] = ()
    origin: str = "connections"  # where in the file it stands: connections, artifactsStore, namespaces …

    @classmethod
    def from_form(
        cls, form: ConnectionForm, schema: Any, *, notifications_only: bool = False, origin: str = "connections"
    ) -> Self:
        """The envelope as it was read, with its schema typed."""
        return cls(
            form.name,
            form.kind,
            schema,
            form.description or "",
            form.tags,
            form.secret,
            form.config_map,
            form.env,
            form.annotations,
            form.env_prefix,
            form.auth,
            form.allow,
            form.health,
            notifications_only,
            form.events,
            origin,
        )
