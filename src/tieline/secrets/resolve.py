"""From a :data:`~tieline.model.binding.Value` to what it stands for, in one run.

Every secret and config map is read once and kept in memory only, so that all files and variables of a run agree with
each other, whoever changes the secret meanwhile. What a resolver gives is a :class:`~tieline.secrets.secret.Secret`,
literal or not: nobody has to know which of them is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from tieline.errors import Code, Refused, StepFailed
from tieline.kinds import derived
from tieline.model.access import Credentials
from tieline.model.binding import Derived, FromConfigMap, FromSecret, ResourceSource, Text, Value, WholeResource
from tieline.model.plan import Layout
from tieline.secrets.docker import Login, merged, parsed
from tieline.secrets.failures import Unusable
from tieline.secrets.forms import MAKERS
from tieline.secrets.names import WORDS, Resource, is_variable
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Located, Sources

LONGEST_VARIABLE = 127 * 1024
"""Bytes of a variable's value: Linux starts no program with more than 128 KiB in one, its name included."""
MADE = "made"
"""The folder, in a run's own, of files that several connections' values are in."""
CONFIG = "config:"
"""How the names of the parts of a merged Docker configuration begin."""
MODES: dict[Resource, int] = {"secret": 0o600, "configMap": 0o644}
"""Of mounted files, where the catalog says none."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the *job* sees things: its binding directories, and the folder for files of several connections."""

    bindings: str
    made: str

    @classmethod
    def of(cls, layout: Layout) -> Places:
        """As a run's layout has them."""
        return cls(layout.binding_root, f"{layout.context_path}/{MADE}")


