"""Everything else: whatever Apprise (an optional package) can reach by an address of its own.

Apprise says yes or no, and of a no not whether the message was on its way. So a no is told as unsure, with what Apprise
logged meanwhile as the reason; its log goes nowhere else.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any, ClassVar

from tieline.channels.base import LIMIT, Answer, Outcome, Rate, Sender, Target, Traits, Unusable, target_id
from tieline.channels.wording import plain_text, sign_of, title_of
from tieline.model.access import Channel
from tieline.model.notification import Message
from tieline.model.run import Status
from tieline.secrets.scrub import Scrubber
from tieline.secrets.secret import Secret

_TYPES = {Status.SUCCEEDED: "success", Status.FAILED: "failure", Status.RETRYING: "warning"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,20})://.")
_PARTS = re.compile(r"[/?&=@:,]+")
_LEAST = 6
"""Characters of a part of an address that is taken for a secret: services have their tokens anywhere in it."""
_LINES = 4
_said: ContextVar[list[str] | None] = ContextVar("tieline_apprise_log", default=None)


class AppriseSender(Sender):
    """Apprise's addresses of a connection, each a target of its own."""

    traits: ClassVar = Traits(rate=Rate(burst=10, per_second=1.0), keyed=False, folds=True)
    """What services allow differs, and Apprise does not tell: this is gentle enough for most."""
    limit: float = LIMIT

    def __init__(self, access: Channel, secrets: Mapping[str, Secret]) -> None:
        super().__init__(access, secrets)
        self._apprise = _library()
        found = [address for name in ("url", "urls") for address in (self.secret(name) or "").split()]
        self._urls = tuple(dict.fromkeys(found))
        if not self._urls:
            raise Unusable("there is no address for Apprise", "put it into the secret as APPRISE_URL", "url")
        parts = [part for url in self._urls for part in _PARTS.split(url) if len(part) >= _LEAST]
        self.scrub = Scrubber([*secrets.values(), *map(Secret, [*self._urls, *parts])])

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(Target(target_id(url), self._words(number), number) for number, url in enumerate(self._urls))

    def _words(self, number: int) -> str:
        """``slack (2 of 3)``: of an address nothing but its scheme is shown, for the rest are tokens."""
        found = _SCHEME.match(self._urls[number])
        place = f" ({number + 1} of {len(self._urls)})" if len(self._urls) > 1 else ""
        return (found[1].lower() if found else "an address") + place

    def send(self, target: Target, message: Message) -> Answer:
        """Send a message to one address."""
        box: SimpleQueue[Answer] = SimpleQueue()

        def go() -> None:
            box.put(self._notify(self._urls[target.number], message))

        threading.Thread(target=go, name="tieline-apprise", daemon=True).start()
        try:
            return box.get(timeout=self.limit)
        except Empty:
            reason = f"Apprise did not end within {self.limit:.3g} s"
            return Answer(Outcome.UNSURE, "timed out", reason, "it may have arrived: look there")

    def _notify(self, url: str, message: Message) -> Answer:
        logged: list[str] = []
        _said.set(logged)
        try:
            asset = self._apprise.AppriseAsset(app_id="Tieline", app_desc="Tieline", async_mode=False)
            service = self._apprise.Apprise.instantiate(url, asset=asset)
            if service is None:
                reason = self._told("Apprise can't read this address", logged)
                hint = "see https://github.com/caronc/apprise/wiki, and mend it in the secret"
                return Answer(Outcome.REFUSED, "no address", reason, hint)
            one = self._apprise.Apprise(asset=asset)
            one.add(service)
            taken = one.notify(
                body=plain_text(message), title=f"{sign_of(message)} {title_of(message)}".strip(),
                notify_type=_type_of(message), body_format="text",
            )  # fmt: skip
        except Exception as error:  # other packages' code for a hundred services: whatever it raises is an answer
            logged.append(f"{type(error).__name__}: {error}")
            taken = False
        if taken:
            return Answer(Outcome.DELIVERED, "accepted")
        hint = "Apprise does not say whether it arrived: look there"
        return Answer(Outcome.UNSURE, "not accepted", self._told("Apprise says that it failed", logged), hint)

    def _told(self, what: str, logged: list[str]) -> str:
        return self.scrub(f"{what}: {'; '.join(logged[:_LINES])}" if logged else what)


class _Log(logging.Handler):
    """Keeps what Apprise logs for the sending that it is about, and for nobody else."""

    def emit(self, record: logging.LogRecord) -> None:
        logged = _said.get()
        if logged is not None:
            logged.append(record.getMessage())


def _library() -> Any:
    """Apprise, with its log in our hands. Raises Unusable where it is not installed."""
    try:
        import apprise
    except ImportError:
        raise Unusable("Apprise is not installed", "pip install 'tieline[apprise]'") from None
    logger = logging.getLogger("apprise")
    if not any(isinstance(handler, _Log) for handler in logger.handlers):
        logger.addHandler(_Log(logging.WARNING))
        logger.propagate = False
        logging.getLogger("urllib3").setLevel(logging.WARNING)  # at a lower level it logs paths, which are secrets here
    return apprise


def _type_of(message: Message) -> str:
    """Apprise's word for how good the news is; of several events, the worst one's."""
    found = {_TYPES.get(item.facts.status, "info") for item in message.items}
    for word in ("failure", "warning", "info"):
        if word in found:
            return word
    return "success" if found else "info"
