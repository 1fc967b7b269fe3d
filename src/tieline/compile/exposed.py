"""Secrets that a job puts into its own argument list: ``$(NAME)`` in ``command`` or ``args``, where NAME has one.

It works, as it does on Kubernetes, and every user of the machine can read it in the list of processes while the program
runs. So it is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tieline.model.binding import Binding, Derived, FromSecret, Text, Value
from tieline.model.plan import Notice, Program

REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
"""``$(NAME)`` as Kubernetes has it; ``$$`` is an escaped ``$``."""
TIELINES = ("TIELINE_", "SERVICE_BINDING_ROOT", "TMPDIR")
"""Variables that every job has: nobody who names them means a secret's key."""
WAY_OUT = "read the variable in the program, or in a shell: [sh, -c, '… \"$NAME\"']"


def exposed(bindings: Iterable[Binding], programs: Iterable[tuple[str, Program]]) -> Iterator[Notice]:
    """A notice for every variable with a secret that is named in an argument. ``programs``: each with its field."""
    bound = tuple(bindings)
    for field, program in programs:
        words = (*program.command, *program.args)
        named = dict.fromkeys(match[1] for word in words for match in REFERENCE.finditer(word) if match[1])
        for name in named:
            if secret := _secret_in(name, bound, program):
                message = f"$({name}) puts a value of {secret} into the argument list, which every user of this machine"
                yield Notice(field=field, message=f"{message} can read: {WAY_OUT}")


def _secret_in(name: str, bindings: Iterable[Binding], program: Program) -> str:
    """The secret that a variable's value comes from, or may come from; empty: from none. The last one who sets it
    says what it is: a connection's own variable wins over its secret's key, the job's own over both."""
    found = ""
    for binding in bindings:
        for resource in binding.resources:
            there = name.startswith(resource.prefix) and (
                resource.items is None or name.removeprefix(resource.prefix) in resource.items
            )
            if there and resource.resource == "secret" and not name.startswith(TIELINES):
                found = f"the secret {resource.name!r}" + ("" if resource.items else " (if it has that key)")
        for variable in binding.variables:
            if variable.name == name:
                found = _secret_of(variable.value) or ("" if isinstance(variable.value, Text) else found)
    for variable in program.env:
        if variable.name == name:
            found = _through(variable.value, name, bindings, program)
    return found


def _through(value: Value, name: str, bindings: Iterable[Binding], program: Program) -> str:
    """The secret of one of the job's own variables, which may name others in its text: ``postgres://$(PASSWORD)@…``."""
    if not isinstance(value, Text):
        return _secret_of(value)
    before = program.env[: next(i for i, item in enumerate(program.env) if item.name == name)]
    earlier = program.model_copy(update={"env": before})
    named = (match[1] for match in REFERENCE.finditer(value.text) if match[1])
    return next((secret for inner in named if (secret := _secret_in(inner, bindings, earlier))), "")


def _secret_of(value: Value) -> str:
    match value:
        case FromSecret():
            return f"the secret {value.secret!r}"
        case Derived(form="entry-path"):
            return ""  # the path of a file, and not what is in it
        case Derived():
            return next((secret for part in value.parts.values() if (secret := _secret_of(part))), "")
        case _:
            return ""
