"""A channel that is delivered to, opened with its secrets; or why it can't be, as the answer to every message."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tieline.app.home import HomeFolder
from tieline.channels.base import Answer, Outcome, Sender, Target, Traits, Unusable, reason_of
from tieline.channels.opening import open_sender, traits_of
from tieline.errors import Refused, TielineError
from tieline.model.access import Channel
from tieline.model.catalog import SecretSourceForm
from tieline.model.notification import Message
from tieline.model.run import ChannelPin
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources, open_sources


@dataclass(frozen=True, slots=True)
class Opened:
    """``answer``: why there is no sender."""

    traits: Traits
    sources: Sources
    sender: Sender | None = None
    answer: Answer | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        return self.sender.targets if self.sender is not None else ()

    def send(self, target: Target, message: Message) -> Answer:
        """Send a message to one target. Raises nothing."""
        assert self.sender is not None  # noqa: S101 - there are no targets without one
        return self.sender.send(target, message)

    def close(self) -> None:
        if self.sender is not None:
            self.sender.close()


def open_channel(held: ChannelPin, home: HomeFolder) -> Opened:
    """Read the secrets, and open the sender. Raises nothing that a channel or a secret may cause."""
    access = Channel.model_validate(held.access)
    forms = [SecretSourceForm.model_validate(form) for form in held.sources]
    sources = open_sources(forms, held.namespace, home.root, os.environ)
    traits = Traits()
    try:
        traits = traits_of(access.service)
        values = Resolver(sources, Places("", "")).credentials(access.credentials)
        return Opened(traits, sources, open_sender(access, values))
    except Unusable as error:
        return Opened(traits, sources, answer=Answer(Outcome.REFUSED, "unusable", error.reason, error.hint))
    except TielineError as error:
        status = "secret missing" if isinstance(error, Refused) else "secret unreadable"
        return Opened(traits, sources, answer=Answer(Outcome.LATER, status, reason_of(error), busy=True))
