"""An input's value as its input's type, and the rules that the component gives for it."""

from __future__ import annotations

import re
import uuid as uuid_module
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tieline.compile.plain import Unfit, plain
from tieline.documents.document import parse_document
from tieline.documents.patterns import BadPattern, matches
from tieline.documents.scalars import plain_value
from tieline.errors import InvalidInput, did_you_mean
from tieline.model.job import IO, Validation


class BadValue(ValueError):
    """A value that is not of its input's type; the text says why."""


def as_text(value: Any) -> str:
    """A value as one argument: JSON for lists and mappings, nothing for null."""
    if value is None:
        return ""
    if not isinstance(value, (dict, list)):
        return str(value)
    import json

    return json.dumps(value)


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
    try:
        result = plain(result)
    except Unfit as error:
        raise BadValue(str(error)) from None
    options = io.options or (io.validation.options if io.validation else None)
    if options is not None and not _all_among(result if io.is_list else [result], options):
        raise BadValue(f"{as_text(result)} is not one of {', '.join(map(str, options))}")
    if io.validation:
        for rule in _broken(io.validation, result):
            raise BadValue(rule)
    return result


def _all_among(values: Sequence[Any], options: Sequence[Any]) -> bool:
    try:
        return set(values) <= set(options)
    except TypeError:  # a list or a mapping is among them
        return all(value in options for value in values)


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
    number = plain_value(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or int_lost(number):
        raise BadValue(f"{as_text(value)} is no whole number")
    return int(number)


def int_lost(value: float) -> bool:
    """Whether making a whole number of it would lose something."""
    return isinstance(value, float) and not value.is_integer()


def _float(value: Any) -> float:
    number = plain_value(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise BadValue(f"{as_text(value)} is no number")
    try:
        return float(number)
    except OverflowError:
        raise BadValue(f"{as_text(value)} is too large a number") from None


def _boolean(value: Any) -> bool:
    found = plain_value(value) if isinstance(value, str) else value
    if found in (0, 1) and not isinstance(found, float):
        found = bool(found)
    if not isinstance(found, bool):
        raise BadValue(f"{as_text(value)} is neither true nor false")
    return found


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
        (rules.regex, lambda pattern: matches(pattern, str(value)), "must match {}"),
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
        except BadPattern as error:
            broken.append(f"cannot be checked: the regular expression {limit!r} cannot be used: {error}")
            continue
        except (TypeError, ValueError, ArithmeticError):
            kept = False
        if not kept:
            shown = ", ".join(map(str, limit)) if isinstance(limit, tuple) else limit
            broken.append(f"{as_text(value)} {message.format(shown)}")
    return broken


def _digits(value: Any) -> int:
    return len(re.sub(r"\D", "", str(value)))


def _decimals(value: Any) -> int:
    return len(str(value).partition(".")[2])
