"""A document's data against a typed form: every problem at once, in words, each with its place.

pydantic finds the problems; here they become :class:`~tieline.errors.Problem` values that name the field as the
user wrote
it, suggest the nearest key or word, and point at the line.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tieline.documents.document import Document, FieldPath, shortened
from tieline.errors import Code, InvalidInput, Place, Problem, did_you_mean

FormT = TypeVar("FormT", bound=BaseModel)
PATTERN_WORDS: dict[str, str] = {}


MANY = 500
"""Problems that are told of one file: nobody reads more, and a suggestion for each of 100,000 would take minutes."""


def described(pattern: str, words: str) -> str:
    """The pattern, with the words that tell a person what it asks for; a ``$`` alone would let a line end pass."""
    whole = f"{pattern}(?!\n)" if pattern.endswith("$") else pattern
    PATTERN_WORDS[whole] = words
    return whole


@dataclass(frozen=True, slots=True)
class Issue:
    """A problem that knows its path in a document, and not yet its line."""

    path: FieldPath
    code: Code
    message: str
    hint: str = ""
    at_key: bool = False
    warning: bool = False

    def at(self, place: Place) -> Problem:
        """The problem that it is, there."""
        return Problem(self.code, shortened(self.message), shortened(self.hint), place, self.warning)


def problems_of(document: Document, issues: Iterable[Issue]) -> list[Problem]:
    """Issues with their places, found in one reading of the text, in the file's order."""
    listed = most_of(issues)
    if not listed:
        return []
    places = document.places([(issue.path, issue.at_key) for issue in listed])
    problems = [issue.at(place) for issue, place in zip(listed, places, strict=True)]
    return sorted(problems, key=lambda problem: problem.place)


def most_of(issues: Iterable[Issue]) -> list[Issue]:
    """As many errors and as many warnings as are told of one file, and how many more there are."""
    kept: list[Issue] = []
    found = {False: 0, True: 0}
    for issue in issues:
        found[issue.warning] += 1
        if found[issue.warning] <= MANY:
            kept.append(issue)
    return kept + [more_of_them((), found[kind] - MANY, warning=kind) for kind in found if found[kind] > MANY]


def refuse(document: Document, issues: Iterable[Issue]) -> InvalidInput:
    """The error that tells all of these issues."""
    return InvalidInput(*problems_of(document, issues))


def validate(
    form: type[FormT], data: Any, path: FieldPath = (), *, later: Callable[[Any], bool] | None = None
) -> tuple[FormT | None, list[Issue]]:
    """The typed form of ``data``, or what is wrong with it. Problems of values for which ``later`` says True are left
    out (they hold templates that are not rendered yet); if only such are left, the form is None and the list empty."""
    if not isinstance(data, Mapping):
        return None, [_not_a_mapping(data, path)]
    try:
        return form.model_validate(data), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=True, include_input=True)
        kept = [item for item in found if not (later and later(item.get("input")))]
        issues = [_issue(form, data, path, item) for item in kept[:MANY]]
        return None, [*issues, more_of_them(path, len(kept) - MANY)] if len(kept) > MANY else issues


def more_of_them(path: FieldPath, number: int, *, warning: bool = False) -> Issue:
    """Instead of all the rest."""
    what = "warnings" if warning else "problems"
    message = f"there are {number} more {what} here"
    return Issue(path, Code.BAD_VALUE, message, "correct the others first", warning=warning)


def _not_a_mapping(data: Any, path: FieldPath) -> Issue:
    what = "is empty" if data is None else f"is {_kind_of(data)}"
    return Issue(path, Code.WRONG_TYPE, f"{what}; a mapping is needed", "write 'key: value' lines")


def _issue(form: type[BaseModel], data: Any, path: FieldPath, error: Any) -> Issue:
    where = _within(data, error["loc"])
    kind = error["type"]
    if kind == "missing":
        key = str(error["loc"][-1])
        return Issue((*path, *where), Code.MISSING_KEY, f"{key} is required", f"add '{key}: …'")
    if kind == "extra_forbidden":
        return _unknown_key(form, (*path, *where), error)
    message, hint = _words(kind, error)
    code = Code.WRONG_TYPE if kind.endswith(("_type", "_parsing")) else Code.BAD_VALUE
    return Issue((*path, *where), code, message, hint)


