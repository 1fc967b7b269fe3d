"""Mail: one letter to all recipients, and an answer that knows how far the conversation came.

Before the letter's text is begun nothing was sent, for certain. Once it was begun and until the server has answered,
it may have been taken: SMTP has no key by which a second one would be known as the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.headerregistry import Address
from typing import ClassVar

from tieline.channels.base import LIMIT, Answer, Outcome, Rate, Sender, Target, Traits, Unusable, target_id
from tieline.channels.letter import addresses_of, compose, needs_utf8
from tieline.channels.smtp import Conversation, Stopped, answer_of, causes_of, connect, refused, server_of
from tieline.model.access import Channel
from tieline.model.notification import Message
from tieline.secrets.secret import Secret

_FEW = 3
_GOODBYE = 2.0
"""Seconds that the server has to say goodbye: the letter is with it."""
_LOOK = "it may have arrived: look into a mailbox, or the mail server's log"


class MailSender(Sender):
    """A mail server and the recipients of a connection."""

    traits: ClassVar = Traits(rate=Rate(burst=10, per_second=0.5), keyed=False, folds=True)
    """No server documents a rate for all: this is gentle enough for the usual relays."""
    limit: float = LIMIT

    def __init__(self, access: Channel, secrets: Mapping[str, Secret]) -> None:
        super().__init__(access, secrets)
        options = access.options
        if not all(options.get(name) for name in ("host", "port", "from", "to")):
            raise Unusable("a mail connection needs host, port, from and to", "complete its schema", "host")
        self._server = server_of(options)
        self._login = login_of(access, secrets)
        self._from, *others = addresses_of(options["from"], "from")
        if others:
            raise Unusable("mail can't be from several addresses", "name one", "from")
        self._to = addresses_of(options["to"], "to")

    @property
    def targets(self) -> tuple[Target, ...]:
        names = [address.addr_spec for address in self._to]
        more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
        return (Target(target_id(",".join(names)), ", ".join(names[:_FEW]) + more),)

    def send(self, target: Target, message: Message) -> Answer:  # noqa: ARG002
        """Send one mail to all recipients. ``target`` is the one there is."""
        try:
            letter = compose(message, self._from, self._to, self.access.options.get("subject", ""))
            answer = self._converse(letter)
        except Stopped as error:
            answer = error.answer
        except Exception as error:  # a defect must not end whoever sends: it is told, and nothing was sent
            reason = f"unexpected: {type(error).__name__}: {error}"
            answer = Answer(Outcome.REFUSED, "defect", reason, "this is a defect in Tieline; please report it")
        return Answer(
            answer.outcome, answer.status, self.scrub(answer.reason), self.scrub(answer.hint), busy=answer.busy
        )

    def _converse(self, letter: bytes) -> Answer:
        until = time.monotonic() + self.limit
        talk = Conversation(self._server, until)
        made = connect(self._server, until)
        try:
            talk.start(made)
            if self._login is not None:
                talk.log_in(*self._login)
            refusals = self._envelope(talk)
            return self._text(talk, letter, refusals)
        finally:
            talk.close()
            made.close()

    def _envelope(self, talk: Conversation) -> list[tuple[str, Answer]]:
        """From whom and to whom. Who is refused while others are taken, and why; Stopped if nobody is taken."""
        options = _options(talk, [self._from, *self._to])
        refusals: list[tuple[str, Answer]] = []
        with talk.doing("naming sender and recipients"):
            hint = "check that this server lets this login send from that address"
            reply = talk.mail(self._from.addr_spec, options)
            talk.expect(reply, f"MAIL FROM {self._from.addr_spec}", 250, hint=hint if reply[0] >= 500 else "")
            for address in self._to:
                reply = talk.rcpt(address.addr_spec)
                if reply[0] not in (250, 251, 252):
                    refusals.append((address.addr_spec, answer_of(reply, f"RCPT TO {address.addr_spec}")))
                if reply[0] == 421:
                    raise Stopped(refusals[-1][1])
        if len(refusals) == len(self._to):
            raise Stopped(_nobody([answer for _, answer in refusals]))
        return refusals

    def _text(self, talk: Conversation, letter: bytes, refusals: Sequence[tuple[str, Answer]]) -> Answer:
        with talk.doing("asking to send"):
            talk.expect(talk.docmd("DATA"), "DATA", 354)
        try:
            talk.send(_stuffed(letter))
            reply = talk.getreply()
        except Exception as error:  # whatever it is, the text was begun
            return _unsure(error)
        if reply[0] != 250:
            if not 400 <= reply[0] < 600:
                reason = "the server's answer to the mail is no reply of SMTP"
                return Answer(Outcome.UNSURE, "not SMTP", reason, _LOOK)
            return answer_of(reply, "the mail", "see what the server says" if reply[0] >= 500 else "")
        _goodbye(talk)
        return Answer(Outcome.DELIVERED, "SMTP 250", _without(refusals))


def login_of(access: Channel, secrets: Mapping[str, Secret]) -> tuple[str, str] | None:
    """User name and password; None where the connection logs in by no secret, and has no user name. Raises Unusable."""
    texts = {name: secrets[name].reveal_text().strip() for name in ("username", "password") if name in secrets}
    username, password = texts.get("username", ""), texts.get("password", "")
    if username and password:
        return username, password
    secret = access.credentials.secret if access.credentials.method == "secret" else None
    if not username and not password and secret is None:
        return None
    missing = [name for name, value in (("username", username), ("password", password)) if not value]
    hint = f"put it into the secret {secret}" if secret else "name a secret that has it"
    raise Unusable(f"there is no {' and no '.join(missing)} to log in with", hint, missing[-1])


def _options(talk: Conversation, addresses: Sequence[Address]) -> tuple[str, ...]:
    """What MAIL is given: SMTPUTF8 where an address needs it, and then only."""
    if not needs_utf8(addresses):
        return ()
    if not talk.has_extn("smtputf8"):
        reason = "an address has characters beyond ASCII, and the server offers no SMTPUTF8"
        raise refused("no SMTPUTF8", reason, "use an address in ASCII", "to")
    return ("SMTPUTF8", "BODY=8BITMIME")


def _nobody(answers: Sequence[Answer]) -> Answer:
    """All recipients were refused: later, if one of them may be taken then."""
    later = [answer for answer in answers if answer.outcome is Outcome.LATER]
    first = (later or answers)[0]
    more = f" (and {len(answers) - 1} more)" if len(answers) > 1 else ""
    hint = "" if later else "check the addresses in 'to', and that this server takes mail for them"
    return Answer(first.outcome, first.status, f"no recipient is taken: {first.reason}{more}", hint)


def _without(refusals: Sequence[tuple[str, Answer]]) -> str:
    """Who did not get it, while others did: nobody tries again, or the others would get it twice."""
    if not refusals:
        return ""
    told = "; ".join(f"{address}: {answer.status}" for address, answer in refusals[:_FEW])
    more = f" and {len(refusals) - _FEW} more" if len(refusals) > _FEW else ""
    return f"not to all: the server refused {told}{more}: {refusals[0][1].reason}"


def _unsure(error: Exception) -> Answer:
    if any(isinstance(cause, TimeoutError) for cause in causes_of(error)):
        reason = "the server did not answer in time after the mail was sent"
        return Answer(Outcome.UNSURE, "timed out after DATA", reason, _LOOK)
    return Answer(Outcome.UNSURE, "cut after DATA", "the connection was cut before the server answered", _LOOK)


def _goodbye(talk: Conversation) -> None:
    talk.hurry(_GOODBYE)
    with suppress(OSError):  # the letter was taken, whatever becomes of the connection
        talk.quit()


def _stuffed(letter: bytes) -> bytes:
    """With its end, and no line of its own that could be taken for it (RFC 5321, section 4.5.2)."""
    lines = re.sub(rb"\r?\n|\r", b"\r\n", letter)
    return re.sub(rb"(?m)^\.", b"..", lines if lines.endswith(b"\r\n") else lines + b"\r\n") + b".\r\n"
