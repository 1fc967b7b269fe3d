"""Regular expressions that a file brings along (``validation.regex``, an admin's ``pattern``).

Python's own engine can take for ever over thirty letters (``(a+)+$``), and cannot be interrupted. The engine in
pydantic's core takes time in proportion to the text, whatever the expression is; for that it has no look-around and no
back-references (docs.rs/regex/latest/regex/#syntax).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

MAX_PATTERN = 1000
MAX_TEXT = 1_000_000
_LAST_LINE = re.compile(r"^\s*error: ", re.MULTILINE)


class BadPattern(ValueError):
    """An expression that cannot be used; the text says why."""


def matches(pattern: str, text: str, *, anywhere: bool = False) -> bool:
    """Whether the text matches from its beginning (or ``anywhere``). Raises BadPattern."""
    from pydantic_core import ValidationError

    compiled = _compiled(pattern if anywhere else f"^(?:{pattern})")
    if len(text) > MAX_TEXT:
        return False
    try:
        compiled.validate_python(text)
    except ValidationError:
        return False
    return True


def check(pattern: Any) -> str:
    """The expression itself. Raises BadPattern."""
    if not isinstance(pattern, str):
        raise BadPattern("it is no text")
    _compiled(pattern)
    return pattern


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> SchemaValidator:
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    if len(pattern) > MAX_PATTERN:
        raise BadPattern(f"it is longer than {MAX_PATTERN} characters")
    ours = re.sub(r"\\(.)", lambda found: r"\z" if found[1] == "Z" else found[0], pattern, flags=re.DOTALL)
    try:
        return SchemaValidator(core_schema.str_schema(pattern=ours, regex_engine="rust-regex"))
    except SchemaError as error:
        reason = _LAST_LINE.split(str(error))[-1].strip().splitlines()[-1]
        raise BadPattern(reason.strip().removeprefix("SchemaError: ").rstrip(".")) from None
