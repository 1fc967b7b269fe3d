"""Inputs and their values: where each comes from, and the forms that templates may ask for.

Inputs are resolved in order; a later one may use an earlier one in a template. Every problem is told at the
place of the param or of the input's own default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tieline.compile.plain import Unfit, plain
from tieline.compile.templates import TemplateProblem, is_template, render
from tieline.compile.values import BadValue, as_text, typed_value
from tieline.documents.forms import MANY, Issue, validate
from tieline.errors import Code, did_you_mean
from tieline.model.job import IO, Param

RESERVED = frozenset({"globals", "params", "connections", "init", "inputs", "outputs"})
PARAM_KEYS = frozenset(spelling for name, info in Param.model_fields.items() for spelling in (name, info.alias or name))


@dataclass(frozen=True, slots=True)
class Resolved:
    """An input with its value and everything a template may ask of it."""

    io: IO
    value: Any
    given: Param | None
    context: Mapping[str, Any] = field(default_factory=dict)


def resolve(
    inputs: Sequence[IO],
    params: Mapping[str, Any],
    context: Mapping[str, Any],
    *,
    strict: bool = True,
    complete: bool = True,
) -> tuple[dict[str, Resolved], list[Issue]]:
    """Every input's value. Issues have paths ``("params", NAME)`` or ``("inputs", INDEX)``.

    ``complete=False`` leaves required inputs that nobody gave out (for a check before a run).
    """
    found: dict[str, Resolved] = {}
    own = {io.name for io in inputs}
    others = {name: param for name, param in params.items() if name not in own}
    issues = _context_only(others, found, context, last=False)
    issues += _unknown(inputs, others) if strict else []
    for index, io in enumerate(inputs):
        given_here = io.name in params
        where = ("params", io.name) if given_here else ("inputs", index)
        given, bad = _param(params[io.name], where) if given_here else (None, [])
        issues += bad
        if bad:
            continue
        resolved = _resolve_one(io, given, _names(context, found), where)
        if isinstance(resolved, Issue):
            if complete or resolved.code is not Code.MISSING_PARAM:
                issues.append(resolved)
        else:
            found[io.name] = resolved
    issues += _context_only(others, found, _names(context, found), last=complete)
    return found, list(dict.fromkeys(issues))


def _names(context: Mapping[str, Any], found: Mapping[str, Resolved]) -> dict[str, Any]:
    return {**context, **{name: item.value for name, item in found.items()}, "params": params_context(found)}


def _context_only(
    params: Mapping[str, Any], found: dict[str, Resolved], names: Mapping[str, Any], *, last: bool
) -> list[Issue]:
    """Adds params that are no input and only give templates a name. They are rendered before the inputs, which may use
    them; and those that use an input themselves after it (``last``)."""
    issues: list[Issue] = []
    for name, param in params.items():
        if name in found or not _is_context_only(param):
            continue
        try:
            value = plain(render_deep(param.get("value"), names))
            found[name] = Resolved(IO.model_construct(name=name), value, None, {"value": value})
        except TemplateProblem as problem:
            if last or problem.code is not Code.UNDEFINED_NAME:
                issues.append(Issue(("params", name, "value"), problem.code, problem.message, problem.hint))
        except Unfit as error:
            issues.append(Issue(("params", name, "value"), Code.BAD_PARAM, f"{name}: {error}"))
    return issues


def _is_context_only(param: Any) -> bool:
    return isinstance(param, Mapping) and bool(param.get("contextOnly") or param.get("context_only"))


def _unknown(inputs: Sequence[IO], params: Mapping[str, Any]) -> list[Issue]:
    names = {io.name: None for io in inputs}
    known = f"inputs: {', '.join(names)}" if names else "the component has no inputs"
    unknown = [name for name, value in params.items() if not _is_context_only(value)]
    return [
        Issue(
            ("params", name),
            Code.UNKNOWN_PARAM,
            f"there is no input {name!r}",
            did_you_mean(name, names, known),
            at_key=True,
        )
        for name in unknown[:MANY]
    ]


def _param(value: Any, where: tuple[str | int, ...]) -> tuple[Param | None, list[Issue]]:
    """A param's form. A mapping that has only a param's own keys is one; any other value is a literal."""
    if isinstance(value, Mapping) and value and set(value) <= PARAM_KEYS:
        return validate(Param, value, where)
    return Param.model_construct(value=value), []


def _resolve_one(
    io: IO, given: Param | None, names: Mapping[str, Any], where: tuple[str | int, ...]
) -> Resolved | Issue:
    if io.name in RESERVED:
        return Issue(where, Code.BAD_NAME, f"an input may not be named {io.name!r}", "rename it")
    if given is not None and given.ref is not None:
        return Issue(
            (*where, "ref"),
            Code.UNSUPPORTED,
            "params cannot refer to other runs in this version",
            "give the value itself",
        )
    raw = given.value if given is not None else io.value
    bare = raw is None and _is_bare(io, given)
    path = (*where, "value") if where[0] == "inputs" else where
    if raw is None and not bare:
        return _without_value(io, given, names, where)
    try:
        value = render_deep(raw, names)
        typed = None if bare and value is None else typed_value(io, value)
        return _resolved(io, typed, given, names)
    except TemplateProblem as problem:
        return Issue(path, problem.code, problem.message, problem.hint)
    except BadValue as problem:
        return Issue(path, Code.BAD_PARAM, f"{io.name}: {problem}", io.description or "")


def _is_bare(io: IO, given: Param | None) -> bool:
    """Whether no value is needed, because a connection is what is asked for."""
    if given is None:
        return bool(io.to_init and io.connection)
    return bool(given.connection or given.init or given.to_init)


def _without_value(
    io: IO, given: Param | None, names: Mapping[str, Any], where: tuple[str | int, ...]
) -> Resolved | Issue:
    if io.is_optional or (given is not None and io.value is None and where[0] == "params" and io.is_flag):
        return _resolved(io, None, given, names)
    return Issue(where, Code.MISSING_PARAM, f"the input {io.name!r} has no value", f"give one: -P {io.name}=…")


def _resolved(io: IO, value: Any, given: Param | None, names: Mapping[str, Any]) -> Resolved:
    connection = (given.connection if given else None) or io.connection
    context: dict[str, Any] = {
        "value": value,
        "connection": connection,
        "type": io.type,
        "as_str": as_text(value),
        "as_arg": _argument(io, value, names),
    }
    return Resolved(io, value, given, context)


def connection_of(resolved: Resolved) -> str | None:
    """The connection that an input's value comes with."""
    return (resolved.given.connection if resolved.given else None) or resolved.io.connection


