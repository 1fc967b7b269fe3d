"""The JSON Schema for editors and the pages of the docs: both are made from the kinds, and agree with them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tieline.kinds import registry
from tieline.kinds.pages import index, page
from tieline.kinds.schemas import connection_json_schema

SCHEMA = connection_json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def example(kind: str, number: int = -1) -> dict[str, Any]:
    found = registry.get(kind)
    assert found is not None
    return copy.deepcopy(dict(found.examples[number]))


def test_it_is_a_json_schema_and_plain_data() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["properties"]["kind"]["enum"] == registry.names()
    assert connection_json_schema() == SCHEMA


@pytest.mark.parametrize("kind", registry.names())
def test_the_examples_are_valid(kind: str) -> None:
    found = registry.get(kind)
    assert found is not None
    for item in found.examples:
        assert list(VALIDATOR.iter_errors(json.loads(json.dumps(item)))) == []


@pytest.mark.parametrize("kind", registry.names())
def test_every_field_is_described(kind: str) -> None:
    found = registry.get(kind)
    assert found is not None
    for name, info in found.schema.model_fields.items():
        assert info.description, name
        assert info.alias


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("s3", {"schema": {"bucket": "gs://data"}}),
        ("s3", {"schema": {"bucket": "s3://data", "volumeClaim": "x"}}),
        ("s3", {"schema": None}),
        ("wasb", {"schema": {"bucket": "wasbs://[email protected]/"}}),
        ("git", {"schema": {"url": "https://user:pw@github.com/org/repo"}}),
        ("git", {"schema": {"url": "ext::sh -c x"}}),
        ("postgres", {"schema": {"port": "x"}}),
        ("postgres", {"schema": {"uri": "postgresql://me:pw@db/x"}}),
        ("email", {"schema": {"host": "smtp"}}),
        ("slack", {"kind": "slak"}),
        ("slack", {"secrets": {"name": "s"}}),
        ("slack", {"secret": {"name": "s", "mountpath": "/x"}}),
        ("slack", {"name": "Not A Name"}),
    ],
)
def test_what_the_reader_refuses_an_editor_refuses(kind: str, change: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**example(kind), **change})


def test_a_missing_schema_is_an_error_only_where_one_is_needed() -> None:
    for kind in registry.all_kinds():
        data = {key: value for key, value in example(kind.name).items() if key != "schema"}
        assert VALIDATOR.is_valid(data) == (not kind.needs_schema), kind.name


@pytest.mark.parametrize(
    "change",
    [
        {"secret": {"name": "s", "defaultMode": "0600"}},
        {"secret": {"name": "s", "defaultMode": 384}},
        {"env": [{"name": "A", "value": 1}, {"name": "B", "value": True}, {"name": "C"}]},
        {"schema": None},
        {"schema": {"port": "7", "anything": [1]}},
    ],
)
def test_what_the_reader_takes_an_editor_takes(change: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors({"name": "it", "kind": "redis", "schema": {"database": 0}, **change})) == []


@pytest.mark.parametrize("kind", registry.names())
def test_a_page_has_every_field_and_the_examples(kind: str) -> None:
    found = registry.get(kind)
    assert found is not None
    text = page(found)
    assert text.startswith(f"# {kind}\n")
    for info in found.schema.model_fields.values():
        cell = f"**`{info.alias}`**" if info.is_required() else f"| `{info.alias}` |"
        assert cell in text
    block = text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(block) == {"connections": json.loads(json.dumps(found.examples))}
    assert "## What a job finds" in text
    assert "None" not in text


def test_a_page_says_what_a_job_finds() -> None:
    found = registry.get("postgres")
    assert found is not None
    text = page(found)
    assert "| `FEATURES_PGPASSWORD` | the secret's `password` |" in text
    assert "Other keys are accepted" in text
    strict = registry.get("registry")
    assert strict is not None
    assert "| `/kaniko/.docker` | the files of the secret `docker-conf` | read-only |" in page(strict)
    assert "Other keys are errors." in page(strict)


def test_tables_have_one_number_of_cells() -> None:
    for kind in registry.all_kinds():
        width = 0
        for line in page(kind).splitlines():
            cells = line.replace("\\|", "").count("|") if line.startswith("|") else 0
            assert not (width and cells) or cells == width, (kind.name, line)
            width = cells


def test_the_index_names_every_kind() -> None:
    text = index()
    assert all(f"[`{name}`]({name}.md)" in text for name in registry.names())
    assert text.index("## Volumes") < text.index("## Buckets") < text.index("## Your own")
