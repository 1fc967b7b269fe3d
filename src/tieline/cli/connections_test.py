"""``tieline connections test``: what each connection answers, operation by operation, and what to mend."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tieline.cli import completing, exits
from tieline.cli.layout import seconds
from tieline.cli.options import config_option, namespace_option, output_option
from tieline.cli.terminal import has_colour, is_terminal, out_json, paint, printable, say

if TYPE_CHECKING:
    from tieline.app.probing import Tested
    from tieline.cli.tables import Cell
    from tieline.errors import Problem
    from tieline.model.catalog import View
    from tieline.model.connection import Connection
    from tieline.probes import Result

STYLES = {"pass": "good", "fail": "error", "skipped": "dim"}
OF_LITTLE_WEIGHT = "warning"
OPERATIONS = 6
"""Operations' times that a whole test may take."""


@click.command(short_help="Test connections: what each operation proves, or what to mend.")
@click.argument("names", nargs=-1, metavar="NAME…", shell_complete=completing.connections)
@click.option("--all", "everything", is_flag=True, help="All connections of the namespace.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=10.0, show_default=True, metavar="S",
    help="Seconds for each operation; all of one connection's may take six times as long.",
)  # fmt: skip
@click.option("--allow-link-local", is_flag=True, help="Ask link-local addresses and clouds' metadata services, too.")
@click.option("--send", is_flag=True, help="Post a marked test message to channels.")
@click.option(
    "--where",
    type=click.Choice(["here", "job"]),
    default="here",
    show_default=True,
    help="From this machine, or from a pod of the namespace's cluster, and what is different there.",
)
@click.option("--service-account", metavar="NAME", help="With --where job: the one of the job. Default: the cluster's.")
@namespace_option
@config_option
@output_option
def test(
    names: tuple[str, ...],
    everything: bool,
    timeout: float,
    allow_link_local: bool,
    send: bool,
    where: str,
    service_account: str | None,
    namespace: str | None,
    config: Path | None,
    output: str,
) -> int:
    """Test connections: resolve, reach, tls, authenticate, list, read, write, delete.

    Each operation passes (with what was proved), fails (with the reason and the field to mend), or is skipped (with
    why). What is written is removed again, and nothing is sent to a channel without --send. Exits with 69 if an
    operation fails that a job counts on.

    \b
    tieline connections test warehouse code
    """
    from tieline.app.home import HomeFolder
    from tieline.app.probing import check_connections, tested_json
    from tieline.cli.connections import viewed
    from tieline.probes import Limits

    home = HomeFolder.find()
    deployment, view = viewed(config, namespace, home)
    wanted = _wanted(view, names, everything=everything)
    if is_terminal(sys.stderr) and output != "json":
        say(f"testing {count_of(len(wanted))}, at most {seconds(timeout * OPERATIONS)} each…")
    signal.signal(signal.SIGTERM, _end)
    limits = Limits(timeout=timeout, total=timeout * OPERATIONS, allow_link_local=allow_link_local)
    if where == "job":
        from tieline.cli.connections_compared import compare

        return compare(wanted, (deployment, view, home), limits, service_account or "", sends=send, output=output)
    found = check_connections(wanted, deployment, view, home, limits, sends=send)
    if output == "json":
        out_json([tested_json(tested) for tested in found])
    else:
        _show(found)
    return exits.REFUSED if any(tested.failed for tested in found) else exits.OK


def _end(*_: object) -> None:
    """TERM is like Ctrl-C: what was written is removed, and no key stays in memory."""
    raise SystemExit(exits.STOPPED)


def _wanted(view: View, names: Sequence[str], *, everything: bool) -> list[Connection]:
    """The connections to test, each once. Raises NotFound with the nearest name, for all that are not there."""
    from tieline.app.catalogs import find
    from tieline.errors import NotFound

    if everything == bool(names):
        raise click.UsageError("name connections, or test them with --all" if not names else "--all and names")
    if everything:
        return list(view)
    found: list[Connection] = []
    problems: list[Problem] = []
    for name in dict.fromkeys(names):
        try:
            found.append(find(view, name))
        except NotFound as error:
            problems += error.problems
    if problems:
        raise NotFound(*problems)
    return found


def count_of(number: int) -> str:
    return f"{number} connection{'' if number == 1 else 's'}"


def _show(found: Sequence[Tested]) -> None:
    """The table to stdout; the summary is for the person: stderr."""
    from tieline.cli.tables import show_table

    rows = [row for tested in found for row in rows_of(tested)]
    show_table(("connection", "operation", "result", "ms", "what it says"), rows)
    sys.stdout.flush()
    colour = has_colour(sys.stderr)
    failed = [tested for tested in found if tested.failed]
    for tested in failed:
        names = ", ".join(result.operation for result in tested.failed)
        say(f"{printable(tested.connection.name)}: {paint('fails', 'error', on=colour)}: {names}")
    passed = len(found) - len(failed)
    counts = [f"{passed} fine"] if passed else []
    counts += [f"{len(failed)} failing"] if failed else []
    say(f"{', '.join(counts)} of {count_of(len(found))}")


def rows_of(tested: Tested, beside: Mapping[str, str] | None = None) -> Iterator[Sequence[Cell]]:
    """A row for each operation, and what to do below it. ``beside``: what else is said of an operation."""
    for result in tested.report.results:
        style = STYLES[result.outcome]
        if result.outcome == "fail" and not tested.counts(result.operation):
            style = OF_LITTLE_WEIGHT
        took = "" if result.milliseconds is None else f"{result.milliseconds:.0f}"
        name, operation = tested.connection.name, result.operation.value
        yield name, (operation, "bold"), (result.outcome.value, style), took, result.detail
        for words in _to_do(tested, result):
            yield "", "", "", "", f"→ {words}"
        if beside and operation in beside:
            yield "", "", "", "", beside[operation]


def _to_do(tested: Tested, result: Result) -> Iterator[str]:
    """What to do, and where."""
    from tieline.app.probing import Mend, hint_of

    if hint := hint_of(tested, result):
        yield hint
    mend = tested.mends.get(result.operation, Mend())
    if place := str(mend.place):
        yield place + (f" ({mend.keys})" if mend.keys else "")
    if result.outcome == "fail" and not tested.counts(result.operation):
        yield "no job counts on it, unless the catalog's health.require says so"
