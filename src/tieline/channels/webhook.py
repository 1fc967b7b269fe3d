"""Any address that takes JSON. One document for each event, the same at every try::

    {"version": 1, "type": "run.failed", "id": "…", "timestamp": "2026-01-31T12:00:00+00:00",
     "run": {"uuid": …, "name": …, "project": …, "namespace": …, "kind": "job", "engine": …, "status": "failed",
             "reason": "exit-code", "message": …, "exitCode": 1, "attempt": 1, "sequence": 7, "owner": …, "jobFile": …,
             "tags": […], "createdAt": …, "startedAt": …, "finishedAt": …, "seconds": 12.5},
     "resolves": false, "links": [{"title": …, "target": …}], "log": {"tail": […], "note": ""}}

``type`` is ``run.<status>``, or ``test`` (with ``message`` and without ``run``). What is not known is null. Fields may
be added; a field that changes its meaning changes ``version``.

``id`` is the same for every try to tell this event: it is also the header ``webhook-id`` and the ``Idempotency-Key``
(draft-ietf-httpapi-idempotency-key-header), and who has seen it may drop the message. With a signing key, it is signed
after standardwebhooks.com: ``webhook-signature: v1,<base64 of HMAC-SHA256 of "id.timestamp.body">``; a key that begins
with ``whsec_`` is base64, others are used as they are. ``webhook-timestamp`` is the time of sending: refuse what is
older than some minutes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tieline.channels.base import Traits, Unusable
from tieline.channels.hooks import HttpSender, Place, json_bytes, method_of
from tieline.channels.http import Request
from tieline.model.access import Channel
from tieline.model.notification import EventFacts, Item, Message
from tieline.secrets.secret import Secret

VERSION = 1
PREFIX = "whsec_"


class WebhookSender(HttpSender):
    """An address that takes a POST (or PUT) of JSON."""

    title = "the webhook"
    traits = Traits(keyed=True, folds=False, most=1)

    def __init__(self, access: Channel, secrets: Mapping[str, Secret]) -> None:
        super().__init__(access, secrets)
        self._method = method_of(self.option("method"), "method")
        self._headers = self.bearer()
        self._key = _key_of(self.secret("signing-key"))

    def request(self, place: Place, message: Message) -> Request:
        item = message.items[0] if message.items else None
        key = _header(item.key) if item else f"test-{uuid.uuid4()}"
        body = json_bytes(document_of(item) if item else {**_head("test", key), "message": message.test})
        now = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "webhook-id": key,
            "webhook-timestamp": now,
            **self._headers,
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, key, now, body)
        method = place.method if place.method != "POST" else self._method
        return Request(method, place.url, headers, body)


def _key_of(text: str | None) -> bytes | None:
    if text is None:
        return None
    if not text.startswith(PREFIX):
        return text.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise Unusable("the signing key is no base64 behind whsec_", "copy it again", "signing-key") from None


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """What says that the message is Tieline's, and of that time."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")


def _header(key: str) -> str:
    """A key that may be in a header."""
    if key.isascii() and key.isprintable() and " " not in key and key:
        return key
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _head(kind: str, key: str, at: datetime | None = None) -> dict[str, Any]:
    return {"version": VERSION, "type": kind, "id": key, "timestamp": _time(at)}


def document_of(item: Item) -> dict[str, Any]:
    """The document of one event."""
    return {
        **_head(f"run.{item.facts.status.value}", _header(item.key), item.facts.at),
        "run": _run(item.facts),
        "resolves": item.resolves,
        "links": [{"title": link.title, "target": link.target} for link in item.links],
        "log": {"tail": list(item.tail), "note": item.tail_note},
    }


def _run(facts: EventFacts) -> dict[str, Any]:
    return {
        "uuid": facts.run,
        "name": facts.name,
        "project": facts.project,
        "namespace": facts.namespace,
        "kind": facts.kind,
        "engine": facts.engine,
        "status": facts.status.value,
        "reason": facts.reason or None,
        "message": facts.message or None,
        "exitCode": facts.exit_code,
        "attempt": facts.attempt,
        "sequence": facts.sequence,
        "owner": facts.owner or None,
        "jobFile": facts.job_file or None,
        "tags": list(facts.tags),
        "createdAt": _time(facts.created_at),
        "startedAt": _time(facts.started_at),
        "finishedAt": _time(facts.finished_at),
        "seconds": facts.seconds,
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
