"""What the senders to a web address share: where they send to, which of it is secret, and how one message goes out.

An address comes from the secret (``url``), from the schema, or from the older form: ``webhooks``, a JSON object or a
list of objects with ``url`` and maybe ``channel``, ``icon_url``, ``method`` and ``service_key``; each is a target.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from tieline.channels.base import LIMIT, Answer, Outcome, Sender, Target, Unusable, target_id
from tieline.channels.http import Failure, Reply, Request, Web
from tieline.channels.judging import judge
from tieline.channels.text import cleaned
from tieline.channels.trust import context_of
from tieline.model.access import Channel
from tieline.model.notification import Message
from tieline.secrets.scrub import Scrubber
from tieline.secrets.secret import Secret

METHODS = ("POST", "PUT")
LEAST, LONG = 6, 16
"""Characters from which a value of a query, and a part of a path, is taken for a secret."""


@dataclass(frozen=True, slots=True)
class Place:
    """A target with what the older form, the schema and the secret say of it."""

    url: str = field(repr=False)
    channel: str = ""
    icon: str = ""
    method: str = "POST"
    key: str = field(default="", repr=False)
    public: bool = False  # the address is in the schema, so its host may be told
    target: Target = field(default_factory=lambda: Target("", ""))


class HttpSender(Sender):
    """A sender that makes one request of each message."""

    title: ClassVar[str]
    notes: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """What the service's own words mean, as reason and hint."""
    limit: float = LIMIT

    def __init__(self, access: Channel, secrets: Mapping[str, Secret]) -> None:
        super().__init__(access, secrets)
        found = self.places()
        self._places = tuple(self._named(place, number, len(found)) for number, place in enumerate(found))
        self.scrub = Scrubber([*secrets.values(), *(secret for place in self._places for secret in _hidden(place))])
        own = access.options.get("caBundle")
        self._web = Web(keep=self.traits.keyed, trust=context_of(own) if own else None)

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(place.target for place in self._places)

    @abstractmethod
    def request(self, place: Place, message: Message) -> Request:
        """A message, laid out for the service. All of its text is clean, and nothing in it is escaped yet."""

    def places(self) -> list[Place]:
        """Where to send to. Raises Unusable: nowhere."""
        found = []
        if url := self.address():
            public = url == self.access.url
            found.append(Place(url, self.access.channel or "", self.option("icon"), public=public))
        found += self.older()
        if not found:
            raise Unusable(f"nothing has the address of {self.title}", "put it under url in the secret", "url")
        return found

    def address(self) -> str | None:
        """The address of the secret, or of the schema. Raises Unusable: it is none."""
        url = self.secret("url") or self.access.url
        return self._checked(url, "url") if url else None

    def older(self) -> list[Place]:
        """What the older form has. Raises Unusable: it is no JSON of that form."""
        text = self.secret("webhooks")
        if text is None:
            return []
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise Unusable(
                "the list of webhooks is no JSON", 'write it like [{"url": "https://…"}]', "webhooks"
            ) from None
        objects = found if isinstance(found, list) else [found]
        return [self._older(one, number) for number, one in enumerate(objects, 1)]

    def _older(self, given: Any, number: int) -> Place:
        where = f"webhook {number} of the list"
        if not isinstance(given, dict):
            raise Unusable(f"{where} is no JSON object", 'write it like {"url": "https://…"}', "webhooks")
        values = {name: str(value).strip() for name, value in given.items() if value is not None}
        url = values.get("url") or self.usual_url
        if not url:
            raise Unusable(f"{where} has no url", "add its address as url", "webhooks")
        method = method_of(values.get("method", ""), "webhooks")
        url = self._checked(url, "webhooks")
        channel = values.get("channel") or self.access.channel or ""
        icon = values.get("icon_url") or self.option("icon")
        return Place(url, channel, icon, method, values.get("service_key", ""))

    usual_url: ClassVar[str] = ""
    """Where the service is for everybody."""

    def option(self, name: str) -> str:
        """A field of the schema."""
        return self.access.options.get(name, "").strip()

    def bearer(self) -> dict[str, str]:
        """The header that carries the token, if there is one. Raises Unusable: it can't be in a header."""
        token = self.secret("token")
        if token is None:
            return {}
        if not (token.isascii() and token.isprintable()):
            raise Unusable("the token has a character that no header may have", "copy the token again", "token")
        return {"Authorization": f"Bearer {token}"}

    def _checked(self, url: str, part: str) -> str:
        try:
            found = urlsplit(url)
            good = found.scheme.lower() in ("http", "https") and found.hostname and found.port != 0
        except ValueError:
            good = False
        if not good or any(c.isspace() or not c.isprintable() for c in url):
            raise Unusable(f"the address of {self.title} is no URL", "it begins with https://, without spaces", part)
        return url

    def _named(self, place: Place, number: int, of: int) -> Place:
        host = urlsplit(place.url).hostname if place.public else None
        words = self.scrub(place.channel) or host or self.title
        numbered = f"{words} ({number + 1} of {of})" if of > 1 else words
        target = Target(target_id(f"{place.url} {place.key} {place.channel}"), numbered, number)
        return Place(place.url, place.channel, place.icon, place.method, place.key, place.public, target)

    def send(self, target: Target, message: Message) -> Answer:
        try:
            return self.tell(self._places[target.number], cleaned(message))
        except Exception as error:  # a sender raises nothing; a message that can't be laid out never will be
            why = f"the message could not be made: {type(error).__name__}"
            return Answer(Outcome.REFUSED, "not sent", why, "this is a fault of Tieline: please report it")

    def tell(self, place: Place, message: Message) -> Answer:
        """Send one message; where events are told one by one, one after the other, until one is not taken."""
        if self.traits.folds or len(message.items) < 2:
            return self.post(place, message)
        answer = Answer(Outcome.DELIVERED, "")
        for item in message.items:
            answer = self.post(place, Message((item,)))
            if answer.outcome is not Outcome.DELIVERED:
                break
        return answer

    def post(self, place: Place, message: Message) -> Answer:
        """Make a request of the message, and judge what comes of it."""
        return self.judged(self._web.send(self.request(place, message), self.limit))

    def judged(self, result: Reply | Failure) -> Answer:
        """What became of it."""
        return judge(result, self.scrub, self.notes)

    def close(self) -> None:
        self._web.close()


