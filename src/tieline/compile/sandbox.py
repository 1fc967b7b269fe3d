"""The sandbox that templates are rendered in: no code can be reached from it, and no short text makes much work.

Jinja's own sandbox keeps attributes out that lead to Python; it does not keep ``'a' * 10**9`` out, nor a name that
holds itself twice, thirty times over. Here only values' harmless methods and filters are there, and whatever makes a
new value is paid for by its size, from one budget for each rendering. What a template cannot pay for is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.environment import Environment
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context, pass_environment
from jinja2.visitor import NodeTransformer

from tieline.compile.plain import TEXT_UNIT, Unfit, weight

MAX_STEPS = 10_000
MAX_BUDGET = 200_000
"""About so many values, or sixteen times as many characters, may be made in one rendering."""
METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "get", "index", "is_integer", "isalnum", "isalpha",
    "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isspace", "istitle", "isupper",
    "items", "keys", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "rfind", "rindex", "rpartition",
    "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper", "values",
})  # fmt: skip
KEPT = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "filesizeformat", "first", "float",
    "forceescape", "groupby", "int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject",
    "rejectattr", "reverse", "safe", "select", "selectattr", "sort", "string", "title", "trim", "truncate", "unique",
    "upper", "urlencode", "wordcount",
)  # fmt: skip
"""Jinja's filters that make no more than they are given; ``join``, ``replace``, ``round``, ``sum`` and ``tojson`` are
here in forms that don't."""
LETTER_BY_LETTER = frozenset({"list", "map", "sort", "unique", "select", "reject", "groupby"})
"""Filters that make a value of each letter of a text."""
STATEMENTS = (
    nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block,
    nodes.ScopedEvalContextModifier,
)  # fmt: skip
"""Statements that have no place in a value; a macro could also call itself twice, forty levels deep."""
_FORMAT = re.compile(
    r"(?:[^%]|%(?:\([^()]*\))?[-+ 0#]{0,5}[0-9]{0,3}(?:\.[0-9]{0,3})?[hlL]?[diouxXeEfFgGcrsa%])*", re.DOTALL
)


