"""Ways to tell people: their addresses are tried as any other, their logins where the service has a call that says who
asks and sends nothing. Only ``--send`` proves the rest: a marked test message goes the way that notifications go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tieline.channels.base import Answer, Outcome, Unusable
from tieline.model.access import Channel
from tieline.model.notification import Message
from tieline.probes.family import Asked, Failed, Family, Skipped, Work, must_have_something, no_credential
from tieline.probes.hosts import Where, web
from tieline.probes.line import Line
from tieline.probes.report import Operation
from tieline.probes.services import SERVICES, Service
from tieline.probes.smtp import StartTls
from tieline.probes.tls import Trust, judge

TEST = "This is a test, sent by 'tieline connections test --send'. Nothing has happened, and there is nothing to do."
NOT_SENT = "nothing is sent; --send posts a test message"
_NO_TLS = "tls: false – nothing is encrypted"


class ChannelFamily(Family):
    """One channel. ``wheres``: the servers that it leads to, or why none of them can be named."""

    def __init__(self, access: Channel, asked: Asked, wheres: tuple[Where, ...] | str) -> None:
        super().__init__(asked)
        self.access, self.wheres, self._sends = access, wheres, asked.sends

    @property
    def expected(self) -> frozenset[Operation]:
        """Sending, where somebody asked to see it done."""
        return super().expected | ({Operation.WRITE} if self._sends else set())

    @property
    def part(self) -> str:
        """Which part of the access says where the channel is."""
        return "url" if isinstance(self.wheres, str) else self.wheres[0].part

    def works(self) -> Mapping[Operation, Work]:
        return {
            Operation.RESOLVE: self._each(lambda where: where.way.resolve()),
            Operation.REACH: self._each(lambda where: where.way.reach()),
            Operation.TLS: self._tls(),
            Operation.AUTHENTICATE: self._authenticate,
            Operation.LIST: "a channel takes messages, and lists none",
            Operation.READ: "a channel takes messages, and gives none back",
            Operation.WRITE: self._send if self._sends else NOT_SENT,
            Operation.DELETE: "what was sent to people is not taken back",
        }

    def _each(self, work: Callable[[Where], str]) -> Work:
        """The same for every server, each told once."""
        wheres = self.wheres
        return wheres if isinstance(wheres, str) else lambda: "; ".join(dict.fromkeys(map(work, wheres)))

    def _tls(self) -> Work:
        plain = [] if isinstance(self.wheres, str) else [where.no_tls for where in self.wheres if where.trust is None]
        if plain and len(plain) == len(self.wheres):
            return plain[0]
        return self._each(
            lambda where: judge(where.way.open, where.host, where.trust, where.part) if where.trust else where.no_tls
        )

    def _authenticate(self) -> str:
        must_have_something(self.access.credentials, self.secrets)
        return self.prove()

    def prove(self) -> str:
        """What shows that the service takes what we have, without sending anything. Raises Failed and Skipped."""
        return SERVICES.get(self.access.service, Service()).prove(self)

    def _send(self) -> str:
        """A test message, sent as notifications are: by the channel's own sender, over connections of its own."""
        from tieline.channels.opening import open_sender

        try:
            sender = open_sender(self.access, self.secrets)
        except Unusable as error:
            raise Failed(error.reason, error.hint, error.part) from None
        try:
            told = [(target.words, sender.send(target, Message(test=TEST))) for target in sender.targets]
        finally:
            sender.close()
        return _sent(told)

    def cut(self) -> None:
        if not isinstance(self.wheres, str):
            for where in self.wheres:
                where.way.cut()

    close = cut


def _sent(told: list[tuple[str, Answer]]) -> str:
    """What the services answered. Raises Failed where one of them did not take the message."""
    for words, answer in told:
        if answer.outcome is not Outcome.DELIVERED:
            unsure = "it may have arrived: " if answer.outcome is Outcome.UNSURE else ""
            taken = sum(answer.outcome is Outcome.DELIVERED for _, answer in told)
            of = f" ({taken} of {len(told)} took it)" if len(told) > 1 else ""
            hint = answer.hint or ("try again later" if answer.outcome is Outcome.LATER else "")
            raise Failed(f"{unsure}{words}: {answer.reason or answer.status}{of}", hint)
    listed = "; ".join(f"{words}: {answer.reason or answer.status}" for words, answer in told)
    return f"a test message was sent, and taken: {listed}"


