"""What a job wrote, made fit to be shown elsewhere: a log's lines are other people's words, and a channel's markup
would obey them. Here is what all services share: no control characters, no reversed writing, a length as they count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from tieline.channels.wording import digest_line
from tieline.model.notification import EventFacts, Item, Link, Message

TAIL = 200
"""Lines of a log that are told at the most; each service has room for less."""
NAME, WHY, LINE = 1000, 2000, 1000
"""UTF-16 units that are left of a name or a link's target, of a reason, and of a line of the log."""
NOTHING_WIDE = "\u200b"
"""A space without width: it breaks what a service would take for markup, and nobody sees it."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
"""Terminals' control sequences (ECMA-48): colours, titles, hyperlinks."""
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, those that turn the direction of writing around, and halves of a pair."""


def clean(text: str, most: int = LINE, *, lines: bool = False) -> str:
    """Text that is safe to encode and to look at, in at most so many units. ``lines``: line ends may stay."""
    if len(text) <= most // 2 and text.isprintable() and "\ufeff" not in text:
        return text
    text = text[: 4 * most]
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n")
    plain = _UNSEEN.sub("\ufffd", plain)
    return clip(plain if lines else " ".join(plain.split("\n")), most)


def cleaned(message: Message) -> Message:
    """The message with nothing in it but clean text."""
    return Message(tuple(_item(item) for item in message.items), clean(message.test, WHY, lines=True))


def _item(item: Item) -> Item:
    return replace(
        item,
        key=clean(item.key, NAME),
        facts=_facts(item.facts),
        links=tuple(Link(clean(link.title, NAME), clean(link.target, NAME)) for link in item.links),
        tail=tuple(clean(line) for line in item.tail[-TAIL:]),
        tail_note=clean(item.tail_note),
    )


def _facts(facts: EventFacts) -> EventFacts:
    return replace(
        facts,
        run=clean(facts.run, NAME),
        name=clean(facts.name, NAME),
        project=clean(facts.project, NAME),
        namespace=clean(facts.namespace, NAME),
        engine=clean(facts.engine, NAME),
        reason=clean(facts.reason, NAME),
        message=clean(facts.message, WHY, lines=True),
        owner=clean(facts.owner, NAME),
        job_file=clean(facts.job_file, NAME),
        tags=tuple(clean(tag, NAME) for tag in facts.tags[:50]),
    )


def units(text: str) -> int:
    """How long a text is in UTF-16, as most services count; never less than its characters."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def clip(text: str, most: int) -> str:
    """At most so many units, and an ellipsis where some are left out."""
    if units(text) <= most:
        return text
    cut = text[:most].encode("utf-16-le", "surrogatepass")[: 2 * (most - 1)]
    return cut.decode("utf-16-le", "ignore") + "…"


def fitting(lines: Sequence[str], most: int, each: int = 300) -> list[str]:
    """The last lines that fit into so many units, with a line end behind each; none is longer than ``each``."""
    found: list[str] = []
    left = most
    for line in reversed(lines):
        short = clip(line, each)
        if units(short) + 1 > left:
            break
        found.append(short)
        left -= units(short) + 1
    return found[::-1]


def told(message: Message, most: int, escape: Callable[[str], str] = str, each: int = 150) -> list[str]:
    """A digest's lines, the first that fit into so many units once they are escaped, and how many are left out."""
    found: list[str] = []
    left = most - len("… and 99999 more") - 1
    for item in message.items:
        line = escape(clip(clean(digest_line(item)), each))
        if units(line) + 1 > left:
            break
        found.append(line)
        left -= units(line) + 1
    rest = len(message.items) - len(found)
    return [*found, f"… and {rest} more"] if rest else found


def is_address(target: str) -> bool:
    """Whether a link's target is one that a browser opens."""
    return re.fullmatch(r"https?://[^\s<>\"|\\^`{}()\[\]]+", target) is not None
