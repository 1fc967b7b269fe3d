"""What is said once about a run: fields that have no effect here, and what differs from a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tieline.compile import support
from tieline.compile.context import true_path
from tieline.compile.exposed import exposed
from tieline.compile.jobs import Job
from tieline.documents.document import field_text
from tieline.model.binding import Binding, ClaimSource
from tieline.model.catalog import Catalog
from tieline.model.job import Component
from tieline.model.plan import FetchStep, Layout, Notice, Program, ProgramStep, Step

if TYPE_CHECKING:
    from tieline.compile.planner import Request

CLUSTER_ONLY = "has an effect only on Kubernetes"


def notices_of(
    job: Job,
    component: Component,
    catalog: Catalog,
    bindings: Iterable[Binding],
    steps: Iterable[Step],
    programs: tuple[Program, ...],
    request: Request,
) -> tuple[Notice, ...]:
    """In the file's order, each field once. ``programs``: the main one, then sidecars."""
    has_mounts = request.traits.pods or request.layout.real_mounts
    notices = [*_fields(job, request.traits.pods, has_mounts), *_paths(bindings, steps, request.layout)]
    notices += exposed(bindings, _named(steps, programs))
    if not request.traits.pods:
        notices += _claims(bindings, steps, request.layout)
    if component.queue and component.queue not in catalog.queues:
        notices.append(
            Notice(
                field="queue", message=f"there is no queue {component.queue!r} in the deployment file; no limit holds"
            )
        )
    if catalog.default_store:
        notices.append(
            Notice(field="artifactsStore", message="none is configured: outputs and logs are kept in Tieline's home")
        )
    return tuple(notices)


def _named(steps: Iterable[Step], programs: tuple[Program, ...]) -> Iterable[tuple[str, Program]]:
    """Every program of a run, with what people know it by."""
    yield from ((f"init[{step.name}]", step.program) for step in steps if isinstance(step, ProgramStep))
    main, *sidecars = programs
    yield "run.container", main
    yield from ((f"sidecars[{program.name}]", program) for program in sidecars)


def _fields(job: Job, pods: bool, has_mounts: bool) -> Iterable[Notice]:
    for path, row in job.remarks:
        if has_mounts and (path == ("run", "volumes") or path[-1] in ("volumeMounts", "volume_mounts")):
            continue
        if row.level is support.Level.NO_EFFECT:
            yield Notice(field=field_text(path), message=row.message)
        elif row.level is support.Level.CLUSTER and not pods:
            message = f"{CLUSTER_ONLY}; {row.message}" if row.message else CLUSTER_ONLY
            yield Notice(field=field_text(path), message=message)


def _paths(bindings: Iterable[Binding], steps: Iterable[Step], layout: Layout) -> Iterable[Notice]:
    """Every path of the catalog and the job that is not true here, and where the job finds it instead."""
    if layout.real_mounts:
        return
    for binding in bindings:
        for mount in binding.mounts:
            true = true_path(mount, layout)
            if true != mount.mount_path:
                words = f"{mount.mount_path} is at {true} here"
                if mount.source.type in ("hostPath", "claim"):
                    words += f"; {{{{ connections['{binding.connection}'].path }}}} gives the true path everywhere"
                yield Notice(field=f"connections[{binding.connection}]", message=words)
    for step in steps:
        path = "" if step.type == "program" else step.path
        if path.startswith(f"{layout.context_path}/root/"):
            words = f"{path.removeprefix(layout.context_path).removeprefix('/root')} is at {path} here"
            yield Notice(field=f"init[{step.name}]", message=words)


def _claims(bindings: Iterable[Binding], steps: Iterable[Step], layout: Layout) -> Iterable[Notice]:
    claims = {m.source.claim for b in bindings for m in b.mounts if isinstance(m.source, ClaimSource)}
    claims |= {
        s.source.claim for s in steps if isinstance(s, FetchStep) and s.source.type == "volume" and s.source.claim
    }
    for claim in sorted(claims):
        folder = layout.claim_path(claim)
        yield Notice(field=f"claim {claim}", message=f"stands for the folder {folder} on this machine")
