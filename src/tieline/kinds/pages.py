"""A page of the docs per kind, made from its schema and from what its own examples bind; and the index of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tieline.kinds.base import Kind
from tieline.kinds.registry import FAMILIES, all_kinds
from tieline.kinds.schemas import schema_of
from tieline.model.binding import (
    Binding,
    ClaimSource,
    Derived,
    FromConfigMap,
    FromSecret,
    HostPathSource,
    ResourceSource,
    Text,
    Value,
)
from tieline.model.connection import Connection, ConnectionForm

_FAMILY_TITLES = {
    "volumes": "Volumes",
    "buckets": "Buckets",
    "code": "Code",
    "images": "Images",
    "clouds": "Clouds",
    "databases": "Databases",
    "services": "Services",
    "channels": "Channels (notifications)",
    "custom": "Your own",
}

_ASSUME_ROLE = (
    "`auth: {method: assume-role, role: …}` says which role is taken on with the secret's credentials. A job finds "
    "these credentials themselves. The role is bound nowhere: to the SDKs `AWS_ROLE_ARN` means one that is taken on "
    "with a token (`AWS_WEB_IDENTITY_TOKEN_FILE`), not with keys."
)


def connect(kind: Kind, data: Mapping[str, Any]) -> Connection:
    """A connection of this kind, as a catalog has it, read. Raises pydantic's ValidationError."""
    form = ConnectionForm.model_validate(data)
    schema = kind.schema.model_validate(form.schema_ if form.schema_ is not None else {})
    return Connection.from_form(form, schema)


def page(kind: Kind) -> str:
    """``docs/kinds/<name>.md``."""
    full = kind.examples[-1] if kind.examples else None
    parts = [
        f"# {kind.name}",
        f"{kind.title}. Family: [{kind.family}](index.md).",
        *_fields(kind),
        *_examples(kind),
        *(_finds(kind.bind(connect(kind, full))) if full else ()),
    ]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """``docs/kinds/index.md``: all kinds by family."""
    kinds = list(all_kinds())
    families = [*FAMILIES, *sorted({kind.family for kind in kinds} - set(FAMILIES))]
    parts = ["# Kinds of connections", "Every kind has a typed `schema`. Names in bold on a kind's page are required."]
    for family in families:
        rows = [[f"[`{kind.name}`]({kind.name}.md)", kind.title] for kind in kinds if kind.family == family]
        if rows:
            parts += [f"## {_FAMILY_TITLES.get(family, family)}", _table(["kind", "connects to"], rows)]
    return "\n\n".join(parts) + "\n"


def _fields(kind: Kind) -> list[str]:
    schema = schema_of(kind)
    required = schema.get("required", [])
    rows = [
        [
            f"**`{name}`**" if name in required else f"`{name}`",
            _type(rules),
            "yes" if name in required else "",
            " ".join(rules.get("description", "").split()),
        ]
        for name, rules in schema.get("properties", {}).items()
    ]
    free = kind.schema.model_config.get("extra") == "allow"
    strictness = (
        "Other keys are accepted, with a warning where one looks like a misspelt field: each becomes an entry of the "
        "binding directory."
        if free
        else "Other keys are errors."
    )
    needed = "" if kind.needs_schema else " The whole `schema` may be left out."
    login = f" `auth.method` may be {', '.join(kind.auth_methods)}." if kind.auth_methods else ""
    return [
        "## Schema",
        _table(["field", "type", "required", "description"], rows),
        f"{strictness}{needed}{login}",
        *([kind.logins] if kind.logins else []),
        *([_ASSUME_ROLE] if "assume-role" in kind.auth_methods else []),
    ]


def _type(rules: Mapping[str, Any]) -> str:
    """A JSON Schema's type in a word or two."""
    if "anyOf" in rules:
        words = dict.fromkeys(_type(one) for one in rules["anyOf"] if one.get("type") != "null")
        if "whole number" in words:
            words.pop("text", None)  # digits in quotes are read too
        if "list of text" in words:
            words.pop("text", None)  # a single one too
        return " or ".join(words)
    if "enum" in rules or "const" in rules:
        return " or ".join(f"`{value}`" for value in rules.get("enum", [rules.get("const")]))
    kind = rules.get("type", "any")
    if isinstance(kind, list):  # text that may be written as a number or boolean
        return "text"
    if kind == "array":
        return f"list of {_type(rules.get('items', {}))}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "mapping"}
    return words.get(kind) or str(kind)


def _examples(kind: Kind) -> list[str]:
    if not kind.examples:
        return []
    text = yaml.safe_dump(
        {"connections": [dict(example) for example in kind.examples]},
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )
    return ["## Example" if len(kind.examples) == 1 else "## Examples", f"```yaml\n{text}```"]


def _finds(binding: Binding) -> Iterable[str]:
    yield "## What a job finds"
    yield f"For the example `{binding.connection}`, in `$SERVICE_BINDING_ROOT/{binding.connection}/`:"
    entries = [["`type`", f"`{binding.type}`"], ["`provider`", f"`{binding.provider}`"]]
    entries += [[f"`{entry.name}`", describe(entry.value)] for entry in binding.entries]
    yield _table(["file", "content"], entries)
    rows = [[f"`{variable.name}`", describe(variable.value)] for variable in binding.variables]
    rows += [
        [f"`{resource.prefix}…`", f"every key of the {_word(resource.resource)} `{resource.name}`"]
        if resource.items is None
        else [f"`{resource.prefix}{item}`", f"the {_word(resource.resource)} `{resource.name}`"]
        for resource in binding.resources
        for item in resource.items or ("",)
    ]
    if rows:
        yield "Variables, where the value is there:"
        yield _table(["variable", "value"], rows)
    if binding.mounts:
        mounts = [
            [f"`{mount.mount_path}`", _source(mount.source), "read-only" if mount.read_only else "read and write"]
            for mount in binding.mounts
        ]
        yield "Mounts:"
        yield _table(["path", "what", "access"], mounts)


def describe(value: Value) -> str:
    """Where a value comes from, in markdown."""
    match value:
        case Text():
            return f"`{value.text}`" if value.text else "empty"
        case FromSecret():
            return f"the secret's {' or '.join(f'`{key}`' for key in value.keys)}"
        case FromConfigMap():
            return f"the config map's {' or '.join(f'`{key}`' for key in value.keys)}"
        case Derived(form="first"):
            return ", else ".join(describe(part) for part in value.parts.values())
        case Derived(form="entry-path"):
            entry = value.parts.get("entry")
            return f"the path of the file {describe(entry)}" if entry else "the directory's path"
        case Derived():
            secret = dict.fromkeys(
                describe(part) for part in value.parts.values() if isinstance(part, FromSecret | Derived)
            )
            return f"made (`{value.form}`)" + (f" from {'; '.join(secret)}" if secret else "")


def _source(source: HostPathSource | ClaimSource | ResourceSource | Any) -> str:
    match source:
        case HostPathSource():
            return f"the host's folder `{source.path}`"
        case ClaimSource():
            return f"the claim `{source.claim}`"
        case ResourceSource():
            return f"the files of the {_word(source.resource)} `{source.name}`"
    return "an empty folder"


def _word(resource: str) -> str:
    return "config map" if resource == "configMap" else resource


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