def init_of(resolved: Resolved) -> dict[str, Any] | None:
    """The init entry that an input (``toInit``) or its param (also ``init: true``) asks for: its connection, and what
    to bring. A param's ``toInit: false`` holds against its input's ``true``."""
    given, connection = resolved.given, connection_of(resolved)
    said = next((word for word in (given.to_init, given.init) if word is not None), None) if given else None
    if not (resolved.io.to_init if said is None else said):
        return None
    if said is None and resolved.value is None and (connection is None or resolved.io.is_optional):
        return None  # an optional input that nobody gave
    entry: dict[str, Any] = {"connection": connection}
    handlers = {"artifacts": given.artifacts, "paths": given.paths, "git": given.git} if given else {}
    if resolved.io.type in ("artifacts", "git", "file", "dockerfile") and isinstance(resolved.value, dict):
        handlers[resolved.io.type] = resolved.value
    elif resolved.io.type == "path" and isinstance(resolved.value, str):
        handlers["paths"] = [resolved.value]
    return {key: value for key, value in {**entry, **handlers}.items() if value is not None}


def params_context(found: Mapping[str, Resolved]) -> dict[str, Any]:
    """``params``: every input by name, and ``as_args``."""
    arguments = [item.context["as_arg"] for item in found.values() if item.context.get("as_arg")]
    return {**{name: item.context for name, item in found.items()}, "as_args": arguments}


def render_deep(value: Any, names: Mapping[str, Any]) -> Any:
    """Every template in a value, rendered."""
    if isinstance(value, str):
        return render(value, names) if is_template(value) else value
    if isinstance(value, Mapping):
        return {key: render_deep(item, names) for key, item in value.items()}
    return [render_deep(item, names) for item in value] if isinstance(value, list) else value


def _argument(io: IO, value: Any, names: Mapping[str, Any]) -> str:
    if io.is_flag:
        return f"--{io.name}" if value else ""
    if value is None:
        return ""
    if io.arg_format:
        return str(render(io.arg_format, {**names, io.name: value, "value": value}))
    return f"--{io.name}={as_text(value)}"
