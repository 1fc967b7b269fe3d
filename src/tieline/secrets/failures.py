"""What is said when a value is not there, and when nobody could tell whether it is: two different errors.

A missing secret is the job's or the admin's to mend; a source that cannot be asked (no rights, no network) is not
"missing", and the next source is not asked in its place: it might have another value under the same name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tieline.errors import Code, Place, Problem, Refused, nearest
from tieline.secrets.names import WORDS, Resource, is_key, is_name

MANY = 8


class SourceFailed(Refused):
    """A source of secrets that cannot be asked. Never with a value in it."""


class Unusable(Exception):
    """A value is there, and what it has to become cannot be made of it; the text says why, without the value."""


def unreadable(where: object, reason: str, hint: str) -> SourceFailed:
    """A file or folder of this machine that may not be read."""
    return SourceFailed.of(Code.FILE_UNREADABLE, f"{where}: {reason}", hint)


def unreachable(source: str, reason: str, hint: str) -> SourceFailed:
    """A source that is not this machine's own."""
    return SourceFailed.of(Code.STORE_FAILED, f"{source} cannot be asked: {reason}", hint)


def json_object(text: bytes, what: str) -> dict[str, Any]:
    """A value that has to be a JSON object. Raises Unusable; not from the parser's own error, which has the text."""
    try:
        data = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Unusable(f"{what} is no JSON object")
    return data


def listed(words: Iterable[str], join: str = ", ") -> str:
    """The first few of these words."""
    found = list(words)
    return join.join(found[:MANY]) + (f" and {len(found) - MANY} more" if len(found) > MANY else "")


def no_resource(
    resource: Resource, name: str, asked: str, there: Sequence[str], remedy: str, where: str = ""
) -> Problem:
    """No source has this secret or config map."""
    what = WORDS[resource]
    if not is_name(name):
        return _problem(f"{name!r} cannot be the name of a {what}", "use lower-case letters, digits, '-', '.'", where)
    return _problem(f"there is no {what} {name!r} in {asked}", _hint(nearest(name, there), remedy), where)


def no_key(
    resource: Resource, name: str, keys: Sequence[str], source: str, there: Sequence[str], remedy: str, where: str = ""
) -> Problem:
    """The secret or config map is there, and has none of these keys."""
    wanted = listed((repr(key) for key in keys), " or ")
    has = f"it has {listed(map(repr, there))}" if there else "it is empty"
    near = nearest(keys[0], there) if len(keys) == 1 and is_key(keys[0]) else None
    message = f"the {WORDS[resource]} {name!r} in {source} has no key {wanted}; {has}"
    return _problem(message, _hint(near, remedy), where)


def _hint(near: str | None, remedy: str) -> str:
    return f"did you mean {near!r}? else {remedy}" if near else remedy


def _problem(message: str, hint: str, where: str) -> Problem:
    return Problem(Code.SECRET_MISSING, message, hint, Place(field=where))
