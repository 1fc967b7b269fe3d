"""``tieline runs list`` and ``show``: what there is, and everything about one."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from tieline.cli.layout import ago, aligned, attempt_words, seconds, section
from tieline.cli.options import cluster_option, output_option, run_argument
from tieline.cli.terminal import has_colour, out_json, page, say
from tieline.model.notification import Delivery
from tieline.model.run import Status

if TYPE_CHECKING:
    from tieline.app.home import HomeFolder
    from tieline.model.notification import Notification
    from tieline.model.plan import Plan
    from tieline.model.run import Event, Run

FEW = 20


@click.command("list", short_help="List runs, the newest first.")
@click.option("--all", "-a", "everything", is_flag=True, help=f"All of them, not only the newest {FEW}.")
@click.option("--limit", "-l", type=click.IntRange(1), help=f"So many. Default: {FEW}.")
@click.option(
    "--status", "-s", "statuses", multiple=True, type=click.Choice([*(s.value for s in Status), "active", "done"]),
    metavar="STATUS", help="Only these; `active` and `done` name several. Repeat.",
)  # fmt: skip
@click.option("--project", "-p", metavar="NAME", help="Only this project's.")
@click.option("--namespace", "-n", metavar="NAME", help="Only this namespace's.")
@click.option("--name", metavar="NAME", help="Only runs of this name.")
@cluster_option
@output_option
def list_(
    everything: bool,
    limit: int | None,
    statuses: tuple[str, ...],
    project: str | None,
    namespace: str | None,
    name: str | None,
    output: str,
) -> None:
    """List runs, the newest first.

    \b
    tieline runs list --status failed
    """
    from tieline.app.home import HomeFolder
    from tieline.app.shapes import run_json
    from tieline.cli.records import opened_record

    most = None if everything else limit or FEW
    with opened_record(HomeFolder.find()) as record:
        found = record.list(
            project=project, namespace=namespace, name=name, statuses=wanted_statuses(statuses),
            limit=most and most + 1,
        )  # fmt: skip
    shown = found[:most]
    if output == "json":
        out_json([run_json(run) for run in shown])
        return
    _table(shown)
    if len(found) > len(shown):
        say(f"the newest {len(shown)}; --all lists every run")


def wanted_statuses(words: Iterable[str]) -> set[Status]:
    """``active``: all that have not ended; ``done``: all that have; or a status itself."""
    wanted: set[Status] = set()
    for word in words:
        if word in ("active", "done"):
            wanted |= {status for status in Status if status.is_final == (word == "done")}
        else:
            wanted.add(Status(word))
    return wanted


def _table(runs: list[Run]) -> None:
    from tieline.app.shapes import duration
    from tieline.cli.summary import COLOURS
    from tieline.cli.tables import show_table

    if not runs:
        say("no runs; start one: tieline run job.yaml")
        return
    show_table(
        ("id", "name", "project", "status", "reason", "started", "took"),
        [
            (
                run.uuid[:8], run.name, run.project, (run.status.value, COLOURS.get(run.status, "blue")), run.reason,
                ago(run.created_at), seconds(duration(run)),
            )
            for run in runs
        ],
    )  # fmt: skip


@click.command(short_help="Show everything about a run.")
@run_argument
@output_option
def show(run: str, output: str) -> None:
    """Show everything about a run: how it ended and why, its events, its code, and where its things are.

    \b
    tieline runs show last
    """
    from tieline.app.home import HomeFolder
    from tieline.app.lookup import find_run
    from tieline.app.runs import plan_of
    from tieline.cli.records import opened_record

    home = HomeFolder.find()
    with opened_record(home) as record:
        found = find_run(record, run)
        plan, events = plan_of(record, found), record.events(found.uuid)
        told = record.outbox.list(run=found.uuid)
    if output == "json":
        out_json(_as_json(found, plan, events, told, home))
    else:
        page(_shown(found, plan, events, told, home, colour=has_colour(sys.stdout)))


def _as_json(run: Run, plan: Plan, events: list[Event], told: list[Notification], home: HomeFolder) -> dict[str, Any]:
    from tieline.app.shapes import event_json
    from tieline.cli.summary import summary_json

    return {
        **summary_json(run, plan, told),
        "connections": list(plan.used_connections),
        "folder": str(home.runs / run.uuid),
        "events": [event_json(event) for event in events],
    }


def _shown(
    run: Run, plan: Plan, events: list[Event], told: list[Notification], home: HomeFolder, *, colour: bool
) -> list[str]:
    from tieline.cli.summary import headline, next_commands, places

    lines = [headline(run, colour=colour), *aligned(_facts(run, plan, home), colour=colour)]
    lines += section("Where things are", aligned(places(run, plan), colour=colour), colour=colour)
    code = [(item.get("connection") or "-", item.get("url", ""), item.get("commit", "")) for item in run.code]
    lines += section("Code", aligned(code), colour=colour)
    lines += section("Events", aligned(_events(run, events)), colour=colour)
    lines += section("Notifications", aligned(map(_notification, reversed(told))), colour=colour)
    return lines + section("Next", [f"  {command}" for command in next_commands(run)], colour=colour)


def _facts(run: Run, plan: Plan, home: HomeFolder) -> Iterable[tuple[str, str]]:
    from tieline.app.runs import folder_of

    yield "run", run.uuid
    yield "name", f"{run.name}, a {run.kind} of project {run.project} in namespace {run.namespace}"
    yield "from", run.job_file or "-"
    yield "accepted", f"{run.created_at:%Y-%m-%d %H:%M:%S} UTC, {ago(run.created_at)}"
    if run.exit_code is not None:
        yield "exit code", str(run.exit_code)
    if plan.ending.max_retries or run.attempt > 1:
        yield "attempt", attempt_words(run.attempt, plan.ending.max_retries)
    if run.owner:
        yield "by", run.owner
    if run.queue:
        yield "queue", run.queue
    if run.tags:
        yield "tags", ", ".join(run.tags)
    if run.stop_requested and not run.status.is_final:
        yield "stop", "was asked for"
    yield "uses", ", ".join(plan.used_connections)
    yield "catalog", f"digest {run.catalog_digest[:12]}"
    if (folder := folder_of(home, run)).root.exists():
        yield "folder", str(folder.root)


def _notification(told: Notification) -> tuple[str, ...]:
    why = "" if told.state is Delivery.DELIVERED else told.reason or told.status
    return str(told.id), told.connection, told.facts.status.value, told.state.value, why


def _events(run: Run, events: list[Event]) -> Iterable[tuple[str, ...]]:
    for event in events:
        after = f"+{(event.at - run.created_at).total_seconds():.1f} s"
        why = f"{event.message} [{event.reason}]" if event.reason else event.message
        yield f"{event.at:%H:%M:%S}", after, event.status.value, f"attempt {event.attempt}", why
