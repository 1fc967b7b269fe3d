"""Which secrets and config maps each of Tieline's own containers can read: those that it needs, and no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tieline.engines.kubernetes.groups import Group
from tieline.engines.variables import made_variables
from tieline.model.access import Credentials, ObjectStore
from tieline.model.binding import Value
from tieline.model.plan import CloneStep, FetchStep, Plan, Step
from tieline.secrets.names import Resource
from tieline.secrets.needs import all_references, job_needs, place_of

Wanted = tuple[Resource, str]


def of_group(plan: Plan, group: Group, written: Collection[str]) -> tuple[Wanted, ...]:
    """Of a group of steps: those of its steps; the first also writes the binding directories that are no volumes, and
    files that variables name."""
    found: list[Wanted] = []
    for step in plan.steps[group.begin : group.end]:
        found += _of_step(step)
    if group.first:
        for binding in plan.bindings:
            if binding.connection in written:
                found += _of_values(entry.value for entry in binding.entries)
        found += _of_values(variable.value for variable in made_variables(plan))
    return tuple(dict.fromkeys(found))


def of_collector(plan: Plan, named: Iterable[str]) -> tuple[Wanted, ...]:
    """The store's, and every secret that the plan names: it is masked in what the job prints."""
    access = plan.store.access
    found = list(_of_credentials(access.credentials)) if access.type == "objectStore" else []
    secrets: Iterator[Wanted] = (("secret", name) for name in named)
    return tuple(dict.fromkeys([*found, *secrets]))


def required(plan: Plan) -> frozenset[Wanted]:
    """Those without which the run cannot be carried out; the others need not be there."""
    return frozenset((need.resource, need.name) for need in job_needs(plan, advice=False))


def _of_step(step: Step) -> Iterator[Wanted]:
    if isinstance(step, CloneStep):
        yield from _of_credentials(step.remote.credentials)
        if step.remote.ssh:
            yield from _of_credentials(step.remote.ssh.credentials)
    if isinstance(step, FetchStep) and isinstance(step.source, ObjectStore):
        yield from _of_credentials(step.source.credentials)


def _of_credentials(credentials: Credentials) -> Iterator[Wanted]:
    if credentials.secret is not None and credentials.method in ("secret", "assume-role"):
        yield "secret", credentials.secret
    yield from _of_values(credentials.values.values())


def _of_values(values: Iterable[Value]) -> Iterator[Wanted]:
    yield from map(place_of, all_references(values))
