"""What is shown while a run's outputs are saved afterwards: how far it is, what is left out, what there is then."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tieline.cli.moving import Moving, redraw
from tieline.cli.terminal import is_terminal, printable, say
from tieline.engines.base import Silent

if TYPE_CHECKING:
    from tieline.steps.collector import Collected
    from tieline.steps.meter import Meter


class Pushing(Silent):
    """The listener of a push. ``collected``: what is saved, once all of it is."""

    def __init__(self) -> None:
        self.collected: Collected | None = None
        self._moving = Moving(redraw) if is_terminal(sys.stderr) else None

    def note(self, message: str) -> None:
        say(f"  note {printable(message)}")

    def moving(self, what: str, meter: Meter | None) -> None:
        if meter is None:
            self.close()
        elif self._moving is not None:
            self._moving.begin(what, meter)

    def saved(self, collected: Collected) -> None:
        self.collected = collected

    def close(self) -> None:
        """Nothing is moved any more: leave no trace of the line."""
        if self._moving is not None:
            self._moving.end()
            redraw("")
