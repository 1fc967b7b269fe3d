"""``tieline check``: every problem of catalogs and jobs at once, before anything is run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.cli import exits
from tieline.cli.options import config_option, engine_option, namespace_option, output_option, project_option
from tieline.cli.problems import show_problems
from tieline.cli.terminal import has_colour, out, out_json, paint, printable, say
from tieline.errors import Code

if TYPE_CHECKING:
    from tieline.app.checking import Checked
    from tieline.app.preparing import Engine


@click.command(short_help="Find every problem of catalogs and job files.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@namespace_option
@project_option
@engine_option
@config_option
@output_option
def check(
    files: tuple[Path, ...], namespace: str | None, project: str, engine: Engine, config: Path | None, output: str
) -> int:
    """Find every problem of catalogs and job files; runs nothing.

    A job is checked against the catalog in force. Exits with 65 if something is wrong; warnings alone are fine.

    \b
    tieline check tieline.yaml job.yaml
    """
    from tieline.app.checkup import check_files
    from tieline.app.home import HomeFolder
    from tieline.app.preparing import Wanted

    wanted = Wanted(files[0], namespace=namespace, project=project, engine=engine)
    found = check_files(files, config, HomeFolder.find(), wanted)
    if output == "json":
        out_json([_as_json(checked) for checked in found])
    else:
        _show(found)
    return _exit(found)


def _as_json(checked: Checked) -> dict[str, Any]:
    return {
        "file": checked.file,
        "what": checked.what,
        "ok": checked.ok,
        "problems": [problem.as_json() for problem in checked.problems],
    }


def _show(found: Sequence[Checked]) -> None:
    """Problems to stdout: they are the answer. The summary is for the person: stderr."""
    colour = has_colour(sys.stdout)
    for checked in found:
        show_problems(checked.problems, sys.stdout)
        if checked.ok:
            out(f"{printable(checked.file)}: {paint('ok', 'good', on=colour)} ({checked.what})")
    problems = [problem for checked in found for problem in checked.problems]
    errors = sum(not problem.warning for problem in problems)
    counts = [_count(errors, "error")] if errors else []
    counts += [_count(len(problems) - errors, "warning")] if len(problems) > errors else []
    sys.stdout.flush()
    say(f"{', '.join(counts) or 'no problems'} in {_count(len(found), 'file')}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _exit(found: Sequence[Checked]) -> int:
    errors = [problem for checked in found for problem in checked.problems if not problem.warning]
    if not errors:
        return exits.OK
    return exits.NOT_FOUND if all(error.code is Code.FILE_NOT_FOUND for error in errors) else exits.INVALID
