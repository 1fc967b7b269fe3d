"""Taking a place of a queue in a cluster, keeping it until the run's Job is there, and giving it back.

It costs a list and a create where a place is free, and nothing for runs without a limited queue. The clocks of other
machines are not believed: whether a holder without a Job is gone is told by its Lease not changing while one looks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from tieline.engines.kubernetes.api import DEPLOYMENTS, JOBS, LEASES, PODS, Api, Object
from tieline.engines.kubernetes.launch import again
from tieline.engines.kubernetes.leases import (
    DURATION,
    QUEUE,
    Held,
    held_of,
    lease_name,
    lease_of,
    left_by,
    queue_key,
    renewal,
    selecting,
)
from tieline.engines.kubernetes.names import RUN
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.model.plan import Plan


class Slots:
    """The places of one run's queue, looked at again and again until it has one."""

    def __init__(self, api: Api, namespace: str, plan: Plan) -> None:
        self._api, self._namespace, self._plan = api, namespace, plan
        self._since: dict[tuple[str, str], float] = {}
        self.holders: Sequence[Held] = ()
        """Who had all places, when there was none."""

    def take(self) -> Held | None:
        """A place that is free, or whose holder has ended; None where there is none now. Raises ClusterError."""
        queue, limit = self._plan.queue, self._plan.queue_limit or 0
        found = again(lambda: self._api.list(LEASES, self._namespace, {QUEUE: queue_key(queue)}))["items"]
        held = {one.lease: one for one in map(held_of, found)}
        own = next((one for one in held.values() if one.run == self._plan.run.uuid), None)
        if own is not None:
            return own  # it was made, and the answer was lost
        names = {lease_name(queue, number): number for number in range(limit)}
        for name, number in names.items():
            if name not in held and (made := self._made(number)) is not None:
                return made
        self.holders = [held[name] for name in names if name in held]
        for one in self._left(self.holders):
            if self._removed(one) and (made := self._made(names[one.lease])) is not None:
                return made
        return None

    def _made(self, number: int) -> Held | None:
        try:
            return held_of(self._api.create(LEASES, self._namespace, lease_of(self._plan, self._namespace, number)))
        except ClusterError as error:
            if error.why is not Why.EXISTS:  # somebody was faster
                raise
            return None

    def _removed(self, held: Held) -> bool:
        """Whether a place that was left is free now; not, if its holder has said something meanwhile."""
        only = {"uid": held.uid, "resourceVersion": held.version}
        return _deleted(self._api, self._namespace, held, only)

    def _left(self, held: Sequence[Held]) -> Sequence[Held]:
        quiet, known, owners = self._quiet(held), list[Held](), list[Object]()
        for kind, word, is_service in ((JOBS, "Job", False), (DEPLOYMENTS, "Deployment", True)):
            some = [one for one in held if one.is_service is is_service]
            if not some:
                continue
            try:
                found = self._api.list(kind, self._namespace, labelSelector=selecting(one.run for one in some))
            except ClusterError as error:
                if error.why is not Why.FORBIDDEN:
                    raise
                continue  # of what may not be looked at nothing is concluded: such a run keeps its place
            owners += [{**item, "kind": word} for item in found["items"]]
            known += some
        left = left_by(known, owners, (), quiet)
        if not left:
            return ()
        pods = self._api.list(PODS, self._namespace, labelSelector=selecting(one.run for one in left))["items"]
        return left_by(left, owners, pods, quiet)

    def _quiet(self, held: Sequence[Held]) -> list[Held]:
        now = time.monotonic()
        self._since = {(one.uid, one.version): self._since.get((one.uid, one.version), now) for one in held}
        return [one for one in held if now - self._since[one.uid, one.version] >= one.seconds]


@contextmanager
def kept(api: Api, namespace: str, held: Held) -> Iterator[None]:
    """Say again and again that a place is needed, while the run's Job is made."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(DURATION / 3):
            with suppress(ClusterError):  # the next try may be heard, or the Job is there first
                api.patch(LEASES, namespace, held.lease, renewal(held))

    threading.Thread(target=renew, name=f"keep-{held.lease}", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def release(api: Api, namespace: str, uuid: str) -> None:
    """Give back what a run holds. Raises ClusterError."""
    for lease in again(lambda: api.list(LEASES, namespace, {RUN: uuid}))["items"]:
        held = held_of(lease)
        _deleted(api, namespace, held, {"uid": held.uid})


def let_go(api: Api, namespace: str, plan: Plan) -> None:
    """Give back the place of a run that has ended, if it had one and that can be done now."""
    if plan.queue_limit is not None:
        with suppress(ClusterError):  # whoever comes next sees that the run has ended, and takes it over
            release(api, namespace, plan.run.uuid)


def _deleted(api: Api, namespace: str, held: Held, only: dict[str, str]) -> bool:
    try:
        api.delete(LEASES, namespace, held.lease, only=only)
    except ClusterError as error:
        if error.why is not Why.CONFLICT:  # it is another's by now
            raise
        return False
    return True
