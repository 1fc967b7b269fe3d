"""What of a value can stand in an object of the cluster: a literal, or a reference; never what a secret is part of.

Which keys a secret has is known where somebody looked (preflight); elsewhere what the catalog expects is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tieline.kinds import derived
from tieline.model.binding import Derived, FromConfigMap, FromSecret, Value
from tieline.secrets.failures import Unusable
from tieline.secrets.forms import MAKERS
from tieline.secrets.names import Resource
from tieline.secrets.needs import place_of
from tieline.secrets.resolve import Places, docker_folder
from tieline.secrets.secret import Secret

Known = Mapping[tuple[Resource, str], tuple[str, ...]]
"""The keys of the secrets and config maps that somebody looked at."""


class Reference(NamedTuple):
    """One key of a secret or config map."""

    resource: Resource
    name: str
    key: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Hidden:
    """Made from a secret: only the pod may know it."""


HIDDEN = Hidden()


@dataclass(frozen=True, slots=True)
class Seen:
    """Values as an object of the cluster may have them."""

    places: Places
    known: Known

    def of(self, value: Value) -> str | Reference | Hidden | None:
        """The text, the reference, or that it is hidden; None: an optional value that is known not to be there."""
        if value.type == "text":
            return value.text
        return self._derived(value) if value.type == "derived" else self._reference(value)

    def _reference(self, value: FromSecret | FromConfigMap) -> Reference | None:
        resource, name = place_of(value)
        keys = self.known.get((resource, name))
        there = next(iter(value.keys) if keys is None else (key for key in value.keys if key in keys), None)
        if there is None and value.optional:
            return None
        return Reference(resource, name, there or value.keys[0], value.optional)

    def _derived(self, value: Derived) -> str | Reference | Hidden | None:
        parts = value.parts
        match value.form:
            case derived.FIRST:
                ordered = (self.of(parts[name]) for name in sorted(parts, key=int))
                return next((found for found in ordered if found is not None), None)
            case derived.ENTRY_PATH:
                return self._entry_path(parts)
            case derived.DOCKER_CONFIG_DIR | derived.DOCKER_CONFIG_FILE:
                there = [name for name, part in parts.items() if self._there(part)]
                folder = docker_folder(self.places, there) if there else None
                is_file = value.form == derived.DOCKER_CONFIG_FILE
                return f"{folder}/config.json" if folder and is_file else folder
            case derived.DOCKER_CONFIG:
                return HIDDEN if self._there(value) else None
        found = {name: self.of(part) for name, part in parts.items()}
        if any(isinstance(part, (Reference, Hidden)) for part in found.values()):
            return HIDDEN
        texts = {name: Secret(part) for name, part in found.items() if isinstance(part, str)}
        try:
            made = MAKERS[value.form](texts) if value.form in MAKERS else None
        except Unusable:  # whoever carries the run out says why; here it has no value
            return None
        return None if made is None else made.decode()

    def _there(self, value: Value) -> bool:
        """Whether it has a value, as far as that is known; a login needs a name and a password."""
        if value.type == "derived" and value.form == derived.DOCKER_CONFIG:
            parts = {name for name, part in value.parts.items() if self._there(part)}
            return bool(parts & {"config", "legacy"}) or {"username", "password"} <= parts
        return self.of(value) is not None

    def _entry_path(self, parts: Mapping[str, Value]) -> str | Hidden | None:
        if "when" in parts and not self._there(parts["when"]):
            return None
        names = [self.of(parts[name]) for name in ("connection", "entry") if name in parts]
        texts = [name for name in names if isinstance(name, str)]
        return "/".join([self.places.bindings, *texts]) if len(texts) == len(names) else HIDDEN
