"""Inputs and their values: the format's types, rules and argument forms.

Inputs are resolved in order; a later one may use an earlier one in a template. Every problem is told at the
place of the param or of the input's own default.
"""

from __future__ import annotations

import json
import re
import uuid as uuid_module
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from tieline.compile.templates import TemplateProblem, is_template, render
from tieline.documents.document import parse_document
from tieline.documents.forms import Issue, validate
from tieline.documents.scalars import plain_value
from tieline.errors import Code, InvalidInput, did_you_mean
from tieline.model.job import IO, Param, Validation

RESERVED = frozenset({"globals", "params", "connections", "init", "inputs", "outputs"})
PARAM_KEYS = frozenset(spelling for name, info in Param.model_fields.items() for spelling in (name, info.alias or name))


@dataclass(frozen=True, slots=True)
class Resolved:
    """An input with its value and everything a template may ask of it."""

    io: IO
    value: Any
    given: Param | None
    context: Mapping[str, Any] = field(default_factory=dict)


class BadValue(ValueError):
    """A value that is not of its input's type; the text says why."""


def resolve(
    inputs: Sequence[IO],
    params: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    strict: bool = True,
    complete: bool = True,
) -> tuple[dict[str, Resolved], list[Issue]]:
    """Every input's value. Issues have paths ``("params", NAME)`` or ``("inputs", INDEX)``.

    ``complete=False`` leaves required inputs that nobody gave out (for a check before a run).
    """
    found = _context_only(inputs, params)
    issues = _unknown(inputs, params) if strict else []
    for index, io in enumerate(inputs):
        given_here = io.name in params
        where = ("params", io.name) if given_here else ("inputs", index)
        given, bad = _param(params[io.name], where) if given_here else (None, [])
        issues += bad
        if bad:
            continue
        names = {**context, **{name: item.value for name, item in found.items()}}
        names["params"] = params_context(found)
        resolved = _resolve_one(io, given, names, where)
        if isinstance(resolved, Issue):
            if complete or resolved.code is not Code.MISSING_PARAM:
                issues.append(resolved)
        else:
            found[io.name] = resolved
    return found, issues


def _context_only(inputs: Sequence[IO], params: Mapping[str, Any]) -> dict[str, Resolved]:
    """Params that are no input and only give templates a name."""
    names = {io.name for io in inputs}
    return {
        name: Resolved(IO.model_construct(name=name), value.get("value"), None, {"value": value.get("value")})
        for name, value in params.items()
        if name not in names and isinstance(value, Mapping) and (value.get("contextOnly") or value.get("context_only"))
    }


def _unknown(inputs: Sequence[IO], params: Mapping[str, Any]) -> list[Issue]:
    names = [io.name for io in inputs]
    known = f"inputs: {', '.join(names)}" if names else "the component has no inputs"
    return [
        Issue(
            ("params", name),
            Code.UNKNOWN_PARAM,
            f"there is no input {name!r}",
            did_you_mean(name, names, known),
            at_key=True,
        )
        for name, value in params.items()
        if name not in names
        and not (isinstance(value, Mapping) and (value.get("contextOnly") or value.get("context_only")))
    ]


def _param(value: Any, where: tuple[str | int, ...]) -> tuple[Param | None, list[Issue]]:
    """A param's form. A mapping that has only a param's own keys is one; any other value is a literal."""
    if isinstance(value, Mapping) and value and set(value) <= PARAM_KEYS:
        return validate(Param, value, where)
    return Param.model_construct(value=value), []


def _resolve_one(
    io: IO, given: Param | None, names: Mapping[str, Any], where: tuple[str | int, ...]
) -> Resolved | Issue:
    if io.name in RESERVED:
        return Issue(where, Code.BAD_NAME, f"an input may not be named {io.name!r}", "rename it")
    if given is not None and given.ref is not None:
        return Issue(
            (*where, "ref"),
            Code.UNSUPPORTED,
            "params cannot refer to other runs in this version",
            "give the value itself",
        )
    raw = given.value if given is not None else io.value
    bare = given is not None and raw is None and (given.connection or given.init or given.to_init)
    path = (*where, "value") if where[0] == "inputs" else where
    if raw is None and not bare:
        return _without_value(io, given, names, where)
    try:
        value = render_deep(raw, names)
        typed = None if bare and value is None else typed_value(io, value)
    except TemplateProblem as problem:
        return Issue(path, problem.code, problem.message, problem.hint)
    except BadValue as problem:
        return Issue(path, Code.BAD_PARAM, f"{io.name}: {problem}", io.description or "")
    return _resolved(io, typed, given, names)


