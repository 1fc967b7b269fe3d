"""HipChat: a room's notification, API v2. The service is gone; its servers of one's own (Data Center) are still run.

Sources: "Send room notification" (message up to 10000 characters, message_format text, color, notify; 204) and "API
rate limits" (30 notifications a minute for each token) of HipChat's API v2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

from tieline.channels.base import Rate, Traits, Unusable
from tieline.channels.hooks import HttpSender, Place, json_request
from tieline.channels.http import Request
from tieline.channels.text import clip, fitting, told
from tieline.channels.wording import details, sign_of, title_of, why
from tieline.model.access import Channel
from tieline.model.notification import Item, Message
from tieline.model.run import Status
from tieline.secrets.secret import Secret

LONGEST = 10_000
_COLOURS = {Status.FAILED: "red", Status.RETRYING: "yellow", Status.STOPPED: "gray", Status.SUCCEEDED: "green"}
_CALLS = ("@all", "@here")


class HipChatSender(HttpSender):
    """A room, by its notification's address, or by the server's address, the room and a token."""

    title = "HipChat"
    traits = Traits(rate=Rate(burst=5, per_second=0.5), most=50)
    notes: ClassVar[Mapping[str, tuple[str, str]]] = {
        "Invalid OAuth session": ("HipChat does not know the token", "make a new one"),
        "Room not found": ("HipChat knows no such room", "check channel: the room's name or number"),
    }

    def __init__(self, access: Channel, secrets: Mapping[str, Secret]) -> None:
        super().__init__(access, secrets)
        self._headers = self.bearer()

    def places(self) -> list[Place]:
        return [self._room(place) for place in super().places()]

    def _room(self, place: Place) -> Place:
        """An address that is already a room's notification is used as it is."""
        found = urlsplit(place.url)
        if found.path.rstrip("/").endswith("/notification"):
            return place
        if not place.channel:
            raise Unusable("the address does not say which room to write to", "add channel: the room", "channel")
        room = quote(place.channel.removeprefix("#"), safe="")
        path = f"{found.path.rstrip('/').removesuffix('/v2')}/v2/room/{room}/notification"
        return Place(found._replace(path=path).geturl(), place.channel, place.icon, place.method, public=place.public)

    def request(self, place: Place, message: Message) -> Request:
        statuses = {item.facts.status for item in message.items}
        worst = next((status for status in _COLOURS if status in statuses), None)
        document = {
            "message": text_of(message),
            "message_format": "text",
            "color": _COLOURS[worst] if worst else "purple",
            "notify": Status.FAILED in statuses,
        }
        known = "auth_token" in dict(parse_qsl(urlsplit(place.url).query))
        return json_request(place, document, {} if known else self._headers)


def text_of(message: Message) -> str:
    """The message as text."""
    title = clip(f"{sign_of(message)} {title_of(message)}".strip(), 250)
    if message.test:
        lines = [clip(message.test, 1000)]
    elif len(message.items) != 1:
        lines = told(message, LONGEST - 500)
    else:
        lines = _single(message.items[0])
    return clip(_quiet("\n".join([title, *lines])), LONGEST)


def _single(item: Item) -> list[str]:
    lines = [clip(why(item.facts), 1000)] if why(item.facts) else []
    lines += [f"{label}: {clip(value, 300)}" for label, value in details(item)]
    lines += [f"{link.title}: {link.target}" for link in item.links[:5] if len(link.target) < 300]
    if item.tail:
        return [*lines, "The log's last lines:", *fitting(item.tail, 4000, 500)]
    return [*lines, clip(item.tail_note, 300)] if item.tail_note else lines


def _quiet(text: str) -> str:
    """A text message calls those whom it names: ``@all`` and ``@here`` are everybody; so no name stays one."""
    return text.replace("@", "@\u200b")
