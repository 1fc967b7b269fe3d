"""``tieline notifications retry`` and ``deliver``: sending what is in the outbox, now."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tieline.cli import exits
from tieline.cli.notifications_words import NUMBER
from tieline.cli.options import config_option, output_option
from tieline.cli.terminal import has_colour, out, out_json, say
from tieline.model.notification import Delivery

if TYPE_CHECKING:
    from tieline.app.home import HomeFolder
    from tieline.model.notification import Notification
    from tieline.runs.record import Record
    from tieline.runs.sending import Ended

PATIENCE = 60.0
FOREVER = 10 * 365 * 86400.0

timeout_option = click.option(
    "--timeout", type=click.FloatRange(0), default=PATIENCE, show_default=True, metavar="S",
    help="Seconds to wait for what can't be delivered at once; it is left to another process then.",
)  # fmt: skip


@click.command(short_help="Try again what could not be delivered.")
@click.argument("numbers", nargs=-1, type=NUMBER, metavar="ID…")
@click.option("--failed", is_flag=True, help="All that failed.")
@click.option("--unknown", is_flag=True, help="All that may have arrived: people may be told twice.")
@click.option("--from-catalog", is_flag=True, help="Over the channel as the catalog has it now, not as it was then.")
@timeout_option
@config_option
@output_option
def retry(
    numbers: tuple[int, ...],
    failed: bool,
    unknown: bool,
    from_catalog: bool,
    timeout: float,
    config: Path | None,
    output: str,
) -> int:
    """Try again what could not be delivered. Secrets are read anew; all else is as when the run was accepted, unless
    --from-catalog says otherwise.

    \b
    tieline notifications retry --failed --from-catalog
    """
    from tieline.app.home import HomeFolder
    from tieline.app.notifications import current_pin
    from tieline.cli.records import opened_record

    if not (numbers or failed or unknown):
        raise click.UsageError("name notifications, or --failed, or --unknown")
    home = HomeFolder.find()
    with opened_record(home) as record:
        states = [Delivery.FAILED] * failed + [Delivery.UNKNOWN] * unknown
        wanted = [record.outbox.get(number) for number in dict.fromkeys(numbers)]
        wanted += reversed(record.outbox.list(states=states)) if states else []
        pins = [current_pin(one, config, home) if from_catalog else None for one in wanted]
        again = {one.id for one, pin in zip(wanted, pins, strict=True) if record.outbox.retry(one.id, pin)}
        for one in wanted:
            if one.id not in again:
                say(f"{one.id} is {one.state.value}: it is not sent again")
        return _deliver(home, record, timeout, output, only=again)


@click.command(short_help="Deliver what is waiting; --follow goes on.")
@click.option("--follow", "-f", is_flag=True, help="Go on delivering what comes, until Ctrl-C or TERM.")
@timeout_option
@output_option
def deliver(follow: bool, timeout: float, output: str) -> int:
    """Deliver what is waiting in the outbox. Exits with 69 where something was not delivered.

    \b
    tieline notifications deliver --follow     as a service of a machine where many jobs run
    """
    from tieline.app.home import HomeFolder
    from tieline.runs.record import Record

    home = HomeFolder.find()
    home.create()
    with Record.open(home.database) as record:
        return _deliver(home, record, FOREVER if follow else timeout, output, follow=follow)


def _deliver(
    home: HomeFolder,
    record: Record,
    timeout: float,
    output: str,
    *,
    only: set[int] | None = None,
    follow: bool = False,
) -> int:
    """Deliver, saying how each message ended; ``only``: wait for these alone."""
    from tieline.app.background import start_background
    from tieline.app.delivering import Deliverer
    from tieline.app.notifications import wait_for
    from tieline.app.shapes import notification_json
    from tieline.cli.stopping import Ending

    told, asked = _Told(quiet=output == "json"), only or set()
    with Ending() as ending:
        with Deliverer(home, record, told):
            wait_for(record.outbox, timeout, only, ending.is_asked, forever=follow)
        if waiting := record.outbox.waiting():
            start_background(home)
    if output == "json":
        out_json([notification_json(record.outbox.get(number)) for number in sorted(told.ids | asked)])
    elif not told.ids:
        say("nothing is waiting" if not waiting else "what is waiting is not due yet: tieline notifications list")
    if only is not None:  # what else is waiting, or was told meanwhile, was not asked for
        return exits.REFUSED if any(_is_undelivered(record, number) for number in only) else exits.OK
    return exits.REFUSED if told.undelivered or (waiting and not follow) else exits.OK


def _is_undelivered(record: Record, number: int) -> bool:
    return record.outbox.get(number).state is not Delivery.DELIVERED


class _Told:
    """Says how each message ended, and remembers what they told. Called from any thread."""

    def __init__(self, *, quiet: bool) -> None:
        self.ids: set[int] = set()
        self._delivered: set[int] = set()
        self._lock, self._quiet = threading.Lock(), quiet

    @property
    def undelivered(self) -> set[int]:
        return self.ids - self._delivered

    def __call__(self, told: Sequence[Notification], ended: Ended) -> None:
        from tieline.cli.notifications_words import told_words

        with self._lock:
            self.ids |= set(ended.ids)
            self._delivered |= set(ended.ids) if ended.state is Delivery.DELIVERED else set()
            if not self._quiet:
                out(told_words(told, ended, colour=has_colour(sys.stdout)).strip())
                sys.stdout.flush()