class MailFamily(ChannelFamily):
    """A mail server: it is greeted, agrees on TLS, and is told who we are, as before a mail."""

    wheres: tuple[Where, ...]

    def prove(self) -> str:
        from tieline.channels.mail import login_of
        from tieline.channels.smtp import Conversation, Stopped, server_of

        line = self.wheres[0].way
        assert isinstance(line, Line)  # noqa: S101 - a mail server is behind no route
        try:
            login = login_of(self.access, self.secrets)
            talk = Conversation(server_of(self.access.options), time.monotonic() + self.limits.timeout)
            try:
                talk.start(Line.open(line), line.keep)
                how = talk.log_in(*login) if login else ""
                offered = talk.has_extn("auth")
                with talk.doing("asking whether all is well"):
                    talk.expect(talk.noop(), "NOOP", 250)
                with suppress(OSError):  # what was asked is answered, however it says goodbye
                    talk.quit()
            finally:
                talk.close()
        except Unusable as error:
            raise Failed(error.reason, error.hint, error.part) from None
        except Stopped as error:
            raise Failed(error.answer.reason, error.answer.hint, error.part) from None
        if not login:
            offers = "offers one, and may ask for it when a mail is sent" if offered else "offers none"
            raise Skipped(f"the connection has no login; the server {offers}")
        plain = "" if self.wheres[0].trust else ", unencrypted"
        return f"the server takes the user and password (AUTH {how}{plain})"


def channel(access: Channel, asked: Asked) -> ChannelFamily:
    """What tests a channel. Raises Failed: its address is nowhere, or none."""
    if host := access.options.get("host"):
        return MailFamily(access, asked, (_mail(host, access.options, asked),))
    service = SERVICES.get(access.service, Service())
    must_have_something(access.credentials, asked.secrets)
    if service.nowhere:
        return ChannelFamily(access, asked, service.nowhere)
    urls, part = _addresses(access, asked, service)
    trust = Trust(access.options.get("caBundle"))
    return ChannelFamily(access, asked, tuple(web(url, asked, trust, None, part) for url in urls))


def _addresses(access: Channel, asked: Asked, service: Service) -> tuple[list[str], str]:
    """The addresses, and the part that says them. Raises Failed."""
    texts = {name: secret.reveal_text().strip() for name, secret in asked.secrets.items()}
    if url := access.url or texts.get("url"):
        return [url], "url"
    if service.base and (texts.get("token") or not service.by_token):
        return [service.base], "url"
    if older := texts.get("webhooks"):
        return _older(older), "webhooks"
    if texts.get("token"):
        raise Failed("the connection has a token, and no address", "add its url to the secret or the schema", "url")
    raise no_credential(access.credentials, "the channel needs an address", "url", "webhooks")


def _older(text: str) -> list[str]:
    """The addresses in a secret of the older format: ``[{"url": …}, …]``, or one of them alone. Raises Failed."""
    hint = 'write it like [{"url": "https://…"}]'
    try:
        data: Any = json.loads(text)
    except ValueError:
        raise Failed("the webhooks in the secret are no JSON", hint, "webhooks") from None
    items = data if isinstance(data, list) else [data]
    urls = [item.get("url") for item in items if isinstance(item, dict)]
    found = [url.strip() for url in urls if isinstance(url, str) and url.strip()]
    if not found or len(found) != len(items):
        raise Failed("the webhooks in the secret have no url", hint, "webhooks")
    return found


def _mail(host: str, options: Mapping[str, str], asked: Asked) -> Where:
    line = Line(host, int(options["port"]), asked.limits)
    how = options.get("tls", "none")
    trust = Trust(options.get("caBundle")) if how in ("implicit", "starttls") else None
    way = StartTls(host, line.port, asked.limits) if how == "starttls" else line
    return Where(way, host, trust, _NO_TLS)
