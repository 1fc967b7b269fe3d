"""Fetching artifacts: the files and folders that a job asked for, out of a store or volume, into its own folder.

Everything that was asked for is there afterwards, or the step has failed and says what is missing and why: a store that
cannot be reached is never "0 files, done". A folder that exists and is empty is fine, and is said to have had no files.
"""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.model.plan import FetchItem, FetchStep
from tieline.steps.copying import Copied, Copier, told_as
from tieline.steps.inputs import Cached, InputCopier
from tieline.steps.meter import Meter
from tieline.steps.paths import folder_inside, inside, within
from tieline.stores import Stat, Store, shown
from tieline.stores.listed import Listable


def fetch(
    step: FetchStep,
    store: Store,
    *,
    root: Path,
    cancel: threading.Event | None = None,
    cached: Cached | None = None,
    meter: Meter | None = None,
) -> Copied:
    """Carry ``step`` out: copy its items from ``store`` to its path, which must be inside ``root`` (the run's folder).

    A file whose target is "" or ends with ``/`` keeps its name. ``cached``: the cache of inputs, for a bucket. Raises
    :class:`StepFailed`: ARTIFACT_MISSING, UNSAFE_PATH, FETCH_FAILED or STOPPED.
    """
    name = f"the connection {step.connection!r}"
    with told_as(Code.FETCH_FAILED, f"cannot fetch from {name}"):
        copier = _copier(store, name, root, cancel, cached, meter)
        path = within(root, step.path)
        path.mkdir(parents=True, exist_ok=True)
        with closing(copier):
            for item in step.items:
                _fetch_item(item, copier, path)
    return copier.copied


def _copier(
    store: Store, name: str, root: Path, cancel: threading.Event | None, cached: Cached | None, meter: Meter | None
) -> Copier:
    if isinstance(store, Listable):
        return InputCopier(store, name, avoid=root, cancel=cancel, cached=cached, meter=meter)
    return Copier(store, name, avoid=root, cancel=cancel, meter=meter)


def _fetch_item(item: FetchItem, copier: Copier, path: Path) -> None:
    source = _plain(item.source)
    if item.what != "file":
        copier.expect(source, folder_inside(path, item.target))
    found = copier.find(source)
    _is_what_was_asked_for(item, found)
    if found.what == "dir":
        copier.tree(found.key, folder_inside(path, item.target))
        return
    keeps_its_name = not item.target or item.target.endswith("/")
    target = inside(path, item.target + source.rpartition("/")[2] if keeps_its_name else item.target)
    if target.is_dir() and not target.is_symlink():
        raise StepFailed.of(
            Code.FETCH_FAILED,
            f"the file {shown(source)!r} cannot be put at {shown(item.target)!r}: a folder is there",
            "write the name that it is to have, or end the target with '/'",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    copier.file(found, target)


def _plain(source: str) -> str:
    """``./a//b/`` as the key ``a/b``; ``..`` and absolute paths are left for the store to refuse."""
    parts = [part for part in source.split("/") if part not in ("", ".")]
    return ("/" if source.startswith("/") else "") + "/".join(parts)


def _is_what_was_asked_for(item: FetchItem, found: Stat) -> None:
    if found.what == "special":
        raise StepFailed.of(
            Code.FETCH_FAILED,
            f"{shown(item.source)!r} is a pipe, a socket or a device and cannot be copied",
            "ask for a file or a folder",
        )
    if item.what not in ("any", found.what):
        is_folder = found.what == "dir"
        raise StepFailed.of(
            Code.ARTIFACT_MISSING,
            f"{shown(item.source)!r} was asked for as a {'file' if is_folder else 'folder'}"
            f" and is a {'folder' if is_folder else 'file'}",
            f"list it under {'dirs' if is_folder else 'files'}",
        )
