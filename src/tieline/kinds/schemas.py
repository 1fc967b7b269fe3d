"""One JSON Schema for a connection: what editors check a catalog with, and what the docs' tables are made from.

The envelope is the same for all kinds; ``schema`` is typed by ``kind`` through if/then. Keys are ``camelCase``: the
reader takes ``snake_case`` too, but an editor should propose one way to write a thing.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from tieline.kinds.base import Kind
from tieline.kinds.registry import all_kinds
from tieline.model.connection import ConnectionForm
from tieline.model.described import described
from tieline.model.form import Form

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFS = "#/$defs/{model}"


def connection_json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one connection, with a definition per kind."""
    kinds = list(all_kinds())
    forms: list[type[Form]] = [described(ConnectionForm), *(described(kind.schema) for kind in kinds)]
    refs, document = models_json_schema([(form, "validation") for form in forms], ref_template=_REFS)
    definitions: dict[str, Any] = document["$defs"]
    envelope = definitions.pop(refs[ConnectionForm, "validation"]["$ref"].rpartition("/")[2])
    _as_read(definitions)
    properties = {
        **envelope["properties"],
        "schema": {"description": ConnectionForm.model_fields["schema_"].description or "What it is, and where."},
        "kind": {"description": envelope["properties"]["kind"]["description"], "enum": [kind.name for kind in kinds]},
    }
    return {
        "$schema": DIALECT,
        **envelope,
        "title": "Connection",
        "properties": properties,
        "allOf": [_rule(kind, refs[kind.schema, "validation"]) for kind in kinds],
        "$defs": definitions,
    }


def _rule(kind: Kind, ref: Any) -> dict[str, Any]:
    """If it is of this kind, then its ``schema`` is this one."""
    schema = ref if kind.needs_schema else {"anyOf": [ref, {"type": "null"}]}
    then: dict[str, Any] = {"properties": {"schema": schema}}
    if kind.needs_schema:
        then["required"] = ["schema"]
    return {"if": {"properties": {"kind": {"const": kind.name}}, "required": ["kind"]}, "then": then}


def _as_read(definitions: dict[str, Any]) -> None:
    """Two fields of the envelope are read in more ways than their types show: modes, and values of variables."""
    mode = definitions["ResourceRef"]["properties"]["defaultMode"]
    mode["anyOf"] = [*mode["anyOf"], {"type": "string", "pattern": "^0?[0-7]{3,4}$"}]
    definitions["EnvVar"]["properties"]["value"]["type"] = ["string", "number", "boolean"]


def schema_of(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of one kind's ``schema``."""
    return described(kind.schema).model_json_schema(ref_template=_REFS)
