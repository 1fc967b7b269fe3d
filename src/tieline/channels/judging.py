"""What an answer over HTTP means for a message: taken, later, unsure or refused; the same rules for every service.

* 2xx: taken. 3xx: refused, for a redirect could carry a secret to another place.
* 408, 425, 429, 503: not taken, and worth trying later (RFC 9110, 15.5.9 and 15.6.4; RFC 8470; RFC 6585).
* Other 4xx: refused for good. Other 5xx: nobody knows what was done before the error.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from tieline.channels.base import Answer, Outcome
from tieline.channels.http import Failure, Reply
from tieline.channels.text import clean

LONGEST = 24 * 3600.0
"""Seconds of a Retry-After that are believed."""
SAID = 200
"""Characters of a service's own words that a person is shown."""
_BUSY, _WAIT = (429, 503), (408, 425)
_HINTS = {
    400: "the service does not accept the message as it is: check the channel's settings",
    401: "check the token, or make a new one",
    403: "check that the token or webhook may still write there",
    404: "check the address: the webhook may have been removed",
    405: "check the address: it does not accept messages",
    407: "the proxy wants a login: set it in HTTPS_PROXY",
    410: "the webhook was removed: make a new one",
    413: "the service takes no message of this size",
}


def judge(
    result: Reply | Failure, scrub: Callable[[str], str], notes: Mapping[str, tuple[str, str]] | None = None
) -> Answer:
    """What became of a message. ``notes``: what a service's own words mean (``no_service``), as reason and hint."""
    if isinstance(result, Failure):
        busy = result.outcome is Outcome.LATER
        return Answer(result.outcome, result.status, scrub(result.reason), result.hint, busy=busy)
    status, code = result.status, str(result.status)
    if 200 <= status < 300:
        return Answer(Outcome.DELIVERED, code)
    if 300 <= status < 400:
        return Answer(Outcome.REFUSED, code, scrub(_redirect(result)), "give the new address as the channel's url")
    reason, hint = explained(result, notes or {})
    after = retry_after(result)
    if status in _BUSY:
        words = "the service asks to send less" if status == 429 else "the service is not available now"
        return Answer(Outcome.LATER, code, scrub(reason or words), retry_after=after, busy=True)
    if status in _WAIT:
        return Answer(Outcome.LATER, code, scrub(reason or "the service asks to send it again"), retry_after=after)
    if status >= 500:
        words = scrub(reason or "the service has an error of its own")
        return Answer(Outcome.UNSURE, code, words, "it may have arrived: look into the channel", retry_after=after)
    return Answer(Outcome.REFUSED, code, scrub(reason or "the service refuses it"), hint or _HINTS.get(status, ""))


def explained(reply: Reply, notes: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """What the service says of its refusal, as a reason and a hint; the reason is not scrubbed yet."""
    words = said(reply)
    for note, (reason, hint) in notes.items():
        if re.search(rf"(?<!\w){re.escape(note)}(?!\w)", words):
            return f"{reason} ({note})", hint
    return (f"the service says: {words}" if words else ""), ""


def said(reply: Reply) -> str:
    """The service's own words: of its JSON the error or message, else its text; nothing of a web page."""
    found = json_of(reply)
    text = reply.body.decode("utf-8", "replace")
    if isinstance(found, dict):
        text = _words(found)
    elif text.lstrip().startswith("<") or "html" in reply.headers.get("content-type", ""):
        return ""
    return clean(text.strip(), SAID)


def _words(found: Mapping[str, Any]) -> str:
    texts: list[str] = []
    for name in ("error", "message", "detail", "title", "errors"):
        value = found.get(name)
        if isinstance(value, dict):
            value = "; ".join(str(value[part]) for part in ("code", "message") if value.get(part))
        if isinstance(value, list):
            value = ", ".join(str(one) for one in value[:5])
        if isinstance(value, str | int) and not isinstance(value, bool):
            texts.append(str(value))
    return "; ".join(dict.fromkeys(filter(None, texts)))


def json_of(reply: Reply) -> Any:
    """The answer's JSON, or None."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return None


def retry_after(reply: Reply) -> float | None:
    """How long the service asks to wait: ``retry_after`` of its JSON (Discord), or the header Retry-After, in seconds
    or as a date (RFC 9110, 10.2.3), which is compared with the server's own clock."""
    found = json_of(reply)
    if isinstance(found, dict) and isinstance(found.get("retry_after"), int | float):
        return _bounded(float(found["retry_after"]))
    text = reply.headers.get("retry-after", "").strip()
    try:
        return _bounded(float(text))
    except ValueError:
        at = _time(text)
    now = _time(reply.headers.get("date", ""))
    return _bounded(at - (time.time() if now is None else now)) if at is not None else None


def _time(text: str) -> float | None:
    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bounded(seconds: float) -> float | None:
    return min(max(seconds, 0.0), LONGEST) if math.isfinite(seconds) else None


def _redirect(reply: Reply) -> str:
    """Where to, by its host alone: the rest may be a secret."""
    try:
        host = urlsplit(reply.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return f"the service redirects to {host or 'another address'}, and redirects are not followed"
