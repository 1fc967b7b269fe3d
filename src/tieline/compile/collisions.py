"""What two connections of one job may not do to each other: set one variable, or stand at one path.

A kind's *standard* variables (``AWS_*``) are set when exactly one connection of the job sets them: where two would,
neither is set, and the plan says so (what can be one value for all of them, a merged registry authfile, is). Where a
variable is *declared* (``env``, a secret's ``items``) by one and set by another, the job is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tieline.documents.forms import Issue
from tieline.errors import Code
from tieline.kinds.derived import merged
from tieline.model.binding import Binding, Mount, Value, Variable
from tieline.model.container import Container

TWO_WAYS = "give one of them an envPrefix, or read $SERVICE_BINDING_ROOT/<connection>/ instead"
PLACE = ("run", "connections")


class _Setter(NamedTuple):
    connection: str
    origin: str
    value: Value | None


def find_collisions(
    bindings: tuple[Binding, ...], volumes: Iterable[Mount], container: Container
) -> tuple[tuple[Binding, ...], list[Issue]]:
    """The bindings without the standard variables that more than one would set, and what is refused."""
    own = {form.name for form in container.env}
    setters: dict[str, list[_Setter]] = defaultdict(list)
    for binding in bindings:
        for name, setter in _set_by(binding):
            setters[name].append(setter)
    several = {name: by for name, by in setters.items() if len(by) > 1 and name not in own}
    contested = {name: by for name, by in several.items() if len(_names(by)) > 1}
    one_value = {name: value for name, by in contested.items() if (value := merged(s.value for s in by if s.value))}
    dropped = {n for n, by in contested.items() if n not in one_value and all(s.origin == "kind" for s in by)}
    refused = {n: by for n, by in contested.items() if n not in one_value and n not in dropped}
    issues = [*_refusals(refused), *_warnings({n: contested[n] for n in dropped}), *_mounts(bindings, volumes)]
    if not dropped and not one_value:
        return bindings, issues
    return tuple(_settled(binding, dropped, one_value) for binding in bindings), issues


def _set_by(binding: Binding) -> Iterable[tuple[str, _Setter]]:
    for variable in binding.variables:
        yield variable.name, _Setter(binding.connection, variable.origin, variable.value)
    for resource in binding.resources:
        for item in resource.items or ():
            yield f"{resource.prefix}{item}", _Setter(binding.connection, resource.resource, None)


def _names(setters: Iterable[_Setter]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(setter.connection for setter in setters))


def _refusals(refused: dict[str, list[_Setter]]) -> Iterable[Issue]:
    for name, setters in refused.items():
        listed = " and ".join(map(repr, _names(setters)))
        yield Issue(PLACE, Code.VARIABLE_COLLISION, f"{listed} both set {name}", TWO_WAYS)


def _warnings(dropped: dict[str, list[_Setter]]) -> Iterable[Issue]:
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in sorted(dropped):
        groups[_names(dropped[name])].append(name)
    for connections, names in groups.items():
        listed = " and ".join(map(repr, connections))
        message = f"{listed} would both set {', '.join(names)}: neither does"
        yield Issue(PLACE, Code.VARIABLE_COLLISION, message, TWO_WAYS, warning=True)


def _settled(binding: Binding, dropped: set[str], one_value: Mapping[str, Value]) -> Binding:
    def settle(variable: Variable) -> Variable:
        value = one_value.get(variable.name)
        return variable.model_copy(update={"value": value}) if value is not None else variable

    kept = (variable for variable in binding.variables if variable.name not in dropped)
    return binding.model_copy(update={"variables": tuple(map(settle, kept))})


def _mounts(bindings: Iterable[Binding], volumes: Iterable[Mount]) -> Iterable[Issue]:
    taken: dict[str, str] = {}
    everything = [(mount, repr(binding.connection)) for binding in bindings for mount in binding.mounts]
    everything += [(mount, "run.volumes") for mount in volumes]
    for mount, who in everything:
        place = mount.mount_path.rstrip("/") or "/"
        if place in taken:
            message = f"{taken[place]} and {who} both stand at {place}"
            yield Issue(PLACE, Code.MOUNT_COLLISION, message, "change one mountPath in the catalog")
        taken[place] = who
