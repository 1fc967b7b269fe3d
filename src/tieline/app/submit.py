"""Submitting a job: read, compile, preflight, accept, and have an engine carry the plan out. In that order, always.

Nothing is recorded before preflight has passed, and nothing is launched before the run is recorded. The run's lock
is taken
before its row is written, so that there is no moment in which nobody owns it.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
import threading
import uuid as uuid_module
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.app.jobs import load_job
from tieline.compile.jobs import Job
from tieline.compile.planner import Request, check_job, compile_job
from tieline.engines.base import Controls, Listener
from tieline.engines.process.folders import RunFolder, layout_of
from tieline.errors import Code, Problem, RecordError
from tieline.model.catalog import DEFAULT_NAMESPACE
from tieline.model.plan import Identity, Plan, Traits

if TYPE_CHECKING:
    from tieline.model.run import NewRun, Run
    from tieline.runs.locks import RunLock
    from tieline.runs.record import Record

ENGINE = "process"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the one who runs a job says beside the file."""

    file: Path
    params: Mapping[str, Any] = field(default_factory=dict)
    namespace: str | None = None
    project: str = "default"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan that can be explained, or accepted."""

    plan: Plan
    folder: RunFolder
    warnings: tuple[Problem, ...]


def prepare(wanted: Wanted, deployment: Deployment, home: HomeFolder) -> Prepared:
    """Read and compile. Raises NotFound or InvalidInput; touches nothing."""
    job, known = load_job(wanted.file, deployment.catalog)
    request = request_for(job, wanted, deployment, home)
    plan, warnings = compile_job(job, deployment.catalog, request, known)
    return Prepared(plan, RunFolder(home.runs / plan.run.uuid), (*deployment.warnings, *warnings))


def check(wanted: Wanted, deployment: Deployment, home: HomeFolder) -> list[Problem]:
    """Every problem of a job file, without the values that only a run gives. Raises NotFound."""
    job, known = load_job(wanted.file, deployment.catalog)
    return check_job(job, deployment.catalog, request_for(job, wanted, deployment, home, complete=False), known)


def request_for(
    job: Job, wanted: Wanted, deployment: Deployment, home: HomeFolder, *, complete: bool = True
) -> Request:
    """A new run's identity and paths."""
    component = job.component
    uuid = uuid_module.uuid4().hex
    identity = Identity(
        uuid=uuid,
        name=wanted.name or str(component.get("name") or "") or default_name(wanted.file),
        project=wanted.project,
        namespace=wanted.namespace or str(component.get("namespace") or DEFAULT_NAMESPACE),
        kind="service" if _kind(component) == "service" else "job",
        owner=user(),
        created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    return Request(
        run=identity,
        layout=layout_of(RunFolder(home.runs / uuid), uuid, deployment.catalog.claims, home.claims),
        traits=Traits(name=ENGINE, pods=False),
        params=wanted.params,
        base=str(wanted.file.absolute().parent),
        complete=complete,
    )


def _kind(component: Mapping[str, Any]) -> str:
    run = component.get("run")
    return str(run.get("kind")) if isinstance(run, Mapping) else ""


def default_name(file: Path) -> str:
    """A run's name, from its file's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", file.stem).strip("-._")[:60] or "run"


def user() -> str:
    """Who runs it, as this machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@dataclass(frozen=True, slots=True)
class Accepted:
    """A recorded run that this process owns."""

    plan: Plan
    folder: RunFolder
    home: HomeFolder
    lock: RunLock
    record: Record


def accept(prepared: Prepared, home: HomeFolder) -> Accepted:
    """Preflight, then record. Raises Refused; a refused run leaves nothing behind."""
    from tieline.engines.process.preflight import preflight
    from tieline.runs.locks import RunLock
    from tieline.runs.record import Record

    plan = prepared.plan
    home.create()
    preflight(plan, os.environ)
    record = Record.open(home.database)
    _create(prepared.folder)
    lock = RunLock.acquire(prepared.folder.lock)
    try:
        record.accept(_new_run(plan))
    except BaseException:
        prepared.folder.remove()
        lock.release()
        record.close()
        raise
    return Accepted(plan, prepared.folder, home, lock, record)


def _create(folder: RunFolder) -> None:
    try:
        folder.create()
    except OSError as error:
        message = f"{folder.root} cannot be made: {error.strerror}"
        raise RecordError.of(
            Code.HOME_UNUSABLE, message, "set TIELINE_HOME to a folder that you can write to"
        ) from None


def _new_run(plan: Plan) -> NewRun:
    from tieline.model.run import NewRun

    return NewRun(
        uuid=plan.run.uuid,
        name=plan.run.name,
        project=plan.run.project,
        namespace=plan.run.namespace,
        kind=plan.run.kind,
        engine=plan.engine,
        plan=plan.as_json(),
        catalog_digest=plan.catalog_digest,
        store=plan.store.connection,
        store_prefix=plan.store.prefix,
        job_file=plan.job_file,
        queue=plan.queue,
        tags=plan.tags,
        connections=used_connections(plan),
    )


def used_connections(plan: Plan) -> tuple[str, ...]:
    """The names of all connections that a plan uses."""
    names = [binding.connection for binding in plan.bindings]
    names += [step.connection for step in plan.steps if step.type in ("clone", "fetch") and step.connection]
    names += [notify.connection for notify in plan.notifications]
    return tuple(dict.fromkeys([*names, plan.store.connection]))


def carry_out(accepted: Accepted, listener: Listener, controls: Controls) -> Run:
    """Carry the plan out in this process, to its end; the run as it ended."""
    from tieline.engines.process.supervisor import Supervisor
    from tieline.secrets.values import literal

    with accepted.lock:
        return Supervisor(
            accepted.plan, accepted.folder, accepted.record, listener, literal, accepted.home.root, controls
        ).run()


def detach(accepted: Accepted) -> int:
    """Hand the run to a supervisor of its own, which outlives this process; its pid."""
    with accepted.folder.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tieline.app.detached", accepted.plan.run.uuid, str(accepted.lock.fd)],
            pass_fds=[accepted.lock.fd],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TIELINE_HOME": str(accepted.home.root)},
            start_new_session=True,
            cwd="/",
        )
    accepted.lock.hand_over()
    accepted.record.close()
    process.returncode = 0  # nobody waits for how it ends: it outlives this process, or is reaped when it has ended
    threading.Thread(target=os.waitpid, args=(process.pid, 0), name="reaper", daemon=True).start()
    return process.pid
