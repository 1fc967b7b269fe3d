"""What can be said of a file's templates before any is rendered: bad syntax, names that nothing will define, and
templates in places where none is ever rendered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tieline.compile.templates import TemplateProblem, is_template, undeclared_names
from tieline.documents.document import FieldPath
from tieline.documents.forms import MANY, Issue
from tieline.errors import Code, did_you_mean

RENDERED = ("run", "termination", "plugins", "hooks", "queue", "tags")
"""The parts of a component in which every template is rendered."""
JUDGED_LATER = ("inputs", "outputs", "description")
"""Inputs are rendered one by one, each with the values of those before it; a description is for people."""
READ_FIRST = frozenset({"mount", "presets", "patchstrategy", "pathref", "strictparams"})
READ_FIRST_ITSELF = frozenset({"params", "component", "runpatch"})
"""What an operation says about its own reading: as a whole, or with templates inside that are rendered later."""
MAX_TEMPLATES = 5_000
"""Of one job: Jinja takes about two milliseconds for each."""

Found = tuple[FieldPath, str]


def operation_issues(data: Mapping[str, Any]) -> list[Issue]:
    """Templates in the parts of an operation that are read before anything is rendered."""
    found: list[Found] = []
    for key, value in data.items():
        plain = str(key).replace("_", "").lower()
        if plain in READ_FIRST or (plain in READ_FIRST_ITSELF and isinstance(value, str)):
            found += _templates(value, (key,))
    return [_not_rendered(path) for path, _ in found[:MANY]]


def component_issues(component: Mapping[str, Any], params: Mapping[str, Any]) -> list[Issue]:
    """Every problem of a component's templates that can be known without values."""
    known = {"globals", "params", "connections", "init", "dict", "range", *params}
    inputs = component.get("inputs")
    for io in inputs if isinstance(inputs, list) else ():
        if isinstance(io, Mapping) and isinstance(io.get("name"), str):
            known.add(io["name"])
    issues: list[Issue] = []
    parts = {key: value for key, value in component.items() if key not in JUDGED_LATER}
    for number, (path, text) in enumerate(_templates(parts, ())):
        if number >= MAX_TEMPLATES:
            return [Issue(path, Code.TOO_LARGE, f"the job has more than {MAX_TEMPLATES} templates", "write a program")]
        issues += _issues(path, text, known)
        if len(issues) >= MANY:
            break
    return issues


def _templates(value: Any, path: FieldPath) -> Iterator[Found]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _templates(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _templates(item, (*path, index))
    elif is_template(value):
        yield path, value


def _issues(path: FieldPath, text: str, known: set[str]) -> Iterator[Issue]:
    if path[0] not in RENDERED:
        yield _not_rendered(path)
        return
    try:
        for name in sorted(undeclared_names(text) - known):
            hint = did_you_mean(name, known, f"known here: {', '.join(sorted(known)[:20])}")
            yield Issue(path, Code.UNDEFINED_NAME, f"{name!r} is not defined", hint)
    except TemplateProblem as problem:
        yield Issue(path, problem.code, problem.message, problem.hint)


def _not_rendered(path: FieldPath) -> Issue:
    return Issue(path, Code.BAD_TEMPLATE, "holds a template, and none is rendered here", "write the value itself")
