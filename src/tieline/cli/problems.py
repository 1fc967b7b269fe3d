"""Problems as a person reads them: ``file:line:column: field: message; hint [code]``; the line itself on a terminal.

The code at the end is what ``docs/errors.md`` explains and ``--output json`` has.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from tieline.cli.terminal import has_colour, is_terminal, paint, printable, width
from tieline.errors import Problem

WIDE = 60
"""Columns below which a source line under a message would only be noise."""
LARGE = 4 * 1024 * 1024
"""Bytes above which a file is not read again for its lines."""


def show_problems(problems: Iterable[Problem], stream: TextIO, *, prefix: str = "") -> None:
    """Every problem on a line of its own; ``prefix`` stands before those that have no place."""
    colour = has_colour(stream)
    columns = width() if is_terminal(stream) else 0
    for problem in problems:
        stream.write(problem_line(problem, colour=colour, prefix=prefix) + "\n")
        for line in excerpt(problem, columns, colour=colour):
            stream.write(line + "\n")
    stream.flush()


def problem_line(problem: Problem, *, colour: bool = False, prefix: str = "") -> str:
    """``file:line:column: field: message; hint [code]``; a warning says that it is one."""
    place = printable(str(problem.place))
    head = paint(f"{place}: ", "bold", on=colour) if place else prefix
    word = paint("warning: ", "warning", on=colour) if problem.warning else ""
    message = paint(printable(problem.message), "warning" if problem.warning else "red", on=colour)
    hint = f"; {paint(printable(problem.hint), 'cyan', on=colour)}" if problem.hint else ""
    return f"{head}{word}{message}{hint} {paint(f'[{problem.code.value}]', 'dim', on=colour)}"


def excerpt(problem: Problem, columns: int, *, colour: bool = False) -> list[str]:
    """The line that a problem is about and a caret under its column; nothing where there is no room."""
    place = problem.place
    if columns < WIDE or not place.file or not place.line:
        return []
    lines = _lines(place.file)
    if place.line > len(lines):
        return []
    gutter = f"{place.line:>5} | "
    room = columns - len(gutter) - 1
    line, column = lines[place.line - 1], max(place.column, 1) - 1
    start = max(0, column - room + 20) if len(line) > room else 0
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + room])
    if not shown.strip():
        return []
    caret = " " * (len(gutter) + min(column - start, len(shown))) + "^"
    return [paint(gutter, "dim", on=colour) + shown, paint(caret, "warning" if problem.warning else "red", on=colour)]


@lru_cache(maxsize=8)
def _lines(file: str) -> list[str]:
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > LARGE:
            return []
        return path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except (OSError, ValueError):
        return []
