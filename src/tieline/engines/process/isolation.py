"""Isolation of a run: whether bubblewrap can be used here, and what of a plan appears where in the job's own root.

With it a catalog's mount paths are true. What a step of Tieline's own writes outside of the run's folder, and what else
is made for the job (an empty folder, files of a secret), is in ``context/root/<path>`` on this machine
(:func:`~tieline.engines.folders.host_place`), and appears at ``<path>``. The job does not see ``context/root``
itself, so it cannot redirect what Tieline writes there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tieline.engines.folders import Attempt, host_place, root_path
from tieline.engines.process import guard
from tieline.engines.process.programs import BUBBLEWRAP
from tieline.engines.process.sandbox import FLAGS, Appears, CannotMount, Sandbox, is_inside
from tieline.errors import Code, StepFailed
from tieline.model.access import Volume
from tieline.model.binding import ClaimSource, HostPathSource, Mount, ResourceSource
from tieline.model.plan import Layout, Plan

TRY_SECONDS = 10
SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108  (emptied for the job, not used by us)
JOBS_OWN = ("VIRTUAL_ENV", "CONDA_PREFIX", "JAVA_HOME", "CUDA_HOME", "PYENV_ROOT")


@dataclass(frozen=True, slots=True)
class Found:
    """Something that appears in the job's root, before it is asked for: ``base`` holds its source."""

    appears: Appears
    why: str
    base: str = ""
    made: bool = False
    """Whether the folder is made where it is not there yet."""


