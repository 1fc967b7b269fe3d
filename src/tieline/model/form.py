"""The two bases of every typed form: what is read from a file, and what Tieline itself writes.

Files may say ``camelCase`` or ``snake_case``; ``camelCase`` is written. Unknown keys are errors. Classes are built at
their first use (``defer_build``), so that importing a room costs nothing for the forms that a command never meets. For
the same reason the text under a field becomes its description only where a schema is shown, see
:mod:`tieline.model.described`.
"""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


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


class _Later:
    """In ``Annotated[SomeForm, LATER]``: that form is built when a file has it, not with every form that may hold it.

    It is checked as otherwise, and its problems keep their places; most files have few of the forms that they could.
    """

    def __get_pydantic_core_schema__(self, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        del handler
        return core_schema.no_info_plain_validator_function(source.model_validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        form: type[BaseModel] = schema["function"]["function"].__self__
        form.model_rebuild()
        return handler(form.__pydantic_core_schema__)


LATER = _Later()
