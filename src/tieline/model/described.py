"""The text under a form's field as its description, for JSON Schemas and pages.

pydantic can read these texts itself, when a class is made: that reads and parses source files at every start of every
command (some 80 ms). Here they are read when somebody asks for a schema.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar, get_args

from pydantic import BaseModel

FormT = TypeVar("FormT", bound=BaseModel)


def described(form: type[FormT]) -> type[FormT]:
    """The form itself, its fields (and those of the forms in them) now with their descriptions."""
    _describe(form)
    return form


@cache
def _describe(form: type[BaseModel]) -> None:
    for info in form.model_fields.values():
        for inner in _forms_in(info.annotation):
            if inner is not form:
                _describe(inner)
    texts: dict[str, str] = {}
    for base in reversed(form.__mro__):
        texts.update(_texts(base))
    for name, info in form.model_fields.items():
        info.description = info.description or texts.get(name)
    form.model_rebuild(force=True)


@cache
def _texts(form: type[Any]) -> Mapping[str, str]:
    """Every field's text in the source of one class, read once for all forms that are made from it; a class without
    source has none."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(form)))
    except (OSError, TypeError):
        return {}
    definition = tree.body[0]
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return dict(_pairs(body))


def _pairs(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            yield field.target.id, inspect.cleandoc(text.value.value)


def _forms_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _forms_in(part)
