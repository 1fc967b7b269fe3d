"""Submitting a prepared job: preflight, accept, and have an engine carry the plan out. In that order, always.

Nothing is recorded before preflight has passed, and nothing is launched before the run is recorded. The run's lock
is taken before its row is written, so that there is no moment in which nobody owns it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass

from tieline.app.home import HomeFolder
from tieline.app.pinning import pinned
from tieline.app.preparing import Prepared
from tieline.engines.base import Controls, Listener
from tieline.engines.process.folders import RunFolder
from tieline.engines.process.preflight import preflight
from tieline.engines.process.supervisor import Supervisor
from tieline.errors import Code, Problem, RecordError
from tieline.model.plan import Plan
from tieline.model.run import NewRun, Run
from tieline.runs.locks import RunLock
from tieline.runs.record import Record
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources, open_sources


@dataclass(frozen=True, slots=True)
class Accepted:
    """A recorded run that this process owns."""

    plan: Plan
    folder: RunFolder
    home: HomeFolder
    lock: RunLock
    record: Record
    sources: Sources
    warnings: tuple[Problem, ...] = ()


def accept(prepared: Prepared, home: HomeFolder) -> Accepted:
    """Preflight, then record. Raises Refused; a refused run leaves nothing behind."""
    plan = prepared.plan
    home.create()
    sources = open_sources(prepared.sources, plan.run.namespace, home.root, os.environ)
    warnings = preflight(plan, os.environ, sources)
    record = Record.open(home.database)
    _create(prepared)
    lock = RunLock.acquire(prepared.folder.lock)
    try:
        record.accept(_new_run(prepared))
    except BaseException:
        prepared.folder.remove()
        lock.release()
        record.close()
        raise
    return Accepted(plan, prepared.folder, home, lock, record, sources, tuple(warnings))


def _create(prepared: Prepared) -> None:
    """The run's folder, with where its secrets come from (no value), for a supervisor that is another process."""
    folder = prepared.folder
    forms = [form.model_dump(mode="json", by_alias=True, exclude_unset=True) for form in prepared.sources]
    try:
        folder.create()
        folder.sources.write_text(json.dumps(forms), encoding="utf-8")
    except OSError as error:
        message = f"{folder.root} cannot be made: {error.strerror}"
        raise RecordError.of(
            Code.HOME_UNUSABLE, message, "set TIELINE_HOME to a folder that you can write to"
        ) from None


def _new_run(prepared: Prepared) -> NewRun:
    plan = prepared.plan
    watches, channels = pinned(plan, prepared.sources)
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
        connections=plan.used_connections,
        owner=plan.run.owner,
        watches=watches,
        channels=channels,
    )


def carry_out(accepted: Accepted, listener: Listener, controls: Controls) -> Run:
    """Carry the plan out in this process, to its end; the run as it ended."""
    with accepted.lock:
        values = Resolver(accepted.sources, Places.of(accepted.plan.layout))
        return Supervisor(
            accepted.plan, accepted.folder, accepted.record, listener, values, accepted.home.root, controls
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
