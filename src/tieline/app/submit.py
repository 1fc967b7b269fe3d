"""Submitting a prepared job: preflight, accept, and have an engine carry the plan out. In that order, always.

Nothing is recorded before preflight has passed, and nothing is launched before the run is recorded. The run's lock
is taken before its row is written, so that there is no moment in which nobody owns it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass

from tieline.app.home import HomeFolder
from tieline.app.preparing import Prepared
from tieline.engines.base import Controls, Listener
from tieline.engines.process.folders import RunFolder
from tieline.engines.process.preflight import preflight
from tieline.engines.process.supervisor import Supervisor
from tieline.errors import Code, RecordError
from tieline.model.plan import Plan
from tieline.model.run import NewRun, Run
from tieline.runs.locks import RunLock
from tieline.runs.record import Record
from tieline.secrets.values import literal


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
    )


def carry_out(accepted: Accepted, listener: Listener, controls: Controls) -> Run:
    """Carry the plan out in this process, to its end; the run as it ended."""
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
