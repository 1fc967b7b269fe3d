"""``tieline notifications list`` and ``show``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from tieline.cli import completing
from tieline.cli.layout import ago, aligned, seconds, section
from tieline.cli.notifications_words import NUMBER, STYLES
from tieline.cli.options import output_option
from tieline.cli.terminal import has_colour, out_json, page, paint, printable, say
from tieline.model.notification import Delivery

if TYPE_CHECKING:
    from tieline.model.notification import Attempt, Notification

FEW = 20
WAITING = frozenset({Delivery.PENDING, Delivery.SENDING})


@click.command("list", short_help="List notifications, the newest first.")
@click.option("--run", "-r", metavar="RUN", shell_complete=completing.runs, help="Only this run's.")
@click.option(
    "--connection", metavar="NAME", shell_complete=completing.connections, help="Only those to this connection."
)
@click.option(
    "--state", "-s", "states", multiple=True, metavar="STATE",
    type=click.Choice([*(state.value for state in Delivery), "waiting", "undelivered"]),
    help="Only these; `waiting` is pending or sending, `undelivered` all but delivered. Repeat.",
)  # fmt: skip
@click.option("--all", "-a", "everything", is_flag=True, help=f"All of them, not only the newest {FEW}.")
@click.option("--limit", "-l", type=NUMBER, help=f"So many. Default: {FEW}.")
@output_option
def list_(
    run: str | None,
    connection: str | None,
    states: tuple[str, ...],
    everything: bool,
    limit: int | None,
    output: str,
) -> None:
    """List notifications, the newest first.

    \b
    tieline notifications list --state undelivered
    """
    from tieline.app.home import HomeFolder
    from tieline.app.lookup import find_run
    from tieline.app.shapes import notification_json
    from tieline.cli.records import opened_record

    most = None if everything else limit or FEW
    with opened_record(HomeFolder.find()) as record:
        uuid = find_run(record, run).uuid if run else None
        wanted = wanted_states(states)
        found = record.outbox.list(run=uuid, connection=connection, states=wanted, limit=most and most + 1)
    shown = found[:most]
    if output == "json":
        out_json([notification_json(one) for one in shown])
        return
    _table(shown, filtered=bool(run or connection or states))
    if len(found) > len(shown):
        say(f"the newest {len(shown)}; --all lists every notification")


def wanted_states(words: Iterable[str]) -> set[Delivery]:
    """``waiting`` and ``undelivered`` name several."""
    wanted: set[Delivery] = set()
    for word in words:
        match word:
            case "waiting":
                wanted |= WAITING
            case "undelivered":
                wanted |= set(Delivery) - {Delivery.DELIVERED}
            case _:
                wanted.add(Delivery(word))
    return wanted


def _table(found: list[Notification], *, filtered: bool) -> None:
    from tieline.cli.tables import show_table

    if not found:
        say("no such notifications" if filtered else "no notifications; a job asks for them in plugins.notifications")
        return
    show_table(
        ("id", "connection", "run", "name", "event", "state", "when", "attempts", "why"),
        [
            (
                str(one.id), one.connection, one.facts.run[:8], one.facts.name, one.facts.status.value,
                (one.state.value, STYLES.get(one.state, "cyan")), ago(one.facts.at), str(one.attempts),
                "" if one.state is Delivery.DELIVERED else one.reason or one.status,
            )
            for one in found
        ],
    )  # fmt: skip


@click.command(short_help="Show one, with each attempt to deliver it.")
@click.argument("number", type=NUMBER, metavar="ID")
@output_option
def show(number: int, output: str) -> None:
    """Show one notification: the event, how it stands, and each attempt with its time, status and reason.

    \b
    tieline notifications show 12
    """
    from tieline.app.home import HomeFolder
    from tieline.app.shapes import notification_json
    from tieline.cli.records import opened_record

    with opened_record(HomeFolder.find()) as record:
        found = record.outbox.get(number)
    if output == "json":
        out_json(notification_json(found))
    else:
        page(_shown(found, colour=has_colour(sys.stdout)))


def _shown(one: Notification, *, colour: bool) -> list[str]:
    facts = one.facts
    state = paint(one.state.value, STYLES.get(one.state, "cyan"), on=colour)
    lines = [f"{printable(one.connection)}: {printable(facts.name)} {facts.status.value}: {state}"]
    lines += aligned(_facts(one), colour=colour)
    lines += section("Attempts", aligned(map(_attempt, one.history)), colour=colour)
    after = [f"  tieline runs show {facts.run[:8]}"]
    if one.state in (Delivery.FAILED, Delivery.UNKNOWN):
        after.append(f"  tieline notifications retry {one.id}")
        after.append(f"  tieline connections test {printable(one.connection)}")
    return lines + section("Next", after, colour=colour)


def _facts(one: Notification) -> Iterable[tuple[str, str]]:
    facts = one.facts
    yield "run", f"{facts.run} {facts.name} (project {facts.project}, namespace {facts.namespace})"
    yield "event", f"{facts.status.value} at {facts.at:%Y-%m-%d %H:%M:%S} UTC, {ago(facts.at)}"
    yield "asked", "because a success ends what it was told before" if one.resolves else f"trigger {one.trigger}"
    if one.reason or one.status:
        yield "said", f"{one.status}: {one.reason}" if one.status and one.reason else one.status or one.reason
    if not one.state.is_over:
        wait = (one.next_at - datetime.now(UTC)).total_seconds()
        yield "again", f"in {seconds(wait)}" if wait > 0 else "now"


def _attempt(attempt: Attempt) -> tuple[str, ...]:
    took = seconds(attempt.seconds) if attempt.seconds is not None else ""
    shared = f"(with {attempt.digest - 1} more in one message)" if attempt.digest > 1 else ""
    words = ": ".join(part for part in (attempt.status, attempt.reason) if part)
    return str(attempt.number), f"{attempt.at:%Y-%m-%d %H:%M:%S}", took, attempt.outcome, f"{words} {shared}".strip()
