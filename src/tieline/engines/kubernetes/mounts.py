"""What is mounted where in the user's containers; what cannot stand together is refused with both names."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tieline.engines.kubernetes import machine
from tieline.engines.kubernetes.building import Building
from tieline.engines.kubernetes.layout import BINDINGS, CONTEXT, FOLDERS, MADE_FILES, brought_part, promised
from tieline.engines.kubernetes.podvolumes import own_volume
from tieline.engines.kubernetes.volumes import bound_volume, mount
from tieline.errors import Code
from tieline.model.binding import ResourceSource
from tieline.model.plan import Program
from tieline.secrets.resolve import MADE

SHM, DOCKER_SOCKET = "/dev/shm", "/var/run/docker.sock"  # noqa: S108  (a mount point)
ELSEWHERE = "change one of the paths"


class Mounted(NamedTuple):
    """A mount, whose it is, and its path in the one form that is compared."""

    item: dict[str, Any]
    who: str
    path: str

    @classmethod
    def of(cls, item: dict[str, Any], who: str) -> Mounted:
        return cls(item, who, posixpath.normpath(str(item["mountPath"])))


def context_mount(building: Building) -> dict[str, Any]:
    """The run's folder, which every container of the pod has."""
    return mount(_context(building), CONTEXT)


def promised_mounts(building: Building) -> list[dict[str, Any]]:
    """Folders of the context that are there before anything runs: the kubelet makes what a sub-path names, for
    everybody. They are at places of their own: a file could not be moved out of a mount, or into it."""
    folders = enumerate(promised(building.plan.layout))
    return [mount(_context(building), f"{FOLDERS}/{number}", folder) for number, folder in folders]


def _context(building: Building) -> str:
    return building.volumes.empty("tieline-context", "context")


def memory_mounts(building: Building) -> list[dict[str, Any]]:
    """What is made from secrets: of the container that writes it, and of the user's."""
    memory = building.volumes.empty("tieline-bindings", "bindings", memory=True)
    return [
        mount(memory, BINDINGS, posixpath.basename(BINDINGS)),
        mount(memory, MADE_FILES, MADE),
    ]


def user_mounts(building: Building, program: Program, where: str, steps_before: int) -> list[dict[str, Any]]:
    """Of one of the user's containers. ``steps_before``: as many steps have been carried out when it starts."""
    own = (context_mount(building), *promised_mounts(building), *memory_mounts(building), *_directories(building))
    ours = [Mounted.of(item, "Tieline's own folder") for item in own]
    found = [*_brought(building, steps_before), *_bound(building), *_written(building, program, where)]
    if where == "run.container":
        found += _plugins(building)
    _check_own_folders(building, found, where)
    return [mounted.item for mounted in _distinct(building, [*ours, *found], where)]


def _directories(building: Building) -> Iterator[dict[str, Any]]:
    """The binding directories that are volumes; without a sub-path, so that the kubelet brings what is changed."""
    for one in building.projected.values():
        source = one.source(building.user.entry_mode)
        yield mount(
            building.volumes.name_of(source, f"bindings-{one.connection}"),
            f"{BINDINGS}/{one.connection}",
            read_only=True,
        )


def _bound(building: Building) -> Iterator[Mounted]:
    for binding in building.plan.bindings:
        where = f"connections[{binding.connection}]"
        for bound in binding.mounts:
            mode = 0
            if bound.source.type == "resource":
                mode = building.user.mode(bound.source)
                _check_mode(building, bound.source, mode, where)
            _check_path(building, bound.mount_path, f"{where}.mountPath")
            name = bound_volume(building.volumes, bound, mode)
            yield Mounted.of(mount(name, bound.mount_path, bound.sub_path, read_only=bound.read_only), where)
        for item in machine.of_binding(building, binding):
            _check_path(building, item["mountPath"], f"{where}.path")
            yield Mounted.of(item, where)


def _check_mode(building: Building, source: ResourceSource, mode: int, where: str) -> None:
    if building.user.can_read(mode):
        return
    message = f"the files of {source.name!r} have mode {mode:04o}, and the job runs as user {building.user.uid}"
    hint = "give environment.securityContext an fsGroup, or the catalog's defaultMode 0444"
    building.refuse(Code.BAD_VALUE, f"{where}.defaultMode", message, hint)


