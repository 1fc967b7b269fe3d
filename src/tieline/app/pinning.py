"""The channels that a run is accepted with: what they are now is what they are for this run, whatever the catalog says
later. Their secrets' values are read when something is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from tieline.model.access import Channel
from tieline.model.catalog import SecretSourceForm
from tieline.model.plan import Plan
from tieline.model.run import ChannelPin, Watch


def pinned(plan: Plan, sources: Iterable[SecretSourceForm]) -> tuple[tuple[Watch, ...], tuple[ChannelPin, ...]]:
    """Who is told when, and the channels, each once."""
    forms = tuple(sources)
    pins: dict[str, ChannelPin] = {}
    watches = []
    for notify in plan.notifications:
        pin = pins.get(notify.connection) or pin_of(notify.connection, plan.run.namespace, notify.channel, forms)
        pins[notify.connection] = pin
        watches.append(Watch(notify.connection, notify.trigger, pin.digest, notify.channel.resolves))
    return tuple(watches), tuple(pins.values())


def pin_of(connection: str, namespace: str, channel: Channel, sources: Iterable[SecretSourceForm]) -> ChannelPin:
    """A channel as it is now. Equal ones have one digest."""
    access = channel.as_json()
    forms = [form.model_dump(mode="json", by_alias=True, exclude_unset=True) for form in sources]
    text = json.dumps([connection, namespace, access, forms], sort_keys=True)
    return ChannelPin(hashlib.sha256(text.encode()).hexdigest(), connection, namespace, access, forms)
