"""A new run of a cluster: accepted, launched, and waited for.

Whoever starts it waits for the pod, so what is not needed before the pod is asked for is imported while it begins:
the whole record (SQLAlchemy), and whatever watches the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tieline.app.home import HomeFolder
from tieline.app.submit import Accepted, new_run, recorded
from tieline.engines.base import Controls, Listener, Silent
from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.charge import Charge
from tieline.engines.kubernetes.place import Place
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.process.tidying import sweep_expired
from tieline.errors import Code, RecordError
from tieline.model.run import Outcome, Run
from tieline.runs.quick import accept_quickly, may_begin

if TYPE_CHECKING:
    from tieline.app.preparing import Prepared
    from tieline.engines.kubernetes.queueing import Turn
    from tieline.engines.kubernetes.remembered import Remembered


@dataclass(frozen=True, slots=True)
class Remote:
    """What an accepted run's launch takes."""

    api: Api
    place: Place
    manifests: Sequence[dict[str, Any]]


def accept(prepared: Prepared, home: HomeFolder) -> Accepted:
    """Ask the cluster, then record. Raises Refused, ClusterError; a refused run leaves nothing behind."""
    from tieline.engines.kubernetes.manifests import manifests
    from tieline.engines.kubernetes.preflight import preflight
    from tieline.engines.kubernetes.referring import DEFAULT_ACCOUNT
    from tieline.engines.kubernetes.remembered import FILE, Remembered
    from tieline.engines.kubernetes.settings import for_server, kept_settings
    from tieline.engines.kubernetes.taking import packed
    from tieline.secrets.sources import open_sources

    plan, cluster = prepared.plan, prepared.cluster
    if cluster is None:
        raise RecordError.of(Code.INTERNAL, "a run of a cluster has no cluster")
    home.create()
    api = Api.open(cluster.context)
    try:
        remembered = Remembered(home.root / FILE, api.asker)
        if cluster.native_sidecars is None:
            cluster = for_server(cluster, _version(api, remembered))
        sources = open_sources(prepared.sources, plan.run.namespace, home.root, os.environ)
        account = cluster.service_account or DEFAULT_ACCOUNT
        checked = preflight(plan, api, cluster.namespace, sources, account=account, remembered=remembered)
        made = manifests(plan, cluster, checked.known, packed(plan))
        place = Place(cluster.context or api.context, cluster.namespace, api.server, settings=kept_settings(cluster))
        sweep_expired(home.runs)  # on a full disk it makes the room that the record needs
        lock = recorded(prepared, lambda: _record(prepared, home), place.save)
    except BaseException:
        api.close()
        raise
    return Accepted(plan, prepared.folder, home, lock, None, sources, checked.warnings, Remote(api, place, made))


def _record(prepared: Prepared, home: HomeFolder) -> None:
    new = new_run(prepared.plan, prepared.sources)
    if not accept_quickly(home.database, new):
        from tieline.runs.record import Record

        with Record.open(home.database) as record:
            record.accept(new)


def _version(api: Api, remembered: Remembered) -> tuple[int, int]:
    """The server's, asked once in a while."""
    version = remembered.get("version")
    if version is None:
        version = api.version()
        remembered.keep(version, "version")
    major, minor = version
    return major, minor


def carry_out(
    accepted: Accepted, remote: Remote, listener: Listener, controls: Controls, launched: Callable[[], object] = bool
) -> Run:
    """Launch the run (``launched`` is called then), and wait until it has ended; the run as it is then."""
    with accepted.lock, remote.api:
        ended, place = _launched(accepted, remote, listener, controls)
        launched()
        if ended is not None:
            from tieline.steps.collector import Collected

            listener.saved(Collected())  # so that nobody starts a pod to see what a run saved that had none
            return ended
        from tieline.engines.kubernetes.attending import Attendant

        return Attendant(
            accepted.plan, accepted.folder, lambda: accepted.record, remote.api, place, listener, controls, is_new=True
        ).run()