def _unknown_key(form: type[BaseModel], where: FieldPath, error: Any) -> Issue:
    key = str(error["loc"][-1])
    known = _known_keys(form, error["loc"][:-1])
    if _same_key(key, known):
        return Issue(where, Code.DUPLICATE_KEY, f"{key} is given twice, in two spellings", "keep one", at_key=True)
    few = f"known here: {', '.join(known)}" if 0 < len(known) <= 24 else ""
    return Issue(where, Code.UNKNOWN_KEY, f"{key!r} is not a known key", did_you_mean(key, known, few), at_key=True)


def _same_key(key: str, known: Sequence[str]) -> bool:
    plain = key.replace("_", "").lower()
    return any(plain == item.replace("_", "").lower() for item in known)


def _within(data: Any, location: Sequence[str | int]) -> FieldPath:
    """pydantic's location without the names of union branches: only steps that the data has (and the last one,
    where it is a key that is not there)."""
    path: list[str | int] = []
    for part in location:
        if isinstance(data, Mapping) and part in data:
            data = data[str(part)]
        elif isinstance(data, Mapping) and _spelling(data, part):
            part = _spelling(data, part)
            data = data[part]
        elif isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _spelling(data: Mapping[str, Any], part: str | int) -> str:
    plain = str(part).replace("_", "").lower()
    return next((key for key in data if key.replace("_", "").lower() == plain), "")


def _known_keys(form: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    current: Any = form
    for part in location:
        current = _step(current, part)
    found = form_in(current)
    return [info.alias or name for name, info in found.model_fields.items()] if found else []


def _step(current: Any, part: str | int) -> Any:
    found = form_in(current)
    if found is None or isinstance(part, int):
        arguments = [item for item in _arguments(current) if item not in (Ellipsis, type(None), str)]
        return arguments[-1] if arguments else None
    for name, info in found.model_fields.items():
        if part in (name, info.alias):
            return info.annotation
    return current if part == found.__name__ else None


@lru_cache(maxsize=1024)
def _arguments(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation)


def form_in(annotation: Any) -> type[BaseModel] | None:
    """The form that a field holds: itself, one of several, optional, annotated, or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, Annotated, tuple):
        return next((form for item in get_args(annotation) if (form := form_in(item))), None)
    return None


def _kind_of(value: Any) -> str:
    if value is None:
        return "empty"
    names = {
        bool: "true/false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), type(value).__name__)


WANTED = {
    "string_type": ("text", "quote it"),
    "bool_type": ("true or false", ""),
    "bool_parsing": ("true or false", ""),
    "int_type": ("a whole number", ""),
    "int_parsing": ("a whole number", ""),
    "int_from_float": ("a whole number", ""),
    "float_type": ("a number", ""),
    "float_parsing": ("a number", ""),
    "list_type": ("a list", "write '- item' lines"),
    "tuple_type": ("a list", "write '- item' lines"),
    "dict_type": ("a mapping", "write 'key: value' lines"),
    "mapping_type": ("a mapping", "write 'key: value' lines"),
    "model_type": ("a mapping", "write 'key: value' lines"),
    "model_attributes_type": ("a mapping", "write 'key: value' lines"),
}


def _words(kind: str, error: Any) -> tuple[str, str]:
    """What is wrong and what to do, for one of pydantic's error types."""
    value, context = error.get("input"), error.get("ctx") or {}
    if kind in WANTED:
        wanted, hint = WANTED[kind]
        return f"is {_shown(value)}; {wanted} is needed", hint
    if kind == "literal_error":
        choices = [item.strip("'") for item in str(context.get("expected", "")).replace(" or ", ", ").split(", ")]
        return f"{_shown(value)} is not one of {', '.join(choices)}", did_you_mean(str(value), choices)
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        return f"{_shown(value)} does not have the right form", PATTERN_WORDS.get(pattern, f"it must match {pattern}")
    if kind == "value_error":
        message, _, hint = str(context.get("error", error["msg"])).partition("|")
        return message, hint
    return f"{_shown(value)}: {error['msg'][:1].lower()}{error['msg'][1:]}", ""


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else value[:77] + "…")
    if isinstance(value, bool):
        return str(value).lower()
    return f"the number {value}" if isinstance(value, (int, float)) else _kind_of(value)
