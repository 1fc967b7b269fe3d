"""Slack: an incoming webhook, or a bot's token and ``chat.postMessage``. The message is laid out in Block Kit.

Sources: docs.slack.dev, "Sending messages using incoming webhooks", "chat.postMessage", "Block Kit" (header 150
characters, section 3000, ten fields of 2000, 50 blocks), "Formatting message text" (only ``&``, ``<`` and ``>`` have to
be escaped, and then nobody is mentioned and nothing is a link), "Rate limits" (one message per second and channel,
short bursts allowed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tieline.channels.base import Answer, Outcome, Rate, Traits, Unusable
from tieline.channels.hooks import HttpSender, Place, icon_of, json_request
from tieline.channels.http import Failure, Reply, Request
from tieline.channels.judging import json_of, retry_after
from tieline.channels.text import NOTHING_WIDE, clip, fitting, is_address, told, units
from tieline.channels.wording import details, sign_of, title_of, why
from tieline.model.access import Channel
from tieline.model.notification import Item, Link, Message
from tieline.secrets.secret import Secret

HEADER, SECTION, FIELDS, FIELD, BLOCKS = 150, 3000, 10, 2000, 50
_LATER = frozenset({"ratelimited", "rate_limited", "service_unavailable", "message_limit_exceeded"})
_UNSURE = frozenset({"internal_error", "fatal_error", "request_timeout", "team_added_to_org"})
_ERRORS = {
    "no_service": ("the webhook was removed or disabled", "make a new one"),
    "no_service_id": ("the webhook's address is not whole", "copy it again"),
    "no_active_hooks": ("the webhook is disabled", "enable it, or make a new one"),
    "no_team": ("the webhook's workspace is not there", "copy the address again"),
    "team_disabled": ("the workspace is disabled", "ask its owner"),
    "action_prohibited": ("an admin of the workspace does not allow it", "ask an admin"),
    "posting_to_general_channel_denied": ("the app may not write to #general", "name another channel"),
    "channel_not_found": ("Slack knows no such channel", "check its name, and invite the app if it is private"),
    "channel_is_archived": ("the channel is archived", "name another channel"),
    "is_archived": ("the channel is archived", "name another channel"),
    "not_in_channel": ("the app is not in the channel", "invite it: /invite @app"),
    "restricted_action": ("an admin restricts who may write there", "ask an admin"),
    "invalid_auth": ("Slack does not know the token", "check it, or make a new one"),
    "not_authed": ("Slack got no token", "put it under token in the secret"),
    "invalid_token": ("the webhook's address is not valid", "copy it again, or make a new one"),
    "token_revoked": ("the token was revoked", "install the app again and use its new token"),
    "token_expired": ("the token is too old", "make a new one"),
    "account_inactive": ("the token's user or workspace is gone", "make a new token"),
    "missing_scope": ("the token lacks a right", "give the app the scope chat:write (and chat:write.public)"),
    "not_allowed_token_type": ("this type of token may not write", "use a bot's token: xoxb-…"),
    "invalid_blocks": ("Slack does not accept the layout", "this is a fault of Tieline: please report it"),
    "msg_too_long": ("the message is too long for Slack", "this is a fault of Tieline: please report it"),
}

HOOKS = ("/services/", "/workflows/", "/triggers/")
"""In the paths of Slack's webhooks; another address is that of its Web API."""


