"""``tieline runs outputs``: what a run left behind: list it, get it, push what could not be saved, say where it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tieline.cli import exits
from tieline.cli.layout import ago, aligned, files, size
from tieline.cli.lazy import Entry, LazyGroup
from tieline.cli.options import output_option, run_argument
from tieline.cli.terminal import has_colour, is_plain, out, out_json, page, printable, say

if TYPE_CHECKING:
    from tieline.model.plan import Plan
    from tieline.model.run import Run
    from tieline.stores.base import Stat

outputs = LazyGroup(
    "outputs",
    "A run's outputs: files that the job wrote to $TIELINE_OUTPUTS, as they are saved in the artifacts store.",
    {
        "list": Entry("runs_outputs:list_", "List a run's outputs."),
        "get": Entry("runs_outputs_get:get", "Copy outputs into a folder here, checked."),
        "verify": Entry("runs_outputs_get:verify", "Check the store against the run's manifest."),
        "push": Entry("runs_outputs:push", "Save what could not be saved when the run ended."),
        "path": Entry("runs_outputs:path", "Say where the outputs are."),
    },
)
attempt_option = click.option("--attempt", type=click.IntRange(1), metavar="N", help="Default: the latest.")


def looked_up(ref: str, attempt: int | None) -> tuple[Run, Plan, int]:
    """The run that somebody means, its plan, and which attempt of it."""
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
    from tieline.cli.tree import drawn, planted

    found, plan, number = looked_up(run, attempt)
    items = list(stored(plan, number))
    if output == "json":
        out_json([{"path": i.key, "what": i.what, "size": i.size, "modifiedAt": _moment(i).isoformat()} for i in items])
    elif tree:
        page(drawn(planted(items), plain=is_plain(sys.stdout)))
    else:
        for item in items:
            if item.what != "dir":
                out(f"{size(item.size):>10}  {ago(_moment(item)):>12}  {printable(item.key)}")
    if not items:
        say(f"run {found.uuid[:8]} has no outputs (attempt {number})")
    elif output != "json":
        sizes = [item.size for item in items if item.what != "dir"]
        sys.stdout.flush()
        say(f"{files(len(sizes))}, {size(sum(sizes))}")


def _moment(item: Stat):  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime.fromtimestamp(item.mtime_ns / 1e9, UTC)


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
    from tieline.app.runs import plan_of
    from tieline.cli.pushing import Pushing
    from tieline.cli.records import opened_record
    from tieline.cli.summary import headline, places
    from tieline.errors import Code

    home = HomeFolder.find()
    with opened_record(home) as record:
        found, told = find_run(record, run), Pushing()
        try:
            ended = push_outputs(home, record, found, told)
        finally:
            told.close()
        plan = plan_of(record, found)
    for line in aligned(places(ended, plan, told.collected), colour=has_colour(sys.stderr)):
        say(line)
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
    from tieline.app.outputs import can_push, place

    found, plan, number = looked_up(run, attempt)
    unsaved = can_push(found) and number == found.attempt
    where = plan.layout.outputs_path if unsaved else place(plan, number)
    if output == "json":
        out_json({"run": found.uuid, "attempt": number, "path": where, "saved": not unsaved})
    else:
        out(where)
