"""Which secrets and config maps a plan needs, and why: read off the plan alone, so nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tieline.model.access import Credentials, ObjectStore
from tieline.model.binding import (
    Binding,
    Derived,
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
    found: list[Need] = []
    for binding in plan.bindings:
        found += _of_binding(binding)
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
    if isinstance(plan.store.access, ObjectStore):
        found += _of_credentials(plan.store.access.credentials, f"artifactsStore[{plan.store.connection}]")
    for program in (plan.main, *plan.sidecars):
        found += _of_program(program)
    for notify in plan.notifications:
        needs = _of_credentials(notify.channel.credentials, f"notifications[{notify.connection}]")
        found += [replace(need, soft=notify.asked_by == "catalog") for need in needs]
    return tuple(dict.fromkeys(found))


def references(value: Value) -> Iterator[FromSecret | FromConfigMap]:
    """All references that a value is made of."""
    match value:
        case FromSecret() | FromConfigMap():
            yield value
        case Derived():
            for part in value.parts.values():
                yield from references(part)
        case _:
            return


def place_of(reference: FromSecret | FromConfigMap) -> tuple[Resource, str]:
    """The secret or config map that a reference points into."""
    if isinstance(reference, FromSecret):
        return "secret", reference.secret
    return "configMap", reference.config_map


def _of_binding(binding: Binding) -> Iterator[Need]:
    where = f"connections[{binding.connection}]"
    given: list[WholeResource | ResourceSource] = list(binding.resources)
    given += [mount.source for mount in binding.mounts if isinstance(mount.source, ResourceSource)]
    for resource in given:
        yield from _of_items(where, resource.resource, resource.name, resource.items)
    values = [entry.value for entry in binding.entries] + [variable.value for variable in binding.variables]
    yield from _required(where, values)
    for resource in given:
        keys = _keys_in(resource.name, values) if resource.resource == "secret" and resource.items is None else ()
        if keys:  # where there are items, each of them is needed already
            yield Need(where, "secret", resource.name, keys, advice=True)


def _of_mount(mount: Mount, where: str) -> Iterator[Need]:
    source = mount.source
    if isinstance(source, ResourceSource):
        yield from _of_items(where, source.resource, source.name, source.items)


def _of_items(where: str, resource: Resource, name: str, items: Iterable[str] | None) -> Iterator[Need]:
    yield Need(where, resource, name)
    yield from (Need(where, resource, name, (item,)) for item in items or ())


def _of_credentials(credentials: Credentials, where: str) -> Iterator[Need]:
    """What Tieline itself logs in with: a secret without any of the keys is of no use."""
    if credentials.secret is None or credentials.method not in ("secret", "assume-role"):
        return
    yield from _of_items(where, "secret", credentials.secret, credentials.items)
    yield from _required(where, credentials.values.values())
    keys = _keys_in(credentials.secret, credentials.values.values())
    if keys and credentials.items is None:
        yield Need(where, "secret", credentials.secret, keys)


def _of_program(program: Program) -> Iterator[Need]:
    for resource in program.env_from:
        if not resource.optional:
            yield Need(f"{program.name}.envFrom", resource.resource, resource.name)
    for variable in program.env:
        yield from _required(_variable(program, variable), [variable.value])


def _variable(program: Program, variable: Variable) -> str:
    return f"{program.name}.env[{variable.name}]"


def _required(where: str, values: Iterable[Value]) -> Iterator[Need]:
    for value in values:
        for reference in references(value):
            if not reference.optional:
                yield Need(where, *place_of(reference), reference.keys)


def _keys_in(secret: str, values: Iterable[Value]) -> tuple[str, ...]:
    """All keys of a secret that these values may come from."""
    found = (
        key
        for value in values
        for reference in references(value)
        if isinstance(reference, FromSecret) and reference.secret == secret
        for key in reference.keys
    )
    return tuple(dict.fromkeys(found))
