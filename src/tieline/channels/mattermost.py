"""Mattermost: an incoming webhook, with a message attachment.

Sources: developers.mattermost.com, "Incoming webhooks" (text, channel, username, icon_url, icon_emoji, attachments),
"Message attachments" (fallback, color, title, text, fields, footer); docs.mattermost.com, "Rate limiting settings"
(10 requests a second and bursts of 100, where it is on). A post has at most 16383 characters. Markdown has no way to
say that a name is not meant to call somebody, so a space without width is put behind each ``@``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tieline.channels.base import Rate, Traits
from tieline.channels.hooks import HttpSender, Place, icon_of, json_request
from tieline.channels.http import Request
from tieline.channels.text import NOTHING_WIDE, clip, fitting, is_address, told
from tieline.channels.wording import colour_of, details, sign_of, title_of, why
from tieline.model.notification import Item, Link, Message

TEXT, TAIL = 7000, 4000
"""Units of an attachment's text, and of the log in it."""
_MARKUP = re.compile(r"([\\`*_~\[\]()#<>|!])")
_WORDS: Mapping[str, tuple[str, str]] = {
    "web.incoming_webhook.invalid.app_error": ("the webhook was removed", "make a new one"),
    "web.incoming_webhook.disabled.app_error": ("incoming webhooks are off", "turn them on in the system console"),
    "Invalid webhook": ("the webhook was removed", "make a new one"),
    "Couldn't find the channel": ("Mattermost knows no such channel", "use the name in the channel's address"),
    "web.incoming_webhook.channel_locked.app_error": ("the webhook is locked to its channel", "leave channel out"),
}


class MattermostSender(HttpSender):
    """An incoming webhook."""

    title = "Mattermost"
    traits = Traits(rate=Rate(burst=100, per_second=10), most=40)
    notes: ClassVar[Mapping[str, tuple[str, str]]] = _WORDS

    def request(self, place: Place, message: Message) -> Request:
        document: dict[str, Any] = {"text": "", "attachments": [attachment_of(message)], **icon_of(place.icon)}
        if username := self.option("username"):
            document["username"] = username
        if channel := place.channel.removeprefix("#").removeprefix("~"):
            document["channel"] = channel
        return json_request(place, document)


def quiet(text: str) -> str:
    """Text that calls nobody."""
    return text.replace("@", f"@{NOTHING_WIDE}")


def escape(text: str) -> str:
    """Text that is only text in Markdown, and calls nobody."""
    return quiet(_MARKUP.sub(r"\\\1", text))


def attachment_of(message: Message) -> dict[str, Any]:
    """The message as one attachment."""
    title = clip(f"{sign_of(message)} {title_of(message)}".strip(), 250)
    found: dict[str, Any] = {
        "fallback": quiet(title), "color": f"#{colour_of(message)}", "title": escape(title), "footer": "Tieline",
    }  # fmt: skip
    if message.test:
        found["text"] = escape(clip(message.test, 1000))
    elif len(message.items) != 1:
        found["text"] = "\n".join(f"- {line}" for line in told(message, TEXT, escape))
    else:
        item = message.items[0]
        found["text"] = _text(item)
        found["fields"] = [
            {"short": True, "title": label, "value": escape(clip(value, 200))} for label, value in details(item)
        ]
        found["footer"] = clip(f"Tieline · run {item.facts.run}", 250)
    return found


def _text(item: Item) -> str:
    parts = [escape(clip(why(item.facts), 1000))]
    if item.tail:
        broken = [quiet(line.replace("```", f"`{NOTHING_WIDE}`{NOTHING_WIDE}`")) for line in item.tail]
        parts.append("```\n" + "\n".join(fitting(broken, TAIL, 500)) + "\n```")
    elif item.tail_note:
        parts.append(escape(clip(item.tail_note, 300)))
    parts += [_link(link) for link in item.links[:5] if len(link.target) < 300]
    return "\n".join(filter(None, parts))


def _link(link: Link) -> str:
    title = escape(clip(link.title, 80))
    if is_address(link.target):
        return f"[{title}]({link.target})"
    return f"{title}: `{quiet(link.target).replace('`', NOTHING_WIDE)}`"
