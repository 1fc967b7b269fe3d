"""Templates: Jinja in a sandbox, with limits, so that a job file cannot run code or eat the machine.

A string that is one expression keeps the expression's native type (``"{{ lr }}"`` is the number); anything else is
text. A plain name with dots is looked up directly; Jinja is only imported, and only compiles, for more than that.
An undefined name is an error that names it and the nearest that is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tieline.compile.plain import Unfit, plain
from tieline.errors import Code, did_you_mean

if TYPE_CHECKING:
    from tieline.compile.sandbox import Sandbox

MAX_CODE = 16 * 1024
"""Characters between a template's marks; Jinja takes about a second for so many."""
_CODE = re.compile(r"\{[{%].*?(?:[%}]\}|\Z)", re.DOTALL)
MAX_TEXT = 1_000_000
"""Characters that names alone may bring into a text; the sandbox counts for itself."""
LONG_TEMPLATE = 4096
"""Characters above which a template's compiled form is not kept."""

LITERALS = frozenset({"true", "false", "none", "True", "False", "None"})

_PLAIN = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}")
_WHOLE = re.compile(r"\{\{(?P<expression>(?:[^{}%#]|(?<!\})\}(?!\})|\{(?![{%#]))*)\}\}")


class TemplateProblem(Exception):
    """A template that cannot be rendered: its code, what is wrong, and what to do."""

    def __init__(self, code: Code, message: str, hint: str = "") -> None:
        self.code, self.message, self.hint = code, message, hint
        super().__init__(message)


def is_template(value: Any) -> bool:
    """Whether a value is text that has to be rendered."""
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)


def render(text: str, context: Mapping[str, Any]) -> Any:
    """The value of one template. Raises TemplateProblem."""
    if match := _PLAIN.fullmatch(text.strip()):
        found = _look_up(match[1], context)
        if found is not None:
            return found if isinstance(found, (str, int, float)) else plain(found)
    elif (names := _names_alone(text)) is not None:
        values = {name: _look_up(name, context) for name in names}
        if all(isinstance(value, (str, int, float)) for value in values.values()):
            texts = {name: str(value) for name, value in values.items()}
            if sum(len(texts[name]) for name in names) <= MAX_TEXT:  # else the sandbox has a word for it
                return _PLAIN.sub(lambda match: texts[match[1]], text)
    return _render_jinja(text, context)


def _names_alone(text: str) -> list[str] | None:
    """The dotted names of a text whose templates are plain names and nothing else; None for any other text."""
    rest = _PLAIN.sub("", text)
    return None if "{{" in rest or "{%" in rest or "{#" in rest else _PLAIN.findall(text)


def undeclared_names(text: str) -> set[str]:
    """The top-level names that a template uses. Raises TemplateProblem on bad syntax."""
    if (names := _names_alone(text)) is not None:
        return {name.split(".")[0] for name in names} - LITERALS
    from jinja2 import meta

    with _told({}):
        return set(meta.find_undeclared_variables(_environment().parse(_short_enough(text))))


def _short_enough(text: str) -> str:
    if len(text) > MAX_CODE and sum(len(code[0]) for code in _CODE.finditer(text)) > MAX_CODE:
        raise TemplateProblem(
            Code.TOO_LARGE, f"the template has more than {MAX_CODE >> 10} KiB between its marks", "write a program"
        )
    return text


def _look_up(dotted: str, context: Mapping[str, Any]) -> Any:
    """The value of ``a.b.c`` where every step is a mapping's key; None lets Jinja have the word."""
    current: Any = context
    for part in dotted.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return None
        current = current[part]
    return current


@lru_cache(maxsize=1)
def _environment() -> Sandbox:
    from tieline.compile.sandbox import sandbox

    return sandbox()


@lru_cache(maxsize=2048)
def _compiled(text: str) -> Callable[..., Any]:
    """Jinja's compiled form: an expression that gives its native value, or a template that gives text."""
    environment = _environment()
    if (match := _WHOLE.fullmatch(text.strip())) and match["expression"].strip():
        return environment.compile_expression(match["expression"], undefined_to_none=False)
    return environment.from_string(text).render


def _render_jinja(text: str, context: Mapping[str, Any]) -> Any:
    from jinja2.runtime import Undefined

    from tieline.compile.sandbox import Budget, budget

    token = budget.set(Budget())
    try:
        with _told(context):
            compiled = _compiled if len(text) <= LONG_TEMPLATE else _compiled.__wrapped__
            value = compiled(_short_enough(text))(context)
            if isinstance(value, Undefined):
                str(value)  # raises UndefinedError with the name
            return plain(budget.get().pay_for(value))
    finally:
        budget.reset(token)


@contextmanager
def _told(context: Mapping[str, Any]) -> Iterator[None]:
    """Whatever parsing or rendering raises, as a TemplateProblem."""
    from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError
    from jinja2.exceptions import SecurityError

    try:
        yield
    except TemplateProblem:
        raise
    except TemplateSyntaxError as error:
        raise _syntax(error) from None
    except UndefinedError as error:
        raise _undefined(str(error.message), context) from None
    except SecurityError as error:
        raise TemplateProblem(
            Code.BAD_TEMPLATE, f"not allowed in a template: {_short(error)}", "keep it simple"
        ) from None
    except Unfit as error:
        raise TemplateProblem(Code.BAD_TEMPLATE, f"renders to no plain value: {error}", "make it text") from None
    except TemplateError as error:
        raise TemplateProblem(Code.BAD_TEMPLATE, f"cannot be rendered: {error}") from None
    except RecursionError:
        raise TemplateProblem(Code.BAD_TEMPLATE, "the template is nested too deep", "simplify it") from None
    except Exception as error:  # whatever a user's expression raises: 1/0, a missing method …
        raise TemplateProblem(
            Code.BAD_TEMPLATE, f"cannot be rendered: {_short(error)}", "check the expression"
        ) from None


def _short(error: Exception) -> str:
    text = str(error).rstrip(".") or type(error).__name__
    return text if len(text) < 160 else text[:157] + "…"


def _syntax(error: Any) -> TemplateProblem:
    return TemplateProblem(Code.BAD_TEMPLATE, f"bad template: {error.message}", "see the Jinja syntax: {{ name }}")


def _undefined(message: str, context: Mapping[str, Any]) -> TemplateProblem:
    match = re.match(r"'(?P<name>[^']+)' is undefined", message)
    if match:
        known = [name for name in context if not name.startswith("_")]
        hint = did_you_mean(match["name"], known, f"known here: {', '.join(sorted(known)[:20])}")
        return TemplateProblem(Code.UNDEFINED_NAME, f"{match['name']!r} is not defined", hint)
    attribute = re.search(r"has no (?:attribute|element) '?(?P<name>[^']+)'?$", message)
    what = attribute["name"] if attribute else message
    return TemplateProblem(Code.UNDEFINED_NAME, f"{what!r} is not defined there", "check the spelling")