class Resolver:
    """Gives the values of one run. ``notes``: what a person should be told, once.

    ``made``: files that values name and that are in no binding directory, by their path below ``places.made``: whoever
    writes the binding directories writes them too, after all values were asked for and before a program starts.
    """

    def __init__(self, sources: Sources, places: Places) -> None:
        self.notes: list[str] = []
        self.made: dict[str, Secret] = {}
        self._sources, self._places = sources, places
        self._values: dict[tuple[Resource, str, str], Secret | None] = {}

    @property
    def sources(self) -> Sources:
        """Where the values come from."""
        return self._sources

    def resolve(self, value: Value) -> Secret | None:
        """The value; None for an optional one that is not there.

        Raises Refused (``secret-missing``) for another, and SourceFailed where a source can't be asked.
        """
        match value:
            case Text():
                return Secret(value.text)
            case FromSecret():
                return self._one("secret", value.secret, value.keys, optional=value.optional)
            case FromConfigMap():
                return self._one("configMap", value.config_map, value.keys, optional=value.optional)
            case Derived():
                return self._derived(value)
            case _:
                assert_never(value)

    def credentials(self, credentials: Credentials) -> dict[str, Secret]:
        """The values of an access's credentials that there are, by name.

        Raises Refused where the secret itself is not there, and SourceFailed.
        """
        name = credentials.secret
        if name is not None and credentials.method == "secret" and self._sources.locate("secret", name) is None:
            raise Refused(self._sources.missing("secret", name))
        found = {entry: self.resolve(value) for entry, value in credentials.values.items()}
        return {entry: value for entry, value in found.items() if value is not None}

    def data(self, value: Value) -> bytes | None:
        """The bytes of an entry of a binding directory."""
        found = self.resolve(value)
        return None if found is None else found.reveal()

    def text(self, value: Value) -> str | None:
        """The text of a variable. Raises StepFailed for what no variable can hold."""
        found = self.resolve(value)
        return None if found is None else variable_text(found, _sources_of(value) or "a value")

    def whole(self, resource: WholeResource) -> dict[str, Secret]:
        """A secret's keys (or its ``items``) as variables, with their prefix.

        A key that is no variable's name is left out with a note, as on Kubernetes.
        """
        if resource.optional and self._sources.locate(resource.resource, resource.name) is None:
            return {}
        located = self._located(resource.resource, resource.name, resource.items or ())
        found: dict[str, Secret] = {}
        for key in located.keys if resource.items is None else resource.items:
            name = resource.prefix + key
            if is_variable(name):
                found[name] = self._item(located, key)
            else:
                what = f"the key {key!r} of the {WORDS[resource.resource]} {resource.name!r}"
                self._note(f"{what} is no variable's name, so it is left out; mountPath makes it a file")
        return found

    def variables(self, resource: WholeResource) -> dict[str, str]:
        """The same as text. Raises StepFailed for what no variable can hold."""
        what = f"of the {WORDS[resource.resource]} {resource.name!r}"
        return {name: variable_text(value, f"{name}, {what},") for name, value in self.whole(resource).items()}

    def files(self, source: ResourceSource) -> dict[str, tuple[Secret, int]]:
        """The files of a mounted secret (or its ``items``), by name, each with its mode."""
        located = self._located(source.resource, source.name, source.items or ())
        keys = located.keys if source.items is None else source.items
        mode = MODES[source.resource] if source.mode is None else source.mode
        return {name: (self._item(located, key), mode) for name, key in file_names(keys, source.names).items()}

    # --- references

    def _one(self, resource: Resource, name: str, keys: Sequence[str], *, optional: bool) -> Secret | None:
        located = self._sources.locate(resource, name)
        spelt = located.pick(keys) if located else None
        found = self._read(located, spelt) if located and spelt else None
        if found is None and not optional:
            raise Refused(self._sources.missing(resource, name, keys))
        return found

    def _located(self, resource: Resource, name: str, keys: Sequence[str]) -> Located:
        located = self._sources.locate(resource, name)
        if located is None:
            raise Refused(self._sources.missing(resource, name, keys, every=True))
        return located

    def _item(self, located: Located, key: str) -> Secret:
        spelt = located.pick([key])
        found = self._read(located, spelt) if spelt else None
        if found is None:
            raise Refused(self._sources.missing(located.resource, located.name, [key]))
        return found

    def _read(self, located: Located, key: str) -> Secret | None:
        place = (located.resource, located.name, key)
        if place not in self._values:
            self._values[place] = located.read(key)
        return self._values[place]

    # --- derived values

    def _derived(self, value: Derived) -> Secret | None:
        reason = "what it is made of is not there"
        found = None
        try:
            found = self._made(value)
        except Unusable as error:
            reason = str(error)
            self._note(f"no {value.form} could be made of {_sources_of(value)}: {reason}")
        if found is None and not value.optional:
            where = _sources_of(value) or "nothing"
            raise Refused.of(
                Code.SECRET_MISSING, f"no {value.form} can be made of {where}: {reason}", "correct the secret"
            )
        return found

    def _made(self, value: Derived) -> Secret | None:
        match value.form:
            case derived.FIRST:
                ordered = (value.parts[name] for name in sorted(value.parts, key=int))
                return next((found for part in ordered if (found := self.resolve(part)) is not None), None)
            case derived.ENTRY_PATH:
                return self._entry_path(value.parts)
            case derived.DOCKER_CONFIG_DIR:
                folder = self._docker_folder(value.parts)
                return None if folder is None else Secret(folder)
            case derived.DOCKER_CONFIG_FILE:
                folder = self._docker_folder(value.parts)
                return None if folder is None else Secret(f"{folder}/config.json")
        if value.form not in MAKERS:
            raise Unusable("this version does not know how")
        parts = {name: found for name, part in value.parts.items() if (found := self.resolve(part)) is not None}
        made = MAKERS[value.form](parts)
        return None if made is None else Secret(made)

    def _entry_path(self, parts: Mapping[str, Value]) -> Secret | None:
        if "when" in parts and self.resolve(parts["when"]) is None:
            return None
        names = [self.resolve(parts[name]) for name in ("connection", "entry") if name in parts]
        return Secret("/".join([self._places.bindings, *(name.reveal_text() for name in names if name is not None)]))

    def _docker_folder(self, parts: Mapping[str, Value]) -> str | None:
        """The folder of one merged ``config.json``: the same for the same connections."""
        logins = []
        for name, part in parts.items():
            config = self.resolve(part)
            if config is not None:
                logins.append(Login(name.removeprefix(CONFIG), self._host_of(part), parsed(config.reveal())))
        if not logins:
            return None
        text, notes = merged(logins)
        for note in notes:
            self._note(note)
        folder = docker_folder(self._places, (login.connection for login in logins))
        self.made[f"{folder.rpartition('/')[2]}/config.json"] = Secret(text)
        return folder

    def _host_of(self, part: Value) -> str:
        host = part.parts.get("host") if isinstance(part, Derived) else None
        found = self.resolve(host) if host is not None else None
        return found.reveal_text() if found is not None else ""

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def file_names(keys: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """The key of every file: ``names`` gives a key's file another name, unless another key has that name itself."""
    listed = tuple(keys)
    found = {key: key for key in listed if key not in names}
    for key in listed:
        if key in names:
            found[key if names[key] in found else names[key]] = key
    return found


def docker_folder(places: Places, connections: Iterable[str]) -> str:
    """The folder of the ``config.json`` that these connections (or parts ``config:NAME``) make together."""
    return f"{places.made}/docker-{_short(name.removeprefix(CONFIG) for name in connections)}"


def variable_text(value: Secret, what: str) -> str:
    """A value as a variable's text. Raises StepFailed for what no variable can hold."""
    data, way_out = value.reveal(), "give the connection's secret a mountPath: a file can hold it"
    if b"\0" in data:
        raise StepFailed.of(Code.BAD_VALUE, f"{what} has a zero byte in it, which no variable can hold", way_out)
    if len(data) > LONGEST_VARIABLE:
        raise StepFailed.of(Code.BAD_VALUE, f"{what} is larger than 127 KiB, more than a variable can hold", way_out)
    return value.reveal_text()


def _sources_of(value: Value) -> str:
    """The references that a value is made of, in words."""
    match value:
        case FromSecret():
            return f"the secret {value.secret!r} (key {' or '.join(value.keys)})"
        case FromConfigMap():
            return f"the config map {value.config_map!r} (key {' or '.join(value.keys)})"
        case Derived():
            found = dict.fromkeys(words for part in value.parts.values() if (words := _sources_of(part)))
            return " and ".join(found)
        case _:
            return ""


def _short(names: Iterable[str]) -> str:
    whole = ".".join(sorted(names))  # no connection's name has a dot in it, and a folder's may
    return whole if len(whole) <= 100 else hashlib.sha256(whole.encode()).hexdigest()[:16]
