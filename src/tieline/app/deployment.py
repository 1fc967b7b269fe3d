"""Finds and reads the deployment file: ``--config``, ``$TIELINE_CONFIG``, the nearest ``tieline.yaml``, or the
home's."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tieline.app.home import HomeFolder
from tieline.compile.catalog import Home, read_catalog
from tieline.documents.document import Document, read_document
from tieline.errors import Problem
from tieline.model.catalog import Catalog

NAMES = ("tieline.yaml", "tieline.yml")


@dataclass(frozen=True, slots=True)
class Deployment:
    """The catalog in force, and where it came from (``path`` None: no file was found, the catalog is empty)."""

    catalog: Catalog
    path: Path | None
    warnings: tuple[Problem, ...]


def find_config(given: Path | None, home: HomeFolder, cwd: Path, environ: Mapping[str, str]) -> Path | None:
    """The deployment file to read; one that is named must be there."""
    if given is not None:
        return given
    if named := environ.get("TIELINE_CONFIG"):
        return Path(named)
    for folder in (cwd, *cwd.parents):
        for name in NAMES:
            if (folder / name).is_file():
                return folder / name
    return next((home.root / name for name in NAMES if (home.root / name).is_file()), None)


def load_deployment(given: Path | None, home: HomeFolder) -> Deployment:
    """Read the deployment file. Raises NotFound, or InvalidInput with every problem."""
    path = find_config(given, home, Path.cwd(), os.environ)
    with _uncollected():
        document = read_document(path, shown_as=shown(path)) if path else None
        return read_deployment(document, path, home)


def read_deployment(document: Document | None, path: Path | None, home: HomeFolder) -> Deployment:
    base = str(path.absolute().parent) if path else str(Path.cwd())
    places = Home(str(home.artifacts), str(home.claims), str(Path.home()))
    catalog, warnings = read_catalog(document, places, base)
    return Deployment(catalog, path, tuple(warnings))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cyclic collector: a large catalog is millions of new objects and no garbage, which it would walk
    again and again (reading 100,000 connections takes twice as long with it)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def shown(path: Path) -> str:
    """The path as a person would say it here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
