"""Binding directories that the cluster itself can make: each is one projected volume.

What is no secret is in the run's own ConfigMap, what is one is a key of its Secret. The kubelet writes both, and writes
a secret again that is changed while the job runs. What a volume cannot say truly is written by Tieline's first
container: a value that is made from a secret, a key of which nobody knows whether it is there, a mode that the files of
a volume do not have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tieline.engines.kubernetes.names import object_name
from tieline.engines.kubernetes.users import User
from tieline.engines.kubernetes.values import HIDDEN, Hidden, Known, Reference, Seen
from tieline.engines.kubernetes.volumes import Source
from tieline.engines.variables import makes_file
from tieline.kinds import derived
from tieline.model.binding import Binding, Entry, FromConfigMap, FromSecret, Value
from tieline.model.plan import Plan
from tieline.secrets.names import is_key
from tieline.secrets.needs import place_of, references
from tieline.secrets.resolve import Places

LARGEST = 100_000
"""Bytes of all values that are put into the ConfigMap: the plan there has them too."""


class File(NamedTuple):
    """One file of a binding directory. ``mode`` None: the directory's usual one."""

    name: str
    key: Reference
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Projected:
    """A binding directory that is a volume. ``literals``: what of it stands in the run's ConfigMap."""

    connection: str
    files: tuple[File, ...]
    literals: dict[str, str]

    def source(self, mode: int) -> Source:
        """The volume. ``mode``: of files that have none of their own."""
        groups: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
        for file in self.files:
            item: dict[str, Any] = {"key": file.key.key, "path": file.name}
            place = (file.key.resource, file.key.name, file.key.optional)
            groups.setdefault(place, []).append(item if file.mode is None else {**item, "mode": file.mode})
        sources = [
            {resource: {"name": name, "items": items, **({"optional": True} if optional else {})}}
            for (resource, name, optional), items in groups.items()
        ]
        return {"projected": {"sources": sources, "defaultMode": mode}}


def projected_of(plan: Plan, known: Known, user: User) -> dict[str, Projected]:
    """By connection; a binding that is not here has to be written."""
    seen, own_map = Seen(Places.of(plan.layout), known), object_name(plan.run.uuid)
    found: dict[str, Projected] = {}
    size = 0
    for binding in plan.bindings:
        one = _projected(binding, own_map, seen, user)
        if one is None:
            continue
        own = sum(len(text.encode()) for text in one.literals.values())
        if size + own <= LARGEST:
            found[binding.connection] = one
            size += own
    return found


def literal_key(connection: str, name: str) -> str:
    """The key of the run's ConfigMap. No connection's name has a dot."""
    plain = f"bindings.{connection}.{name}"
    return plain if is_key(plain) else f"bindings.{hashlib.sha256(plain.encode()).hexdigest()}"


def _projected(binding: Binding, own_map: str, seen: Seen, user: User) -> Projected | None:
    """A directory; None where it has to be written."""
    values: dict[str, tuple[str | Reference | None, int | None]] = {"type": (binding.type, None)}
    if binding.provider:
        values["provider"] = (binding.provider, None)
    for entry in binding.entries:
        value = _exact(seen, entry.value)
        if isinstance(value, Hidden) or not _has_mode(entry, user):
            return None
        if entry.name in values or not is_key(entry.name):
            return None  # whoever writes it says what is wrong
        values[entry.name] = (value, entry.mode)
    files: list[File] = []
    literals: dict[str, str] = {}
    for name, (value, mode) in values.items():
        if isinstance(value, str):
            key = literal_key(binding.connection, name)
            literals[key] = value
            files.append(File(name, Reference("configMap", own_map, key, False), mode))
        elif value is not None:
            files.append(File(name, value, mode))
    return Projected(binding.connection, tuple(files), literals)


def _has_mode(entry: Entry, user: User) -> bool:
    """Whether a volume's file can have the mode that an entry asks for, and the job then read it: files of volumes are
    root's, and with an ``fsGroup`` its group may read them, too."""
    return entry.mode is None or (user.is_root and user.fs_group is None)


def _exact(seen: Seen, value: Value) -> str | Reference | Hidden | None:
    """A value as it will be in the pod, whatever that finds; else hidden."""
    if value.type == "text":
        return value.text
    if value.type != "derived":
        return _reference(seen.known, value)
    if value.form == derived.FIRST:
        return _first(seen, value.parts)
    if makes_file(value) or references(value):
        return HIDDEN
    found = seen.of(value)
    return HIDDEN if found is None else found  # the pod finds out why there is none, and says it


def _reference(known: Known, value: FromSecret | FromConfigMap) -> Reference | Hidden | None:
    resource, name = place_of(value)
    keys = known.get((resource, name))
    if keys is None:
        only = value.keys[0] if len(value.keys) == 1 else None
        return Reference(resource, name, only, value.optional) if only is not None else HIDDEN
    there = next((key for key in value.keys if key in keys), None)
    if there is not None:
        return Reference(resource, name, there, value.optional)
    return None if value.optional else HIDDEN


def _first(seen: Seen, parts: Mapping[str, Value]) -> str | Reference | Hidden | None:
    """The first that has a value, if that is certain."""
    for name in sorted(parts, key=int):
        found = _exact(seen, parts[name])
        if isinstance(found, Reference) and found.optional and (found.resource, found.name) not in seen.known:
            return HIDDEN
        if found is not None:
            return found
    return None


def literals_of(projected: Iterable[Projected]) -> dict[str, str]:
    """What all of them have in the run's ConfigMap."""
    return {key: text for one in projected for key, text in one.literals.items()}
