"""The two bases of every typed form: what is read from a file, and what Tieline itself writes.

Files may say ``camelCase`` or ``snake_case``; ``camelCase`` is written. Unknown keys are errors. Classes are built at
their first use (``defer_build``), so that importing a room costs nothing for the forms that a command never meets. For
the same reason the text under a field becomes its description only where a schema is shown, see
:mod:`tieline.model.described`.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict


def camel(name: str) -> str:
    """``host_path`` → ``hostPath``; a trailing underscore (``schema_``) only avoids a Python name."""
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    """``hostPath`` → ``host_path``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Form(BaseModel):
    """A mapping in a user's file."""

    model_config = ConfigDict(
        alias_generator=camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        defer_build=True,
        hide_input_in_errors=True,
        regex_engine="python-re",
    )


class Plain(BaseModel):
    """A part of a document that Tieline writes and reads back (the plan); never a secret's value."""

    model_config = ConfigDict(
        alias_generator=camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        defer_build=True,
        hide_input_in_errors=True,
    )

    def as_json(self) -> dict[str, Any]:
        """Plain data, ``camelCase``, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
