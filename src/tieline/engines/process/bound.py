"""What the connections of a run put on this machine's disk before its programs start, and its removal at the end.

Binding directories, the files of mounted secrets and config maps, and files made of several connections' values: all
inside the run's own folder, readable by the user alone, and gone when the run has ended, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tieline.engines.folders import BINDINGS, ROOT, host_place, remove_tree
from tieline.errors import Code, StepFailed
from tieline.model.binding import ClaimSource, HostPathSource, Mount, ResourceSource
from tieline.model.plan import Layout, Plan
from tieline.secrets.resolve import MADE, Places, Resolver
from tieline.secrets.writing import write_files, write_made
from tieline.steps.binding_directory import write_bindings


def write_bound(plan: Plan, values: Resolver) -> None:
    """The directory of every connection, and the files of mounted secrets. Raises StepFailed or Refused."""
    layout = plan.layout
    write_bindings(plan.bindings, Path(layout.binding_root), values.data)
    for mount in _mounts(plan):
        if isinstance(mount.source, ResourceSource):
            write_files(host_place(mount.mount_path, layout), values.files(mount.source))
        elif (folder := _volume_folder(mount, layout)) is not None:
            _make(folder, mount)


def write_made_files(plan: Plan, values: Resolver) -> None:
    """What values name and no binding directory has; for when all values of a program were asked for."""
    if values.made:
        write_made(Path(Places.of(plan.layout).made), values.made)


def remove_bound(plan: Plan) -> None:
    """Nothing that came from a secret is left on disk, whatever else of the work folder is kept."""
    layout = plan.layout
    remove_tree(Path(layout.binding_root))
    remove_tree(Path(Places.of(layout).made))
    for mount in _mounts(plan):
        if isinstance(mount.source, ResourceSource):
            remove_tree(host_place(mount.mount_path, layout))


def remove_unknown(context: Path) -> None:
    """The same of a run whose plan cannot be read: every folder of its work folder that may have such files."""
    for name in (BINDINGS, MADE, ROOT):
        remove_tree(context / name)


def _mounts(plan: Plan) -> Iterator[Mount]:
    for binding in plan.bindings:
        yield from binding.mounts
    if plan.layout.real_mounts:  # else a pod's own volumes are nowhere
        yield from plan.volumes


def _volume_folder(mount: Mount, layout: Layout) -> Path | None:
    """The folder that has to be there though nobody made it: that of a claim, or below a volume (``subPath``)."""
    if isinstance(mount.source, ClaimSource):
        base = layout.claim_path(mount.source.claim)
    elif isinstance(mount.source, HostPathSource) and mount.sub_path:
        base = mount.source.path
    else:
        return None
    return Path(base, (mount.sub_path or "").strip("/"))


def _make(folder: Path, mount: Mount) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StepFailed.of(
            Code.STEP_FAILED,
            f"the folder {folder} of {mount.connection or mount.mount_path!r} cannot be made: {error.strerror}",
            "correct the path or its rights",
        ) from None