def detach(accepted: Accepted, remote: Remote) -> int:
    """Launch the run and leave it to the cluster; one that has to wait in its queue is left to a process of its own:
    its pid (0: there is none). Raises ClusterError where it could not be launched; the run has ended then."""
    with accepted.lock, remote.api:
        try:
            if accepted.plan.queue_limit is None:
                _charge(accepted, remote, Silent(), Controls()).begin(remote.manifests)
            else:
                turn = _turn(accepted, remote, Silent(), Controls())
                if not turn.comes():
                    from tieline.app.kube_waiting import leave_waiting

                    return leave_waiting(accepted, remote.manifests)
                turn.make(remote.manifests)
        except ClusterError as error:
            _end_unlaunched(accepted, remote, error, Silent())
            raise
        replace(remote.place, launched=True).save(accepted.folder)
    accepted.close()
    return 0


def launch_in_turn(accepted: Accepted, remote: Remote, listener: Listener, controls: Controls) -> Run | None:
    """Launch the run when it is its turn; the run, if it has ended without. Raises ClusterError."""
    return _launched(accepted, remote, listener, controls)[0]


def _charge(accepted: Accepted, remote: Remote, listener: Listener, controls: Controls) -> Charge:
    plan, folder = accepted.plan, accepted.folder
    return Charge(plan, folder, lambda: accepted.record, remote.api, remote.place, listener, controls)


def _turn(accepted: Accepted, remote: Remote, listener: Listener, controls: Controls) -> Turn:
    from tieline.engines.kubernetes.queueing import Turn

    plan, folder = accepted.plan, accepted.folder
    return Turn(plan, folder, lambda: accepted.record, remote.api, remote.place, listener, controls)


def _launched(accepted: Accepted, remote: Remote, listener: Listener, controls: Controls) -> tuple[Run | None, Place]:
    is_wanted = not controls.stop.is_set() and may_begin(accepted.home.database, accepted.plan.run.uuid)
    is_launched = accepted.plan.queue_limit is None and is_wanted
    try:
        if is_launched:
            _charge(accepted, remote, listener, controls).begin(remote.manifests)
        else:
            is_launched = _turn(accepted, remote, listener, controls).launch(remote.manifests)
    except ClusterError as error:
        return _end_unlaunched(accepted, remote, error, listener), remote.place
    if not is_launched:
        from tieline.engines.kubernetes.reconcile import never_launched

        return never_launched(accepted.record, accepted.record.get(accepted.plan.run.uuid), listener), remote.place
    place = replace(remote.place, launched=True)
    place.save(accepted.folder)
    return None, place


def _end_unlaunched(accepted: Accepted, remote: Remote, error: ClusterError, listener: Listener) -> Run:
    """What could not be launched is removed, and the run ended. Where the cluster does not answer any more, what is
    there is not known: the next command that reaches it sees to that. Raises ClusterError then."""
    from tieline.engines.kubernetes.launch import withdraw
    from tieline.engines.kubernetes.slots import let_go
    from tieline.engines.outcomes import after_error

    uuid, plan = accepted.plan.run.uuid, accepted.plan
    try:
        withdraw(remote.api, remote.place.namespace, uuid, is_service=plan.service is not None)
        let_go(remote.api, remote.place.namespace, plan)
    except ClusterError:
        if error.why.may_pass:
            raise error from None
    return _end(accepted, after_error(error), listener)


def _end(accepted: Accepted, outcome: Outcome, listener: Listener) -> Run:
    """Record the end of a run of which nothing is in the cluster."""
    from tieline.engines.kubernetes.moves import moves
    from tieline.engines.kubernetes.reconcile import apply
    from tieline.engines.kubernetes.seen import Seen

    run = accepted.record.get(accepted.plan.run.uuid)
    return apply(accepted.record, run, moves(run, Seen(outcome.status, (), outcome)), listener)
