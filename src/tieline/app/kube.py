"""Runs on a cluster that were accepted before: waited for, stopped, removed, found again.

Kept apart from what is done for this machine's own runs, and imported only where there is a cluster's run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tieline.app.home import HomeFolder
from tieline.app.kube_store import KeptStores
from tieline.engines.base import Controls, Listener, Silent
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes import stopping
from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.launch import withdraw
from tieline.engines.kubernetes.place import Place, place_of
from tieline.engines.kubernetes.reconcile import look_at, reconcile_one
from tieline.engines.kubernetes.slots import release
from tieline.errors import Code, RecordError
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.runs.locks import RunLock

if TYPE_CHECKING:
    from tieline.runs.record import Record

LOOK_AGAIN = 0.5


def where(home: HomeFolder, run: Run) -> Place:
    """Where a run is. Raises RecordError."""
    place = place_of(RunFolder(home.runs / run.uuid))
    if place is None:
        text = f"nobody knows any more in which cluster run {run.uuid} is"
        raise RecordError.of(Code.HOME_UNUSABLE, text, f"its folder has no cluster.json: {home.runs / run.uuid}")
    return place


def stop(home: HomeFolder, record: Record, run: Run, grace: float) -> bool:
    """Have the cluster stop the run; False where it has ended already. Raises ClusterError."""
    if not record.request_stop(run.uuid):
        return False
    place = where(home, run)
    with Api.open(place.context) as api:
        stopping.stop(api, place.namespace, run.uuid, grace, is_service=run.kind == "service")
    return True


def wait(home: HomeFolder, record: Record, run: Run, seconds: float | None, listener: Listener | None = None) -> Run:
    """Until the run has ended (or so many seconds have passed). Raises ClusterError."""
    import time

    from tieline.engines.kubernetes.attending import Attendant

    until = None if seconds is None else time.monotonic() + seconds
    folder, place = RunFolder(home.runs / run.uuid), where(home, run)
    with Api.open(place.context) as api:
        while True:
            refreshed(record, folder, api, run, listener)
            current = record.get(run.uuid)
            left = None if until is None else until - time.monotonic()
            if current.status.is_final or (left is not None and left <= 0):
                return current
            lock = RunLock.try_acquire(folder.lock)
            if lock is None:  # whoever holds it keeps the record up to date
                time.sleep(LOOK_AGAIN)
                continue
            with lock:
                now = place_of(folder) or place
                plan = Plan.model_validate(record.plan(run.uuid))
                Attendant(plan, folder, lambda: record, api, now, listener or Silent(), Controls()).run(left)


def refreshed(record: Record, folder: RunFolder, api: Api, run: Run, listener: Listener | None = None) -> Run:
    """The run, brought up to date if nobody does. Raises ClusterError."""
    current = record.get(run.uuid)
    if current.status.is_final:
        return current
    place = place_of(folder)
    if place is not None:
        look = look_at(api, place.namespace, [current])[run.uuid]
        reconcile_one(record, folder, api, run.uuid, look, KeptStores(), listener or Silent())
    return record.get(run.uuid)


def remove(home: HomeFolder, record: Record, run: Run) -> None:
    """Remove a run's objects from its cluster. Raises ClusterError."""
    place = where(home, run)
    with Api.open(place.context) as api:
        withdraw(api, place.namespace, run.uuid, is_service=run.kind == "service")
        if record.plan(run.uuid).get("queueLimit") is not None:
            release(api, place.namespace, run.uuid)


# --- runs that this home does not know


def adopt(home: HomeFolder, record: Record, context: str | None, namespace: str, sources: Sequence[Any]) -> list[Run]:
    """Record the runs of a (Kubernetes) namespace that this home does not know, from what the cluster has of them;
    those runs. ``sources``: the settings of where their secrets come from. Raises ClusterError."""
    from tieline.engines.kubernetes.finding import unknown_plans

    found = []
    with Api.open(context) as api:
        place = Place(api.context, namespace, api.server, launched=False)
        for plan in unknown_plans(api, namespace, lambda uuid: _is_known(record, uuid)):
            with suppress(RecordError):  # another command adopted it in the same moment
                found.append(_adopted(home, record, plan, place, sources))
    return found


def _is_known(record: Record, uuid: str) -> bool:
    from tieline.errors import NotFound

    try:
        record.get(uuid)
    except NotFound:
        return False
    return True


def _adopted(home: HomeFolder, record: Record, plan: Plan, place: Place, sources: Sequence[Any]) -> Run:
    from datetime import datetime

    from tieline.app.submit import new_run

    folder = RunFolder(home.runs / plan.run.uuid)
    folder.create()
    forms = [form.model_dump(mode="json", by_alias=True, exclude_unset=True) for form in sources]
    folder.sources.write_text(json.dumps(forms), encoding="utf-8")
    place.save(folder)
    untold = plan.model_copy(update={"notifications": ()})  # whoever submitted it tells people of it
    return record.accept(new_run(untold, ()), at=datetime.fromisoformat(plan.run.created_at))
