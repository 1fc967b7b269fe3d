"""From a :data:`~tieline.model.binding.Value` to what it stands for.

This version knows literal values only; an optional value of a secret or config map is absent, and a required one is
refused in preflight, before a run is accepted.
"""

from __future__ import annotations

from tieline.errors import Code, Refused
from tieline.model.binding import Text, Value


def literal(value: Value) -> str | None:
    """The text of a literal; None for an optional reference. Raises Refused (``secret-missing``) for another."""
    if isinstance(value, Text):
        return value.text
    if value.optional:
        return None
    raise Refused.of(
        Code.SECRET_MISSING, "a value comes from a secret, and jobs do not get secrets in this version yet"
    )
