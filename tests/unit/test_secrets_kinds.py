"""Every kind's bindings can be resolved: with all keys that it knows, with none, and with any one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tieline.kinds import registry
from tieline.model.binding import Binding, Value
from tieline.model.connection import Connection, ConnectionForm
from tieline.secrets.memory import MemorySource
from tieline.secrets.needs import place_of, references
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources

PLACES = Places("/run/bindings", "/run/made")
SPECIAL = {
    "config.json": '{"auths": {"a": {"auth": "eDp5"}}}',
    ".dockerconfigjson": '{"auths": {}}',
    ".dockercfg": '{"a": {"auth": "eDp5"}}',
    "port": "1234",
}
JSON = '{"private_key": "x\\\\ny"}'


def examples() -> Iterator[Any]:
    for kind in registry.all_kinds():
        for number, example in enumerate(kind.examples):
            secret = {"name": "s"} | ({"mountPath": "/s"} if kind.name == "ssh" else {})
            for given in (example, {**example, "secret": secret}):
                form = ConnectionForm.model_validate(given)
                schema = kind.schema.model_validate(form.schema_) if form.schema_ is not None else None
                connection = Connection.from_form(form, schema)
                yield pytest.param(
                    kind.bind(connection), kind.access(connection), id=f"{kind.name}-{number}-{given is example}"
                )


EXAMPLES = list(examples())


def values_of(binding: Binding, access: Any) -> Iterator[Value]:
    yield from (entry.value for entry in binding.entries)
    yield from (variable.value for variable in binding.variables)
    if hasattr(access, "credentials"):
        yield from access.credentials.values.values()


def filled(values: Iterable[Value]) -> dict[str, dict[str, dict[str, bytes | str]]]:
    """Every key that these values may come from, each with a value that tells where it is from."""
    found: dict[str, dict[str, dict[str, bytes | str]]] = {"secret": {}, "configMap": {}}
    for value in values:
        for reference in references(value):
            resource, name = place_of(reference)
            for key in reference.keys:
                text = SPECIAL.get(key) or (JSON if "json" in key.lower() or "KEYFILE" in key else f"v@l:{key}/ü")
                found[resource].setdefault(name, {})[key] = text
    return found


@pytest.mark.parametrize(("binding", "access"), EXAMPLES)
def test_every_value_can_be_made(binding: Binding, access: Any) -> None:
    values = list(values_of(binding, access))
    data = filled(values)
    ours = Resolver(Sources([MemorySource(data["secret"], data["configMap"])], "default"), PLACES)
    for value in values:
        found = ours.resolve(value)
        assert found is not None, value
    assert ours.notes == []
    entries = {entry.name: ours.resolve(entry.value) for entry in binding.entries}
    uri = entries.get("uri")
    if uri is not None and "://" in uri.reveal_text() and "bitbucket" not in uri.reveal_text():
        assert urlsplit(uri.reveal_text()).scheme
    if (config := entries.get("config.json")) is not None:
        json.loads(config.reveal())


@pytest.mark.parametrize(("binding", "access"), EXAMPLES)
def test_without_any_key_what_needs_one_is_absent(binding: Binding, access: Any) -> None:
    ours = Resolver(Sources([MemorySource()], "default"), PLACES)
    for value in values_of(binding, access):
        found = ours.resolve(value)
        assert found is not None or list(references(value))
    assert ours.notes == []


@pytest.mark.parametrize(("binding", "access"), EXAMPLES)
def test_with_any_one_key_nothing_goes_wrong(binding: Binding, access: Any) -> None:
    values = list(values_of(binding, access))
    data = filled(values)
    for resource, resources in data.items():
        for name, keys in resources.items():
            for key, text in keys.items():
                only = {name: {key: text}}
                source = MemorySource(**{"secrets" if resource == "secret" else "config_maps": only})  # type: ignore[arg-type]
                ours = Resolver(Sources([source], "default"), PLACES)
                for value in values:
                    ours.resolve(value)
                assert ours.notes == [], key
