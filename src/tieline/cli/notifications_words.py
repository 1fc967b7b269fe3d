"""How notifications are said in a line: while they are delivered, and where they are listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click

from tieline.cli.layout import one_line, seconds
from tieline.cli.terminal import paint
from tieline.model.notification import Delivery, Notification
from tieline.runs.sending import Ended

NUMBER = click.IntRange(1, 2**63 - 2)
"""What the record can number."""
STYLES = {Delivery.DELIVERED: "good", Delivery.FAILED: "error", Delivery.UNKNOWN: "warning"}
WORDS = {
    Delivery.DELIVERED: "told",
    Delivery.FAILED: "not told",
    Delivery.UNKNOWN: "may have been told",
    Delivery.PENDING: "not told yet",
    Delivery.SENDING: "being told",
}


def told_words(told: Sequence[Notification], ended: Ended, *, colour: bool) -> str:
    """One message that was sent, or could not be."""
    first = told[0]
    words = paint(WORDS[ended.state], STYLES.get(ended.state, "warning"), on=colour)
    what = f"{first.facts.name} {first.facts.status.value}" if len(told) == 1 else f"{len(told)} events in one message"
    text = f"  {one_line(first.connection)}: {words}: {one_line(what)}"
    if ended.state is not Delivery.DELIVERED:
        text += f": {one_line(_why(ended.status, ended.reason))}"
    elif ended.reason:
        text += f" ({one_line(ended.reason)})"
    if ended.next_at is not None:
        wait = max((ended.next_at - datetime.now(UTC)).total_seconds(), 0)
        text += f"; again in {seconds(wait)}"
    elif ended.state is not Delivery.DELIVERED:
        text += f" – tieline notifications retry {first.id}"
    return text


class FirstOnly:
    """Says how each message ended; of one that is tried again and again, the first time only. For any thread."""

    def __init__(self, line: Callable[[str], None], *, colour: bool) -> None:
        self._line, self._colour = line, colour
        self._said: set[int] = set()

    def __call__(self, told: Sequence[Notification], ended: Ended) -> None:
        if ended.state is Delivery.PENDING:
            numbers = {one.id for one in told}
            if numbers <= self._said:
                return
            self._said |= numbers
        self._line(told_words(told, ended, colour=self._colour))


def left_words(told: Notification, *, colour: bool) -> str:
    """One that is not over when a command ends."""
    words = paint(WORDS[Delivery.PENDING], "warning", on=colour)
    why = f": {one_line(_why(told.status, told.reason))}" if told.status or told.reason else ""
    return f"  {one_line(told.connection)}: {words}{why}; another process goes on: tieline notifications show {told.id}"


def _why(status: str, reason: str) -> str:
    return f"{status}: {reason}" if status and reason else status or reason