def _check_path(building: Building, path: str, where: str) -> None:
    """What a cluster takes for a mount path."""
    if ":" in path:
        building.refuse(
            Code.BAD_VALUE, where, f"{path!r} has a colon, which no mount path may have", "use another path"
        )
    if posixpath.normpath(path) == "/":
        building.refuse(Code.MOUNT_COLLISION, where, "nothing can be mounted at /", "name a folder below it")


def _brought(building: Building, steps_before: int) -> Iterator[Mounted]:
    """What Tieline's own steps put at absolute paths outside of the run's folder."""
    places: dict[str, str] = {}
    for step in building.plan.steps[:steps_before]:
        if step.type == "program":
            continue
        path = posixpath.normpath(step.path)
        if not is_below(path, CONTEXT):
            places.setdefault(path, step.name)
            _check_path(building, path, f"init[{step.name}].path")
    for path, name in places.items():
        if not any(other != path and is_below(path, other) for other in places):
            yield Mounted.of(mount(_context(building), path, brought_part(path)), f"init[{name}]")


def _written(building: Building, program: Program, where: str) -> Iterator[Mounted]:
    """The container's own ``volumeMounts``, as the job's file has them."""
    declared = {str(volume.get("name")): volume for volume in building.plan.pod_volumes}
    for index, form in enumerate(program.container.get("volumeMounts") or ()):
        field = f"{where}.volumeMounts[{index}]"
        volume = declared.get(str(form.get("name")))
        if volume is None:  # compile has refused it; a stored plan may be another's
            building.refuse(
                Code.BAD_VALUE, field, f"there is no volume {form.get('name')!r}", "name one of run.volumes"
            )
            continue
        name, read_only = own_volume(building.volumes, volume)
        path = str(form.get("mountPath") or "")
        _check_path(building, path, f"{field}.mountPath")
        item = {**form, "name": name}
        yield Mounted.of({**item, "readOnly": True} if read_only else item, field)


def _plugins(building: Building) -> Iterator[Mounted]:
    """``plugins.shm``: as much shared memory as the pod has; ``plugins.docker``: the node's docker."""
    plugins: Mapping[str, Any] = building.plan.plugins
    if plugins.get("shm"):
        memory = building.volumes.empty("tieline-shm", "shm", memory=True)
        yield Mounted.of(mount(memory, SHM), "plugins.shm")
    if plugins.get("docker"):
        socket = {"hostPath": {"path": DOCKER_SOCKET, "type": "Socket"}}
        yield Mounted.of(mount(building.volumes.name_of(socket, "tieline-docker"), DOCKER_SOCKET), "plugins.docker")


def _check_own_folders(building: Building, found: list[Mounted], where: str) -> None:
    """Nothing stands on what Tieline's containers write or save: they would not see the same folder as the job."""
    outputs = building.plan.layout.outputs_path
    whole = {outputs: "the outputs", BINDINGS: "the binding directories", MADE_FILES: "files of several connections"}
    targets = {
        posixpath.normpath(step.path): f"what init[{step.name}] brings"
        for step in building.plan.steps
        if step.type != "program" and is_below(step.path, CONTEXT)
    }
    for mounted in found:
        path = mounted.path
        if path in (CONTEXT, BINDINGS, MADE_FILES) or not is_below(path, CONTEXT):
            continue  # where two stand at one path, that is seen elsewhere
        hidden = [what for folder, what in {**targets, **whole}.items() if is_below(folder, path)]
        hidden += [what for folder, what in whole.items() if is_below(path, folder)]
        for what in dict.fromkeys(hidden):
            message = f"{mounted.who} stands at {path}, where {what} would be"
            building.refuse(Code.MOUNT_COLLISION, where, message, ELSEWHERE)


def _distinct(building: Building, found: list[Mounted], where: str) -> Iterator[Mounted]:
    """Each path once: the same at the same path is one mount, anything else is refused."""
    taken: dict[str, Mounted] = {}
    for mounted in found:
        before = taken.setdefault(mounted.path, mounted)
        if before is mounted:
            yield mounted
        elif before.item != mounted.item:
            message = f"{before.who} and {mounted.who} both stand at {mounted.path}"
            building.refuse(Code.MOUNT_COLLISION, where, message, ELSEWHERE)


def is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
