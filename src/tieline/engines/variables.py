"""The variables that Tieline gives every program of a run, on every engine; and those for which it makes a file."""

from __future__ import annotations

from collections.abc import Iterator

from tieline.engines.folders import temporary_path
from tieline.kinds.derived import MERGEABLE
from tieline.model.binding import Value, Variable
from tieline.model.plan import Plan

MARKER = "TIELINE_RUN_UUID"
"""By which a run's processes are told, too."""


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


def derived_variables(plan: Plan) -> Iterator[Variable]:
    """Those of all programs whose value is made from others, or is the path of a file that is made."""
    inits = [step.program for step in plan.steps if step.type == "program"]
    own = [variable for program in (*inits, *plan.sidecars, plan.main) for variable in program.env]
    for variable in (*own, *(variable for binding in plan.bindings for variable in binding.variables)):
        if variable.value.type == "derived":
            yield variable


def made_variables(plan: Plan) -> Iterator[Variable]:
    """Those whose value is the path of a file that is made."""
    return (variable for variable in derived_variables(plan) if makes_file(variable.value))


def makes_file(value: Value) -> bool:
    """Whether somebody who asks for the value has a file made, outside of the binding directories."""
    return value.type == "derived" and (value.form in MERGEABLE or any(map(makes_file, value.parts.values())))
