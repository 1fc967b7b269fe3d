"""Which sender sends to which service: the one table. A sender's module is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from tieline.channels.base import Sender, Traits, Unusable
from tieline.model.access import Channel
from tieline.secrets.secret import Secret

SENDERS: Mapping[str, str] = {
    "email": "mail:MailSender",
    "apprise": "catch_all:AppriseSender",
}
"""Each service's sender: a module of this room, and its class."""


def open_sender(access: Channel, secrets: Mapping[str, Secret]) -> Sender:
    """A sender for this channel. Raises Unusable: it can't be made of what there is."""
    return _class_of(access.service)(access, secrets)


def traits_of(access: Channel) -> Traits:
    """What is known of the channel's service. Raises Unusable: nothing sends to it."""
    return _class_of(access.service).traits


def _class_of(service: str) -> type[Sender]:
    if service not in SENDERS:
        raise Unusable(f"nothing sends to {service}", "use another kind of channel")
    module, _, name = SENDERS[service].partition(":")
    found: type[Sender] = getattr(import_module(f"tieline.channels.{module}"), name)
    return found
