"""The environment and arguments of a job's programs on this machine.

A job does not inherit the user's whole environment: what is in a shell by accident (credentials first of all) would
make it
work here and nowhere else. A short list of what programs need to start is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from tieline.engines.variables import MARKER, own_variables
from tieline.model.binding import Text, Value, Variable, WholeResource
from tieline.model.plan import Plan, Program

PASSED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "VIRTUAL_ENV", "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH", "PYENV_ROOT", "PYENV_VERSION", "JAVA_HOME", "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "COLORTERM", "NO_COLOR",
})  # fmt: skip
"""Variables of the user's own that a job gets, beside ``LC_*`` (proxies also in lower case)."""

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class Values(Protocol):
    """Where the values come from that are not in the plan."""

    def text(self, value: Value) -> str | None:
        """The text of one; None: an optional one that is not there."""

    def variables(self, resource: WholeResource) -> dict[str, str]:
        """A whole secret or config map, as variables."""


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """What a job gets of the user's own environment."""
    return {name: value for name, value in environ.items() if name.upper() in PASSED or name.startswith("LC_")}


def environment(
    plan: Plan, program: Program, attempt: int, environ: Mapping[str, str], values: Values
) -> dict[str, str]:
    """All variables of one program. A connection's own win over its secret's keys, the job's own over both."""
    result = {**passed_on(environ), **own_variables(plan, attempt)}
    for binding in plan.bindings:
        for resource in binding.resources:
            result |= values.variables(resource)
        for variable in binding.variables:
            _set(result, variable, values.text(variable.value))
    for resource in program.env_from:
        result |= values.variables(resource)
    for variable in program.env:
        text = values.text(variable.value)
        _set(result, variable, expand(text, result) if text and isinstance(variable.value, Text) else text)
    result[MARKER] = plan.run.uuid
    return result


def _set(env: dict[str, str], variable: Variable, text: str | None) -> None:
    if text is not None:
        env[variable.name] = text


def expand(text: str, env: Mapping[str, str]) -> str:
    """``$(NAME)`` as Kubernetes has it in ``command``, ``args`` and ``env``: unknown names stay, ``$$`` is ``$``."""
    return _REFERENCE.sub(lambda match: "$" if match[0] == "$$" else env.get(match[1], match[0]), text)


def called(program: Program) -> str:
    """What a program that cannot be started is called in messages: as the file has it, for an argument may have a
    secret's value in it."""
    return (*program.command, *program.args, "")[0]


def arguments(program: Program, env: Mapping[str, str]) -> list[str]:
    """The program's argv."""
    return [expand(part, env) for part in (*program.command, *program.args)]
