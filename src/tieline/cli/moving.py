"""What is shown of files that are being moved: how far it is, how fast, how long it takes still.

Only at a terminal, and only of what takes longer than a second: nobody looks at the rest. The line is drawn by a thread
that lives no longer than what it tells of.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tieline.cli.layout import files, one_line, seconds, size
from tieline.cli.terminal import is_plain, is_terminal, width
from tieline.steps.meter import Amount, Meter

PATIENCE = 1.0
EVERY = 0.25
WINDOW = 20
"""Looks that the rate is taken from: five seconds."""
BAR = 24
ENOUGH = 1024 * 1024
"""Bytes, or else a hundredth of all, from which on a rate says something."""


class Rate:
    """How fast it has been lately."""

    def __init__(self, now: float) -> None:
        self._seen: deque[tuple[float, Amount]] = deque([(now, Amount())], maxlen=WINDOW)

    def see(self, now: float, amount: Amount) -> None:
        """It has come so far."""
        if amount.bytes < self._seen[-1][1].bytes:  # it was begun anew
            self._seen.clear()
        self._seen.append((now, amount))

    def of(self, what: Callable[[Amount], int]) -> float:
        """So many a second; 0.0 where that is not known yet."""
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return (what(last) - what(first)) / (now - began) if now > began else 0.0


def words(what: str, amount: Amount, rate: Rate, *, columns: int, plain: bool) -> str:
    """The line: what, a bar, how much of how much, the rate, the time left."""
    if not amount.all_files:
        return f"  {one_line(what)} …"
    part = amount.bytes / amount.all_bytes if amount.all_bytes else amount.files / amount.all_files
    speed = rate.of(lambda seen: seen.bytes) if part >= 0.01 or amount.bytes >= ENOUGH else 0.0
    left = _left(amount, rate, speed)
    facts = [
        f"{min(part, 1.0):4.0%}",
        f"{size(amount.bytes)} of {size(amount.all_bytes)}",
        f"{amount.files:,} of {files(amount.all_files)}",
    ]
    facts += [f"{size(int(speed))}/s"] if speed else []
    facts += [f"{seconds(left)} left"] if left is not None else []
    said = "  ".join(facts)
    room = columns - len(what) - len(said) - 8
    bar = f"{_bar(part, min(BAR, room), plain=plain)}  " if room >= 8 else ""
    return f"  {one_line(what)}  {bar}{said}"


def _left(amount: Amount, rate: Rate, speed: float) -> float | None:
    if amount.all_bytes and speed:
        return max(0.0, (amount.all_bytes - amount.bytes) / speed)
    pace = rate.of(lambda seen: seen.files)
    return max(0.0, (amount.all_files - amount.files) / pace) if pace and not amount.all_bytes else None


def _bar(part: float, cells: int, *, plain: bool) -> str:
    full = int(min(part, 1.0) * cells)
    done, rest = ("#", "-") if plain else ("━", "─")
    return done * full + rest * (cells - full)


class Moving:
    """Shows one meter after another by ``draw``, which is called from a thread of its own."""

    def __init__(self, draw: Callable[[str], None]) -> None:
        self._draw = draw
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, what: str, meter: Meter) -> None:
        """Show this one, once a second has passed."""
        self.end()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, args=(what, meter, self._over), name="moving", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Nothing is drawn after this, until another is begun."""
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None

    def _show(self, what: str, meter: Meter, over: threading.Event) -> None:
        rate, wait = Rate(time.monotonic()), PATIENCE
        while not over.wait(wait):
            amount, wait = meter.look(), EVERY
            rate.see(time.monotonic(), amount)
            self._draw(words(what, amount, rate, columns=width(), plain=is_plain(sys.stderr)))


@contextmanager
def shown(what: str, meter: Meter) -> Iterator[None]:
    """Show a meter on stderr, if that is a terminal, while this is entered; no trace of it is left."""
    if not is_terminal(sys.stderr):
        yield
        return
    moving = Moving(redraw)
    moving.begin(what, meter)
    try:
        yield
    finally:
        moving.end()
        redraw("")


def redraw(text: str) -> None:
    """Replace the last line of stderr."""
    try:
        sys.stderr.write(f"\r\x1b[K{text[: width() - 1]}")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # the terminal is gone: who looked at it has gone, too
