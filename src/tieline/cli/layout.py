"""Lines and columns: how an answer is set where it is no table. Pure; colour never changes a width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tieline.cli.terminal import paint, printable
from tieline.model.sizes import amount

LONG = 300
WIDEST = 44
"""Cells longer than this don't widen their column: one long path must not push everything else aside."""


def one_line(text: str) -> str:
    """A value on one line, cut where it is very long."""
    line = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return line if len(line) <= LONG else f"{line[:LONG]}… ({len(text)} characters)"


def aligned(rows: Iterable[Sequence[str]], indent: int = 2, *, colour: bool = False) -> list[str]:
    """Rows as aligned columns, the first one dimmed where there is colour; empty cells at the end leave no spaces."""
    listed = [[one_line(cell) for cell in row] for row in rows]
    count = max((len(row) for row in listed), default=0)
    widths = [max((len(row[i]) for row in listed if i + 1 < len(row) and len(row[i]) <= WIDEST), default=0)
              for i in range(count)]  # fmt: skip
    lines = []
    for row in listed:
        cells = [cell.ljust(widths[i]) if i < len(row) - 1 else cell for i, cell in enumerate(row)]
        if colour and cells:
            cells[0] = paint(cells[0], "dim", on=True)
        lines.append(" " * indent + "  ".join(cells).rstrip())
    return lines


def attempt_words(number: int, retries: int) -> str:
    """``2 of 3``; only the number, where a cluster made more: it replaces a pod that is lost, whatever the file says
    of retries."""
    return f"{number} of {retries + 1}" if number <= retries + 1 else str(number)


def section(title: str, lines: Sequence[str], *, colour: bool = False) -> list[str]:
    """A titled block, with an empty line before it; nothing where there are no lines."""
    return ["", paint(title, "bold", on=colour), *lines] if lines else []


def seconds(value: float | None) -> str:
    """A duration as a person says it: ``0.4 s``, ``3 min 12 s``, ``2 h 5 min``."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """``just now``, ``3 min ago``, ``2 days ago``."""
    past = ((now or datetime.now(UTC)) - moment).total_seconds()
    if past < 10:
        return "just now"
    for limit, size, word in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if past < limit:
            return f"{int(past // size)} {word} ago"
    days = int(past // 86400)
    return f"{days} day ago" if days == 1 else f"{days} days ago"


def size(count: int) -> str:
    """Bytes as a person says them."""
    return amount(count)


def files(count: int) -> str:
    """``1 file``, ``1,204 files``."""
    return f"{count:,} file{'' if count == 1 else 's'}"
