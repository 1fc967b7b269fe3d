"""Bringing the record up to what the cluster has: for whoever watches a run, and for every later command.

Nobody owns a run that is launched. Whoever looks takes its lock for the moment, asks the cluster (one list of Jobs and
one of pods for all runs of a namespace), and records what happened since the last look. A run that was recorded and
whose launch was killed is ended, or its launch finished: by what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tieline.engines.base import Listener, Silent
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes.api import DEPLOYMENTS, EVENTS, JOBS, PODS, Api, Kind, Object
from tieline.engines.kubernetes.ends import kept_pods
from tieline.engines.kubernetes.hopeless import is_unclear
from tieline.engines.kubernetes.launch import finish_launch, withdraw
from tieline.engines.kubernetes.moves import Move, moves
from tieline.engines.kubernetes.names import MANAGED_BY, MANAGER, RUN
from tieline.engines.kubernetes.place import Place, place_of
from tieline.engines.kubernetes.reasons import with_loss
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.seeing_to import SeeingTo
from tieline.engines.kubernetes.seen import Seen, has_condition, seen
from tieline.engines.kubernetes.slots import let_go
from tieline.engines.kubernetes.unrecorded import unwritten
from tieline.engines.kubernetes.watch import run_of
from tieline.engines.outcomes import stopped, supervisor_died
from tieline.engines.owning import owned
from tieline.errors import RecordError, TielineError
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.stores import Store, StoreTrouble

if TYPE_CHECKING:
    from tieline.runs.record import Record

ENGINE = "kubernetes"
MINE = {MANAGED_BY: MANAGER}
NOT_LAUNCHED = "nothing was launched"
Opener = Callable[[Plan], Store]
"""Opens a run's artifacts store. Raises StoreTrouble, SourceFailed."""
BEGUN_BY, FEW = timedelta(seconds=10), 5
"""A pod that has a node for so long and has not begun: why is asked, for so many."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a cluster has of one run. ``owner``: its Job or Deployment, None where there is none; ``asked``: whether
    that was looked at."""

    owner: Object | None
    pods: Sequence[Object] = ()
    asked: bool = True
    events: Sequence[Object] = ()


def reconcile(
    record: Record, unfinished: Iterable[Run], runs: Path, opener: Opener, listener: Listener | None = None
) -> list[Run]:
    """Bring these runs up to date; those that have ended by it. A cluster that cannot be asked is told, and keeps
    nobody from looking at the others."""
    told, ended = listener or Silent(), list[Run]()
    groups: dict[tuple[str | None, str], list[Run]] = {}
    for run in unfinished:
        place = place_of(RunFolder(runs / run.uuid))
        if place is not None:
            groups.setdefault((place.context, place.namespace), []).append(run)
    for (context, namespace), found in groups.items():
        try:
            with Api.open(context) as api:
                looks = look_at(api, namespace, found)
                for run in found:
                    folder, look = RunFolder(runs / run.uuid), looks[run.uuid]
                    after = reconcile_one(record, folder, api, run.uuid, look, opener, told)
                    ended += [after] if after is not None and after.status.is_final else []
        except TielineError as error:
            many = f"{len(found)} runs" if len(found) > 1 else f"run {found[0].uuid[:8]}"
            told.note(f"how {many} in namespace {namespace} stand is not known now: {error}")
    return ended


def look_at(api: Api, namespace: str, runs: Iterable[Run]) -> dict[str, Look]:
    """What the cluster has of these runs of one namespace; one of them alone is asked for by its name. Raises
    ClusterError."""
    wanted = list(runs)
    labels = {RUN: wanted[0].uuid} if len(wanted) == 1 else MINE
    owners: dict[str, Object] = {}
    kinds: list[tuple[Kind, str]] = [(JOBS, "Job")] if any(run.kind == "job" for run in wanted) else []
    kinds += [(DEPLOYMENTS, "Deployment")] if any(run.kind == "service" for run in wanted) else []
    for kind, word in kinds:
        for owner in api.list(kind, namespace, labels)["items"]:
            owners[run_of(owner)] = {**owner, "kind": word}
    pods: dict[str, list[Object]] = {}
    for pod in api.list(PODS, namespace, labels)["items"]:
        pods.setdefault(run_of(pod), []).append(pod)
    events = _why_stuck(api, namespace, [found[-1] for found in pods.values()])
    return {
        run.uuid: Look(owners.get(run.uuid), pods.get(run.uuid, ()), events=events.get(run.uuid, ())) for run in wanted
    }


def _why_stuck(api: Api, namespace: str, pods: Iterable[Object]) -> dict[str, list[Object]]:
    """The events of pods that have a node and should have begun by now, of the first few; by run."""
    before = datetime.now(UTC) - BEGUN_BY
    late = [
        pod for pod in pods
        if (pod.get("status") or {}).get("phase") == "Pending" and pod["spec"].get("nodeName")
        and datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) < before
    ]  # fmt: skip
    found: dict[str, list[Object]] = {}
    with suppress(ClusterError):  # they are a help only; whoever may not see events sees what the pod says
        for pod in late[:FEW]:
            about = f"involvedObject.name={pod['metadata']['name']}"
            found[run_of(pod)] = api.list(EVENTS, namespace, fieldSelector=about)["items"]
    return found