@lru_cache(maxsize=1)
def unusable() -> str:
    """Why bubblewrap cannot be used here, found by using it as a run does; empty where it can. Asked once."""
    program = shutil.which(BUBBLEWRAP)
    if program is None:
        return "bubblewrap is not installed (its program is bwrap)"
    tried = [program, *FLAGS, "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--proc", "/proc"]  # noqa: S108
    argv = [*tried, "--dev-bind", "/dev", "/dev", "--remount-ro", "/tmp", "--", program, "--version"]  # noqa: S108
    try:
        done = subprocess.run(
            argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=TRY_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap cannot be run: {error}"
    if done.returncode == 0:
        return ""
    reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"bubblewrap does not work here: {reason[-1] if reason else f'exit code {done.returncode}'}"


def arguments_for(plan: Plan, attempt: Attempt, environ: Mapping[str, str]) -> list[str] | None:
    """Bubblewrap's arguments for a program that is started now; None where the run is not isolated.

    Folders that are only promised are made. Raises StepFailed.
    """
    if not plan.layout.real_mounts:
        return None
    found = list(appearing(plan))
    try:
        for item in found:
            _make(item)  # what a step is still going to bring is not there yet
        there = tuple(item.appears for item in found if os.path.lexists(item.appears.source))
        for cache in cache_folder(environ):
            os.makedirs(cache, mode=0o700, exist_ok=True)
        return sandbox(plan, attempt, environ, there).arguments()
    except CannotMount as error:
        raise StepFailed.of(Code.MOUNT_COLLISION, str(error), "`--isolation none` runs the job without it") from None
    except OSError as error:
        raise StepFailed.from_error(error) from None


def obstacle(plan: Plan, attempt: Attempt, environ: Mapping[str, str]) -> str:
    """What of the plan cannot be made true, as far as that is known before anything is made; empty where all can."""
    try:
        sandbox(plan, attempt, environ, tuple(item.appears for item in appearing(plan))).arguments()
    except CannotMount as error:
        return str(error)
    return ""


def sandbox(plan: Plan, attempt: Attempt, environ: Mapping[str, str], mounts: tuple[Appears, ...]) -> Sandbox:
    """The root of the job's programs: the same view for the main one, init programs and sidecars."""
    layout = plan.layout
    home = environ.get("HOME", "")
    return Sandbox(
        hidden=tuple(folder for folder in layout.hidden if folder != "/"),
        absent=tuple(folder for folder in _stores(plan) if not _is_needed(folder, home)),
        own=(layout.context_path, str(attempt.spools), str(attempt.exits)),
        emptied=(root_path(layout),),
        shown=tuple(_interpreters(environ)),
        mounts=mounts,
        scratch=scratch_folders(environ),
        writable=writable_folders(plan, environ),
    )


def cache_folder(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where programs keep what they may fetch again; only there the job may write in the user's own folder."""
    home = environ.get("HOME", "")
    return (f"{home.rstrip('/')}/.cache",) if os.path.isdir(home) and os.access(home, os.W_OK) else ()


def scratch_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where programs put what is for the moment, and git's credentials are while a run fetches its code.

    Not shared with the machine, nor with other runs.
    """
    given = (*SCRATCH, environ.get("XDG_RUNTIME_DIR", ""))
    return tuple(folder for folder in given if folder.strip("/") and os.path.isabs(folder) and os.path.isdir(folder))


def writable_folders(plan: Plan, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Folders of the machine that the job may write to, beside what is mounted."""
    return (*cache_folder(environ), *database_folders(plan))


def database_folders(plan: Plan) -> tuple[str, ...]:
    """Of database files that are this machine's own, and not in a volume: their folders, for the journal is beside."""
    targets = [found.appears.target for found in appearing(plan)]
    own = [plan.layout.context_path, *plan.layout.hidden]
    paths = [os.path.normpath(path) for binding in plan.bindings for path in binding.files]
    outside = [path for path in paths if not any(is_inside(path, folder) for folder in (*targets, *own))]
    folders = dict.fromkeys(map(os.path.dirname, outside))
    return tuple(folder for folder in folders if folder != "/" and os.path.isdir(folder))


def appearing(plan: Plan) -> Iterator[Found]:
    """All that appears at a path of its own, each once: what init brings there, then mounts."""
    seen = set()
    for found in (*_brought(plan), *_mounted(plan)):
        if found.appears.target not in seen:
            seen.add(found.appears.target)
            yield found


def _brought(plan: Plan) -> Iterator[Found]:
    for step in plan.steps:
        if step.type == "program":
            continue
        path = os.path.normpath(step.path)
        if str(host_place(path, plan.layout)) == path:
            continue
        if step.type == "file" and not os.path.isdir(os.path.dirname(path)):
            path = os.path.dirname(path)  # a folder of the job's own, and not only a file in one of the machine's
        yield Found(Appears(str(host_place(path, plan.layout)), path), f"init {step.name}")


def _mounted(plan: Plan) -> Iterator[Found]:
    for binding in plan.bindings:
        for mount in binding.mounts:
            yield _found(mount, plan.layout, f"connection {binding.connection}")
    for mount in plan.volumes:
        yield _found(mount, plan.layout, "volume")


def _found(mount: Mount, layout: Layout, why: str) -> Found:
    target = os.path.normpath(mount.mount_path)
    if isinstance(mount.source, HostPathSource):
        base = mount.source.path
    elif isinstance(mount.source, ClaimSource):
        base = layout.claim_path(mount.source.claim)
    else:
        is_given = isinstance(mount.source, ResourceSource)  # as on Kubernetes: a secret's files are not the job's
        return Found(
            Appears(str(host_place(target, layout)), target, mount.read_only or is_given), why, made=not is_given
        )
    source = os.path.join(base, mount.sub_path) if mount.sub_path else base
    is_claim = isinstance(mount.source, ClaimSource)
    return Found(Appears(source, target, mount.read_only), why, base, made=is_claim or bool(mount.sub_path))


def _make(found: Found) -> None:
    """The folder, where it is promised; a link must not lead it out of the volume. Raises StepFailed or OSError."""
    source, base = found.appears.source, found.base
    if base and not is_inside(os.path.realpath(source), os.path.realpath(base)):
        message = f"{source} leads out of {base} ({found.why})"
        raise StepFailed.of(Code.UNSAFE_PATH, message, "a subPath stays inside its volume")
    if found.made:
        os.makedirs(source, exist_ok=True)
    elif base and not os.path.lexists(source):
        raise StepFailed.of(Code.PATH_MISSING, f"{source} is not there any more ({found.why})")


def _stores(plan: Plan) -> Iterator[str]:
    """Where other runs' outputs are, if that is on this machine."""
    access = plan.store.access
    if isinstance(access, Volume):
        yield access.host_path or plan.layout.claim_path(access.claim or "")


def _is_needed(folder: str, home: str) -> bool:
    """A folder that is not only a store: the machine's root, or the user's own folder, is in it."""
    return folder == "/" or bool(home and is_inside(os.path.realpath(home), os.path.realpath(folder)))


def _interpreters(environ: Mapping[str, str]) -> Iterator[str]:
    """This Python, for the guard; and the folders of programs that the job gets by its environment."""
    yield from (sys.prefix, sys.base_prefix, str(Path(guard.__file__).parent))
    yield str(Path(sys.executable).resolve().parent.parent)
    for name in JOBS_OWN:
        if environ.get(name):
            yield environ[name]
    for folder in environ.get("PATH", "").split(":"):
        if os.path.isabs(folder):
            yield os.path.dirname(folder.rstrip("/")) if os.path.basename(folder.rstrip("/")) == "bin" else folder
