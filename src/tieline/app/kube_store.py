"""The artifacts store of a cluster's run, opened from this machine: a bucket, a folder that is here, or through a pod.

A pod is started when something is first asked, is kept for as long as the command takes, and is removed at its end.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tieline.app import command
from tieline.app.home import HomeFolder
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes.place import Place, place_of
from tieline.model.access import ObjectStore, Volume
from tieline.model.catalog import SecretSourceForm
from tieline.model.plan import Plan
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources, open_sources
from tieline.stores.base import Store, StoreTrouble, Why
from tieline.stores.opening import open_store

if TYPE_CHECKING:
    from tieline.app.deployment import Deployment
    from tieline.engines.kubernetes.reader import Reader
    from tieline.engines.kubernetes.settings import Cluster

PODS = 3
"""That one command starts to read how runs ended that are gone."""
_readers: dict[tuple[object, ...], Reader] = {}
"""Those of the command that is under way."""


def open_from_here(plan: Plan, home: HomeFolder | None = None, *, asks_pod: bool = True, writes: bool = False) -> Store:
    """Open a bucket as the run does; a volume as a folder of this machine, where it is one; else through a pod of the
    cluster. ``asks_pod`` False: not that. Raises StoreTrouble for what cannot be seen from here, and SourceFailed."""
    access = plan.store.access
    home = home or HomeFolder.find()
    if isinstance(access, ObjectStore):
        values = Resolver(sources_of(plan, home), Places.of(plan.layout))
        return open_store(access, {}, values.credentials(access.credentials))
    deployment = _deployment(home) if access.claim else None
    claims = deployment.catalog.claims if deployment else {}
    base = access.host_path or claims.get(access.claim or "")
    if base and Path(base, access.sub_path or "", plan.store.prefix).is_dir():
        return open_store(access, claims)
    place = place_of(RunFolder(home.runs / plan.run.uuid))
    if place is None or not asks_pod:
        raise _unseen(plan, access, place)
    return _through_pod(plan, access, place, home, writes=writes)


class KeptStores:
    """Opens the stores of runs that are gone from their clusters, to read how they ended. Claims through pods, but only
    a few of one command's: each takes seconds, and nobody had asked for that."""

    def __init__(self) -> None:
        self._pods = 0

    def __call__(self, plan: Plan) -> Store:
        """Open that of one run. Raises StoreTrouble, SourceFailed."""
        access = plan.store.access
        try:
            return open_from_here(plan, asks_pod=False)
        except StoreTrouble:
            if isinstance(access, ObjectStore) or not access.claim:
                raise
        if self._pods >= PODS:
            text = f"it is in the claim {access.claim!r}, and this command has started {PODS} pods to read others"
            raise StoreTrouble(Why.UNREACHABLE, text, "the next command goes on")
        self._pods += 1
        return open_from_here(plan)


def _through_pod(plan: Plan, access: Volume, place: Place, home: HomeFolder, *, writes: bool) -> Store:
    """One pod for all questions of a command; one that deletes is that of all runs of a claim."""
    from tieline.engines.kubernetes.api import Api
    from tieline.engines.kubernetes.reader import Reader
    from tieline.engines.kubernetes.reader_store import ReaderStore
    from tieline.engines.kubernetes.refusals import ClusterError

    shares = writes and access.claim is not None
    which = (place.context, place.namespace, access.claim, access.sub_path) if shares else (plan.run.uuid, writes)
    reader = _readers.get(which)
    if reader is None:
        try:
            api = Api.open(place.context)
        except ClusterError as error:
            problem = error.problems[0]
            raise StoreTrouble(Why.UNREACHABLE, problem.message, problem.hint) from None
        reader = _readers[which] = Reader(api, _cluster(plan, place, home), plan, command.say, writes)
        command.at_stop(reader.stop)
        command.at_end(reader.close)
        command.at_end(lambda: _readers.pop(which, None))
    return ReaderStore(reader)


def _cluster(plan: Plan, place: Place, home: HomeFolder) -> Cluster:
    """What its pods are like: as when the run was accepted here; of another machine's run, as the deployment file
    here says."""
    from dataclasses import replace

    from tieline.app.preparing import cluster_for
    from tieline.engines.kubernetes.settings import Cluster, with_kept
    from tieline.errors import TielineError

    found = Cluster(place.context, place.namespace)
    deployment = None if place.settings else _deployment(home)
    if deployment is not None:
        with suppress(TielineError):  # this file is about others: what the pod lacks is told when it does not start
            found = cluster_for(deployment, plan.run.namespace)
    settled = with_kept(found, place.settings, os.environ)
    return replace(settled, context=place.context, namespace=place.namespace)


def _deployment(home: HomeFolder) -> Deployment | None:
    from tieline.app.deployment import load_deployment
    from tieline.errors import TielineError

    try:
        return load_deployment(None, home)
    except TielineError:  # a file that cannot be read is told by whatever is about it; here it only adds something
        return None


def _unseen(plan: Plan, access: Volume, place: Place | None) -> StoreTrouble:
    where = f"namespace {place.namespace} of {place.server}" if place else "its cluster"
    what = f"the claim {access.claim!r} of {where}" if access.claim else f"the folder {access.host_path} of a node"
    here = "" if access.claim else f", and there is no folder of run {plan.run.uuid[:8]} in it on this machine"
    hint = "look there with a pod that mounts it, or keep artifacts in a bucket"
    return StoreTrouble(Why.NOT_FOUND, f"the artifacts store is {what}{here}: it cannot be read from here", hint)


def sources_of(plan: Plan, home: HomeFolder) -> Sources:
    """Where the run's secrets come from, as it was accepted (or adopted) here. Without its folder, where this machine's
    own come from."""
    import json

    try:
        forms = json.loads(RunFolder(home.runs / plan.run.uuid).sources.read_text(encoding="utf-8"))
        settings = [SecretSourceForm.model_validate(form) for form in forms]
    except (OSError, ValueError):  # its folder is gone: what is asked then says what is missing
        settings = []
    return open_sources(settings, plan.run.namespace, home.root, os.environ)
