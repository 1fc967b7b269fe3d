"""Discord: a webhook, which posts an embed.

Sources: discord.com/developers/docs, "Execute Webhook" (``wait``: the answer says whether it was saved), "Allowed
Mentions Object" (an empty ``parse`` mentions nobody), "Embed Limits" (title 256, description 4096, 25 fields, a
field's value 1024, 6000 in all), "Rate Limits" (429 with ``retry_after``; a webhook takes 5 messages in 2 seconds, and
a channel 30 in a minute).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tieline.channels.base import Rate, Traits
from tieline.channels.hooks import HttpSender, Place, json_request
from tieline.channels.http import Request
from tieline.channels.text import NOTHING_WIDE, clip, fitting, is_address, told, units
from tieline.channels.wording import colour_of, details, sign_of, title_of, why
from tieline.model.notification import Item, Link, Message

TITLE, DESCRIPTION, FIELDS, NAME, VALUE, TOTAL = 256, 4096, 25, 256, 1024, 6000
WHY, TAIL, LINKS = 900, 1600, 900
"""Units of the description that each part may take: escaping can double the first."""
_MARKUP = re.compile(r"([\\`*_~|\[\]()<>#])")
_WORDS: Mapping[str, tuple[str, str]] = {
    "Unknown Webhook": ("the webhook was removed", "make a new one"),
    "Invalid Webhook Token": ("the webhook's address is not valid", "copy it again"),
    "Webhooks posted to forum channels": ("the channel is a forum", "make a webhook of a text channel"),
}


class DiscordSender(HttpSender):
    """A channel's webhook."""

    title = "Discord"
    traits = Traits(rate=Rate(burst=5, per_second=0.5), most=20)
    notes: ClassVar[Mapping[str, tuple[str, str]]] = _WORDS

    def request(self, place: Place, message: Message) -> Request:
        document: dict[str, Any] = {"embeds": [embed_of(message)], "allowed_mentions": {"parse": []}}
        if username := self.option("username"):
            document["username"] = clip(username, 80)
        if place.icon.startswith(("http://", "https://")):
            document["avatar_url"] = place.icon
        return json_request(place, document, url=waiting(place.url))


def waiting(url: str) -> str:
    """The address with ``wait=true``: without it, 204 means no more than that it was well-formed."""
    found = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(found.query, keep_blank_values=True) if name != "wait"]
    return urlunsplit(found._replace(query=urlencode([*query, ("wait", "true")])))


def escape(text: str) -> str:
    """Text that is only text in Discord's Markdown."""
    return _MARKUP.sub(r"\\\1", text)


def embed_of(message: Message) -> dict[str, Any]:
    """The message as one embed."""
    embed: dict[str, Any] = {
        "title": _clipped(f"{sign_of(message)} {title_of(message)}".strip(), TITLE),
        "color": int(colour_of(message), 16),
        "footer": {"text": "Tieline"},
    }
    if message.test:
        embed["description"] = escape(clip(message.test, 1000))
    elif len(message.items) != 1:
        embed["description"] = "\n".join(told(message, DESCRIPTION, escape))
    else:
        item = message.items[0]
        embed["description"] = _description(item)
        embed["fields"] = [
            {"name": label, "value": _clipped(value, 150) or "–", "inline": True} for label, value in details(item)
        ][:FIELDS]
        embed["timestamp"] = item.facts.at.isoformat()
        embed["footer"] = {"text": clip(f"Tieline · run {item.facts.run}", 100)}
    return embed


def _clipped(text: str, most: int) -> str:
    """Escaped, and not longer than that, without cutting between a backslash and what it escapes."""
    room = most
    while units(escaped := escape(clip(text, room))) > most:
        room = room * 3 // 4
    return escaped


def _description(item: Item) -> str:
    parts = [escape(clip(why(item.facts), WHY // 2))]
    if item.tail:
        broken = [line.replace("```", f"`{NOTHING_WIDE}`{NOTHING_WIDE}`") for line in fitting(item.tail, TAIL, 400)]
        parts.append("```\n" + "\n".join(fitting(broken, TAIL, 800)) + "\n```")
    elif item.tail_note:
        parts.append(escape(clip(item.tail_note, 300)))
    links = fitting([_link(link) for link in item.links[:5] if len(link.target) < LINKS // 3], LINKS, LINKS)
    return "\n".join(filter(None, [*parts, *links]))


def _link(link: Link) -> str:
    title = escape(clip(link.title, 80))
    if is_address(link.target):
        return f"[{title}]({link.target})"
    return f"{title}: `{link.target.replace('`', NOTHING_WIDE)}`"
