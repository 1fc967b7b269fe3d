"""Which sender serves which service: one table, and each sender's module is imported only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from tieline.channels.base import Sender, Traits, Unusable
from tieline.model.access import Channel
from tieline.secrets.secret import Secret

SENDERS: Mapping[str, str] = {
    "slack": "slack:SlackSender",
    "teams": "teams:TeamsSender",
    "discord": "discord:DiscordSender",
    "mattermost": "mattermost:MattermostSender",
    "pagerduty": "pagerduty:PagerDutySender",
    "hipchat": "hipchat:HipChatSender",
    "webhook": "webhook:WebhookSender",
    "email": "mail:MailSender",
    "apprise": "catch_all:AppriseSender",
}
"""By a channel's ``service``: the module in this room, and its class."""


def open_sender(access: Channel, secrets: Mapping[str, Secret]) -> Sender:
    """A sender for a channel. ``secrets``: the values of its credentials that there are. Raises Unusable."""
    return _sender(access.service)(access, secrets)


def traits_of(service: str) -> Traits:
    """What is known of a service. Raises Unusable: nobody serves it."""
    return _sender(service).traits


def _sender(service: str) -> type[Sender]:
    where = SENDERS.get(service)
    if where is None:
        raise Unusable(f"nothing here sends to {service}", f"use one of {', '.join(SENDERS)}", "kind")
    module, _, name = where.partition(":")
    found: type[Sender] = getattr(import_module(f"{__package__}.{module}"), name)
    return found