def reconcile_one(
    record: Record, folder: RunFolder, api: Api, uuid: str, look: Look, opener: Opener, listener: Listener
) -> Run | None:
    """Bring one run up to date if nobody does; None where somebody holds it. Raises ClusterError, RecordError."""
    with owned(record, folder, uuid) as run:
        if run is None:
            return None
        place = place_of(folder)
        if run.status.is_final or place is None:
            return run
        plan = Plan.model_validate(record.plan(uuid))
        if not place.launched:
            if look.owner is None:
                withdraw(api, place.namespace, uuid, is_service=run.kind == "service")
                let_go(api, place.namespace, plan)
                return never_launched(record, run, listener)
            finish_launch(api, place.namespace, plan, look.owner)
            place = replace(place, launched=True)
            place.save(folder)
        try:
            look = _with_kept(plan, look, opener)
        except TielineError as error:
            listener.note(f"run {uuid[:8]}'s pods are gone, and what is kept of their end cannot be read: {error}")
            if isinstance(error, StoreTrouble) and error.again and not run.stop_requested:
                return run  # the next look may know more
        found = _seen_to(api, plan, place, run, look)
        after = bring_up(record, folder, place, run, found, listener)[0]
        if after.status.is_final:
            let_go(api, place.namespace, plan)
        return after


def _seen_to(api: Api, plan: Plan, place: Place, run: Run, look: Look) -> Seen:
    """What there is of a run, after doing for it what there is to do."""
    now = datetime.now(UTC)
    unclear = next((pod["metadata"]["name"] for pod in look.pods if is_unclear(pod, now)), "")
    if unclear:
        with suppress(ClusterError):  # whoever may not see events sees what the pods say
            events = api.list(EVENTS, place.namespace, fieldSelector=f"involvedObject.name={unclear}")["items"]
            look = replace(look, events=events)
    found = look_closely(plan, place, run, look)
    with suppress(ClusterError):  # it is tried again by whoever looks next
        SeeingTo(api, place.namespace, plan).look(found, look.owner, look.pods, now)
    return found


def _with_kept(plan: Plan, look: Look, opener: Opener) -> Look:
    """Where a run's pods are gone, with what the store has kept of them. Raises StoreTrouble, SourceFailed."""
    is_over = look.asked and not look.pods and (look.owner is None or has_condition(look.owner))
    if not is_over or plan.service is not None:
        return look
    return replace(look, pods=kept_pods(opener(plan), plan.store.prefix))


def never_launched(record: Record, run: Run, listener: Listener) -> Run:
    """End a run of which nothing is in the cluster."""
    outcome = stopped() if run.stop_requested else supervisor_died(NOT_LAUNCHED)
    return apply(record, run, moves(run, Seen(outcome.status, (), outcome)), listener)


def look_closely(plan: Plan, place: Place, run: Run, look: Look) -> Seen:
    """What the cluster's objects say of a run."""
    is_gone = look.asked and look.owner is None
    now = datetime.now(UTC)
    return seen(
        plan, look.owner, [with_loss(pod, now) for pod in look.pods], known=place.pods, attempt=run.attempt,
        events=look.events, is_gone=is_gone, now=now, is_stopped=run.stop_requested,
    )  # fmt: skip


def bring_up(
    record: Record, folder: RunFolder, place: Place, run: Run, found: Seen, listener: Listener
) -> tuple[Run, Place]:
    """Record what was seen of a run whose lock is held. Raises RecordError."""
    known = place.with_pods(tuple(attempt.uid for attempt in found.attempts))
    if known != place:
        try:
            known.save(folder)
        except OSError as error:
            raise unwritten(folder, error) from error
    code = found.attempts[-1].code if found.attempts else ()
    if code and not run.status.is_final and code != tuple(run.code):
        record.set_code(run.uuid, code)  # what was checked out is known from then on, whatever comes after
        run = record.get(run.uuid)
    after = apply(record, run, moves(run, found), listener)
    if not after.status.is_final and not after.reason and found.waiting != after.message:
        after = record.remark(after.uuid, found.waiting)
    return after, known


def apply(record: Record, run: Run, wanted: Iterable[Move], listener: Listener) -> Run:
    """Record these transitions, one after the other."""
    for move in wanted:
        run = _moved(record, run, move)
        listener.status(run)
    return run


def _moved(record: Record, run: Run, move: Move) -> Run:
    outcome = move.outcome
    try:
        return record.transition(
            run.uuid, move.to,
            reason=outcome.reason if outcome else "",
            message=outcome.message if outcome else "",
            exit_code=outcome.exit_code if outcome else None,
            outcome=outcome if outcome is not None and move.to == "saving" else None,
            attempt=move.attempt,
            at=move.at,
        )  # fmt: skip
    except RecordError:
        with suppress(RecordError):  # the first one says what is wrong
            if (now := record.get(run.uuid)).status is move.to and run.status is not move.to:
                return now  # the disk failed when it had been written
        raise
