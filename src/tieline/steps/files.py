"""Files that come with the job itself: written from its text, or taken from the machine that it was submitted on."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from tieline.errors import Code, StepFailed, did_you_mean
from tieline.model.plan import FileStep, TakeStep
from tieline.steps.copying import Copied, Copier, told_as
from tieline.steps.paths import folder_inside, within
from tieline.stores import FolderStore, shown


def write_file(step: FileStep, *, root: Path) -> Path:
    """Write the step's file, with exactly its mode, and return its path; folders on the way are made.

    A file or link that is there is replaced. Raises :class:`StepFailed`: UNSAFE_PATH when the path is not inside
    ``root``, STEP_FAILED when it cannot be written.
    """
    path = within(root, step.path)
    with told_as(Code.STEP_FAILED, f"cannot write the file {shown(step.path)!r}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent / f".tieline-{secrets.token_hex(8)}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(step.content.encode("utf-8", "surrogateescape"))
                os.fchmod(stream.fileno(), step.mode & 0o777)
            part.replace(path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    return path


def take(step: TakeStep, *, root: Path, cancel: threading.Event | None = None) -> Copied:
    """Copy a local file or folder that was given with the job, as it is, to the step's path inside ``root``.

    Only ``.git`` is left out: the code's history is not the code, and may be a thousand times its size. Links stay
    links; one that leads out of the folder goes on leading to the same place, and is noted. ``root`` itself is
    never copied into itself. Raises :class:`StepFailed`.
    """
    source = Path(step.source)
    path = within(root, step.path)
    with told_as(Code.STEP_FAILED, f"cannot take {shown(step.source)!r}"):
        if not source.exists():
            siblings = [entry.name for entry in source.parent.iterdir()] if source.parent.is_dir() else []
            raise StepFailed.of(
                Code.ARTIFACT_MISSING,
                f"{shown(step.source)!r} is not there, or cannot be looked at",
                shown(did_you_mean(source.name, siblings, "check the path under mount")),
            )
        whole = source.is_dir()
        real = source.resolve()
        store = FolderStore(real if whole else real.parent)
        copier = Copier(
            store, shown(step.source), avoid=root, cancel=cancel, foreign_links=True, without=frozenset({".git"})
        )
        if whole:
            copier.tree("", folder_inside(root, os.path.relpath(path, root)))
        else:
            target = within(root, f"{step.path.rstrip('/')}/{source.name}") if path.is_dir() else path
            target.parent.mkdir(parents=True, exist_ok=True)
            copier.file(copier.find(real.name), target)
    return copier.copied
