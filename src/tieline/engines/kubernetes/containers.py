"""The user's containers: the main one, their init containers, their sidecars, with all that the job's file says."""

from __future__ import annotations

from typing import Any

from tieline.engines.kubernetes.building import Building
from tieline.engines.kubernetes.groups import UserInit
from tieline.engines.kubernetes.mounts import user_mounts
from tieline.engines.kubernetes.names import MAIN
from tieline.engines.kubernetes.variables import environment_of
from tieline.errors import Code
from tieline.model.plan import Program

OURS = frozenset({"env", "envFrom", "volumeMounts"})
"""Fields of the file's container that are made anew."""


def main_container(building: Building) -> dict[str, Any]:
    plan = building.plan
    return _container(building, plan.main, MAIN, "run.container", len(plan.steps))


def init_container(building: Building, init: UserInit) -> dict[str, Any]:
    """One of the user's own; it sees what the steps before it have brought."""
    program = init.step.program
    name = building.names[f"init-{program.name}"]
    return _container(building, program, name, f"init[{init.step.name}].container", init.index)


def sidecar_containers(building: Building) -> list[dict[str, Any]]:
    """They start with the main container. Where the cluster has sidecars, they are these, and end with it."""
    plan = building.plan
    restart = {"restartPolicy": "Always"} if building.cluster.native_sidecars and not plan.service else {}
    found = []
    for program in plan.sidecars:
        name = building.names[f"sidecar-{program.name}"]
        made = _container(building, program, name, f"sidecars[{program.name}]", len(plan.steps))
        found.append({**made, **restart})
    return found


def _container(building: Building, program: Program, name: str, where: str, steps_before: int) -> dict[str, Any]:
    if not program.container.get("image"):
        message, hint = "the container has no image", "a pod needs one: write image: NAME"
        building.refuse(Code.MISSING_KEY, f"{where}.image", message, hint)
    written = {key: value for key, value in program.container.items() if key not in OURS}
    found: dict[str, Any] = {"name": name, **written}
    if program.command:
        found["command"] = list(program.command)
    if program.args:
        found["args"] = list(program.args)
    found["workingDir"] = program.working_dir
    found |= environment_of(building.plan, program, building.known)
    found["volumeMounts"] = user_mounts(building, program, where, steps_before)
    return found
