"""``tieline check``: every problem of catalogs and jobs, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tieline.app.deployment import Deployment, read_deployment, shown
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted, check
from tieline.documents.document import read_document
from tieline.errors import Problem, TielineError

JOB_KEYS = frozenset({"kind", "run", "component", "pathref", "hubref", "urlref", "dagref"})


@dataclass(frozen=True, slots=True)
class Checked:
    """One file: what it is (``catalog`` or ``job``), and what is wrong with it."""

    file: str
    what: str
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return all(problem.warning for problem in self.problems)


def check_file(path: Path, deployment: Deployment | None, home: HomeFolder, wanted: Wanted) -> Checked:
    """Check a catalog on its own, or a job against the deployment's catalog."""
    what = "job"
    try:
        document = read_document(path, shown_as=shown(path))
        if is_catalog(document.data):
            what = "catalog"
            problems = read_deployment(document, path, home).warnings
        else:
            base = deployment or read_deployment(None, None, home)
            problems = tuple(check(wanted, base, home))
    except TielineError as error:
        problems = error.problems
    return Checked(shown(path), what, problems)


def is_catalog(data: object) -> bool:
    """A deployment file has no ``kind`` and nothing to run."""
    if not isinstance(data, Mapping):
        return False
    return not JOB_KEYS & {str(key).replace("_", "").lower() for key in data}