class Budget:
    """What one rendering may still make, and how many steps its loops may still take."""

    def __init__(self) -> None:
        self.left, self.steps = MAX_BUDGET, MAX_STEPS

    def pay(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise SecurityError("it makes too much")

    def pay_for(self, value: Any) -> Any:
        """The value, paid for."""
        try:
            self.left -= weight(value, self.left)
        except Unfit as error:
            raise SecurityError(str(error)) from None
        return value

    def pay_for_text(self, length: int) -> None:
        self.pay(max(length, 0) // TEXT_UNIT)

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise SecurityError(f"its loops take more than {MAX_STEPS} steps")


budget: ContextVar[Budget] = ContextVar("budget")


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja, with every way to make a value counted."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        of_a_group = attr in getattr(type(obj), "_fields", ())
        known = attr in METHODS or isinstance(obj, LoopContext) or of_a_group
        return known and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """``str.format`` is judged like every other method."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        purse = budget.get()
        purse.pay_for([left, right])
        if operator == "*":
            _pay_for_product(left, right)
        elif operator == "**" and (abs(_number(left)) > 1e6 or abs(_number(right)) > 1e3):
            raise SecurityError("a power this large is not allowed")
        elif operator == "%" and isinstance(left, (str, bytes)) and not _FORMAT.fullmatch(_as_text(left)):
            raise SecurityError("a format this wide is not allowed")
        return purse.pay_for(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        return budget.get().pay_for(super().call(__context, __obj, *args, **kwargs))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(STATEMENTS):
            raise TemplateSyntaxError(f"{type(node).__name__.lower()} is no statement for a value", node.lineno)
        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                raise TemplateSyntaxError("a loop here can't be recursive", loop.lineno)
        return tree

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        return super()._generate(_Counting().visit(source), name, filename, defer_init)


class _Counting(NodeTransformer):
    """Has what Jinja itself makes (loops, ``~``, names for values) go through filters that count."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        node.iter = _filtered(node.iter, "_counted")
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        return self.generic_visit(_filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined"))

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802
        node.node = _filtered(node.node, "_paid_for")
        return self.generic_visit(node)

    def visit_With(self, node: nodes.With) -> nodes.Node:  # noqa: N802
        node.values = [_filtered(value, "_paid_for") for value in node.values]
        return self.generic_visit(node)


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def sandbox() -> Sandbox:
    """A new one."""
    made = Sandbox(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, optimized=False, finalize=_finalized
    )
    made.concat = _concatenated  # type: ignore[method-assign]
    made.globals = {"range": made.globals["range"], "dict": dict}
    own = {"join": _join, "replace": _replace, "round": _round, "sum": _sum, "tojson": _tojson, "basename": _basename}
    made.filters = {name: _paying(name, filter_) for name, filter_ in ({n: FILTERS[n] for n in KEPT} | own).items()}
    made.filters |= {"_counted": _counted, "_joined": _concatenated, "_paid_for": lambda it: budget.get().pay_for(it)}
    return made


def _paying(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, whose results are paid for; of a lazy one, each item when it is taken."""

    @wraps(filter_)
    def paid(*args: Any, **kwargs: Any) -> Any:
        purse = budget.get()
        if name in LETTER_BY_LETTER:
            purse.pay(sum(len(arg) for arg in args if isinstance(arg, str)))
        result = purse.pay_for(filter_(*args, **kwargs))
        return _each_paid(result) if isinstance(result, Iterator) else result

    return paid


def _each_paid(items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        yield budget.get().pay_for(item)


def _counted(items: Iterable[Any]) -> Iterator[Any]:
    """Steps of a loop; all loops of one rendering together."""
    purse = budget.get()
    for item in items:
        purse.step()
        yield purse.pay_for(item)


def _concatenated(parts: Iterable[Any]) -> str:
    """The parts as one text, paid for before it is made."""
    purse, texts = budget.get(), []
    for part in parts:
        text = part if isinstance(part, str) else str(purse.pay_for(part))
        purse.pay_for_text(len(text) + TEXT_UNIT)
        texts.append(text)
    return "".join(texts)


@pass_context
def _finalized(_: Context, value: Any) -> Any:
    """A value that is about to become text."""
    return value if isinstance(value, str) else budget.get().pay_for(value)


def _pay_for_product(left: Any, right: Any) -> None:
    for repeated, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(repeated, (str, bytes)):
            budget.get().pay_for_text(len(repeated) * times)
        elif isinstance(times, int) and isinstance(repeated, (list, tuple)):
            budget.get().pay(weight(repeated, MAX_BUDGET) * max(times, 0))


@pass_environment
def _join(environment: Environment, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    purse, texts = budget.get(), []
    get = make_attrgetter(environment, attribute) if attribute is not None else None
    for item in value:
        text = str(purse.pay_for(get(item) if get else item))
        purse.pay_for_text(len(text) + len(str(d)) + TEXT_UNIT)
        texts.append(text)
    return str(d).join(texts)


def _replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, before, after = str(value), str(old), str(new)
    budget.get().pay_for_text((text.count(before) if before else len(text) + 1) * len(after))
    return text.replace(before, after, -1 if count is None else count)


def _round(value: Any, precision: int = 0, method: str = "common") -> float:
    if not -20 <= precision <= 20:
        raise SecurityError("a precision of more than 20 digits is not allowed")
    return FILTERS["round"](value, precision, method)  # type: ignore[no-any-return]


@pass_environment
def _sum(environment: Environment, value: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    if not isinstance(start, (int, float)):
        raise SecurityError("only numbers can be summed up")
    return FILTERS["sum"](environment, value, attribute, start)


@pass_context
def _tojson(context: Context, value: Any, indent: int | None = None) -> Any:
    if not 0 <= (indent or 0) <= 8:
        raise SecurityError("an indentation of more than 8 is not allowed")
    return FILTERS["tojson"](context.eval_ctx, budget.get().pay_for(value), indent)


def _basename(value: Any) -> str:
    return str(value).rstrip("/").rsplit("/", 1)[-1]


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e300 else 0.0
