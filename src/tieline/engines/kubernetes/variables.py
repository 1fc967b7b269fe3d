"""The variables of the user's containers: literals, and references that the cluster fills in; no secret's value.

The order of precedence is that of the process engine: Tieline's own, what connections inject whole, their variables,
the job's ``envFrom``, the job's ``env``. In a pod ``env`` wins over ``envFrom`` wherever it stands, so what the job's
own ``envFrom`` is known to set is not set by a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tieline.engines.kubernetes.users import uid_of, user_of
from tieline.engines.kubernetes.values import Known, Reference, Seen
from tieline.engines.variables import own_variables
from tieline.model.binding import Binding, Variable, WholeResource
from tieline.model.plan import Plan, Program
from tieline.secrets.names import is_variable
from tieline.secrets.resolve import Places

ATTEMPT = "TIELINE_ATTEMPT"
REF = {"secret": "secretKeyRef", "configMap": "configMapKeyRef"}
WHOLE_REF = {"secret": "secretRef", "configMap": "configMapRef"}


@dataclass(slots=True)
class Environment:
    """``env`` and ``envFrom`` of one container. A variable that is set again moves to the end, as in a pod."""

    seen: Seen
    env: dict[str, dict[str, Any]] = field(default_factory=dict)
    env_from: list[dict[str, Any]] = field(default_factory=list)

    def put(self, name: str, item: dict[str, Any]) -> None:
        self.env.pop(name, None)
        self.env[name] = {"name": name, **item}

    def bind(self, binding: Binding, theirs: frozenset[str]) -> None:
        """What a connection injects, but for ``theirs``: what the job's own ``envFrom`` sets."""
        for resource in binding.resources:
            self.whole(resource)
        for variable in binding.variables:
            if variable.name not in theirs:
                self.set(variable, written_by_user=False)

    def set(self, variable: Variable, *, written_by_user: bool) -> None:
        value = self.seen.of(variable.value)
        if isinstance(value, str):
            self.put(variable.name, {"value": value if written_by_user else escaped(value)})
        elif isinstance(value, Reference):
            self.put(variable.name, {"valueFrom": {REF[value.resource]: _key_ref(value)}})

    def whole(self, resource: WholeResource) -> None:
        """A secret or config map, whole or by its items."""
        optional = {"optional": True} if resource.optional else {}
        if resource.items is None:
            prefix = {"prefix": resource.prefix} if resource.prefix else {}
            self.env_from.append({**prefix, WHOLE_REF[resource.resource]: {"name": resource.name, **optional}})
            return
        for key in resource.items:
            if is_variable(resource.prefix + key):
                reference = Reference(resource.resource, resource.name, key, resource.optional)
                self.put(resource.prefix + key, {"valueFrom": {REF[resource.resource]: _key_ref(reference)}})


def _key_ref(value: Reference) -> dict[str, Any]:
    return {"name": value.name, "key": value.key, **({"optional": True} if value.optional else {})}


def escaped(text: str) -> str:
    """Text that is to arrive as it is: in a pod ``$(NAME)`` is replaced, and ``$$`` is ``$``."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def environment_of(plan: Plan, program: Program, known: Known) -> dict[str, Any]:
    """``env`` and ``envFrom`` of one of the user's containers."""
    made = Environment(Seen(Places.of(plan.layout), known))
    own = own_variables(plan, 1)
    if plan.ending.max_retries or plan.service:
        del own[ATTEMPT]  # all pods of a run are made alike
    for name, text in own.items():
        made.put(name, {"value": escaped(text)})
    for name, text in _trusted(plan, program):
        made.put(name, {"value": escaped(text)})
    theirs = frozenset(_known_names(program, known))
    for binding in plan.bindings:
        made.bind(binding, theirs)
    for resource in program.env_from:
        made.whole(resource)
    for item in program.container.get("env") or ():
        made.put(item["name"], {key: value for key, value in item.items() if key != "name"})
    for variable in program.env:
        made.set(variable, written_by_user=True)
    found: dict[str, Any] = {"env": list(made.env.values())}
    return {**found, "envFrom": made.env_from} if made.env_from else found


def _trusted(plan: Plan, program: Program) -> Iterator[tuple[str, str]]:
    """Git works in no repository of another user's, unless its configuration names it (``safe.directory``). Variables
    are a configuration that needs no file of the image's; git takes this key from them from 2.38 on."""
    paths = [step.path for step in plan.steps if step.type == "clone"]
    if not paths or uid_of(plan, program) == user_of(plan).ours:
        return
    for number, path in enumerate(paths):
        yield f"GIT_CONFIG_KEY_{number}", "safe.directory"
        yield f"GIT_CONFIG_VALUE_{number}", path
    yield "GIT_CONFIG_COUNT", str(len(paths))


def _known_names(program: Program, known: Known) -> Iterator[str]:
    for resource in program.env_from:
        for key in known.get((resource.resource, resource.name), ()):
            yield resource.prefix + key
