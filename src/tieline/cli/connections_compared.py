"""What ``tieline connections test --where job`` shows: the pod's table, and below each operation what is different
here."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tieline.cli import exits
from tieline.cli.connections_test import count_of, rows_of
from tieline.cli.terminal import has_colour, out_json, paint, printable, say

if TYPE_CHECKING:
    from tieline.app.deployment import Deployment
    from tieline.app.home import HomeFolder
    from tieline.app.probing_there import Compared
    from tieline.cli.tables import Cell
    from tieline.model.catalog import View
    from tieline.model.connection import Connection
    from tieline.probes import Limits


def compare(
    wanted: Sequence[Connection],
    where: tuple[Deployment, View, HomeFolder],
    limits: Limits,
    account: str,
    *,
    sends: bool,
    output: str,
) -> int:
    """Test them here and in pods, and show what was found; the command's exit code."""
    from tieline.app.probing_there import compare_connections, compared_json

    compared = compare_connections(wanted, *where, limits, account=account, sends=sends)
    if output == "json":
        out_json([compared_json(one) for one in compared])
    else:
        show_compared(compared)
    return exits.REFUSED if any(one.failed for one in compared) else exits.OK


def show_compared(compared: Sequence[Compared]) -> None:
    """The table to stdout; the summary is for the person: stderr."""
    from tieline.cli.tables import show_table

    show_table(
        ("connection", "operation", "in a pod", "ms", "what it says"), [row for one in compared for row in _rows(one)]
    )
    sys.stdout.flush()
    colour = has_colour(sys.stderr)
    for one in compared:
        name = printable(one.here.connection.name)
        if one.there is None or one.there.failed:
            what = ", ".join(result.operation for result in one.there.failed) if one.there else "no answer"
            say(f"{name}: {paint('fails', 'error', on=colour)} in a pod: {what}")
        if one.there is not None:
            words = f"different here: {', '.join(one.differs)}" if one.differs else "the same here"
            say(f"{name}: {words}")
    failed = sum(1 for one in compared if one.failed)
    counts = [f"{len(compared) - failed} fine"] if failed < len(compared) else []
    counts += [f"{failed} failing"] if failed else []
    say(f"{', '.join(counts)} of {count_of(len(compared))}, in pods")


def _rows(one: Compared) -> Iterator[Sequence[Cell]]:
    if one.there is None:
        trouble = one.trouble
        assert trouble is not None  # noqa: S101 - there is a report, or a reason why not
        yield one.here.connection.name, "", ("none", "error"), "", trouble.message
        if trouble.hint:
            yield "", "", "", "", f"→ {trouble.hint}"
        return
    here = {operation: one.here.report.of(operation) for operation in one.differs}
    words = {operation.value: f"here: {found.outcome.value}: {found.detail}" for operation, found in here.items()}
    yield from rows_of(one.there, words)
