"""What an unquoted word of a YAML file means.

YAML 1.1 as PyYAML and the field's files have it (``yes`` is true, ``0600`` is octal), with three of its traps taken
out:
``1e-3`` is a number (YAML 1.2), ``12:30`` is text and not base 60, and dates stay text until an input types them.
"""

from __future__ import annotations

import re

BOOLEANS = {
    word: value
    for value, words in ((True, ("yes", "true", "on")), (False, ("no", "false", "off")))
    for plain in words
    for word in (plain, plain.capitalize(), plain.upper())
}
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
SPECIAL_FLOATS = {
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
SUSPECTS = frozenset("0123456789+-.~nNtTfFyYoO")
MAX_DIGITS = 300

Scalar = str | int | float | bool | None

_INTEGER = re.compile(
    r"(?P<decimal>[-+]?(?:0|[1-9][0-9_]*))|(?P<octal>[-+]?0o?[0-7_]+)"
    r"|(?P<hex>[-+]?0x[0-9a-fA-F_]+)|(?P<binary>[-+]?0b[01_]+)"
)
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)"
)
_BASES = {"decimal": 10, "octal": 8, "hex": 16, "binary": 2}


def plain_value(text: str) -> Scalar:
    """The value of an unquoted scalar. Numbers of more than 300 digits stay text."""
    if text and text[0] not in SUSPECTS:
        return text
    if text in NULLS:
        return None
    if text in BOOLEANS:
        return BOOLEANS[text]
    if text in SPECIAL_FLOATS:
        return SPECIAL_FLOATS[text]
    if len(text) > MAX_DIGITS:
        return text
    return _number(text)


def _number(text: str) -> Scalar:
    if match := _INTEGER.fullmatch(text):
        base = _BASES[str(match.lastgroup)]
        digits = text.replace("_", "").replace("0o", "0", 1)
        try:
            return int(digits, base)
        except ValueError:
            return text
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    return text
