"""A run of a cluster that this process sees to, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tieline.engines.base import Controls, Listener
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes.api import Api, Object
from tieline.engines.kubernetes.launch import launch
from tieline.engines.kubernetes.place import Place
from tieline.model.plan import Plan

if TYPE_CHECKING:
    from tieline.runs.record import Record


@dataclass(slots=True)
class Charge:
    """One run, whose lock the caller holds. ``records`` gives the record, which is opened when it is first needed."""

    plan: Plan
    folder: RunFolder
    records: Callable[[], Record]
    api: Api
    place: Place
    listener: Listener
    controls: Controls

    @property
    def record(self) -> Record:
        return self.records()

    def begin(self, manifests: Sequence[Object]) -> None:
        """Make the objects of a run that waits for no place. Raises ClusterError."""
        launch(self.api, manifests)
        self.see_to_stop()

    def see_to_stop(self) -> None:
        """Stop it, if that was asked for while it was launched: whoever did found nothing to stop. Raises
        ClusterError."""
        if self.record.get(self.plan.run.uuid).stop_requested:
            from tieline.engines.kubernetes.stopping import stop

            is_service = self.plan.service is not None
            stop(self.api, self.place.namespace, self.plan.run.uuid, self.controls.grace, is_service=is_service)
