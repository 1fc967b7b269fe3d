"""The part of JSON Schema that an admin's ``fields`` may use, checked without a library of its own.

Keywords have the meaning of JSON Schema 2020-12 (json-schema.org/draft/2020-12/json-schema-validation); any other
keyword is refused, because a rule that is written and not kept is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tieline.documents.patterns import BadPattern, check, matches
from tieline.errors import did_you_mean

Complaint = tuple[str, str, str]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": lambda value: _is_number(value),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
    "null": lambda value: value is None,
}
_SAYINGS = ("title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated")
_RULES = (
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)
_LIMITS: tuple[tuple[str, str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", "number", lambda value, limit: value >= limit, "at least {}"),
    ("maximum", "number", lambda value, limit: value <= limit, "at most {}"),
    ("minLength", "string", lambda value, limit: len(value) >= limit, "at least {} characters"),
    ("maxLength", "string", lambda value, limit: len(value) <= limit, "at most {} characters"),
    ("minItems", "array", lambda value, limit: len(value) >= limit, "at least {} items"),
    ("maxItems", "array", lambda value, limit: len(value) <= limit, "at most {} items"),
    ("pattern", "string", lambda value, limit: matches(limit, value, anywhere=True), "text that matches {}"),
)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    """JSON's equality: 1 is 1.0, and true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def unknown(rules: Any, place: str) -> Iterator[Complaint]:
    """What is wrong with the JSON Schema itself."""
    if not isinstance(rules, Mapping):
        yield place, "a JSON Schema is a mapping", "write it like {type: string}"
        return
    for word, value in rules.items():
        if word not in _RULES and word not in _SAYINGS:
            near = did_you_mean(str(word), _RULES, f"known are {', '.join(_RULES)}")
            yield f"{place}.{word}", "this keyword of JSON Schema is not known here", near
        elif problem := _badly_given(str(word), value):
            yield f"{place}.{word}", *problem
    properties = rules.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        yield from unknown(inner, f"{place}.properties.{name}")
    for word in ("items", "additionalProperties"):
        if word in rules and not isinstance(rules[word], bool):
            yield from unknown(rules[word], f"{place}.{word}")


def _badly_given(word: str, value: Any) -> tuple[str, str] | None:
    """What is wrong with a keyword's own value."""
    names = [value] if isinstance(value, str) else value
    if word == "type" and not (isinstance(names, list) and all(isinstance(n, str) and n in _TYPES for n in names)):
        return "there is no such type", f"known are {', '.join(_TYPES)}"
    if word == "required" and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        return "this is a list of names", "write it like [host, port]"
    if word == "properties" and not isinstance(value, Mapping):
        return "this is a mapping of names to schemas", "write it like {host: {type: string}}"
    if word == "enum" and not isinstance(value, list):
        return "this is a list of values", "write it like [a, b]"
    if word.startswith(("min", "max")) and not _is_number(value):
        return "this is a number", "write it in digits"
    if word == "pattern":
        try:
            check(value)
        except BadPattern as error:
            return f"this regular expression can't be used: {error}", "write it like '^[a-z]+$'"
    return None


def broken(value: Any, rules: Mapping[str, Any], place: str) -> list[Complaint]:
    """Where a value is not as the (valid) JSON Schema says."""
    kinds = rules.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        return [(place, f"this is not of the type {' or '.join(kinds)}", "the connection's 'fields' asks for it")]
    return [*_by_value(value, rules, place), *_inside(value, rules, place)]


def _by_value(value: Any, rules: Mapping[str, Any], place: str) -> Iterator[Complaint]:
    if "const" in rules and not _same(value, rules["const"]):
        yield place, "this is not the one value that is allowed", f"write {rules['const']!r}"
    if "enum" in rules and not any(_same(value, item) for item in rules["enum"]):
        yield place, "this is none of the values that are allowed", f"one of {', '.join(map(str, rules['enum']))}"
    for word, kind, holds, says in _LIMITS:
        if word in rules and _TYPES[kind](value) and not holds(value, rules[word]):
            yield place, "this is out of what is allowed", says.format(rules[word])


def _inside(value: Any, rules: Mapping[str, Any], place: str) -> Iterator[Complaint]:
    if isinstance(value, Mapping):
        for name in rules.get("required", ()):
            if name not in value:
                yield f"{place}.{name}", "this key is missing", "the connection's 'fields' requires it"
        properties, others = rules.get("properties", {}), rules.get("additionalProperties", True)
        for name, inner in value.items():
            if name in properties:
                yield from broken(inner, properties[name], f"{place}.{name}")
            elif others is False:
                near = did_you_mean(str(name), properties, "leave it out")
                yield f"{place}.{name}", "this key is not allowed", near
            elif isinstance(others, Mapping):
                yield from broken(inner, others, f"{place}.{name}")
    elif isinstance(value, list | tuple) and isinstance(rules.get("items"), Mapping):
        for number, inner in enumerate(value):
            yield from broken(inner, rules["items"], f"{place}.{number}")
