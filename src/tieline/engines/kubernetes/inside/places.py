"""What is mounted into Tieline's own containers, and opening it: the plan, secrets, volumes, the artifacts store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tieline.engines.folders import host_place
from tieline.engines.kubernetes import layout
from tieline.engines.kubernetes.inside.unpacking import unpacked
from tieline.model.access import ObjectStore, Volume
from tieline.model.plan import FetchStep, Plan, TakeStep
from tieline.secrets.directory import DirectorySource
from tieline.secrets.needles import needles_of
from tieline.secrets.redactor import Masker
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources
from tieline.steps.inputs import Cached
from tieline.stores import FolderStore, Store
from tieline.stores.opening import open_store

PRIVATE = Path("/tmp/tieline")  # noqa: S108 - a folder of this container alone
KNOWN_HOSTS = "known_hosts"


def read_plan() -> Plan:
    """The accepted plan. Raises OSError and ValueError."""
    return Plan.model_validate_json(Path(layout.PLAN, layout.PLAN_FILE).read_bytes())


def resolver_of(plan: Plan) -> Resolver:
    """The values that this container has."""
    source = DirectorySource(Path(layout.SECRETS), Path(layout.CONFIG_MAPS))
    return Resolver(Sources([source], plan.run.namespace), Places.of(plan.layout))


def mounted_masker() -> Masker:
    """Masks every value of every secret that this container has."""
    needles: set[bytes] = set()
    for path in Path(layout.SECRETS).glob("*/*"):
        if path.is_file():
            needles |= needles_of(path.read_bytes())
    return Masker(sorted(needles))


def open_artifacts(plan: Plan, values: Resolver) -> tuple[Store, str]:
    """The artifacts store, and the run's own folder in it. Raises TielineError.

    Of a volume only that folder is mounted.
    """
    access = plan.store.access
    if isinstance(access, Volume):
        return FolderStore(Path(layout.STORE)), ""
    return open_store(access, {}, values.credentials(access.credentials)), plan.store.prefix


@dataclass(frozen=True, slots=True)
class Pod:
    """Where one step, that of an index of the plan, is carried out: see :class:`tieline.engines.carrying.Ground`."""

    plan: Plan
    values: Resolver
    index: int
    private: Path = PRIVATE
    known_hosts: Path = PRIVATE / KNOWN_HOSTS
    marks: dict[str, str] = field(default_factory=dict)

    def place(self, path: str) -> str:
        return str(host_place(path, self.plan.layout))

    def source(self, step: FetchStep) -> Store:
        if isinstance(step.source, ObjectStore):
            return open_store(step.source, {}, self.values.credentials(step.source.credentials))
        return FolderStore(Path(layout.source_path(self.index)), read_only=True)

    @contextmanager
    def cache(self, step: FetchStep, say: Callable[[str], None]) -> Iterator[Cached | None]:
        """None: a pod has nothing that was fetched before."""
        del step, say
        yield None

    @contextmanager
    def taken(self, step: TakeStep) -> Iterator[TakeStep]:
        archive = Path(layout.PLAN, layout.TAKEN_FILE)
        with unpacked(step, self.index, archive, self.private) as source:
            yield step.model_copy(update={"source": str(source)})
