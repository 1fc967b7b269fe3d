"""What one connection puts into a job: files of a directory, variables, mounts, annotations; and the values they
have.

A :data:`Value` says where a value comes from. It is a literal, a reference into a secret or config map, or
*derived* from
several by a named form (a database URI, a registry authfile); a derived value comes to exist only in the step that
writes it.
"""

from typing import Annotated, Literal

from pydantic import Field

from tieline.model.form import LATER, Plain


class Text(Plain):
    """A value that is no secret."""

    type: Literal["text"] = "text"
    text: str


class FromSecret(Plain):
    """One key of a secret. ``keys``: the first of these that the secret has."""

    type: Literal["secret"] = "secret"
    secret: str
    keys: tuple[str, ...]
    optional: bool = False


class FromConfigMap(Plain):
    """One key of a config map."""

    type: Literal["configMap"] = "configMap"
    config_map: str
    keys: tuple[str, ...]
    optional: bool = False


class Derived(Plain):
    """A value made from others by a form that :mod:`tieline.secrets` knows by name."""

    type: Literal["derived"] = "derived"
    form: str
    parts: "dict[str, Value]"
    optional: bool = False


Value = Annotated[Text | FromSecret | FromConfigMap | Derived, Field(discriminator="type")]


class Entry(Plain):
    """One file of the binding directory. ``mode``: where it must not be the directory's usual one (a private key)."""

    name: str
    value: Value
    mode: int | None = None


class Variable(Plain):
    """One environment variable. ``origin``: who declares it (kind, env, init, param, job, tieline)."""

    name: str
    value: Value
    origin: str
    connection: str | None = None
    why: str = ""


class WholeResource(Plain):
    """All keys (or ``items``) of a secret or config map, as variables. Which keys there are is judged in preflight.

    ``connection``: whose it is; None: the job's own (``envFrom``). ``optional``: it need not be there.
    """

    resource: Literal["secret", "configMap"]
    name: str
    items: tuple[str, ...] | None = None
    prefix: str = ""
    connection: str | None = None
    optional: bool = False


class HostPathSource(Plain):
    type: Literal["hostPath"] = "hostPath"
    path: str


class ClaimSource(Plain):
    type: Literal["claim"] = "claim"
    claim: str


class EmptyDirSource(Plain):
    type: Literal["emptyDir"] = "emptyDir"
    memory: bool = False


class ResourceSource(Plain):
    """The files of a secret or a config map. ``names``: keys whose file has another name, where the key is there."""

    type: Literal["resource"] = "resource"
    resource: Literal["secret", "configMap"]
    name: str
    items: tuple[str, ...] | None = None
    mode: int | None = None
    names: dict[str, str] = Field(default_factory=dict)


MountSource = Annotated[HostPathSource | ClaimSource | EmptyDirSource | ResourceSource, Field(discriminator="type")]


class Mount(Plain):
    """Something that appears at a path of the job."""

    source: MountSource
    mount_path: str
    read_only: bool = False
    sub_path: str | None = None
    connection: str | None = None


class Binding(Plain):
    """All that one connection puts into the main program."""

    connection: str
    type: str  # servicebinding.io: what it is (s3, postgresql, git)
    provider: str = ""
    entries: tuple[Annotated[Entry, LATER], ...] = ()
    variables: tuple[Annotated[Variable, LATER], ...] = ()
    resources: tuple[Annotated[WholeResource, LATER], ...] = ()
    mounts: tuple[Annotated[Mount, LATER], ...] = ()
    annotations: dict[str, str] = Field(default_factory=dict)
    files: tuple[str, ...] = ()  # of the machine itself, which the job opens by their own paths and may write
