"""What all kinds of binding have in common: where values come from, and the part that the envelope alone decides.

A kind says which entries and standard variables it has; :func:`assemble` adds the connection's own secret, config map,
``env`` and annotations, and applies ``envPrefix``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tieline.kinds.derived import first
from tieline.kinds.keys import Keys
from tieline.model.access import Credentials
from tieline.model.binding import (
    Binding,
    Derived,
    Entry,
    FromConfigMap,
    FromSecret,
    Mount,
    ResourceSource,
    Text,
    Value,
    Variable,
    WholeResource,
)
from tieline.model.connection import Connection, ResourceRef
from tieline.model.form import Form

Values = Mapping[str, Value | None]
"""Entries by name; those without a value are left out."""

SAFE_ENTRY = re.compile(r"(?!\.\.|\.\Z)[A-Za-z0-9._-]{1,253}\Z")
"""What a file of the binding directory may be called (servicebinding.io asks the same of a secret's keys)."""


def method(connection: Connection) -> Literal["secret", "workload-identity", "assume-role", "anonymous"]:
    """How the connection proves who it is: as ``auth`` says; else its secret; else not at all."""
    if connection.auth is not None:
        return connection.auth.method
    return "secret" if connection.secret is not None else "anonymous"


def credentials(connection: Connection, values: Values | None = None) -> Credentials:
    """Where an access's secret values are; ``values`` says where each one is."""
    secret, auth = connection.secret, connection.auth
    return Credentials(
        secret=secret.name if secret else None,
        items=secret.items if secret else None,
        mount_path=secret.mount_path if secret else None,
        method=method(connection),
        role=auth.role if auth else None,
        external_id=auth.external_id if auth else None,
        duration=_seconds(auth.duration) if auth and auth.duration else None,
        endpoint=auth.endpoint if auth else None,
        audience=auth.audience if auth else None,
        values={name: value for name, value in (values or {}).items() if value is not None},
    )


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


def _among(keys: Sequence[str], resource: ResourceRef) -> tuple[str, ...]:
    return tuple(key for key in keys if resource.items is None or key in resource.items)


def from_secret(connection: Connection, keys: Sequence[str]) -> FromSecret | None:
    """A credential: the first of these keys in the connection's secret, where it is used to log in."""
    secret = connection.secret
    if secret is None or method(connection) in ("anonymous", "workload-identity"):
        return None
    there = _among(keys, secret)
    return FromSecret(secret=secret.name, keys=there, optional=True) if there else None


def all_from_secret(connection: Connection, keys: Keys) -> dict[str, Value | None]:
    """A table of credentials."""
    return {entry: from_secret(connection, names) for entry, names in keys.items()}


def env_value(connection: Connection, keys: Sequence[str]) -> str | None:
    """What the connection's ``env`` list says under the first of these names."""
    given = {variable.name: variable.value for variable in connection.env}
    return next((given[key] for key in keys if key in given), None)


def setting(connection: Connection, keys: Sequence[str], given: str | None = None) -> Value | None:
    """A value that is no credential: the schema's, else of ``env``, else of the config map or the secret."""
    text = given if given is not None else env_value(connection, keys)
    if text is not None:
        return Text(text=text)
    config_map, secret = connection.config_map, connection.secret
    values: list[Value] = []
    if config_map is not None and (there := _among(keys, config_map)):
        values.append(FromConfigMap(config_map=config_map.name, keys=there, optional=True))
    if secret is not None and (there := _among(keys, secret)):
        values.append(FromSecret(secret=secret.name, keys=there, optional=True))
    return first(*values)


def as_text(value: Any) -> str:
    """A schema's value as the text of an entry: text as it is, others as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    import json

    return json.dumps(value, ensure_ascii=False, default=str)


def entry_name(field: str) -> str:
    """The entry of a schema's field, by the field's name in Python."""
    return field.rstrip("_").replace("_", "-")


def schema_entries(schema: Form) -> dict[str, Value | None]:
    """An entry for every field that has a value: ``addressingStyle`` in ``addressing-style``; extra keys as written."""
    entries: dict[str, Value | None] = {}
    for name in type(schema).model_fields:
        value = getattr(schema, name)
        if value or (value is not None and name in schema.model_fields_set):
            entries[entry_name(name)] = Text(text=as_text(value))
    for name, value in (schema.model_extra or {}).items():
        if value is not None and SAFE_ENTRY.match(name):
            entries.setdefault(name, Text(text=as_text(value)))
    return entries


def _sources(value: Value) -> list[str]:
    match value:
        case Text():
            return []
        case FromSecret():
            return [f"{' or '.join(value.keys)} of the secret {value.secret}"]
        case FromConfigMap():
            return [f"{' or '.join(value.keys)} of the config map {value.config_map}"]
        case Derived():
            found = [source for part in value.parts.values() for source in _sources(part)]
            return list(dict.fromkeys(found))


def why(value: Value, entry: str) -> str:
    """A sentence for ``tieline explain``: where a variable's value comes from."""
    sources = "; ".join(_sources(value))
    if isinstance(value, Text):
        return f"{entry}, as the catalog says"
    made = f"{entry}, made by the form {value.form}" if isinstance(value, Derived) else entry
    return f"{made}, from {sources}" if sources else made


def _resources(connection: Connection, names: Mapping[str, str]) -> tuple[list[WholeResource], list[Mount]]:
    whole: list[WholeResource] = []
    mounts: list[Mount] = []
    given: tuple[tuple[Literal["secret", "configMap"], ResourceRef | None], ...] = (
        ("secret", connection.secret),
        ("configMap", connection.config_map),
    )
    for what, ref in given:
        if ref is None:
            continue
        if ref.mount_path is None:
            whole.append(
                WholeResource(
                    resource=what,
                    name=ref.name,
                    items=ref.items,
                    prefix=connection.env_prefix,
                    connection=connection.name,
                )
            )
        else:
            source = ResourceSource(
                resource=what,
                name=ref.name,
                items=ref.items,
                mode=ref.default_mode,
                names={key: name for key, name in names.items() if key in _among([key], ref)},
            )
            mounts.append(Mount(source=source, mount_path=ref.mount_path, read_only=True, connection=connection.name))
    return whole, mounts


def _variables(connection: Connection, entries: Values, variables: Mapping[str, str | Value | None]) -> list[Variable]:
    own = {variable.name for variable in connection.env}
    found = []
    for name, source in variables.items():
        entry = source if isinstance(source, str) else name
        value = entries.get(source) if isinstance(source, str) else source
        if value is not None and name not in own:  # what `env` says is said on purpose
            found.append((name, value, "kind", why(value, entry)))
    found += [(item.name, Text(text=item.value), "env", "the connection's env list") for item in connection.env]
    return [
        Variable(
            name=connection.env_prefix + name,
            value=value,
            origin=origin,
            connection=connection.name,
            why=reason,
        )
        for name, value, origin, reason in found
    ]


def assemble(
    connection: Connection,
    type_: str,
    entries: Values,
    variables: Mapping[str, str | Value | None] | None = None,
    mounts: Sequence[Mount] = (),
    modes: Mapping[str, int] | None = None,
    file_names: Mapping[str, str] | None = None,
) -> Binding:
    """The whole binding. ``variables``: each standard variable's entry by name, or its value; ``modes``: of entries;
    ``file_names``: of the secret's keys, where they are mounted under another name."""
    whole, resource_mounts = _resources(connection, file_names or {})
    return Binding(
        connection=connection.name,
        type=type_,
        provider=connection.kind,
        entries=tuple(
            Entry(name=name, value=value, mode=(modes or {}).get(name))
            for name, value in entries.items()
            if value is not None
        ),
        variables=tuple(_variables(connection, entries, variables or {})),
        resources=tuple(whole),
        mounts=(*mounts, *resource_mounts),
        annotations=dict(connection.annotations),
    )
