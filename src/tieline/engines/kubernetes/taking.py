"""Local files that are given with a job (``mount``), packed to be taken along in the run's ConfigMap."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tieline.errors import Code, Place, Problem, Refused
from tieline.model.plan import Plan, TakeStep

LARGEST = 64 * 1024 * 1024
"""Bytes that are read at all; packed they may be far fewer."""


def packed(plan: Plan) -> bytes:
    """A ``tar.gz`` with a folder (or file) per step, named by its index; the same files make the same bytes.

    Raises Refused for what is not there or cannot be read.
    """
    taken = [(index, step) for index, step in enumerate(plan.steps) if isinstance(step, TakeStep)]
    if not taken:
        return b""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for index, step in taken:
            try:
                for name, path in _entries(Path(step.source), str(index)):
                    _add(archive, name, path)
            except OSError as error:
                message = f"{error.filename or step.source} cannot be taken along: {error.strerror or error}"
                place = Place(field=f"mount[{step.name}]")
                raise Refused(Problem(Code.PATH_MISSING, message, "correct the path", place)) from None
            if raw.tell() > LARGEST:
                raise _too_large()
    return gzip.compress(raw.getvalue(), mtime=0)


def _too_large() -> Refused:
    message = f"the local files under mount are more than {LARGEST} bytes"
    hint = "bring them with init, from a store or from git"
    return Refused(Problem(Code.TOO_LARGE, message, hint, Place(field="mount")))


def _entries(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    """A file, or a folder and all that is in it, in a fixed order."""
    yield name, path
    if path.is_dir():  # the one that is named may be a link; in it links stay links
        with os.scandir(path) as found:
            entries = sorted((entry for entry in found if entry.name != ".git"), key=lambda entry: entry.name)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path), f"{name}/{entry.name}")
            else:
                yield f"{name}/{entry.name}", Path(entry.path)


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Without times and owners: they are of this machine."""
    top = "/" not in name
    status = path.stat() if top else path.lstat()
    info = tarfile.TarInfo(name)
    info.mode = status.st_mode & 0o777
    if path.is_symlink() and not top:
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        archive.addfile(info)
    elif path.is_dir():
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    elif path.is_file():
        info.size = status.st_size
        if info.size > LARGEST:
            raise _too_large()
        with path.open("rb") as stream:
            archive.addfile(info, stream)
