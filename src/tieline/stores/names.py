"""Names of objects: a key as a bucket can carry it, and back.

A key's name may have any bytes; an object's is UTF-8 without control characters, a backslash is a slash to some
servers, and a dot at the end of a part is lost on others. Such characters are written as ``%0A``. So that each key has
one object and each object one key, whatever other programs put into the bucket, what already looks like that is
written with one ``25`` more: ``%0A`` is ``%250A``. All other names, other percent signs too, are as they are.

Other programs may have written a backslash, or a dot at an end, where the server takes it. Such an object is read by
the name that a listing told, never by a guess: another server would give what is at ``a/b`` for ``a\\b``.
"""

from __future__ import annotations

import re

_LOOKS_ESCAPED = re.compile(r"%(?:25)*(?:[01][0-9A-F]|7F|5C|[89A-F][0-9A-F]|2E(?=/|\Z))")
_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f\\\udc80-\udcff]|\.(?=/|\Z)")


def object_name(key: str) -> str:
    """The name of the object that stands for a key."""
    return _NOT_PLAIN.sub(_escape, _LOOKS_ESCAPED.sub(lambda found: f"%25{found[0][1:]}", key))


def key_of(name: str) -> str:
    """The key that an object's name stands for."""
    return _LOOKS_ESCAPED.sub(_unescape, name)


def _escape(found: re.Match[str]) -> str:
    return f"%{ord(found[0]) & 0xFF:02X}"


def _unescape(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith("%25"):
        return f"%{text[3:]}"
    byte = int(text[1:], 16)
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)
