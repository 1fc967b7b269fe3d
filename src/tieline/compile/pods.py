"""What a pod needs of a job's file that a process does not: images, and containers whose every part can be given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tieline.compile.inits import HANDLERS
from tieline.documents.document import FieldPath
from tieline.documents.forms import Issue
from tieline.errors import Code, did_you_mean
from tieline.model.container import KEY_REFS, Container
from tieline.model.job import RunForm

if TYPE_CHECKING:
    from tieline.compile.asking import Work


def pod_issues(work: Work, run: RunForm) -> Iterator[Issue]:
    """What no cluster could carry out: a container without an image, a mount without a volume, nowhere to save."""
    volumes = [str(volume.get("name")) for volume in run.volumes or ()]
    for path, container in _containers(run):
        if not container.image:
            yield Issue(
                (*path, "image"), Code.MISSING_KEY, "the container has no image", "a pod needs one; write image"
            )
        if path == ("run", "container"):
            continue  # its mounts are looked at where they are made
        for index, form in enumerate(container.volume_mounts or ()):
            wanted = str(form.get("name") or "")
            if wanted not in volumes:
                hint = did_you_mean(wanted, volumes, "name one of run.volumes")
                where = (*path, "volumeMounts", index, "name")
                yield Issue(where, Code.BAD_VALUE, f"there is no volume {wanted!r}", hint)
    if work.catalog.default_store and work.view.store is work.catalog.views["default"].store:
        message = "the deployment file has no artifactsStore, and a cluster cannot save to this machine"
        yield Issue((), Code.MISSING_KEY, message, "configure an artifactsStore: a bucket or a claim")


def _containers(run: RunForm) -> Iterator[tuple[FieldPath, Container]]:
    yield ("run", "container"), run.container
    for index, entry in enumerate(run.init or ()):
        if entry.container is not None and all(getattr(entry, name) is None for name in HANDLERS):
            yield ("run", "init", index, "container"), entry.container
    for index, container in enumerate(run.sidecars or ()):
        yield ("run", "sidecars", index), container


def container_variables(container: Container) -> dict[str, Any]:
    """Variables that only a pod can be given (``fieldRef``, ``resourceFieldRef``), as they stand in the file."""
    found = [
        {"name": form.name, "valueFrom": form.value_from}
        for form in container.env
        if form.value_from is not None and not set(form.value_from) & set(KEY_REFS)
    ]
    return {"env": found} if found else {}
