"""``tieline runs outputs``: what a run left behind: list it, get it, push what could not be saved, say where it is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tieline.cli import exits
from tieline.cli.layout import ago, size
from tieline.cli.lazy import Entry, LazyGroup
from tieline.cli.options import output_option, run_argument
from tieline.cli.terminal import has_colour, out, out_json, page, printable, say

if TYPE_CHECKING:
    from tieline.model.plan import Plan
    from tieline.model.run import Run
    from tieline.stores.base import Stat

outputs = LazyGroup(
    "outputs",
    "A run's outputs: files that the job wrote to $TIELINE_OUTPUTS, as they are saved in the artifacts store.",
    {
        "list": Entry("runs_outputs:list_", "List a run's outputs."),
        "get": Entry("runs_outputs:get", "Copy outputs into a folder here."),
        "push": Entry("runs_outputs:push", "Save what could not be saved when the run ended."),
        "path": Entry("runs_outputs:path", "Say where the outputs are."),
    },
)
attempt_option = click.option("--attempt", type=click.IntRange(1), metavar="N", help="Default: the latest.")


def _looked_up(ref: str, attempt: int | None) -> tuple[Run, Plan, int]:
    from tieline.app.home import HomeFolder
    from tieline.app.lookup import find_run
    from tieline.app.runs import plan_of
    from tieline.cli.records import opened_record

    with opened_record(HomeFolder.find()) as record:
        run = find_run(record, ref)
        return run, plan_of(record, run), attempt or run.attempt


@click.command("list", short_help="List a run's outputs.")
@run_argument
@click.option("--tree", is_flag=True, help="As a tree of folders.")
@attempt_option
@output_option
def list_(run: str, tree: bool, attempt: int | None, output: str) -> None:
    """List a run's outputs: what is saved by now, also while it runs.

    \b
    tieline runs outputs list last --tree
    """
    from tieline.app.outputs import stored

    found, plan, number = _looked_up(run, attempt)
    items = list(stored(plan, number))
    if output == "json":
        out_json([{"path": i.key, "what": i.what, "size": i.size, "modifiedAt": _moment(i).isoformat()} for i in items])
    elif tree:
        page(_tree(items))
    else:
        for item in items:
            if item.what != "dir":
                out(f"{size(item.size):>10}  {ago(_moment(item)):>12}  {printable(item.key)}")
    if not items:
        say(f"run {found.uuid[:8]} has no outputs (attempt {number})")


def _moment(item: Stat):  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime.fromtimestamp(item.mtime_ns / 1e9, UTC)


def _tree(items: Iterable[Stat]) -> Iterator[str]:
    """Folders before what is in them, as the store walks them."""
    for item in items:
        depth, _, name = item.key.count("/"), *item.key.rpartition("/")[1:]
        what = f"{printable(name)}/" if item.what == "dir" else f"{printable(name)}  ({size(item.size)})"
        yield "  " * depth + what


@click.command(short_help="Copy outputs into a folder here.")
@run_argument
@click.argument("paths", nargs=-1, metavar="[PATH]…")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="The folder, made if needed. Default: one named for the run.")  # fmt: skip
@attempt_option
def get(run: str, paths: tuple[str, ...], to: Path | None, attempt: int | None) -> None:
    """Copy outputs (all, or these files and folders) into a folder here; what is there by the same name is replaced.

    \b
    tieline runs outputs get last model.npz plots --to results
    """
    from tieline.app.outputs import fetch

    found, plan, number = _looked_up(run, attempt)
    folder = to or Path(f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', found.name).strip('-.')}-{found.uuid[:8]}")
    copied = fetch(plan, found, number, paths, folder.absolute())
    for note in copied.notes:
        say(f"note: {printable(note)}")
    say(f"{copied.files} file{'' if copied.files == 1 else 's'}, {size(copied.bytes)}, in:")
    out(str(folder))


@click.command(short_help="Save what could not be saved when the run ended.")
@run_argument
def push(run: str) -> int:
    """Save what could not be saved when the run ended, and tell the job's own outcome then.

    \b
    tieline runs outputs push last
    """
    from tieline.app.home import HomeFolder
    from tieline.app.lookup import find_run
    from tieline.app.outputs import push as push_outputs
    from tieline.cli.records import opened_record
    from tieline.cli.summary import headline
    from tieline.errors import Code

    home = HomeFolder.find()
    with opened_record(home) as record:
        ended = push_outputs(home, record, find_run(record, run))
    out(f"{ended.uuid[:8]} {printable(ended.name)}: {headline(ended, colour=has_colour(sys.stdout))}")
    return exits.NOT_SAVED if ended.reason == Code.OUTPUTS_NOT_SAVED else exits.OK


@click.command(short_help="Say where the outputs are.")
@run_argument
@attempt_option
@output_option
def path(run: str, attempt: int | None, output: str) -> None:
    """Say where the outputs are: a path of this machine, or an address of the store; that of the work folder, where
    they could not be saved.

    \b
    ls $(tieline runs outputs path last)
    """
    from tieline.app.outputs import place
    from tieline.errors import Code

    found, plan, number = _looked_up(run, attempt)
    unsaved = found.reason == Code.OUTPUTS_NOT_SAVED and number == found.attempt
    where = plan.layout.outputs_path if unsaved else place(plan, number)
    if output == "json":
        out_json({"run": found.uuid, "attempt": number, "path": where, "saved": not unsaved})
    else:
        out(where)
