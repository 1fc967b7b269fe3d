"""What a message says, in plain words: pure, and the same for every service. How it is laid out is the sender's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tieline.model.notification import EventFacts, Item, Message
from tieline.model.run import Status

SIGNS = {
    Status.SUCCEEDED: "✅", Status.FAILED: "❌", Status.STOPPED: "⏹️", Status.RETRYING: "🔁", Status.RUNNING: "▶️",
}  # fmt: skip
COLOURS = {Status.SUCCEEDED: "2eb67d", Status.FAILED: "e01e5a", Status.STOPPED: "9aa0a6", Status.RETRYING: "ecb22e"}
"""RGB, by status; others are blue."""
OTHER_COLOUR = "36a2eb"
TEST = "Test message from Tieline"


def colour_of(message: Message) -> str:
    """RGB in six hex digits; of several events, the worst one's."""
    statuses = {item.facts.status for item in message.items}
    for status in (Status.FAILED, Status.RETRYING, Status.STOPPED):
        if status in statuses:
            return COLOURS[status]
    return COLOURS[Status.SUCCEEDED] if statuses == {Status.SUCCEEDED} else OTHER_COLOUR


def title_of(message: Message) -> str:
    """One line: what happened."""
    if message.test:
        return TEST
    if len(message.items) == 1:
        facts = message.items[0].facts
        return f"{facts.name} {verb(facts)}"
    counts = Counter(item.facts.status for item in message.items)
    listed = ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])
    return f"{len(message.items)} events: {listed}"


def sign_of(message: Message) -> str:
    """An emoji, or nothing."""
    if message.test:
        return "🔔"
    statuses = {item.facts.status for item in message.items}
    return SIGNS.get(statuses.pop(), "") if len(statuses) == 1 else "📋"


def verb(facts: EventFacts) -> str:
    """``failed``, ``is running``."""
    return facts.status.value if facts.status.is_final else f"is {facts.status.value}"


def why(facts: EventFacts) -> str:
    """Why it ended so, if there is something to say."""
    if facts.message and facts.reason:
        return f"{facts.message} [{facts.reason}]"
    return facts.message or facts.reason


def details(item: Item) -> list[tuple[str, str]]:
    """What a person needs, as labels and values; links and the log's end are beside it."""
    facts = item.facts
    found = [("Run", facts.run[:8]), ("Project", facts.project)]
    if facts.namespace != "default":
        found.append(("Namespace", facts.namespace))
    found.append(("Status", facts.status.value + (f", attempt {facts.attempt}" if facts.attempt > 1 else "")))
    if facts.seconds is not None:
        found.append(("Took" if facts.status.is_final else "So far", duration(facts.seconds)))
    if facts.exit_code:
        found.append(("Exit code", str(facts.exit_code)))
    if facts.owner:
        found.append(("By", facts.owner))
    found.append(("At", clock(facts.at)))
    return found


def digest_line(item: Item) -> str:
    """One event of several, in a line."""
    facts = item.facts
    reason = f": {why(facts)}" if why(facts) and facts.status is not Status.SUCCEEDED else ""
    took = f", {duration(facts.seconds)}" if facts.seconds is not None and facts.status.is_final else ""
    return f"{facts.at:%H:%M:%S} {facts.name} ({facts.run[:8]}, {facts.project}{took}) {verb(facts)}{reason}"


def plain_text(message: Message) -> str:
    """The whole of it as text, for services that lay nothing out."""
    if message.test:
        return f"{message.test}\n"
    if len(message.items) > 1:
        return "\n".join(digest_line(item) for item in message.items) + "\n"
    item = message.items[0]
    lines = [line for line in (why(item.facts),) if line]
    lines += [f"{label}: {value}" for label, value in details(item)]
    lines += [f"{link.title}: {link.target}" for link in item.links]
    if item.tail:
        lines += ["", "The log's last lines:", *item.tail]
    elif item.tail_note:
        lines += ["", item.tail_note]
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 3 min``."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(at: datetime) -> str:
    """A time as everybody reads it."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def clip(text: str, most: int) -> str:
    """At most so many characters, and an ellipsis where some are left out."""
    return text if len(text) <= most else f"{text[: max(most - 1, 0)]}…"


def clip_lines(lines: Sequence[str], most: int) -> list[str]:
    """The last lines that fit into so many characters, each of them clipped to half of that."""
    found: list[str] = []
    left = most
    for line in reversed(lines):
        short = clip(line, most // 2)
        if len(short) + 1 > left:
            break
        found.append(short)
        left -= len(short) + 1
    return found[::-1]
