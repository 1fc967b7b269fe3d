"""The admin's own JSON Schema of a custom connection: what it may say, and that it is kept."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tieline.kinds import registry
from tieline.kinds.adminschema import broken, unknown
from tieline.kinds.pages import connect

RULES = {
    "type": "object",
    "properties": {
        "host": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"},
        "port": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
        "mode": {"enum": ["a", 1, True]},
        "axes": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2},
        "deep": {"properties": {"x": {"const": 1}}, "required": ["x"], "additionalProperties": False},
    },
    "required": ["host"],
    "additionalProperties": {"type": "boolean"},
}
VALUES: list[dict[str, Any]] = [
    {"host": "abc"},
    {},
    {"host": "a"},
    {"host": "abcdef"},
    {"host": "AB"},
    {"host": 5},
    {"host": "abc", "port": 3},
    {"host": "abc", "port": 3.0},
    {"host": "abc", "port": None},
    {"host": "abc", "port": 0},
    {"host": "abc", "port": 10},
    {"host": "abc", "port": True},
    {"host": "abc", "mode": 1},
    {"host": "abc", "mode": True},
    {"host": "abc", "mode": 0},
    {"host": "abc", "axes": [1.5, 2]},
    {"host": "abc", "axes": []},
    {"host": "abc", "axes": [1, 2, 3]},
    {"host": "abc", "axes": ["x"]},
    {"host": "abc", "deep": {"x": 1}},
    {"host": "abc", "deep": {"x": True}},
    {"host": "abc", "deep": {}},
    {"host": "abc", "deep": {"x": 1, "y": 2}},
    {"host": "abc", "deep": "no mapping"},
    {"host": "abc", "other": True},
    {"host": "abc", "other": 1},
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_the_rules_mean_what_json_schema_means(value: dict[str, Any]) -> None:
    assert (not broken(value, RULES, "schema")) == Draft202012Validator(RULES).is_valid(value)


def test_the_rules_themselves_are_right() -> None:
    assert list(unknown(RULES, "schema.fields")) == []
    Draft202012Validator.check_schema(RULES)


def complaints(schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    kind = registry.get("custom")
    assert kind is not None
    return kind.check(connect(kind, {"name": "it", "kind": "custom", "schema": schema}))


def test_problems_have_their_places() -> None:
    schema = {"port": 10, "axes": [1, "x"], "fields": {k: RULES[k] for k in ("properties", "required")}}
    assert [field for field, _, _ in complaints(schema)] == ["schema.host", "schema.port", "schema.axes.1"]


@pytest.mark.parametrize(
    ("rules", "field", "says"),
    [
        ({"requierd": ["host"]}, "schema.fields.requierd", "did you mean 'required'?"),
        ({"format": "email"}, "schema.fields.format", "known are"),
        ({"type": "text"}, "schema.fields.type", "known are string"),
        ({"type": 3}, "schema.fields.type", "known are string"),
        ({"required": "host"}, "schema.fields.required", "[host, port]"),
        ({"properties": ["host"]}, "schema.fields.properties", "{host: {type: string}}"),
        ({"properties": {"host": "string"}}, "schema.fields.properties.host", "{type: string}"),
        ({"properties": {"host": {"pattern": "("}}}, "schema.fields.properties.host.pattern", "regular expression"),
        ({"properties": {"host": {"minimum": "1"}}}, "schema.fields.properties.host.minimum", "in digits"),
        ({"enum": "x"}, "schema.fields.enum", "[a, b]"),
        ({"items": {"x-y": 1}}, "schema.fields.items.x-y", "known are"),
    ],
)
def test_a_rule_that_would_not_be_kept_is_refused(rules: dict[str, Any], field: str, says: str) -> None:
    (found,) = complaints({"host": 1, "fields": rules})
    assert found[0] == field
    assert says in f"{found[1]}; {found[2]}"


def test_without_fields_everything_goes() -> None:
    assert complaints({"a": 1, "type": "x", "provider": "y"}) == []
