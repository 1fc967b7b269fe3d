"""What lasts as long as one command: where words about what is going on go, what is ended when it ends, and who is told
when it is to end soon.

A command line ends its process without Python's own goodbye, so whoever leaves something behind says so here.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Words = Callable[[str], object]
_endings: list[Callable[[], object]] = []
_listeners: list[Words] = []
_waiting: list[Callable[[], object]] = []


@contextmanager
def command(tell: Words) -> Iterator[None]:
    """One command. ``tell``: is given what :func:`say` is told."""
    _listeners.append(tell)
    try:
        yield
    finally:
        try:
            end_all()
        finally:
            _listeners.remove(tell)


def say(words: str) -> None:
    """Tell whoever waits for the command what is going on."""
    for tell in _listeners[-1:]:
        tell(words)


def at_end(action: Callable[[], object]) -> None:
    """Do this when the command ends, however it does; without a command, when the process ends."""
    _endings.append(action)


def at_stop(action: Callable[[], object]) -> None:
    """Do this when the command is asked to end soon; it is called by a signal's handler, and may wait for nothing."""
    _waiting.append(action)


def stop() -> None:
    """The command is to end soon: nothing new is waited for."""
    for action in tuple(_waiting):
        action()


@atexit.register
def end_all() -> None:
    """Do all that was to be done at the end, the last first."""
    _waiting.clear()
    while _endings:
        _endings.pop()()
