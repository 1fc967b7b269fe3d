"""What one may do with runs that were accepted: look at them, follow their logs, stop, push, remove."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tieline.app.home import HomeFolder
from tieline.engines.base import Listener, Silent
from tieline.engines.folders import RunFolder
from tieline.engines.process.tidying import sweep_expired
from tieline.errors import Code, RecordError
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.runs.locks import RunLock
from tieline.runs.record import Record
from tieline.steps.retrying import Patience, persistently
from tieline.stores.base import Store

CLUSTER, PROCESS = "kubernetes", "process"
"""The engines whose runs are in a cluster, and of this machine."""
TIDYING = 30.0
"""Seconds that the end of a run may take after it is recorded: a large work folder is removed then."""


@contextmanager
def opened(
    home: HomeFolder,
    listener: Listener | None = None,
    *,
    find: Callable[[Record], None] | None = None,
    but: str = "",
) -> Iterator[Record]:
    """The record, after removing what is past its ``ttl``, ending what dead supervisors left, and bringing the runs of
    clusters up to date (``find``: after recording those that it does not know; ``but``: one that is new); of which
    people are told by a process of its own."""
    home.create()
    sweep_expired(home.runs)  # first: on a full disk it makes the room that the record needs
    with Record.open(home.database) as record:
        ended = _recovered(record, home, listener or Silent())
        if find is not None:
            find(record)
        if there := [run for run in record.unfinished(CLUSTER) if run.uuid != but]:
            from tieline.app.kube_store import KeptStores
            from tieline.engines.kubernetes.reconcile import reconcile

            ended += reconcile(record, there, home.runs, KeptStores(), listener)
        if any(run.watches for run in ended) or record.is_overdue():
            from tieline.app.background import start_background

            start_background(home)
        yield record


def _recovered(record: Record, home: HomeFolder, listener: Listener) -> list[Run]:
    """Those of this machine's runs that nobody owns, ended; what that takes is imported where there is one."""
    if not record.unfinished(PROCESS):
        return []
    from tieline.engines.process.recovery import recover

    return recover(record, home.runs, listener)


def folder_of(home: HomeFolder, run: Run) -> RunFolder:
    return RunFolder(home.runs / run.uuid)


def plan_of(record: Record, run: Run) -> Plan:
    return Plan.model_validate(record.plan(run.uuid))


def store_of(plan: Plan, *, asks_pod: bool = True, writes: bool = False) -> Store:
    """The artifacts store that the run saved to. Where only a cluster sees it, a pod is asked (``asks_pod``), for as
    long as the command takes; ``writes``: to delete from it."""
    if plan.engine == CLUSTER:
        from tieline.app.kube_store import open_from_here

        return open_from_here(plan, asks_pod=asks_pod, writes=writes)
    from tieline.engines.process.opening import open_artifacts

    return open_artifacts(plan)


def attempt_prefix(plan: Plan, attempt: int) -> str:
    """Where an attempt's logs and outputs are in the store."""
    return f"{plan.store.prefix}/attempt-{attempt}"


def stop(home: HomeFolder, record: Record, run: Run, grace: float) -> bool:
    """Ask the owner to stop the run; False where it has ended already."""
    if run.engine == CLUSTER:
        from tieline.app import kube

        return kube.stop(home, record, run, grace)
    if not record.request_stop(run.uuid):
        return False
    folder = folder_of(home, run)
    folder.create()
    part = folder.root / f"stop.{secrets.token_hex(4)}"  # two may ask at once
    part.write_text(str(grace))
    part.rename(folder.stop)
    return True


def wait(home: HomeFolder, record: Record, run: Run, seconds: float | None = None) -> Run:
    """Until the run has ended (or so many seconds have passed); a run whose owner dies is ended here."""
    if run.engine == CLUSTER:
        from tieline.app import kube

        return kube.wait(home, record, run, seconds)
    from tieline.engines.process.recovery import recover_one

    until = None if seconds is None else time.monotonic() + seconds
    current = record.get(run.uuid)
    while not current.status.is_final and (until is None or time.monotonic() < until):
        time.sleep(0.1)
        recover_one(record, folder_of(home, run), run.uuid, Silent())
        current = record.get(run.uuid)
    return current


def remove(home: HomeFolder, record: Record, run: Run, *, keep_artifacts: bool = False) -> None:
    """Forget a run that has ended: its row, its folder, and its logs and outputs in the store."""
    if not run.status.is_final:
        raise RecordError.of(
            Code.RUN_ACTIVE, f"run {run.uuid} is {run.status.value}", f"stop it first: tieline runs stop {run.uuid[:8]}"
        )
    folder = folder_of(home, run)
    folder.create()
    with _owned(folder, run):
        if not keep_artifacts:
            plan = plan_of(record, run)
            store = store_of(plan, writes=True)
            persistently(lambda: store.delete(plan.store.prefix), patience=Patience())
        if run.engine == CLUSTER:
            from tieline.app import kube

            kube.remove(home, record, run)
        folder.remove()
        record.delete(run.uuid)


def _owned(folder: RunFolder, run: Run) -> RunLock:
    """The lock of a run that has ended: whoever ended it may still be tidying up."""
    until = time.monotonic() + TIDYING
    while (lock := RunLock.try_acquire(folder.lock)) is None:
        if time.monotonic() > until:
            raise RecordError.of(Code.RUN_ACTIVE, f"another process holds run {run.uuid}", "wait until it has ended")
        time.sleep(0.05)
    return lock


def local_path(plan: Plan, attempt: int) -> Path | None:
    """Where the attempt's folder is on this machine, if the store is a folder."""
    access: Any = plan.store.access
    if access.type != "volume" or (plan.engine == CLUSTER and access.claim):
        return None
    base = Path(access.host_path or plan.layout.claim_path(access.claim or ""))
    return base / (access.sub_path or "") / attempt_prefix(plan, attempt)