class SlackSender(HttpSender):
    """An incoming webhook; with a token, the Web API."""

    title = "Slack"
    api: ClassVar[str] = "https://slack.com/api"
    traits = Traits(rate=Rate(burst=5, per_second=1))
    notes = _ERRORS

    def __init__(self, access: Channel, secrets: Mapping[str, Secret]) -> None:
        super().__init__(access, secrets)
        self._headers = self.bearer() if self._by_token else {}

    def places(self) -> list[Place]:
        url = self.address()
        webhook = url is not None and any(word in urlsplit(url).path for word in HOOKS)
        self._by_token = self.secret("token") is not None and not webhook
        if not self._by_token:
            return super().places()
        if not self.access.channel:
            raise Unusable("the token does not say which channel to write to", "add channel: #ml-runs", "channel")
        base = (url or self.api).rstrip("/")
        address = base if base.endswith("/chat.postMessage") else f"{base}/chat.postMessage"
        return [Place(address, self.access.channel, self.option("icon"), public=url in (None, self.access.url))]

    def request(self, place: Place, message: Message) -> Request:
        document: dict[str, Any] = {
            "text": escape(clip(f"{sign_of(message)} {title_of(message)}".strip(), FIELD)),
            "blocks": blocks_of(message),
            "unfurl_links": False,
            "unfurl_media": False,
            **icon_of(place.icon),
        }
        if username := self.option("username"):
            document["username"] = username
        if place.channel:
            document["channel"] = place.channel
        return json_request(place, document, self._headers)

    def judged(self, result: Reply | Failure) -> Answer:
        if self._by_token and isinstance(result, Reply) and 200 <= result.status < 300:
            return self._said(result)
        return super().judged(result)

    def _said(self, reply: Reply) -> Answer:
        """The Web API says how it went in the body: ``{"ok": false, "error": "…"}``, with status 200."""
        found = json_of(reply)
        if not isinstance(found, dict) or not isinstance(found.get("ok"), bool):
            why = "Slack's answer was cut off" if not reply.whole else "what answered is not Slack's Web API"
            return Answer(Outcome.UNSURE, str(reply.status), why, "it may have arrived: look into the channel")
        if found["ok"]:
            return Answer(Outcome.DELIVERED, str(reply.status))
        error = self.scrub(str(found.get("error", ""))[:80])
        status = error or str(reply.status)
        if error in _LATER:
            why = f"Slack asks to wait ({error})"
            return Answer(Outcome.LATER, status, why, retry_after=retry_after(reply), busy=True)
        if error in _UNSURE:
            why = f"Slack has an error of its own ({error})"
            return Answer(Outcome.UNSURE, status, why, "it may have arrived: look into the channel")
        reason, hint = _ERRORS.get(error, ("Slack refuses the message", ""))
        return Answer(Outcome.REFUSED, status, f"{reason} ({error})" if error else reason, hint)


def escape(text: str) -> str:
    """Text that is only text to Slack: no link, no mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def blocks_of(message: Message) -> list[dict[str, Any]]:
    """The message in Block Kit."""
    title = clip(f"{sign_of(message)} {title_of(message)}".strip(), HEADER)
    found: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}}]
    if message.test:
        found.append(_section(escape(clip(message.test, 500))))
    elif len(message.items) == 1:
        found += _single(message.items[0])
    else:
        found += [_section(text) for text in _joined(told(message, 20_000, escape), SECTION)]
    footer = "Tieline" if len(message.items) != 1 else f"Tieline · run {escape(message.items[0].facts.run)}"
    context = {"type": "context", "elements": [_mrkdwn(footer)]}
    return [*found[: BLOCKS - 1], context]


def _single(item: Item) -> list[dict[str, Any]]:
    found = []
    if text := why(item.facts):
        found.append(_section(escape(clip(text, 500))))
    fields = [_mrkdwn(f"*{escape(label)}*\n{escape(clip(value, 300))}") for label, value in details(item)]
    found.append({"type": "section", "fields": fields[:FIELDS]})
    if item.tail:
        tail = fitting([escape(line.replace("```", f"`{NOTHING_WIDE}`{NOTHING_WIDE}`")) for line in
                        fitting(item.tail, SECTION, 400)], SECTION - 10, SECTION - 20)  # fmt: skip
        found.append(_section("```\n" + "\n".join(tail) + "\n```"))
    elif item.tail_note:
        found.append(_section(f"_{escape(clip(item.tail_note, 300))}_"))
    if item.links:
        found.append(_section("\n".join(_link(link) for link in item.links[:5] if units(link.target) < 400)))
    return [block for block in found if block.get("text", {}).get("text") != ""]


def _link(link: Link) -> str:
    title, target = escape(clip(link.title, 80)), escape(link.target)
    return f"<{target}|{title}>" if is_address(link.target) else f"{title}: `{target.replace('`', NOTHING_WIDE)}`"


def _joined(lines: Sequence[str], most: int) -> list[str]:
    """Lines, put together into as few texts as hold them."""
    found: list[str] = []
    for line in lines:
        if found and units(found[-1]) + 1 + units(line) <= most:
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> dict[str, Any]:
    """``verbatim``: addresses and names in it are left alone."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
