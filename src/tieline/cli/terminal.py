"""What is written to a terminal, a pipe or a file: the only module that knows which of them it is.

Colours and the width of a line belong to a terminal; a pipe gets the same words plain. Text from files and from jobs
is shown with its control characters escaped, so that no file can write to somebody's terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO

STYLES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
    "error": "1;31", "warning": "1;33", "good": "1;32",
}  # fmt: skip


def prepare_streams() -> None:
    """Text that the terminal's encoding lacks is escaped; it never ends a command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody looks at it."""
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def has_colour(stream: TextIO) -> bool:
    """Only on a terminal; https://no-color.org and FORCE_COLOR decide before that."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_plain(stream: TextIO) -> bool:
    """Whether it carries no more than ASCII, as far as is known."""
    return (stream.encoding or "ascii").lower().replace("-", "") != "utf8"


def width() -> int:
    """Columns of the terminal."""
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


def paint(text: str, style: str, *, on: bool) -> str:
    """The text in a style of :data:`STYLES`, if colours are on."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if on and style and text else text


def printable(text: str) -> str:
    """The text with everything escaped that could move a cursor or not be encoded; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)


def out(text: str = "") -> None:
    """A line of the command's answer: to stdout."""
    sys.stdout.write(text + "\n")


def say(text: str = "") -> None:
    """A line about what is going on: to stderr, at once. A terminal that was hung up has nobody who could miss it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def out_json(data: Any) -> None:
    """The answer as JSON: indented, with plain UTF-8 where the stream can carry it."""
    sys.stdout.write(json_text(data, sys.stdout) + "\n")


def json_text(data: Any, stream: TextIO) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=is_plain(stream))


def page(lines: Iterable[str]) -> None:
    """Many lines of the answer."""
    for line in lines:
        out(line)