def _without_value(
    io: IO, given: Param | None, names: Mapping[str, Any], where: tuple[str | int, ...]
) -> Resolved | Issue:
    if io.is_optional or (given is not None and io.value is None and where[0] == "params" and io.is_flag):
        return _resolved(io, None, given, names)
    return Issue(where, Code.MISSING_PARAM, f"the input {io.name!r} has no value", f"give one: -P {io.name}=…")


def _resolved(io: IO, value: Any, given: Param | None, names: Mapping[str, Any]) -> Resolved:
    connection = (given.connection if given else None) or io.connection
    context: dict[str, Any] = {
        "value": value,
        "connection": connection,
        "type": io.type,
        "as_str": as_text(value),
        "as_arg": _argument(io, value, names),
    }
    return Resolved(io, value, given, context)


def connection_of(resolved: Resolved) -> str | None:
    """The connection that an input's value comes with."""
    return (resolved.given.connection if resolved.given else None) or resolved.io.connection


def init_of(resolved: Resolved) -> dict[str, Any] | None:
    """The init entry that a param asks for with ``init: true`` (``toInit``): its connection, and what to bring."""
    given = resolved.given
    if given is None or not (given.to_init or given.init):
        return None
    entry: dict[str, Any] = {"connection": connection_of(resolved)}
    handlers = {"artifacts": given.artifacts, "paths": given.paths, "git": given.git}
    if resolved.io.type in ("artifacts", "git", "file", "dockerfile") and isinstance(resolved.value, dict):
        handlers[resolved.io.type] = resolved.value
    elif resolved.io.type == "path" and isinstance(resolved.value, str):
        handlers["paths"] = [resolved.value]
    return {key: value for key, value in {**entry, **handlers}.items() if value is not None}


def params_context(found: Mapping[str, Resolved]) -> dict[str, Any]:
    """``params``: every input by name, and ``as_args``."""
    arguments = [item.context["as_arg"] for item in found.values() if item.context.get("as_arg")]
    return {**{name: item.context for name, item in found.items()}, "as_args": arguments}


def render_deep(value: Any, names: Mapping[str, Any]) -> Any:
    """Every template in a value, rendered."""
    if isinstance(value, str):
        return render(value, names) if is_template(value) else value
    if isinstance(value, Mapping):
        return {key: render_deep(item, names) for key, item in value.items()}
    return [render_deep(item, names) for item in value] if isinstance(value, list) else value


def as_text(value: Any) -> str:
    """A value as one argument: JSON for lists and mappings, nothing for null."""
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _argument(io: IO, value: Any, names: Mapping[str, Any]) -> str:
    if io.is_flag:
        return f"--{io.name}" if value else ""
    if value is None:
        return ""
    if io.arg_format:
        return str(render(io.arg_format, {**names, io.name: value, "value": value}))
    return f"--{io.name}={as_text(value)}"


def typed_value(io: IO, value: Any) -> Any:
    """The value as its input's type; lists item by item. Raises BadValue."""
    if value is None:
        if io.is_optional:
            return None
        raise BadValue("is empty")
    if io.is_list and io.type != "list":
        items = _as_list(value)
        result: Any = [_convert(io.type, item) for item in items]
    else:
        result = _convert(io.type, value)
    options = io.options or (io.validation.options if io.validation else None)
    if options is not None and any(item not in options for item in (result if io.is_list else [result])):
        raise BadValue(f"{as_text(result)} is not one of {', '.join(map(str, options))}")
    if io.validation:
        for rule in _broken(io.validation, result):
            raise BadValue(rule)
    return result


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        text = value.strip()
        value = _written_out(text) if text.startswith("[") else [plain_value(item.strip()) for item in text.split(",")]
    if not isinstance(value, list):
        raise BadValue(f"{as_text(value)} is no list")
    return value


def _written_out(text: str) -> Any:
    """A list or mapping as it may stand in a file: YAML's flow form, of which JSON is one."""
    try:
        return parse_document(text, "").data
    except InvalidInput as error:
        raise BadValue(f"{text!r} cannot be read: {error.problems[0].message}") from None


def _integer(value: Any) -> int:
    plain = plain_value(value) if isinstance(value, str) else value
    if isinstance(plain, bool) or not isinstance(plain, (int, float)) or plain != plain or int_lost(plain):
        raise BadValue(f"{as_text(value)} is no whole number")
    return int(plain)


def int_lost(value: float) -> bool:
    """Whether making a whole number of it would lose something."""
    return isinstance(value, float) and not value.is_integer()


def _float(value: Any) -> float:
    plain = plain_value(value) if isinstance(value, str) else value
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        raise BadValue(f"{as_text(value)} is no number")
    return float(plain)


