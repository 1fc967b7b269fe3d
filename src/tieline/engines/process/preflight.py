"""What this machine must have before a plan is accepted: programs, folders, a store that can be written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from tieline.engines.folders import RunFolder
from tieline.engines.process.environment import environment
from tieline.engines.process.isolation import obstacle
from tieline.engines.unasked import bucket_problems, missing_files, read_only_store
from tieline.errors import Code, Place, Problem, Refused
from tieline.model.access import ObjectStore, Volume
from tieline.model.binding import HostPathSource, Text, Value, WholeResource
from tieline.model.plan import CloneStep, FetchStep, Plan, ProgramStep
from tieline.secrets.preflight import collisions, missing
from tieline.secrets.sources import Sources


def preflight(plan: Plan, environ: Mapping[str, str], sources: Sources) -> list[Problem]:
    """Warnings about what is there. Raises Refused with everything that is missing."""
    problems = [
        *missing(plan, sources),
        *collisions(plan, sources),
        *_folders(plan),
        *_store(plan),
        *_programs(plan, environ),
        *_isolation(plan, environ),
    ]
    if any(not problem.warning for problem in problems):
        raise Refused(*problems)
    return problems


def _problem(code: Code, where: str, message: str, hint: str) -> Problem:
    return Problem(code, message, hint, Place(field=where))


def _folders(plan: Plan) -> Iterable[Problem]:
    for binding in plan.bindings:
        for mount in binding.mounts:
            if isinstance(mount.source, HostPathSource) and not os.path.isdir(mount.source.path):
                yield _missing(f"connections[{binding.connection}]", mount.source.path)
    yield from missing_files(plan)
    for step in plan.steps:
        if not isinstance(step, FetchStep):
            continue
        if isinstance(step.source, ObjectStore):
            yield from bucket_problems(step.source, f"init[{step.name}]")
        elif step.source.host_path and not os.path.isdir(step.source.host_path):
            yield _missing(f"init[{step.name}]", step.source.host_path)


def _missing(where: str, path: str) -> Problem:
    what = "is no folder" if os.path.exists(path) else "is not there"
    return _problem(Code.PATH_MISSING, where, f"{path} {what} on this machine", "make it, or correct the path")


def _store(plan: Plan) -> Iterable[Problem]:
    access, where = plan.store.access, f"artifactsStore[{plan.store.connection}]"
    if not isinstance(access, Volume):
        yield from bucket_problems(access, where)
        return
    path = access.host_path or plan.layout.claim_path(access.claim or "")
    if access.read_only:
        yield read_only_store(where)
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        yield _problem(
            Code.STORE_FAILED, where, f"{path} cannot be made: {error.strerror}", "correct the path or its rights"
        )
        return
    if not os.access(path, os.W_OK | os.X_OK):
        yield _problem(Code.STORE_FAILED, where, f"{path} cannot be written", "correct its rights")


class _Known:
    """The values that are in the plan itself; secrets are not read before a run is accepted."""

    def text(self, value: Value) -> str | None:
        return value.text if isinstance(value, Text) else None

    def variables(self, resource: WholeResource) -> dict[str, str]:
        del resource
        return {}


def _programs(plan: Plan, environ: Mapping[str, str]) -> Iterable[Problem]:
    if any(isinstance(step, CloneStep) for step in plan.steps) and shutil.which("git") is None:
        yield _problem(Code.PROGRAM_MISSING, "init", "there is no git program", "install git")
    prepared = any(isinstance(step, ProgramStep) for step in plan.steps)
    for program in (plan.main, *plan.sidecars):
        name = (*program.command, *program.args, "")[0]
        if not name or "/" in name or "$(" in name or prepared:
            continue
        env = environment(plan, program, 1, environ, _Known())
        if shutil.which(name, path=env.get("PATH", os.defpath)) is None:
            yield _problem(
                Code.PROGRAM_MISSING, f"{program.name}.command", f"there is no program {name!r} on this machine",
                "a process has no image: install it, or give its path",
            )  # fmt: skip


def _isolation(plan: Plan, environ: Mapping[str, str]) -> Iterable[Problem]:
    """Paths that cannot be made true, where the run is isolated."""
    if not plan.layout.real_mounts:
        return
    attempt = RunFolder(Path(plan.layout.context_path).parent).attempt(1)
    if found := obstacle(plan, attempt, environ):
        hint = "give it another path, or run the job with --isolation none"
        yield _problem(Code.MOUNT_COLLISION, "isolation", found, hint)
