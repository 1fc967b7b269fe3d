"""The kinds of text that schemas are made of: hosts, ports, paths, addresses; each says what its right form looks like.

A refused value is never quoted: it may hold a password. A message has two halves, split by ``|``: what is wrong, and
what to do. The same patterns reach the JSON Schema, so that an editor refuses what the reader refuses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tieline.model.form import Form

MAX_TEXT = 1024


class FreeForm(Form):
    """A schema that takes unknown keys, as further entries of the binding."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True)
class Shape:
    """Text that matches a pattern as a whole. ``traps``: patterns of known mistakes, each with a message of its own.

    One regular expression says yes to what is right, which is the usual case; only what is wrong is looked at twice.
    """

    pattern: str
    wrong: str
    right: str
    traps: tuple[tuple[str, str], ...] = ()

    @cached_property
    def accepts(self) -> Callable[[str], re.Match[str] | None]:
        """Made when it is first asked: a command meets few of the schemas."""
        refused = (trap if trap.startswith("^") else rf"(?s:.*)(?:{trap})" for trap, _ in self.traps)
        whole = "".join(f"(?!{trap})" for trap in refused) + self.pattern
        return re.compile(whole).fullmatch  # `$` alone would let a line end pass

    def check(self, value: str) -> str:
        """The value itself; ValueError with both halves of the message otherwise."""
        if len(value) > MAX_TEXT:  # these expressions may take the square of a text's length
            raise ValueError(f"this is longer than {MAX_TEXT} characters|write a shorter one")
        if self.accepts(value):
            return value
        for trap, message in self.traps:
            if re.search(trap, value):
                raise ValueError(message)
        raise ValueError(f"{self.wrong}|{self.right}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        refused = [{"not": {"pattern": pattern}} for pattern, _ in self.traps]
        return {**handler(schema), "pattern": self.pattern, **({"allOf": refused} if refused else {})}


class ScalarText:
    """Text that YAML may have read as a number or a boolean (``database: 0``)."""

    @staticmethod
    def text(value: Any) -> Any:
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, (int, float)) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.text, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "type": ["string", "number", "boolean"]}


class DecimalNumber:
    """A whole number, also as decimal text (``"5432"``); neither a boolean nor a fraction."""

    @staticmethod
    def number(value: Any) -> Any:
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            return int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("this is no whole number|write it in digits: 5432")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.number, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "string", "pattern": "^[0-9]+$"}]}


@dataclass(frozen=True)
class OneOrMany:
    """A list that may be written as one text, which ``split`` takes apart if it is given."""

    split: str = ""

    def many(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return [item.strip() for item in value.split(self.split)] if self.split else [value]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.many, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        many = handler(schema)
        return {"anyOf": [many, {"type": "string"} if self.split else many["items"]]}


PASSWORD_IN_URL = r"^[A-Za-z][A-Za-z0-9+.:-]*://[^/?#]*:[^/?#]*@"  # noqa: S105
PASSWORD_IN_QUERY = r"[?&;]([Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]|[Pp][Ww][Dd])="  # noqa: S105
NO_PASSWORD = "there is a password in the address|credentials belong into a secret: leave them out of the address and name the secret in 'secret'"  # noqa: S105, E501
PORT_TOO_LARGE = (
    r"^[A-Za-z][A-Za-z0-9+.:-]*://[^/?#]*:0*"
    r"(?:6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4}|[1-9][0-9]{5,})(?:[,/?#]|$)"
)
ADDRESS_TRAPS = (
    (PASSWORD_IN_URL, NO_PASSWORD),
    (PASSWORD_IN_QUERY, NO_PASSWORD),
    (PORT_TOO_LARGE, "there is no such port|write one from 1 to 65535"),
)

Scalar = Annotated[str, ScalarText()]
Port = Annotated[int, Field(ge=1, le=65535), DecimalNumber()]
Count = Annotated[int, Field(ge=1), DecimalNumber()]
Options = dict[str, Scalar]

Host = Annotated[
    str,
    Shape(
        r"^(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|[A-Za-z0-9/][A-Za-z0-9._,/-]*)$",
        "this is no host's name or address",
        "write it without scheme, user and port, like db.example.org; the port has its own field",
    ),
]
HTTP_URL = Shape(
    r"^https?://[^\s/?#@]+([/?#]\S*)?$",
    "this is no http address",
    "write it like https://host.example.org:8443/path",
    ADDRESS_TRAPS,
)
HttpUrl = Annotated[str, HTTP_URL]
Proxy = Annotated[
    str,
    Shape(
        r"^(https?|socks5h?)://[^\s/?#@]+/?$",
        "this is no proxy's address",
        "write it like http://proxy.example.org:3128",
        ADDRESS_TRAPS,
    ),
]
MountPath = Annotated[
    str,
    Shape(
        r"^/(?!(.*/)?\.\.(/|$))[^\x00-\x1f]*$",
        "this is no absolute path without '..'",
        "write where it appears in the job, like /data",
    ),
]
SubPath = Annotated[
    str,
    Shape(
        r"^(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f]+$",
        "this is no relative path without '..'",
        "write a folder below the volume's top, like team-a/images",
    ),
]
MachinePath = Annotated[
    str,
    Shape(
        r"^(?!.*://)(?:/(?!(?:.*/)?\.\.(?:/|$))|(?:\.\./)*(?!/)(?!(?:.*/)?\.\.(?:/|$))(?=.))[^\x00-\x1f]*$",
        "this is no path of a machine",
        "write an absolute path without '..', or one that is relative to the catalog's file, like ./data",
    ),
]
Region = Annotated[
    str,
    Shape(r"^[A-Za-z0-9-]+$", "this is no region's name", "write it like eu-central-1"),
]
ResourceName = Annotated[
    str,
    Shape(
        r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$",
        "this is no name of a Kubernetes object",
        "use small letters, digits, '-' and '.', like training-data",
    ),
]
