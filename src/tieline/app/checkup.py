"""``tieline check`` of several files: the catalog that is in force is read once, and serves the jobs among them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tieline.app.checking import Checked, check_file
from tieline.app.deployment import Deployment, find_config, load_deployment, shown
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted
from tieline.errors import Code, Problem, TielineError

CATALOG, JOB = "catalog", "job"


def check_files(files: Sequence[Path], config: Path | None, home: HomeFolder, wanted: Wanted) -> list[Checked]:
    """Every file with its problems, in the order given. Where the catalog in force has errors, they are told first,
    and jobs, which can't be judged against it, are told as unchecked."""
    path = find_config(config, home, Path.cwd(), os.environ)
    try:
        deployment: Deployment | None = load_deployment(config, home)
        catalog = Checked(shown(path), CATALOG, deployment.warnings) if path and deployment else None
    except TielineError as error:
        deployment, catalog = None, Checked(shown(path) if path else "", CATALOG, error.problems)
    found = [
        catalog
        if catalog is not None and path is not None and _same(file, path)
        else _checked(file, deployment, catalog, home, wanted)
        for file in files
    ]
    broken = [catalog] if catalog is not None and deployment is None and catalog not in found else []
    return [*(broken if any(item.what == JOB for item in found) else []), *found]


def _checked(
    file: Path, deployment: Deployment | None, catalog: Checked | None, home: HomeFolder, wanted: Wanted
) -> Checked:
    checked = check_file(file, deployment, home, replace(wanted, file=file))
    if deployment is not None or checked.what != JOB or catalog is None or _unreadable(checked):
        return checked
    problem = Problem(
        Code.UNKNOWN_CONNECTION,
        f"{checked.file} was not checked: the catalog {catalog.file} has errors",
        "correct the catalog first",
    )
    return replace(checked, problems=(problem,))


def _unreadable(checked: Checked) -> bool:
    """The file's own text is wrong: that is so with any catalog."""
    own = {
        Code.FILE_NOT_FOUND, Code.FILE_UNREADABLE, Code.BAD_ENCODING, Code.BAD_SYNTAX, Code.TOO_LARGE, Code.TOO_DEEP,
        Code.ALIAS_EXPANSION, Code.DUPLICATE_KEY,
    }  # fmt: skip
    return any(problem.code in own and problem.place.file == checked.file for problem in checked.problems)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
