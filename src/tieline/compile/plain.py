"""What a value of a param or a template may be: plain data that any plan can hold, and any JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_LEVELS = 60
MAX_BITS = 4096
"""Of a whole number: Python itself refuses to write one of more than 4,300 digits (14,285 bits) as text."""
TEXT_UNIT = 16
"""Characters of text that weigh as much as one value."""
SEQUENCES: Any = (
    list, tuple, set, frozenset, type({}.keys()), type({}.values()), type({}.items()),
)  # fmt: skip
ITEMS: Any = (range, *SEQUENCES)
PARTS: Any = (Mapping, *SEQUENCES)


class Unfit(Exception):
    """A value that no plan can hold; the text says why."""


def plain(value: Any, level: int = 0) -> Any:
    """The value as text, numbers, booleans, null, lists and mappings, and nothing else. Raises Unfit."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _number(value)
    if level >= MAX_LEVELS:
        raise Unfit(f"it is nested deeper than {MAX_LEVELS} levels")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise Unfit("a key of it is no text")
        return {_text(key): plain(item, level + 1) for key, item in value.items()}
    if isinstance(value, ITEMS):
        return [plain(item, level + 1) for item in value]
    raise Unfit(f"{type(value).__name__} is no plain value")


def _text(value: str) -> str:
    if "\0" in value:
        raise Unfit("it has a NUL character, which no variable or argument can have")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unfit("it has half of a surrogate pair, which is no text") from None
    return str(value)


def _number(value: int) -> int:
    if value.bit_length() > MAX_BITS:
        raise Unfit(f"it is a number of more than {MAX_BITS} bits")
    return value


def weight(value: Any, most: int) -> int:
    """How much a value weighs, with everything in it as often as it is in it. Raises Unfit above ``most``."""
    total, left = 0, [(value, 0)]
    while left:
        item, level = left.pop()
        total += 1
        if isinstance(item, (str, bytes)):
            total += len(item) // TEXT_UNIT
        elif isinstance(item, int):
            total += _number(item).bit_length() // 64
        elif isinstance(item, PARTS):
            if level >= MAX_LEVELS:
                raise Unfit(f"it is nested deeper than {MAX_LEVELS} levels")
            if total + len(item) <= most:
                left += [(inner, level + 1) for inner in (item.items() if isinstance(item, Mapping) else item)]
            total += 0 if total + len(item) <= most else most
        if total > most:
            raise Unfit("it is too large")
    return total
