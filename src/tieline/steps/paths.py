"""Where a step may write: inside its own folder, whatever names, ``..`` or links it is given.

A repository that was cloned before may hold links; a file or a fetched folder must not be written through one that
leads out of the run's folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from tieline.errors import Code, StepFailed, TielineError
from tieline.stores import shown


def inside(root: Path, relative: str) -> Path:
    """``root / relative``: refused when absolute, with ``..`` in it, or where a link on the way leaves ``root``.

    "" is ``root``. The last part may be a link to anywhere: who writes it replaces the link. Raises
    :class:`StepFailed` with UNSAFE_PATH.
    """
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    if relative.startswith("/"):
        raise _unsafe(relative, "is absolute", "write it relative to the step's path")
    if ".." in parts or "\0" in relative:
        raise _unsafe(relative, "leads out of its folder", "take '..' out of it")
    path = root.joinpath(*parts)
    if parts:
        _stays(root, path.parent, relative)
    return path


def folder_inside(root: Path, relative: str) -> Path:
    """The same for a folder that is going to be filled: neither may the last part lead out."""
    path = inside(root, relative)
    _stays(root, path, relative)
    return path


def _stays(root: Path, path: Path, told: str) -> None:
    real, top = Path(os.path.realpath(path)), Path(os.path.realpath(root))
    if real != top and top not in real.parents:
        raise _unsafe(told, f"leads through a link to {shown(str(real))}", "name a place inside the folder")


def within(root: Path, path: str) -> Path:
    """An absolute ``path`` that must be inside ``root``, by the rules of :func:`inside`."""
    plain = str(root).rstrip("/") + "/"
    if path.rstrip("/") + "/" == plain:
        return root
    if not path.startswith(plain):
        raise _unsafe(path, f"is not inside {shown(str(root))}", "name a place inside the run's folder")
    return inside(root, path[len(plain) :])


def _unsafe(path: str, wrong: str, hint: str) -> TielineError:
    return StepFailed.of(Code.UNSAFE_PATH, f"the path {shown(path)!r} {wrong}", hint)
