"""What is known of the services behind channels: where they are by themselves, and which call, if any, says that they
would take a message and sends none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from tieline.channels.slack import HOOKS
from tieline.probes.asking import Answer, bearer, get, post
from tieline.probes.family import Failed, Skipped
from tieline.probes.route import Route
from tieline.probes.tls import Trust

if TYPE_CHECKING:
    from tieline.probes.channel import ChannelFamily

_NO_CALL = "{} has no call that proves {} without sending: --send does"
_LONGEST = 80
_WORD = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Service:
    """``prove``: makes the call, or raises Skipped. ``base``: where the service is, if the connection does not say it;
    ``by_token``: only for those with a token. ``nowhere``: why no address of it can be tried."""

    prove: Callable[[ChannelFamily], str] = lambda _: _skip(_NO_CALL.format("the service", "the channel"))
    base: str = ""
    by_token: bool = False
    nowhere: str = ""


def _skip(why: str) -> str:
    raise Skipped(why)


def _no_call(service: str, what: str) -> Callable[[ChannelFamily], str]:
    return lambda _: _skip(_NO_CALL.format(service, what))


def _slack(family: ChannelFamily) -> str:
    """https://docs.slack.dev/reference/methods/auth.test"""
    token = family.secret("token")
    (route, *_), path = routes(family), _path(family)
    if token is None or any(word in path for word in HOOKS):
        raise Skipped(_NO_CALL.format("Slack", "a webhook"))
    answer = post(route, _trust(family), family.limits.max_bytes, bearer(token), f"{path.rstrip('/')}/auth.test")
    data = _usable(answer, "Slack")
    if data.get("ok") is True:
        return f"Slack knows the token: {_name(data, 'user')} of {_name(data, 'team')}"
    error = str(data.get("error"))
    if answer.ok and "ok" in data and _WORD.fullmatch(error):
        raise Failed(f"Slack does not take the token: {error}", "put a valid bot token into the secret", "token")
    raise Failed(f"what answers is not Slack's API: {answer.said}", "check the url", family.part)


def _discord(family: ChannelFamily) -> str:
    """https://docs.discord.com/developers/resources/webhook#get-webhook-with-token"""
    found: list[str] = []
    for route in routes(family):
        answer = get(route, _trust(family), family.limits.max_bytes, path=route.target.path.partition("?")[0])
        data = _usable(answer, "Discord")
        if answer.status in (401, 403, 404):
            hint = "make a new one in the channel's settings, and put its address into the secret"
            raise Failed(f"Discord does not know the webhook: {answer.said}; it was removed", hint, family.part)
        if not answer.ok or not data.get("id"):
            raise Failed(f"what answers is no webhook of Discord: {answer.said}", "check the url", family.part)
        found.append(f"Discord knows the webhook: {_name(data, 'name')}")
    return "; ".join(found)


def _hipchat(family: ChannelFamily) -> str:
    """``auth_test=true``: a call of HipChat's API version 2 says whether its token may make it, and does not do it."""
    token = family.secret("token")
    route, *_ = routes(family)
    path, _, query = route.target.path.partition("?")
    if token is None and not any(name == "auth_token" for name, _ in parse_qsl(query)):
        raise Skipped(_NO_CALL.format("HipChat", "an address without a token"))
    if "/room/" not in path:
        room = family.access.channel
        if not room:
            raise Skipped("no room is named, neither in the url nor as channel: there is nothing to ask for")
        path = f"{path.rstrip('/').removesuffix('/v2')}/v2/room/{quote(room.lstrip('#'), safe='')}/notification"
    asked = f"{path}?{query}&auth_test=true" if query else f"{path}?auth_test=true"
    answer = post(route, _trust(family), family.limits.max_bytes, bearer(token) if token else {}, asked)
    data = _usable(answer, "HipChat")
    mend = "token" if token else family.part
    if answer.status in (401, 403):
        raise Failed(f"HipChat does not take the token: {answer.said}", "check it, and that it may notify", mend)
    if answer.status == 202 or "success" in data:
        return f"HipChat says that the token may notify the room: {answer.said}"
    raise Failed(f"HipChat does not know the room or the call: {answer.said}", "check url and channel", family.part)


def routes(family: ChannelFamily) -> list[Route]:
    """The ways to the channel's http addresses."""
    wheres = () if isinstance(family.wheres, str) else family.wheres
    return [where.way for where in wheres if isinstance(where.way, Route)]


def _path(family: ChannelFamily) -> str:
    return routes(family)[0].target.path.partition("?")[0]


def _trust(family: ChannelFamily) -> Trust:
    return Trust(family.access.options.get("caBundle"))


def _usable(answer: Answer, who: str) -> Mapping[str, Any]:
    """The JSON object of an answer, or an empty one. Raises Failed: the server can't answer now."""
    if answer.status == 429:
        raise Failed(f"{who} wants fewer requests: {answer.said}", "try again later")
    if answer.status >= 500:
        raise Failed(f"{who} failed: {answer.said}", "try again later")
    try:
        data = json.loads(answer.body)
    except ValueError:  # what is no JSON is told by its status, which the caller judges
        return {}
    return data if isinstance(data, dict) else {}


def _name(data: Mapping[str, Any], key: str) -> str:
    name = data.get(key)
    return name[:_LONGEST] if isinstance(name, str) and name else f"a {key} without a name"


SERVICES: Mapping[str, Service] = {
    "slack": Service(_slack, "https://slack.com/api", by_token=True),
    "discord": Service(_discord),
    "hipchat": Service(_hipchat),
    "teams": Service(_no_call("Teams", "a webhook")),
    "mattermost": Service(_no_call("Mattermost", "a webhook")),
    "pagerduty": Service(_no_call("PagerDuty", "a routing key"), "https://events.pagerduty.com/v2/enqueue"),
    "webhook": Service(_no_call("a webhook", "it")),
    "apprise": Service(
        _no_call("Apprise", "an address"), nowhere="only Apprise knows where its addresses lead: --send tries them"
    ),
}
"""By the access's word for them; of another one nothing is known."""
