"""Tables: set by Rich for a person at a terminal, plain aligned columns for a pipe, so that ``awk`` reads them too."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tieline.cli.layout import one_line
from tieline.cli.terminal import has_colour, is_terminal, out, paint, width

Cell = str | tuple[str, str]
"""The text, and maybe its style (a name of :data:`tieline.cli.terminal.STYLES`)."""


def show_table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """The table, to stdout."""
    if is_terminal(sys.stdout):
        _rich(head, rows)
    else:
        _plain(head, rows)


def _split(cell: Cell) -> tuple[str, str]:
    text, style = cell if isinstance(cell, tuple) else (cell, "")
    return one_line(text), style


def _plain(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    colour = has_colour(sys.stdout)
    cells = [[(title.upper(), "bold") for title in head], *([_split(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column][0]) for row in cells) for column in range(len(head))]
    for row in cells:
        words = [
            paint(text, style, on=colour and bool(style)) + " " * (widths[column] - len(text))
            for column, (text, style) in enumerate(row)
        ]
        out("  ".join(words).rstrip())


def _rich(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"error": "bold red", "warning": "bold yellow", "good": "bold green"}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in head:
        table.add_column(title.upper(), overflow="fold", no_wrap=title in ("id", "status", "kind"))
    for row in rows:
        cells = [_split(cell) for cell in row]
        table.add_row(*(Text(text, style=styles.get(style, style)) for text, style in cells))
    Console(file=sys.stdout, no_color=not has_colour(sys.stdout), highlight=False, width=width()).print(table)
