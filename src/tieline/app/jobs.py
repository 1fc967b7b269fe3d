"""Reads a job file with what it refers to: a component by ``pathRef``, presets by name."""

from __future__ import annotations

from pathlib import Path

from tieline.app.deployment import shown
from tieline.compile.jobs import Job, read_job
from tieline.documents.document import Document, read_document
from tieline.errors import Code, NotFound, Place, Problem, did_you_mean
from tieline.model.catalog import Catalog


def load_job(path: Path, catalog: Catalog) -> tuple[Job, list[Problem]]:
    """The job of a file, and what is wrong with its shape. Raises NotFound, or InvalidInput where it is no job."""
    document = read_document(path, shown_as=shown(path))
    return read_job(document, lambda name: _beside(path, name), lambda name: _preset(Path(catalog.presets), name))


def _beside(path: Path, name: str) -> Document:
    found = path.absolute().parent / name
    return read_document(found, shown_as=shown(found))


def _preset(folder: Path, name: str) -> Document:
    for suffix in (".yaml", ".yml", ""):
        found = folder / f"{name}{suffix}"
        if "/" not in name and found.is_file():
            return read_document(found, shown_as=shown(found))
    known = sorted(path.stem for path in folder.glob("*.y*ml")) if folder.is_dir() else []
    hint = did_you_mean(name, known, f"presets are files of {shown(folder)}")
    raise NotFound(Problem(Code.FILE_NOT_FOUND, f"there is no preset {name!r}", hint, Place(str(folder))))
