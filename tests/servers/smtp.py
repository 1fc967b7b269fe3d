"""A real mail server (aiosmtpd) in a thread, which behaves as its script says, and keeps what it is sent."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from servers.certificates import Pair

USER, PASSWORD = "postmän", "pass wörd/4711"


@dataclass(frozen=True, slots=True)
class Letter:
    """What was sent: who from, who to, with which options of MAIL, and the content."""

    sender: str
    recipients: tuple[str, ...]
    options: tuple[str, ...]
    content: bytes

    @property
    def mail(self) -> EmailMessage:
        found = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found

    def text(self, subtype: str = "plain") -> str:
        part = self.mail.get_body((subtype,))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")


@dataclass
class Mails:
    """A server that runs. ``at_rcpt``: the reply for an address; ``at_data``: the reply for a letter, or ``hang`` or
    ``cut``; without one it is taken. ``said``: the commands, in their order."""

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    at_rcpt: dict[str, str] = field(default_factory=dict)
    at_mail: str = ""
    at_data: str = ""
    said: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.at_mail:
            return self.at_mail
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if reply := self.at_rcpt.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        letter = Letter(envelope.mail_from or "", tuple(envelope.rcpt_tos), tuple(envelope.mail_options), content)
        if self.at_data in ("hang", "cut"):
            self.letters.append(letter)
            if self.at_data == "hang":
                await asyncio.sleep(60)
            assert server.transport is not None
            server.transport.abort()
            return ""
        if self.at_data:
            return self.at_data
        self.letters.append(letter)
        return "250 taken"

    def judge(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        login = (data.login.decode(), data.password.decode())
        self.logins.append(login)
        return AuthResult(success=login == (USER, PASSWORD), handled=False)


class _Told(SMTP):
    """A server that notes what it is told."""

    def __init__(self, mails: Mails, **more: Any) -> None:
        super().__init__(mails, **more)
        self._smtp_methods = {word: self._noting(word, work) for word, work in self._smtp_methods.items()}

    def _noting(self, word: str, work: Any) -> Any:
        async def noted(arg: str) -> Any:
            self.event_handler.said.append(word)
            return await work(arg)

        return noted


@contextmanager
def smtp_server(
    tls: str = "none", pair: Pair | None = None, *, login: bool = False, without: tuple[str, ...] = (), **more: Any
) -> Iterator[Mails]:
    """Start a server in this process. ``tls``: starttls, implicit or none, with the certificate ``pair``; ``login``:
    whether it asks for :data:`USER` and :data:`PASSWORD`; ``without``: mechanisms of AUTH that it has not."""
    mails = Mails()
    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair.files)
    if login:
        more |= {"authenticator": mails.judge, "auth_required": True, "auth_require_tls": True}
    if tls == "starttls":
        more |= {"tls_context": context}
    loop = asyncio.new_event_loop()

    def one() -> _Told:
        made = _Told(mails, loop=loop, enable_SMTPUTF8=True, auth_exclude_mechanism=without, **more)
        made._auth_require_tls = (
            tls == "starttls" or not login
        )  # it warns of whoever tells it so, and does not know implicit TLS
        return made

    server = loop.run_until_complete(
        loop.create_server(one, "127.0.0.1", 0, ssl=context if tls == "implicit" else None)
    )
    mails.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield mails
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.05)  # the lines of those that were just cancelled are closed a turn later
