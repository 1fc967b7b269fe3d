"""Takes every known secret out of a text. Drivers and programs echo addresses, user names and more in their messages.

A value is looked for as it is, percent-encoded, as JSON and Python write it, in base64 (as Basic authentication sends
it), and in parts: the user information, path and query of an address, both sides of a ``user:token``, the lines of a
key.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

from tieline.secrets.secret import HIDDEN, Secret

SHORT = 4
"""Characters below which a value is hidden only where it stands alone: ``a`` is in every word."""
LEAST_PART = 6
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}")
LONGEST = 600
"""Characters of a message that a person is shown."""


class Scrubber:
    """Hides the values of these secrets."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        values = {value for secret in secrets for value in _forms(secret.reveal_text()) if value.strip()}
        longest_first = sorted(values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_match, longest_first))) if values else None

    def __call__(self, text: str) -> str:
        """The text, on one line, printable, without any of the values."""
        plain = " ".join(self.hide(text).split())
        plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in plain)
        return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}…"

    def hide(self, text: str) -> str:
        """The text as it is, without any of the values."""
        if self._pattern is None:
            return text
        return _BASE64.sub(self._if_encoded, self._pattern.sub(HIDDEN, text))

    def _if_encoded(self, found: re.Match[str]) -> str:
        """A word in base64 that has a value in it: ``user:password``, as Basic authentication sends it."""
        word = found[0].replace("-", "+").replace("_", "/")
        try:
            decoded = base64.b64decode(word + "=" * (-len(word) % 4)).decode("utf-8", "surrogateescape")
        except ValueError:
            return found[0]
        return HIDDEN if self._pattern is not None and self._pattern.search(decoded) else found[0]


def _match(value: str) -> str:
    escaped = re.escape(value)
    return rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])" if len(value) < SHORT else escaped


def _forms(value: str) -> Iterator[str]:
    for text in {value, value.strip(), *_parts(value)}:
        yield text
        for safe in ("", "/", "/:@"):
            yield quote(text, safe=safe, errors="surrogateescape")
        yield quote_plus(text, errors="surrogateescape")
        yield repr(text)[1:-1]
        yield from (json.dumps(text, ensure_ascii=plain)[1:-1] for plain in (True, False))


def _parts(value: str) -> Iterator[str]:
    plain = value.strip()
    if "://" in plain:
        yield from filter(None, _of_address(plain))
        return
    found: list[str] = []
    if "\n" in plain:
        found = plain.splitlines()
    elif ":" in plain and not any(c.isspace() for c in plain):
        found = plain.split(":", 1)
    yield from (part.strip() for part in found if len(part.strip()) >= LEAST_PART)


def _of_address(address: str) -> Iterator[str | None]:
    """Everything of an address that says more than its scheme."""
    try:
        found = urlsplit(address)
    except ValueError:
        yield address.partition("://")[2]
        return
    for part in (found.username, found.password, found.hostname):
        yield part
        yield unquote(part) if part else None
    behind = address.partition("://")[2].partition("/")[2]
    yield from (part for part in (behind, found.path.lstrip("/"), found.query) if len(part) >= LEAST_PART)
