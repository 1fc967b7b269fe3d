"""Microsoft Teams: a webhook of Workflows (Power Automate), which posts an Adaptive Card.

Sources: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams" (the envelope and 202),
"Microsoft Teams connector" (a message of about 28 KB), adaptivecards.io (RichTextBlock: its text is never markup;
FactSet: its text is Markdown).

The rate, 25 messages in 300 seconds, is what that connector's page said of requests that write; it could not be looked
up again when this was written. It is on the safe side: past it, what waits is told in one message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tieline.channels.base import Answer, Outcome, Rate, Traits
from tieline.channels.hooks import HttpSender, Place, json_bytes, json_request
from tieline.channels.http import Failure, Reply, Request
from tieline.channels.judging import judge
from tieline.channels.text import NOTHING_WIDE, clip, fitting, is_address, told
from tieline.channels.wording import details, sign_of, title_of, why
from tieline.model.notification import Item, Message
from tieline.model.run import Status

SIZE = 26 * 1024
"""Bytes of the whole payload; the limit is "approximately 28 KB"."""
_CARD = "application/vnd.microsoft.card.adaptive"
_STYLES = {Status.FAILED: "Attention", Status.SUCCEEDED: "Good", Status.RETRYING: "Warning"}
_MARKUP = re.compile(r"([\\`*_~\[\]()#<>|!])")
_INNER = re.compile(r"HTTP error (\d{3})")


class TeamsSender(HttpSender):
    """A webhook of a workflow: "Post to a channel when a webhook request is received"."""

    title = "Teams"
    traits = Traits(rate=Rate(burst=5, per_second=25 / 300), most=40)
    notes: ClassVar[Mapping[str, tuple[str, str]]] = {
        "WorkflowTriggerIsNotEnabled": ("the workflow is turned off", "turn it on in Power Automate"),
        "DirectApiAuthorizationRequired": ("the workflow wants a login", "let anyone trigger it, and copy its address"),
        "WorkflowNotFound": ("the workflow was removed", "make a new one"),
        "SignatureIsInvalid": ("the address is not valid", "copy it again from the workflow"),
    }

    def request(self, place: Place, message: Message) -> Request:
        return json_request(place, payload_of(message))

    def judged(self, result: Reply | Failure) -> Answer:
        """The connectors that came before workflows say 200, and what went wrong in words."""
        if isinstance(result, Reply) and result.status == 200 and b"delivery failed" in result.body[:500]:
            inner = _INNER.search(result.body.decode("utf-8", "replace"))
            if inner is not None and int(inner[1]) >= 400:
                return judge(Reply(int(inner[1]), result.headers, result.body), self.scrub, self.notes)
            return Answer(Outcome.UNSURE, "200", "Teams says that delivery failed", "look into the channel")
        return super().judged(result)


def payload_of(message: Message) -> dict[str, Any]:
    """The message as a card that is small enough: of the log its end is left, of a digest its beginning."""

    def made(body: list[dict[str, Any]]) -> dict[str, Any]:
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
            "msteams": {"width": "Full"}, "body": [_heading(message), *body],
        }  # fmt: skip
        if actions := _actions(message):
            card["actions"] = actions
        return {"type": "message", "attachments": [{"contentType": _CARD, "contentUrl": None, "content": card}]}

    body = _body(message)
    return _shrunk(lambda room: made(body(room)))


def _shrunk(made: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """What is made with as much room as there is: escapes and other scripts take more bytes than they have letters."""
    room = 12_000
    while len(json_bytes(found := made(room))) > SIZE and room > 100:
        room = room * 2 // 3
    return found


def _body(message: Message) -> Callable[[int], list[dict[str, Any]]]:
    if message.test:
        return lambda room: [_run(clip(message.test, min(room, 500)))]
    if len(message.items) != 1:
        return lambda room: [_run(line, spacing="Small") for line in told(message, room)]
    return lambda room: _single(message.items[0], room)


def _single(item: Item, room: int) -> list[dict[str, Any]]:
    found = []
    if text := why(item.facts):
        found.append(_run(clip(text, min(room, 1000))))
    facts = [{"title": label, "value": escape(clip(value, 200))} for label, value in details(item)]
    found.append({"type": "FactSet", "facts": facts})
    lines = fitting(item.tail, min(room, 6000), 500)[-60:] or ([item.tail_note] if item.tail_note else [])
    found += [
        _run(line or " ", font="Monospace", spacing="None" if number else "Medium", size="Small")
        for number, line in enumerate(lines)
    ]
    plain = [link for link in item.links[:8] if not is_address(link.target)]
    found += [_run(clip(f"{link.title}: {link.target}", 300), font="Monospace", size="Small") for link in plain]
    return found


def _heading(message: Message) -> dict[str, Any]:
    statuses = {item.facts.status for item in message.items}
    colour = _STYLES[Status.FAILED] if Status.FAILED in statuses else "Default"
    if len(statuses) == 1:
        colour = _STYLES.get(next(iter(statuses)), "Default")
    title = clip(f"{sign_of(message)} {title_of(message)}".strip(), 250)
    run = {"type": "TextRun", "text": title, "weight": "Bolder", "size": "Medium", "color": colour}
    return {"type": "RichTextBlock", "inlines": [run]}


def _run(text: str, *, font: str = "Default", spacing: str = "Default", size: str = "Default") -> dict[str, Any]:
    """A paragraph whose text is shown as it is: a TextRun has no markup."""
    run = {"type": "TextRun", "text": text, "fontType": font, "size": size}
    return {"type": "RichTextBlock", "spacing": spacing, "inlines": [run]}


def _actions(message: Message) -> list[dict[str, Any]]:
    links = message.items[0].links if len(message.items) == 1 else ()
    return [
        {"type": "Action.OpenUrl", "title": clip(link.title, 40), "url": link.target}
        for link in links
        if is_address(link.target)
    ][:5]


def escape(text: str) -> str:
    """Text that is only text in Markdown; ``{{DATE(…)}}`` is a function of the cards, and addresses become links."""
    broken = text.replace("{{", f"{{{NOTHING_WIDE}{{").replace("://", f":{NOTHING_WIDE}//")
    return _MARKUP.sub(r"\\\1", broken)
