"""Which secrets and config maps a plan needs, and why: read off the plan alone, so nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tieline.model.access import Credentials, ObjectStore
from tieline.model.binding import (
    Binding,
    FromConfigMap,
    FromSecret,
    Mount,
    ResourceSource,
    Value,
    Variable,
    WholeResource,
)
from tieline.model.plan import CloneStep, FetchStep, Plan, Program, ProgramStep
from tieline.secrets.names import Resource


@dataclass(frozen=True, slots=True)
class Need:
    """A secret or config map that must be there, with any one of ``keys`` (none: whichever it has).

    ``advice``: the plan can be carried out without those keys, and somebody will wonder. ``soft``: without the whole
    of it, too.
    """

    where: str
    resource: Resource
    name: str
    keys: tuple[str, ...] = ()
    advice: bool = False
    soft: bool = False


def needs_of(plan: Plan) -> tuple[Need, ...]:
    """Everything that the plan needs, in the plan's order, each once."""
    return tuple(dict.fromkeys([*job_needs(plan), *channel_needs(plan)]))


def job_needs(plan: Plan, *, advice: bool = True) -> list[Need]:
    """What the job itself needs, without what people are told with; one may be there twice."""
    found: list[Need] = []
    for binding in plan.bindings:
        found += _of_binding(binding, advice=advice)
    for mount in plan.volumes if plan.layout.real_mounts else ():  # else a pod's own volumes are nowhere
        found += _of_mount(mount, f"volumes[{mount.mount_path}]")
    for step in plan.steps:
        if isinstance(step, CloneStep):
            given = step.remote.ssh.credentials if step.remote.ssh else step.remote.credentials
            found += _of_credentials(given, f"init[{step.name}]")
        if isinstance(step, FetchStep) and isinstance(step.source, ObjectStore):
            found += _of_credentials(step.source.credentials, f"init[{step.name}]")
        if isinstance(step, ProgramStep):
            found += _of_program(step.program)
    if plan.store.access.type == "objectStore":
        found += _of_credentials(plan.store.access.credentials, f"artifactsStore[{plan.store.connection}]")
    for program in (plan.main, *plan.sidecars):
        found += _of_program(program)
    return found


def channel_needs(plan: Plan) -> tuple[Need, ...]:
    """What whoever tells people of the run needs: the submitting machine, on every engine."""
    found: list[Need] = []
    for notify in plan.notifications:
        needs = _of_credentials(notify.channel.credentials, f"notifications[{notify.connection}]")
        found += [replace(need, soft=notify.asked_by == "catalog") for need in needs]
    return tuple(dict.fromkeys(found))


def references(value: Value) -> Sequence[FromSecret | FromConfigMap]:
    """All references that a value is made of. Told by the values' own tags: whether something is *no* instance of a
    form costs pydantic more than all the rest, and every value of a plan is asked."""
    if value.type == "text":
        return ()
    if value.type == "derived":
        return [reference for part in value.parts.values() for reference in references(part)]
    return (value,)


def all_references(values: Iterable[Value]) -> list[FromSecret | FromConfigMap]:
    """The same of many."""
    return [reference for value in values for reference in references(value)]


def place_of(reference: FromSecret | FromConfigMap) -> tuple[Resource, str]:
    """The secret or config map that a reference points into."""
    if reference.type == "secret":
        return "secret", reference.secret
    return "configMap", reference.config_map


def _of_binding(binding: Binding, *, advice: bool) -> Iterator[Need]:
    where = f"connections[{binding.connection}]"
    given: list[WholeResource | ResourceSource] = list(binding.resources)
    given += [mount.source for mount in binding.mounts if mount.source.type == "resource"]
    for resource in given:
        yield from _of_items(where, resource.resource, resource.name, resource.items)
    values = [entry.value for entry in binding.entries] + [variable.value for variable in binding.variables]
    found = all_references(values)
    yield from _required(where, found)
    for resource in given if advice else ():
        keys = _keys_in(resource.name, found) if resource.resource == "secret" and resource.items is None else ()
        if keys:  # where there are items, each of them is needed already
            yield Need(where, "secret", resource.name, keys, advice=True)


def _of_mount(mount: Mount, where: str) -> Iterator[Need]:
    source = mount.source
    if source.type == "resource":
        yield from _of_items(where, source.resource, source.name, source.items)


def _of_items(where: str, resource: Resource, name: str, items: Iterable[str] | None) -> Iterator[Need]:
    yield Need(where, resource, name)
    yield from (Need(where, resource, name, (item,)) for item in items or ())


def _of_credentials(credentials: Credentials, where: str) -> Iterator[Need]:
    """What Tieline itself logs in with: a secret without any of the keys is of no use."""
    if credentials.secret is None or credentials.method not in ("secret", "assume-role"):
        return
    yield from _of_items(where, "secret", credentials.secret, credentials.items)
    found = all_references(credentials.values.values())
    yield from _required(where, found)
    keys = _keys_in(credentials.secret, found)
    if keys and credentials.items is None:
        yield Need(where, "secret", credentials.secret, keys)


def _of_program(program: Program) -> Iterator[Need]:
    for resource in program.env_from:
        if not resource.optional:
            yield Need(f"{program.name}.envFrom", resource.resource, resource.name)
    for variable in program.env:
        yield from _required(_variable(program, variable), references(variable.value))


def _variable(program: Program, variable: Variable) -> str:
    return f"{program.name}.env[{variable.name}]"


def _required(where: str, found: Iterable[FromSecret | FromConfigMap]) -> Iterator[Need]:
    for reference in found:
        if not reference.optional:
            yield Need(where, *place_of(reference), reference.keys)


def _keys_in(secret: str, found: Iterable[FromSecret | FromConfigMap]) -> tuple[str, ...]:
    """All keys of a secret that these references may take."""
    keys = (
        key
        for reference in found
        if reference.type == "secret" and reference.secret == secret
        for key in reference.keys
    )
    return tuple(dict.fromkeys(keys))
