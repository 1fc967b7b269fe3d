"""JSON Schemas of the two files, for editors: made from the same forms as the reader uses.

A field that may hold a template also accepts one: text with ``{{``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tieline.kinds.schemas import connection_json_schema
from tieline.model.catalog import DeploymentForm
from tieline.model.described import described
from tieline.model.job import Component, Operation

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEMPLATE: dict[str, Any] = {"type": "string", "pattern": r"\{\{"}
CONNECTION = "Connection"
TYPED = frozenset({"integer", "number", "boolean", "array"})


def catalog_schema() -> dict[str, Any]:
    """The schema of the deployment file, its connections typed by their kinds."""
    schema = described(DeploymentForm).model_json_schema(by_alias=True)
    connection = connection_json_schema()
    definitions = {**schema.pop("$defs", {}), **connection.pop("$defs", {})}
    connection.pop("$schema", None)
    definitions[CONNECTION] = connection
    one, many = {"$ref": f"#/$defs/{CONNECTION}"}, {"type": "array", "items": {"$ref": f"#/$defs/{CONNECTION}"}}
    for part in (schema, definitions["NamespaceForm"]):
        for name, value in (("artifactsStore", one), ("connections", many), ("notificationConnections", many)):
            text = part["properties"][name].get("description")
            part["properties"][name] = {**value, "description": text} if text else value
    return {
        "$schema": DIALECT,
        "title": "Tieline deployment file",
        **_over(schema, _without_noise),
        "$defs": {n: _over(d, _without_noise) for n, d in definitions.items()},
    }


def job_schema() -> dict[str, Any]:
    """The schema of a job file: a component or an operation."""
    component = described(Component).model_json_schema(by_alias=True)
    operation = described(Operation).model_json_schema(by_alias=True)
    definitions = {**component.pop("$defs", {}), **operation.pop("$defs", {})}
    definitions["Component"], definitions["Operation"] = component, operation
    operation["properties"]["component"] = {"$ref": "#/$defs/Component"}
    operation["properties"]["params"] = {"type": "object"}
    return {
        "$schema": DIALECT,
        "title": "Tieline job file",
        "if": {"properties": {"kind": {"const": "operation"}}, "required": ["kind"]},
        "then": {"$ref": "#/$defs/Operation"},
        "else": {"$ref": "#/$defs/Component"},
        "$defs": {n: _over(_over(d, _without_noise), _or_template) for n, d in definitions.items()},
    }


def _over(node: Any, change: Callable[[dict[str, Any], bool], dict[str, Any]], *, top: bool = True) -> Any:
    """``change`` on every schema in a schema, the innermost first; names of properties are no schema's keys."""
    if isinstance(node, list):
        return [_over(item, change, top=False) for item in node]
    if not isinstance(node, Mapping):
        return node
    inner = {
        key: {name: _over(item, change, top=False) for name, item in value.items()}
        if key in ("properties", "$defs")
        else _over(value, change, top=False)
        for key, value in node.items()
    }
    return change(inner, top)


def _without_noise(node: dict[str, Any], _top: bool) -> dict[str, Any]:
    """Without the titles that only repeat a field's name, and without ``null`` for what may be left out."""
    noise = {"title"} | ({"default"} if node.get("default", 0) is None else set())
    cleaned = {key: value for key, value in node.items() if key not in noise}
    branches = cleaned.get("anyOf")
    if isinstance(branches, list):
        kept = [branch for branch in branches if branch != {"type": "null"}]
        if len(kept) == 1:
            del cleaned["anyOf"]
            return {**kept[0], **cleaned}
        cleaned["anyOf"] = kept
    return cleaned


def _or_template(node: dict[str, Any], top: bool) -> dict[str, Any]:
    """Typed values may also be templates."""
    if top or "const" in node or not (node.get("type") in TYPED or "enum" in node or "pattern" in node):
        return node
    texts = {key: node[key] for key in ("description",) if key in node}
    return {"anyOf": [{key: value for key, value in node.items() if key != "description"}, TEMPLATE], **texts}
