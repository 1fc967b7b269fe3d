"""Inputs and params: types, rules, order, and the forms of arguments."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.compile.params import BadValue, init_of, params_context, resolve, typed_value
from tieline.errors import Code
from tieline.model.job import IO


def io(name: str = "x", **fields: Any) -> IO:
    return IO.model_validate({"name": name, **fields})


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("int", "3", 3), ("int", 3.0, 3), ("float", "1e-3", 0.001), ("float", 2, 2.0), ("bool", "yes", True),
        ("bool", "0", False), ("str", 5, "5"), ("str", True, "true"),
        ("list", "[1, 2]", [1, 2]), ("list", "a,b", ["a", "b"]), ("list", "[a, 2]", ["a", 2]),
        ("list", "64,32", [64, 32]),
        ("dict", '{"a": 1}', {"a": 1}), ("uri", "s3://b/k", "s3://b/k"), ("date", "2026-01-31", "2026-01-31"),
        ("uuid", "8fd3c4e2a0d54e1f9b1c2d3e4f5a6b7c", "8fd3c4e2-a0d5-4e1f-9b1c-2d3e4f5a6b7c"), (None, [1], [1]),
        ("path", "/data/x", "/data/x"), ("datetime", "2026-01-31T12:00:00", "2026-01-31T12:00:00"),
    ],
)  # fmt: skip
def test_types(kind: str | None, given: object, value: object) -> None:
    assert typed_value(io(type=kind), given) == value


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "1.5"), ("int", "x"), ("int", True), ("float", "fast"), ("bool", "maybe"), ("dict", "x"),
        ("uri", "nope"), ("date", "31.1.2026"), ("uuid", "12"), ("flaot", 1), ("int", float("nan")), ("int", None),
        ("datetime", "soon"), ("list", "[a"), ("dict", "{a: 1"), ("str", {"a": 1}), ("float", "1" * 400),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused(kind: str, given: object) -> None:
    with pytest.raises(BadValue):
        typed_value(io(type=kind), given)


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        ({"gt": 0, "le": 1}, 0.5, 0), ({"options": ["a", "b"]}, "a", "c"), ({"regex": "^s3://"}, "s3://x", "gs://x"),
        ({"minLength": 2}, "ab", "a"), ({"multipleOf": 5}, 10, 7), ({"containsKeys": ["a"]}, {"a": 1}, {"b": 1}),
        ({"contains": "x"}, "axb", "ab"), ({"ge": 1}, 1, "text"),
    ],
)  # fmt: skip
def test_rules(rules: dict[str, Any], good: object, bad: object) -> None:
    assert typed_value(io(validation=rules), good) == good
    with pytest.raises(BadValue):
        typed_value(io(validation=rules), bad)


def test_a_later_input_may_use_an_earlier_one() -> None:
    values, issues = resolve(
        [io("lr", type="float", value=0.1), io("double", type="float", value="{{ lr * 2 }}")], {}, {}
    )
    assert not issues
    assert values["double"].value == 0.2


def test_an_earlier_input_may_not_use_a_later_one() -> None:
    _, issues = resolve([io("a", value="{{ b }}"), io("b", value=1)], {}, {})
    assert [(issue.code, issue.path) for issue in issues] == [(Code.UNDEFINED_NAME, ("inputs", 0, "value"))]


def test_what_is_missing_unknown_or_wrong_is_told_at_its_place() -> None:
    inputs = [io("lr", type="float"), io("n", type="int", value=1)]
    _, issues = resolve(inputs, {"n": "x", "lrr": 3}, {})
    assert {(issue.code, issue.path) for issue in issues} == {
        (Code.UNKNOWN_PARAM, ("params", "lrr")),
        (Code.MISSING_PARAM, ("inputs", 0)),
        (Code.BAD_PARAM, ("params", "n")),
    }


def test_arguments() -> None:
    inputs = [
        io("lr", type="float", value=0.1), io("fast", type="bool", isFlag=True, value=True),
        io("slow", type="bool", isFlag=True, value=False), io("none", isOptional=True),
        io("n", type="int", value=3, argFormat="-n {{ n }}"), io("m", type="dict", value={"a": 1}),
    ]  # fmt: skip
    values, issues = resolve(inputs, {}, {})
    assert not issues
    context = params_context(values)
    assert [context[i.name]["as_arg"] for i in inputs] == ["--lr=0.1", "--fast", "", "", "-n 3", '--m={"a": 1}']
    assert context["as_args"] == ["--lr=0.1", "--fast", "-n 3", '--m={"a": 1}']


def test_a_param_can_say_where_its_value_comes_from() -> None:
    values, issues = resolve(
        [io("data", type="str")], {"data": {"value": "x", "connection": "images", "toEnv": "DATA"}}, {}
    )
    assert not issues
    assert values["data"].context["connection"] == "images"
    assert values["data"].given is not None
    assert values["data"].given.to_env == "DATA"


def test_a_mapping_that_is_no_param_is_a_value() -> None:
    values, _ = resolve([io("m", type="dict")], {"m": {"value": 1, "other": 2}}, {})
    assert values["m"].value == {"value": 1, "other": 2}


def test_refs_are_refused_by_name() -> None:
    _, issues = resolve([io("a")], {"a": {"ref": "runs.123", "value": "outputs"}}, {})
    assert issues[0].code is Code.UNSUPPORTED


@pytest.mark.parametrize(
    ("fields", "given", "entry"),
    [
        ({"type": "path", "value": "sub"}, {}, {"connection": "vol", "paths": ["sub"]}),
        ({"type": "artifacts"}, {"x": {"files": ["a"]}}, {"connection": "vol", "artifacts": {"files": ["a"]}}),
        ({"type": "git"}, {}, {"connection": "vol"}),
        ({"type": "git", "isOptional": True}, {}, None),
        ({"type": "path"}, {"x": {"value": "sub", "toInit": False}}, None),
        ({"type": "path"}, {"x": {"value": "sub", "connection": "b"}}, {"connection": "b", "paths": ["sub"]}),
    ],
)
def test_an_input_may_ask_for_what_it_names_to_be_brought(
    fields: dict[str, Any], given: dict[str, Any], entry: dict[str, Any] | None
) -> None:
    values, issues = resolve([io("x", connection="vol", toInit=True, **fields)], given, {})
    assert not issues
    assert init_of(values["x"]) == entry
