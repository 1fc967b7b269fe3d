"""What to look for in a job's log, so that no secret is shown: each value in the forms in which programs print it.

A value is looked for as it is, percent-encoded, as a JSON string, and in base64, wherever in such a text it begins.
Of a value of several lines, each line is looked for; of a JSON document, what its secret members say; of an address
or ``user:password``, the password too. What is too short would hide half of every word: it is not looked for, and said
to be visible.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST = 5
"""Bytes of a value that is looked for."""
SHORTEST_PART = 8
"""Bytes of a line, a member or an encoded form that is looked for."""
PIECE = 1024
"""Longer values are looked for in pieces of so many bytes."""
_SECRET = re.compile(r"key|secret|token|password|passwd|credential|private|signature", re.IGNORECASE)
_SAFE = ("", "/", "/:@")


def needles_of(value: bytes) -> frozenset[bytes]:
    """Everything that stands for this value in a log; nothing for one that is too short. No needle has a line end."""
    text = value.decode("utf-8", "surrogateescape").strip()
    found: set[bytes] = set()
    if len(_bytes(text)) < SHORTEST:
        return frozenset()
    for part in dict.fromkeys(_parts(text)):
        found |= {needle for needle in _forms(part) if len(needle) >= SHORTEST}
    return frozenset(piece for needle in found for piece in _pieces(needle))


def _parts(text: str) -> Iterator[str]:
    """The value, and what in it is a secret by itself."""
    yield text
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(_bytes(line)) >= SHORTEST_PART)
    yield from (part for part in _inner(text) if len(_bytes(part)) >= SHORTEST)


def _inner(text: str) -> Iterator[str]:
    if text.startswith(("{", "[")):
        try:
            yield from _members(json.loads(text))
        except (ValueError, RecursionError):  # it only looks like JSON
            return
    elif "://" in text and not any(c.isspace() for c in text):
        yield from _of_address(text)
    elif ":" in text and not any(c.isspace() for c in text):
        yield text.partition(":")[2]


def _members(data: Any, name: str = "") -> Iterator[str]:
    """The strings of members that are named like secrets, and each of their lines."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _members(value, str(key))
    elif isinstance(data, list):
        for value in data:
            yield from _members(value, name)
    elif isinstance(data, str) and _SECRET.search(name):
        yield from (line for line in (data.strip(), *data.splitlines()) if len(_bytes(line)) >= SHORTEST_PART)


def _of_address(text: str) -> Iterator[str]:
    try:
        password, query = urlsplit(text).password, urlsplit(text).query
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))
    if len(query) >= SHORTEST_PART:
        yield query


def _forms(text: str) -> Iterator[bytes]:
    raw = _bytes(text)
    if "\n" not in text and "\r" not in text:
        yield raw
    for safe in _SAFE:
        yield quote(text, safe=safe, errors="surrogateescape").encode("ascii")
    yield quote_plus(text, errors="surrogateescape").encode("ascii")
    for plain in (True, False):
        yield json.dumps(text, ensure_ascii=plain)[1:-1].encode("utf-8", "surrogateescape")
    yield repr(text)[1:-1].encode("utf-8", "surrogateescape")
    yield from _in_base64(raw)


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """What any base64 text has in it that has these bytes in it: three forms, by where in it they begin."""
    for shift in range(3):
        first, last = -(-8 * shift // 6), 8 * (shift + len(raw)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            needle = encode(b"\0" * shift + raw)[first:last]
            if len(needle) >= SHORTEST_PART:
                yield needle


def _pieces(needle: bytes) -> Iterator[bytes]:
    """A needle that is too long is found by its pieces, each of which overlaps the one before it."""
    if len(needle) <= PIECE:
        yield needle
        return
    for start in range(0, len(needle) - PIECE, PIECE // 2):
        yield needle[start : start + PIECE]
    yield needle[-PIECE:]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def all_needles(values: Iterable[bytes]) -> list[bytes]:
    """Of many values, each needle once, sorted."""
    return sorted(frozenset().union(*map(needles_of, values)))