def _boolean(value: Any) -> bool:
    plain = plain_value(value) if isinstance(value, str) else value
    if plain in (0, 1) and not isinstance(plain, float):
        plain = bool(plain)
    if not isinstance(plain, bool):
        raise BadValue(f"{as_text(value)} is neither true nor false")
    return plain


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise BadValue("a list or mapping is no text")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _written_out(value.strip())
    if not isinstance(value, dict):
        raise BadValue(f"{as_text(value)} is no mapping")
    return value


def _uri(value: Any) -> str:
    text = _text(value)
    if not re.match(r"^[A-Za-z][A-Za-z0-9+.-]*:", text):
        raise BadValue(f"{text!r} is no URI")
    return text


def _parsed(parse: Callable[[str], Any], name: str) -> Callable[[Any], str]:
    """Dates and the like stay text, in their standard form."""

    def convert(value: Any) -> str:
        try:
            return str(parse(_text(value)))
        except (ValueError, OverflowError):
            raise BadValue(f"{as_text(value)} is no {name}") from None

    return convert


def _files(value: Any) -> Any:
    if isinstance(value, (str, dict, list)):
        return value
    raise BadValue(f"{as_text(value)} is neither a name nor a mapping")


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _integer,
    "float": _float,
    "bool": _boolean,
    "dict": _mapping,
    "list": _as_list,
    "uri": _uri,
    "date": _parsed(date.fromisoformat, "date (2026-01-31)"),
    "datetime": _parsed(lambda text: datetime.fromisoformat(text).isoformat(), "time (2026-01-31T12:00:00)"),
    "timedelta": _parsed(lambda text: timedelta(seconds=float(text)), "number of seconds"),
    "uuid": _parsed(uuid_module.UUID, "UUID"),
    "any": lambda value: value,
    "path": _text,
    "image": _text,
    "gcs": _text,
    "s3": _text,
    "wasb": _text,
    "auth": _files,
    "artifacts": _files,
    "git": _files,
    "dockerfile": _files,
    "file": _files,
    "tensorboard": _files,
    "metric": lambda value: value,
    "metadata": lambda value: value,
    "event": lambda value: value,
}
ALIASES = {"string": "str", "integer": "int", "boolean": "bool", "number": "float", "mapping": "dict"}


def _convert(kind: str | None, value: Any) -> Any:
    if kind is None:
        return value
    convert = CONVERTERS.get(ALIASES.get(kind, kind))
    if convert is None:
        raise BadValue(f"its type {kind!r} is not known" + (f"; {did_you_mean(kind, CONVERTERS)}"))
    return convert(value)


def _broken(rules: Validation, value: Any) -> list[str]:
    """What a value breaks of its input's rules."""
    checks: list[tuple[Any, Callable[[Any], bool], str]] = [
        (rules.gt, lambda limit: value > limit, "must be greater than {}"),
        (rules.ge, lambda limit: value >= limit, "must be at least {}"),
        (rules.lt, lambda limit: value < limit, "must be less than {}"),
        (rules.le, lambda limit: value <= limit, "must be at most {}"),
        (rules.multiple_of, lambda limit: abs(value / limit - round(value / limit)) < 1e-9, "must be a multiple of {}"),
        (rules.min_digits, lambda limit: _digits(value) >= limit, "must have at least {} digits"),
        (rules.max_digits, lambda limit: _digits(value) <= limit, "must have at most {} digits"),
        (rules.decimal_places, lambda limit: _decimals(value) <= limit, "must have at most {} decimal places"),
        (rules.regex, lambda pattern: re.match(pattern, str(value)) is not None, "must match {}"),
        (rules.min_length, lambda limit: len(value) >= limit, "must have a length of at least {}"),
        (rules.max_length, lambda limit: len(value) <= limit, "must have a length of at most {}"),
        (rules.min_items, lambda limit: len(value) >= limit, "must have at least {} items"),
        (rules.max_items, lambda limit: len(value) <= limit, "must have at most {} items"),
        (rules.contains, lambda item: item in value, "must contain {}"),
        (rules.excludes, lambda item: item not in value, "must not contain {}"),
        (rules.keys, lambda keys: set(value) == set(keys), "must have exactly the keys {}"),
        (rules.contains_keys, lambda keys: set(keys) <= set(value), "must have the keys {}"),
        (rules.excludes_keys, lambda keys: not set(keys) & set(value), "must not have the keys {}"),
    ]
    broken = []
    for limit, holds, message in checks:
        if limit is None:
            continue
        try:
            kept = holds(limit)
        except (TypeError, ValueError, ZeroDivisionError, re.error):
            kept = False
        if not kept:
            shown = ", ".join(map(str, limit)) if isinstance(limit, tuple) else limit
            broken.append(f"{as_text(value)} {message.format(shown)}")
    return broken


def _digits(value: Any) -> int:
    return len(re.sub(r"\D", "", str(value)))


def _decimals(value: Any) -> int:
    return len(str(value).partition(".")[2])
