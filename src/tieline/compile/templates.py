"""Templates: Jinja in a sandbox, with limits, so that a job file cannot run code or eat the machine.

A string that is one expression keeps the expression's native type (``"{{ lr }}"`` is the number); anything else is
text. A plain name with dots is looked up directly; Jinja is only imported, and only compiles, for more than that.
An undefined name is an error that names it and the nearest that is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tieline.errors import Code, did_you_mean

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

MAX_RESULT = 10 * 1024 * 1024
MAX_STEPS = 10_000

# Ways to make a huge value out of a few small ones (or a different value each time).
WIDE_METHODS = frozenset(
    {"format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs", "replace", "join", "translate"}
)
WIDE_FILTERS = ("center", "indent", "wordwrap", "urlize", "xmlattr", "pprint", "random", "format")

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
            return found
    return _render_jinja(text, context)


def undeclared_names(text: str) -> set[str]:
    """The top-level names that a template uses. Raises TemplateProblem on bad syntax."""
    if match := _PLAIN.fullmatch(text.strip()):
        return {match[1].split(".")[0]}
    from jinja2 import TemplateSyntaxError, meta

    try:
        return set(meta.find_undeclared_variables(_environment().parse(text)))
    except TemplateSyntaxError as error:
        raise _syntax(error) from None
    except RecursionError:
        raise TemplateProblem(Code.BAD_TEMPLATE, "the template is nested too deep", "simplify it") from None


def _look_up(dotted: str, context: Mapping[str, Any]) -> Any:
    """The value of ``a.b.c`` where every step is a mapping's key; None lets Jinja have the word."""
    current: Any = context
    for part in dotted.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return None
        current = current[part]
    return current


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined, nodes
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """The sandbox: no private attributes, no large products, a bounded number of loop steps."""

        intercepted_binops = frozenset({"*", "**", "%"})

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return attr not in WIDE_METHODS and super().is_safe_attribute(obj, attr, value)

        def wrap_str_format(self, value: Any) -> None:
            """``str.format`` is judged like every other method."""

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" and (abs(_number(left)) > 1e6 or abs(_number(right)) > 1e3):
                raise SecurityError("a power this large is not allowed")
            if operator == "*" and _weight(left) * _weight(right) > MAX_RESULT:
                raise SecurityError("a product this large is not allowed")
            if operator == "%" and isinstance(left, str) and re.search(r"%[^a-zA-Z%]*\d{4}", left):
                raise SecurityError("a format this wide is not allowed")
            return super().call_binop(context, operator, left, right)

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            tree = super()._parse(source, name, filename)
            for loop in tree.find_all(nodes.For):
                loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
            return tree

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.globals = {"range": environment.globals["range"], "dict": dict}
    environment.filters["_counted"] = _counter(SecurityError)
    for wide in WIDE_FILTERS:
        environment.filters.pop(wide, None)
    environment.filters["replace"] = _bounded_replace(SecurityError)
    environment.filters["basename"] = lambda value: str(value).rstrip("/").rsplit("/", 1)[-1]
    return environment


def _counter(error: type[Exception]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """A filter that counts the steps of all loops of one rendering together; reset by :func:`_render_jinja`."""

    def counted(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            counted.steps += 1  # type: ignore[attr-defined]
            if counted.steps > MAX_STEPS:  # type: ignore[attr-defined]
                raise error(f"its loops take more than {MAX_STEPS} steps")
            yield item

    counted.steps = 0  # type: ignore[attr-defined]
    return counted


def _bounded_replace(error: type[Exception]) -> Callable[[Any, Any, Any], str]:
    def replace(value: Any, old: Any, new: Any) -> str:
        text, before, after = str(value), str(old), str(new)
        if (len(text) + 1) * max(len(after), 1) > MAX_RESULT:
            raise error("a replacement this large is not allowed")
        return text.replace(before, after)

    return replace


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e300 else 0.0


def _weight(value: Any) -> int:
    """How large a factor is: a number counts as itself only beside a sequence."""
    if isinstance(value, (str, bytes, list, tuple)):
        return max(len(value), 1) * 16
    if isinstance(value, int) and not isinstance(value, bool):
        return min(abs(value), MAX_RESULT) if value.bit_length() < 64 else MAX_RESULT
    return 1


@lru_cache(maxsize=2048)
def _compiled(text: str) -> Callable[..., Any]:
    """Jinja's compiled form: an expression that gives its native value, or a template that gives text."""
    environment = _environment()
    if (match := _WHOLE.fullmatch(text.strip())) and match["expression"].strip():
        return environment.compile_expression(match["expression"], undefined_to_none=False)
    return environment.from_string(text).render


def _render_jinja(text: str, context: Mapping[str, Any]) -> Any:
    from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError
    from jinja2.exceptions import SecurityError
    from jinja2.runtime import Undefined

    environment = _environment()
    environment.filters["_counted"].steps = 0
    try:
        value = _compiled(text)(context)
        if isinstance(value, Undefined):
            str(value)  # raises UndefinedError with the name
    except TemplateSyntaxError as error:
        raise _syntax(error) from None
    except UndefinedError as error:
        raise _undefined(str(error.message), context) from None
    except SecurityError as error:
        raise TemplateProblem(Code.BAD_TEMPLATE, f"not allowed in a template: {error}", "keep it simple") from None
    except TemplateError as error:
        raise TemplateProblem(Code.BAD_TEMPLATE, f"cannot be rendered: {error}") from None
    except RecursionError:
        raise TemplateProblem(Code.BAD_TEMPLATE, "the template is nested too deep", "simplify it") from None
    except Exception as error:  # whatever a user's expression raises: 1/0, a missing method …
        raise TemplateProblem(
            Code.BAD_TEMPLATE, f"cannot be rendered: {_short(error)}", "check the expression"
        ) from None
    return _checked(value)


def _checked(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_RESULT:
        raise TemplateProblem(Code.BAD_TEMPLATE, f"renders to more than {MAX_RESULT >> 20} MiB", "make it smaller")
    if value is None or isinstance(value, (str, int, float, bool, list, dict)):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset, range)):
        return list(value)
    raise TemplateProblem(Code.BAD_TEMPLATE, f"renders to {type(value).__name__}, which is no plain value")


def _short(error: Exception) -> str:
    text = str(error) or type(error).__name__
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
