"""A message as a mail: text and simple HTML, with headers that thread all mails of one run and that nothing from
outside can add to.

Nothing in the HTML sets a text's or a page's colour, so that it is as readable in the dark.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from html import escape

from tieline.channels.base import Unusable
from tieline.channels.wording import clip, colour_of, details, digest_line, plain_text, title_of, why
from tieline.model.notification import Item, Message

_SUBJECT = 200
_DOMAIN = 40
"""Characters of a domain that an id has: Python's mail library would encode one that does not fit on a line."""
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px"
_PAGE = """\
<!DOCTYPE html>
<html><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark"><title>{title}</title></head>
<body style="margin:0;padding:12px;font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:15px">
<div style="border-left:4px solid #{colour};padding:2px 14px;max-width:44em">
<p style="font-size:18px;font-weight:600;margin:4px 0 8px">{title}</p>
{body}
</div></body></html>
"""


def addresses_of(text: str, part: str) -> tuple[Address, ...]:
    """``ml@example.org, Doe, Jane <jane@example.org>``: a comma belongs to a name where no address stands before it.
    Raises Unusable."""
    found: list[Address] = []
    begun = ""
    for piece in text.split(","):
        begun = f"{begun},{piece}" if begun else piece
        if "@" in piece:
            found.append(_address(begun.strip(), part))
            begun = ""
    if begun.strip() or not found:
        raise Unusable(f"{begun.strip() or part} is no mail address", "write it like ml@example.org", part)
    return tuple(found)


def _address(text: str, part: str) -> Address:
    name, bracket, rest = text.rpartition("<")
    local, _, domain = (rest if bracket else text).rstrip("> ").rpartition("@")
    try:
        plain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
        return Address(_line(name).strip('"'), local.strip(), plain)
    except (ValueError, IndexError):
        raise Unusable(f"{text} is no mail address", "write it like ml@example.org", part) from None


def needs_utf8(addresses: Sequence[Address]) -> bool:
    """Whether there is one that only a server with SMTPUTF8 (RFC 6531) can take."""
    return not all(address.addr_spec.isascii() for address in addresses)


def compose(message: Message, sender: Address, recipients: Sequence[Address], prefix: str = "") -> bytes:
    """The whole mail, as it is sent. The same message has the same ``Message-ID`` at every attempt."""
    policy = SMTPUTF8 if needs_utf8([sender, *recipients]) else SMTP
    mail = EmailMessage(policy=policy.clone(cte_type="7bit"))
    title = _line(title_of(message))
    mail["From"], mail["To"] = sender, tuple(recipients)
    mail["Subject"] = clip(f"{_line(prefix)} {title}".strip(), _SUBJECT)
    mail["Date"] = format_datetime(datetime.now(UTC))
    domain = sender.domain[-_DOMAIN:].lstrip(".-")
    mail["Message-ID"] = f"<{_digest(message)}@{domain}>"
    runs = list(dict.fromkeys(_line(item.facts.run) for item in message.items))
    if len(runs) == 1:  # nobody has sent the mail that it refers to; to mail programs they are siblings all the same
        root = hashlib.sha256(runs[0].encode()).hexdigest()[:32]
        mail["References"] = mail["In-Reply-To"] = f"<{root}@{domain}>"
    if runs:
        mail["X-Tieline-Run"] = ", ".join(runs)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers
    mail.set_content(f"{title}\n\n{_text(plain_text(message))}")
    mail.add_alternative(_html(message, title), subtype="html")
    return mail.as_bytes()


def _digest(message: Message) -> str:
    if not message.items:
        return uuid.uuid4().hex
    return hashlib.sha256("\0".join(item.key for item in message.items).encode()).hexdigest()[:32]


def _html(message: Message, title: str) -> str:
    if message.test:
        body = f"<p>{_safe(message.test)}</p>"
    elif len(message.items) == 1:
        body = _event(message.items[0])
    else:
        lines = "\n".join(f'<li style="margin:4px 0">{_safe(digest_line(item))}</li>' for item in message.items)
        body = f'<ul style="padding-left:18px;margin:4px 0">\n{lines}\n</ul>'
    return _PAGE.format(title=_safe(title), colour=colour_of(message), body=body)


def _event(item: Item) -> str:
    parts = [f'<p style="margin:4px 0 10px">{_safe(why(item.facts))}</p>'] if why(item.facts) else []
    rows = [(label, _safe(value)) for label, value in details(item)]
    rows += [(link.title, _link(link.target)) for link in item.links]
    cells = "\n".join(
        f'<tr><td style="padding:2px 16px 2px 0;opacity:.7;vertical-align:top">{_safe(label)}</td><td>{value}</td></tr>'
        for label, value in rows
    )
    parts.append(f'<table role="presentation" style="border-collapse:collapse;font-size:14px">\n{cells}\n</table>')
    if item.tail:
        log = _safe("\n".join(item.tail))
        frame = f"{_MONO};border:1px solid #888888;border-radius:4px;padding:8px;white-space:pre-wrap;overflow-x:auto"
        parts.append(f'<p style="margin:12px 0 4px">The log\'s last lines:</p>\n<pre style="{frame}">{log}</pre>')
    elif item.tail_note:
        parts.append(f'<p style="opacity:.7">{_safe(item.tail_note)}</p>')
    return "\n".join(parts)


def _link(target: str) -> str:
    """An address of the web can be followed; a path or a command is there to be copied."""
    plain = _safe(target)
    if target.startswith(("https://", "http://")):
        return f'<a href="{plain}">{plain}</a>'
    return f'<code style="{_MONO}">{plain}</code>'


def _safe(text: str) -> str:
    return escape(_text(text))


def _text(text: str) -> str:
    """Without what a mail can't carry: control characters, and bytes that were no text."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _line(text: str) -> str:
    """On one line: what a header may have."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
