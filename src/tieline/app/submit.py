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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tieline.app.home import HomeFolder
from tieline.app.pinning import pinned
from tieline.app.preparing import Prepared
from tieline.engines.base import Controls, Listener
from tieline.engines.folders import RunFolder
from tieline.errors import Code, Problem, RecordError
from tieline.model.plan import Plan
from tieline.model.run import NewRun, Run
from tieline.runs.locks import RunLock
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources, open_sources

if TYPE_CHECKING:
    from tieline.app.kube_launching import Remote
    from tieline.model.catalog import SecretSourceForm
    from tieline.runs.record import Record


@dataclass(slots=True)
class Accepted:
    """A recorded run that this process owns."""

    plan: Plan
    folder: RunFolder
    home: HomeFolder
    lock: RunLock
    opened: Record | None
    sources: Sources
    warnings: tuple[Problem, ...] = ()
    remote: Remote | None = None  # of a run that a cluster carries out

    @property
    def record(self) -> Record:
        """Opened when it is first needed: a cluster's run is launched before that. Raises RecordError."""
        if self.opened is None:
            self.opened = _open(self.home)
        return self.opened

    def close(self) -> None:
        """Close the record. The lock is let go by whoever carries the run out."""
        if self.opened is not None:
            self.opened.close()


def accept(prepared: Prepared, home: HomeFolder) -> Accepted:
    """Preflight, then record. Raises Refused; a refused run leaves nothing behind."""
    if prepared.cluster is not None:
        from tieline.app import kube_launching

        return kube_launching.accept(prepared, home)
    from tieline.engines.process.preflight import preflight

    plan = prepared.plan
    home.create()
    sources = open_sources(prepared.sources, plan.run.namespace, home.root, os.environ)
    warnings = preflight(plan, os.environ, sources)
    record = _open(home)
    lock = recorded(prepared, lambda: record.accept(new_run(plan, prepared.sources)))
    return Accepted(plan, prepared.folder, home, lock, record, sources, tuple(warnings))


def recorded(prepared: Prepared, record: Callable[[], object], also: Callable[[RunFolder], object] = bool) -> RunLock:
    """Make the run's folder (``also``: with more in it), take its lock, and have it recorded."""
    _create(prepared, also)
    lock = RunLock.acquire(prepared.folder.lock)
    try:
        record()
    except BaseException:
        prepared.folder.remove()
        lock.release()
        raise
    return lock


def _open(home: HomeFolder) -> Record:
    from tieline.runs.record import Record

    return Record.open(home.database)


def _create(prepared: Prepared, also: Callable[[RunFolder], object]) -> None:
    """The run's folder, with where its secrets come from (no value), for a supervisor that is another process."""
    folder = prepared.folder
    forms = [form.model_dump(mode="json", by_alias=True, exclude_unset=True) for form in prepared.sources]
    try:
        folder.create()
        folder.sources.write_text(json.dumps(forms), encoding="utf-8")
        also(folder)
    except OSError as error:
        message = f"{folder.root} cannot be made: {error.strerror}"
        raise RecordError.of(
            Code.HOME_UNUSABLE, message, "set TIELINE_HOME to a folder that you can write to"
        ) from None


def new_run(plan: Plan, sources: Sequence[SecretSourceForm]) -> NewRun:
    """What is recorded of a plan. ``sources``: where the secrets of its channels come from."""
    watches, channels = pinned(plan, tuple(sources))
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


def carry_out(accepted: Accepted, listener: Listener, controls: Controls, launched: Callable[[], object] = bool) -> Run:
    """Carry the plan out in this process, to its end; the run as it ended. ``launched``: called when a cluster has the
    run, whose pod takes a moment to begin."""
    if accepted.remote is not None:
        from tieline.app import kube_launching

        return kube_launching.carry_out(accepted, accepted.remote, listener, controls, launched)
    from tieline.engines.process.supervisor import Supervisor

    with accepted.lock:
        values = Resolver(accepted.sources, Places.of(accepted.plan.layout))
        return Supervisor(
            accepted.plan, accepted.folder, accepted.record, listener, values, accepted.home.root, controls
        ).run()


def detach(accepted: Accepted) -> int:
    """Hand the run to a process of its own, which outlives this one; its pid (0: a cluster carries it out already)."""
    if accepted.remote is not None:
        from tieline.app import kube_launching

        return kube_launching.detach(accepted, accepted.remote)
    return hand_over(accepted, "tieline.app.detached")


def hand_over(accepted: Accepted, module: str) -> int:
    """Give the run and its lock to a process that runs this module; its pid."""
    with accepted.folder.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, accepted.plan.run.uuid, str(accepted.lock.fd)],
            pass_fds=[accepted.lock.fd],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **_kubeconfig(), "TIELINE_HOME": str(accepted.home.root)},
            start_new_session=True,
            cwd="/",
        )
    accepted.lock.hand_over()
    accepted.close()
    process.returncode = 0  # nobody waits for how it ends: it outlives this process, or is reaped when it has ended
    threading.Thread(target=os.waitpid, args=(process.pid, 0), name="reaper", daemon=True).start()
    return process.pid


def _kubeconfig() -> dict[str, str]:
    """The variable as another working folder needs it."""
    given = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return {"KUBECONFIG": os.pathsep.join(map(os.path.abspath, given))} if given else {}
