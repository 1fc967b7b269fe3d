"""A container, as the field's format and Kubernetes write it; on this machine it is a program."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tieline.documents.forms import described
from tieline.model.connection import NAME_PATTERN, VARIABLE_PATTERN
from tieline.model.form import LATER, Form

VARIABLE_PREFIX = described(r"^([A-Za-z_][A-Za-z0-9_]*)?$", "use letters, digits and '_', not a digit first")
KEY_REFS = ("secretKeyRef", "configMapKeyRef")
"""Of ``valueFrom``: one key of a secret or config map, which every engine can give."""


def text_of(value: Any) -> Any:
    """Environment values and arguments may be written as numbers or booleans; they reach the job as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def list_of(value: Any) -> Any:
    """``command: python`` means ``[python]``."""
    return [value] if isinstance(value, (str, int, float, bool)) else value


ScalarText = Annotated[str, BeforeValidator(text_of)]
TextList = Annotated[tuple[ScalarText, ...], BeforeValidator(list_of)]


class VariableForm(Form):
    """A variable of a container, as Kubernetes writes it."""

    name: str = Field(pattern=VARIABLE_PATTERN)
    value: ScalarText | None = None
    value_from: dict[str, Any] | None = None

    @field_validator("value_from")
    @classmethod
    def _whole_reference(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        """A reference without its name or key would leave the variable unset, and nobody would be told."""
        for ref in KEY_REFS:
            if value is None or ref not in value:
                continue
            given = value[ref]
            if not (isinstance(given, dict) and all(given.get(part) for part in ("name", "key"))):
                raise ValueError(f"{ref} needs a name and a key|write {ref}: {{name: …, key: …}}")
        return value


class ResourceName(Form):
    """A secret or config map, by name."""

    name: str = Field(min_length=1)
    optional: bool = False


class EnvFrom(Form):
    """All keys of a secret or config map as variables, as Kubernetes writes it."""

    prefix: str = Field(default="", pattern=VARIABLE_PREFIX)
    secret_ref: ResourceName | None = None
    config_map_ref: ResourceName | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.secret_ref is None) == (self.config_map_ref is None):
            raise ValueError("every item names one source|write secretRef: {name: …} or configMapRef: {name: …}")
        return self


class Container(Form):
    """A Kubernetes container."""

    name: str | None = Field(default=None, pattern=NAME_PATTERN)
    image: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    command: TextList = ()
    args: TextList = ()
    env: tuple[Annotated[VariableForm, LATER], ...] = ()
    env_from: tuple[Annotated[EnvFrom, LATER], ...] | None = None
    working_dir: str | None = None
    resources: dict[str, Any] | None = None
    ports: tuple[dict[str, Any], ...] | None = None
    volume_mounts: tuple[dict[str, Any], ...] | None = None
    volume_devices: tuple[dict[str, Any], ...] | None = None
    lifecycle: dict[str, Any] | None = None
    liveness_probe: dict[str, Any] | None = None
    readiness_probe: dict[str, Any] | None = None
    startup_probe: dict[str, Any] | None = None
    restart_policy: str | None = None
    resize_policy: tuple[dict[str, Any], ...] | None = None
    security_context: dict[str, Any] | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
