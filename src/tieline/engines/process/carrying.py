"""Tieline's own steps on this machine: in the run's folder, with the cache of inputs and this home's known hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tieline.engines.folders import RunFolder, host_place
from tieline.engines.process.opening import open_cache, open_source, scope_for
from tieline.engines.variables import MARKER
from tieline.model.access import ObjectStore
from tieline.model.plan import FetchStep, Plan, TakeStep
from tieline.secrets.resolve import Resolver
from tieline.steps.inputs import Cached
from tieline.stores import Store


@dataclass(frozen=True, slots=True)
class Machine:
    """See :class:`tieline.engines.carrying.Ground`."""

    plan: Plan
    values: Resolver
    folder: RunFolder
    known_hosts: Path

    @property
    def private(self) -> Path:
        return self.folder.private

    @property
    def marks(self) -> dict[str, str]:
        return {MARKER: self.plan.run.uuid}

    def place(self, path: str) -> str:
        return str(host_place(path, self.plan.layout))

    def source(self, step: FetchStep) -> Store:
        return open_source(step.source, self.plan.layout, lambda: self.values)

    @contextmanager
    def cache(self, step: FetchStep, say: Callable[[str], None]) -> Iterator[Cached | None]:
        with open_cache(self.plan.layout, say) as cache:
            if cache is None or not isinstance(step.source, ObjectStore):
                yield None
            else:
                yield Cached(cache, scope_for(step.source, step.connection, self.plan, self.values))

    @contextmanager
    def taken(self, step: TakeStep) -> Iterator[TakeStep]:
        yield step
