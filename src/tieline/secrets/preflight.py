"""Before a run is accepted: is every secret and key there, and do two connections set one variable? Keys only.

A value is never read here. What cannot be known, because a source can't be asked, is told as that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tieline.errors import Code, Place, Problem
from tieline.kinds import derived
from tieline.model.binding import Binding, Derived, FromConfigMap, FromSecret, Text, Value, WholeResource
from tieline.model.plan import Plan
from tieline.secrets.docker import registry_of
from tieline.secrets.failures import SourceFailed, listed
from tieline.secrets.names import is_variable
from tieline.secrets.needs import Need, needs_of, place_of
from tieline.secrets.resolve import CONFIG
from tieline.secrets.sources import Sources

TWO_WAYS = (
    "give one of them an envPrefix, or its secret a mountPath and read $SERVICE_BINDING_ROOT/<connection>/ instead"
)
ONE_LOGIN = "give one of them an envPrefix: it gets a config.json of its own"


def missing(plan: Plan, sources: Sources) -> list[Problem]:
    """Everything that the plan needs and no source has, and the sources that can't be asked, each once.

    Problems that are warnings need not keep the run from being accepted.
    """
    return unmet(needs_of(plan), sources)


def unmet(needs: Sequence[Need], sources: Sources) -> list[Problem]:
    """The same for these needs alone."""
    problems: dict[Problem, None] = {}
    failed: set[str] = set()
    for need in needs:
        try:
            found = _unmet(need, needs, sources)
        except SourceFailed as error:
            told = [first for first in error.problems if first.message not in failed]
            failed |= {first.message for first in told}
            found = [replace(first, place=Place(field=need.where)) for first in told]
        if need.soft:
            found = [replace(problem, warning=True) for problem in found]
        problems.update(dict.fromkeys(found))
    return list(problems)


def _unmet(need: Need, needs: Iterable[Need], sources: Sources) -> list[Problem]:
    located = sources.locate(need.resource, need.name)
    if located is None:
        if need.advice:
            return []  # that there is no such secret is another need's problem
        same = (other.keys for other in needs if replace(other, keys=need.keys) == need)
        wanted = dict.fromkeys(keys[0] for keys in same if len(keys) == 1)
        return [sources.missing(need.resource, need.name, tuple(wanted), every=True, where=need.where)]
    if not need.keys or located.pick(need.keys):
        return []
    problem = sources.missing(need.resource, need.name, need.keys, where=need.where)
    if not need.advice:
        return [problem]
    return [replace(problem, hint=f"the job gets its keys as they are; {problem.hint}", warning=True)]


def known_keys(resource: WholeResource, sources: Sources) -> tuple[str, ...] | None:
    """The variables that a secret injected whole will set (without its prefix); None where that can't be known."""
    if resource.items is not None:
        return tuple(key for key in resource.items if is_variable(resource.prefix + key))
    try:
        located = sources.locate(resource.resource, resource.name)
    except SourceFailed:
        return None
    return tuple(key for key in located.keys if is_variable(resource.prefix + key)) if located else None


@dataclass(frozen=True, slots=True)
class _Setter:
    """Who sets a variable, and with what: two that set the same value don't collide."""

    connection: str
    value: object
    whole: bool


def collisions(plan: Plan, sources: Sources) -> list[Problem]:
    """Variables that one connection's whole secret and another connection would set to different values; and
    registries that two connections log in to in two ways. Compile has judged all that could be known without keys."""
    setters: dict[str, list[_Setter]] = defaultdict(list)
    for binding in plan.bindings:
        for name, setter in _set_by(binding, sources):
            setters[name].append(setter)
    own = {variable.name for variable in plan.main.env}
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, by in setters.items():
        who = tuple(dict.fromkeys(setter.connection for setter in by))
        different = len({setter.value for setter in by}) > 1
        if name not in own and len(who) > 1 and different and any(setter.whole for setter in by):
            groups[who].append(name)
    told = [
        _collision(f"{' and '.join(map(repr, who))} both set {listed(names)}", TWO_WAYS)
        for who, names in groups.items()
    ]
    return [*told, *_two_logins(plan.bindings)]


def _collision(message: str, hint: str) -> Problem:
    return Problem(Code.VARIABLE_COLLISION, message, hint, Place(field="run.connections"))


def _set_by(binding: Binding, sources: Sources) -> Iterator[tuple[str, _Setter]]:
    """What a connection sets, in the order in which it does: a variable of its own wins over its secret's key."""
    mine: dict[str, _Setter] = {}
    for resource in binding.resources:
        for key in known_keys(resource, sources) or ():
            same = (resource.resource, resource.name, key)
            mine[resource.prefix + key] = _Setter(binding.connection, same, resource.items is None)
    for variable in binding.variables:
        before = mine.get(variable.name)
        value = _identity(variable.value, sources)
        mine[variable.name] = _Setter(binding.connection, value, before.whole if before else False)
    yield from mine.items()


def _identity(value: Value, sources: Sources) -> object:
    """Something that is equal where two values must be: the text, or the very key of the very secret."""
    if isinstance(value, Text):
        return value.text
    if isinstance(value, FromSecret | FromConfigMap):
        resource, name = place_of(value)
        try:
            located = sources.locate(resource, name)
        except SourceFailed:
            located = None
        return (resource, name, located.pick(value.keys) if located else value.keys)
    return value.model_dump_json()


def _two_logins(bindings: Iterable[Binding]) -> Iterator[Problem]:
    """A merged Docker configuration has one login per registry."""
    logins: dict[tuple[str, str], dict[str, Value]] = defaultdict(dict)
    for binding in bindings:
        for variable in binding.variables:
            value = variable.value
            if isinstance(value, Derived) and value.form in derived.MERGEABLE:
                for name, part in value.parts.items():
                    logins[variable.name, _registry(part)][name.removeprefix(CONFIG)] = part
    told: dict[str, None] = {}
    for (_, registry), parts in logins.items():
        if len({part.model_dump_json() for part in parts.values()}) > 1:
            told[f"{' and '.join(map(repr, parts))} log in to {registry} in two ways, in one config.json"] = None
    return (_collision(message, ONE_LOGIN) for message in told)


def _registry(part: Value) -> str:
    host = part.parts.get("host") if isinstance(part, Derived) else None
    return registry_of(host.text) if isinstance(host, Text) else ""