def method_of(text: str, part: str) -> str:
    """POST or PUT. Raises Unusable: another one."""
    method = text.strip().upper() or METHODS[0]
    if method not in METHODS:
        named = f"the method {method}" if method.isalpha() and len(method) < 10 else "this method"
        raise Unusable(f"{named} can't carry a message", "use POST or PUT", part)
    return method


def json_request(place: Place, document: Any, headers: Mapping[str, str] | None = None, url: str = "") -> Request:
    """A request with a JSON document."""
    head = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    return Request(place.method, url or place.url, head, json_bytes(document))


def json_bytes(document: Any) -> bytes:
    """A JSON document as it is sent."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def icon_of(icon: str) -> dict[str, str]:
    """An icon as Slack and Mattermost take it: an address, or the name of an emoji, with or without its colons."""
    if not icon:
        return {}
    if icon.lower().startswith(("http://", "https://")):
        return {"icon_url": icon}
    return {"icon_emoji": f":{icon.strip(':')}:"}


def _hidden(place: Place) -> Iterator[Secret]:
    """What may be in no record of a place: services repeat parts of an address in what they say."""
    if place.key:
        yield Secret(place.key)
    if not place.public:
        yield Secret(place.url)
    found = urlsplit(place.url)
    texts = [found.path.strip("/"), found.query, found.username or "", found.password or ""]
    texts += [value for _, value in parse_qsl(found.query)]
    texts += [part for part in found.path.split("/") if len(part) >= LONG or any(c.isdigit() for c in part)]
    for text in texts:
        for form in {text, unquote(text)}:
            if len(form) >= LEAST:
                yield Secret(form)
