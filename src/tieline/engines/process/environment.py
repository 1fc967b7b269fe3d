"""The environment and arguments of a job's programs on this machine.

A job does not inherit the user's whole environment: what is in a shell by accident (credentials first of all) would
make it
work here and nowhere else. A short list of what programs need to start is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from tieline.engines.process.folders import temporary_path
from tieline.engines.process.programs import MARKER
from tieline.model.binding import Value, Variable
from tieline.model.plan import Plan, Program

PASSED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "VIRTUAL_ENV", "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH", "PYENV_ROOT", "PYENV_VERSION", "JAVA_HOME", "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "COLORTERM", "NO_COLOR",
})  # fmt: skip
"""Variables of the user's own that a job gets, beside ``LC_*`` (proxies also in lower case)."""

Resolve = Callable[[Value], str | None]
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """What a job gets of the user's own environment."""
    return {name: value for name, value in environ.items() if name.upper() in PASSED or name.startswith("LC_")}


def own_variables(plan: Plan, attempt: int) -> dict[str, str]:
    """``TIELINE_*`` and the places of things."""
    layout = plan.layout
    return {
        MARKER: plan.run.uuid,
        "TIELINE_RUN_NAME": plan.run.name,
        "TIELINE_PROJECT": plan.run.project,
        "TIELINE_NAMESPACE": plan.run.namespace,
        "TIELINE_ATTEMPT": str(attempt),
        "TIELINE_OUTPUTS": layout.outputs_path,
        "TIELINE_ARTIFACTS": layout.artifacts_path,
        "SERVICE_BINDING_ROOT": layout.binding_root,
        "TMPDIR": temporary_path(layout),
        "PYTHONUNBUFFERED": "1",
    }


def environment(
    plan: Plan, program: Program, attempt: int, environ: Mapping[str, str], resolve: Resolve, *, bound: bool
) -> dict[str, str]:
    """All variables of one program; ``bound``: with what the connections inject. The job's own win."""
    variables: list[Variable] = []
    if bound:
        variables += [variable for binding in plan.bindings for variable in binding.variables]
    result = {**passed_on(environ), **own_variables(plan, attempt), **_values(variables, resolve)}
    for variable in program.env:
        for name, value in _values([variable], resolve).items():
            result[name] = expand(value, result)
    result[MARKER] = plan.run.uuid
    return result


def _values(variables: Iterable[Variable], resolve: Resolve) -> dict[str, str]:
    resolved = ((variable.name, resolve(variable.value)) for variable in variables)
    return {name: value for name, value in resolved if value is not None}


def expand(text: str, env: Mapping[str, str]) -> str:
    """``$(NAME)`` as Kubernetes has it in ``command``, ``args`` and ``env``: unknown names stay, ``$$`` is ``$``."""
    return _REFERENCE.sub(lambda match: "$" if match[0] == "$$" else env.get(match[1], match[0]), text)


def arguments(program: Program, env: Mapping[str, str]) -> list[str]:
    """The program's argv."""
    return [expand(part, env) for part in (*program.command, *program.args)]
