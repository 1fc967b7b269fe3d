"""What a checkout needs to log in: configuration and environment for git, and how to read a refusal.

Values of secrets are in neither: both name files of a private folder (:mod:`tieline.git.private`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import quote

from tieline.errors import StepFailed
from tieline.model.binding import Derived, FromSecret, Value
from tieline.secrets.secret import HIDDEN, Secret

SHORTEST = 4
"""Values shorter than this are not looked for in messages: every second word would become ``***``, and tell them."""


class Refusal(NamedTuple):
    """Why a server did not let us in, and what to do about it."""

    reason: str
    hint: str


def _unexplained(_said: str) -> Refusal | None:
    return None


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in at one remote; an empty one leaves it to the user's own git and ssh.

    ``refusal`` reads git's standard error; None where it is not about credentials. ``hidden`` may be in no message.
    """

    config: tuple[tuple[str, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[Secret, ...] = ()
    refusal: Callable[[str], Refusal | None] = _unexplained

    def hide(self, text: str) -> str:
        """``text`` without the values, in any form that a server or a program may say them back."""
        for form in sorted(_forms(self.hidden), key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        return text

    def hidden_in(self, error: StepFailed) -> StepFailed:
        """``error`` without the values."""
        problems = (replace(p, message=self.hide(p.message), hint=self.hide(p.hint)) for p in error.problems)
        return type(error)(*problems)


def _forms(secrets: Iterable[Secret]) -> set[str]:
    found: set[str] = set()
    for secret in secrets:
        value = secret.reveal_text().strip()
        if len(value) >= SHORTEST:
            raw = value.encode("utf-8", "surrogateescape")
            found |= {value, quote(raw), quote(raw, safe=""), base64.b64encode(raw).decode()}
            found |= {line for line in value.splitlines() if len(line) >= 4 * SHORTEST}  # of a key
    return found


def keys_of(value: Value | None) -> list[str]:
    """The keys of a secret that a value is made from; of several names for one thing, the first."""
    match value:
        case FromSecret():
            return [value.keys[0]]
        case Derived():
            return list(dict.fromkeys(key for part in value.parts.values() for key in keys_of(part)))
        case _:
            return []
