"""What whoever looks at a run does for it, beside recording it: ends one that can never begin, and reminds a cluster
that has forgotten the run's deadline. Nobody else can: Tieline in a pod has no right to change anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tieline.engines.kubernetes.api import Api, Object
from tieline.engines.kubernetes.seen import Seen
from tieline.engines.kubernetes.stopping import give_up, remind
from tieline.engines.kubernetes.times import is_overdue
from tieline.model.plan import Plan

WAITS = (5.0, 60.0)
"""Seconds between two reminders: the first, and at most. (This machine's clock may be ahead of the cluster's.)"""


@dataclass(slots=True)
class SeeingTo:
    """One run, for as long as somebody looks at it."""

    api: Api
    namespace: str
    plan: Plan
    _has_given_up: bool = False
    _wait: float = WAITS[0]
    _due: float = 0.0

    def look(self, found: Seen, owner: Object | None, pods: Iterable[Object], now: datetime) -> None:
        """Do what there is to do, by what was seen. Raises ClusterError."""
        uuid = self.plan.run.uuid
        if found.outcome is not None or found.why is not None or self._has_given_up:
            return
        if found.hopeless is not None:
            give_up(self.api, self.namespace, uuid, found.hopeless.message, is_service=self.plan.service is not None)
            self._has_given_up = True
        elif is_overdue(self.plan, owner, pods, now) and time.monotonic() >= self._due:
            self._due, self._wait = time.monotonic() + self._wait, min(2 * self._wait, WAITS[1])
            remind(self.api, self.namespace, uuid)
