"""PagerDuty: Events API v2. A failure opens an incident, and the next success of the same job resolves it.

Both carry one ``dedup_key``, made of what the event is about: a key that comes twice is one incident, so a message may
be sent twice. A test opens an incident of severity info with a key of its own, and resolves it at once.

Sources: developer.pagerduty.com, "Send an Alert Event" (summary 1024 characters, dedup_key 255, severities, 512 KB),
"Events API v2 overview" (202; 400 is final, 429 and 5xx are tried again), "Events API rate limits" (120 events a minute
for each integration).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tieline.channels.base import Answer, Outcome, Rate, Traits, Unusable
from tieline.channels.hooks import HttpSender, Place, json_request
from tieline.channels.http import Request
from tieline.channels.text import clip, fitting, is_address
from tieline.channels.wording import TEST, details, duration, title_of, why
from tieline.model.notification import Item, Message
from tieline.model.run import Status

SUMMARY, KEY, TAIL = 1024, 255, 8000
SEVERITIES = ("critical", "error", "warning", "info")
_SEVERITY = {Status.STOPPED: "warning", Status.RETRYING: "warning"}
ENQUEUE = "/v2/enqueue"


class PagerDutySender(HttpSender):
    """An integration of a PagerDuty service, by its routing key."""

    title = "PagerDuty"
    usual_url = f"https://events.pagerduty.com{ENQUEUE}"
    traits = Traits(rate=Rate(burst=20, per_second=2), keyed=True, folds=False, most=1)
    notes: ClassVar[Mapping[str, tuple[str, str]]] = {
        "Event object is invalid": ("PagerDuty does not accept the event", "check the routing key"),
        "invalid routing key": ("PagerDuty does not know the routing key", "copy the integration's key again"),
    }

    def places(self) -> list[Place]:
        severity = self.option("severity").lower()
        if severity and severity not in SEVERITIES:
            raise Unusable(f"{severity[:20]} is no severity", f"use {', '.join(SEVERITIES)}", "severity")
        base = self.address() or self.usual_url
        key = self.secret("routing-key")
        found = [Place(_enqueue(base), key=key, public=not self.secret("url"))] if key else []
        for older in self.older():
            if not older.key:
                raise Unusable("a webhook of the list has no service_key", "add the integration's key", "webhooks")
            found.append(Place(_enqueue(older.url), key=older.key, public=older.url == self.usual_url))
        if not found:
            raise Unusable("nothing has the routing key", "put it under routing_key in the secret", "routing-key")
        return found

    def tell(self, place: Place, message: Message) -> Answer:
        if not message.test:
            return super().tell(place, message)
        key = f"tieline/test/{uuid.uuid4()}"
        opened = self._sent(place, self._test(message.test, key))
        if opened.outcome is not Outcome.DELIVERED:
            return opened
        resolved = self._sent(place, {"event_action": "resolve", "dedup_key": key})
        if resolved.outcome is Outcome.DELIVERED:
            return Answer(Outcome.DELIVERED, resolved.status, "a test incident was opened and resolved at once")
        reason = f"the test incident was opened, and not resolved: {resolved.reason}"
        return Answer(Outcome.DELIVERED, resolved.status, reason, "resolve it by hand")

    def request(self, place: Place, message: Message) -> Request:
        return self._request(place, self.event_of(message.items[0]))

    def _sent(self, place: Place, event: dict[str, Any]) -> Answer:
        return self.judged(self._web.send(self._request(place, event), self.limit))

    @staticmethod
    def _request(place: Place, event: dict[str, Any]) -> Request:
        return json_request(place, {"routing_key": place.key, **event})

    def event_of(self, item: Item) -> dict[str, Any]:
        """The event: ``resolve`` for a success, else ``trigger``."""
        facts, key = item.facts, dedup_key(item.subject)
        if facts.status is Status.SUCCEEDED:
            return {"event_action": "resolve", "dedup_key": key}
        links = [{"href": link.target, "text": link.title} for link in item.links if is_address(link.target)]
        return {
            "event_action": "trigger",
            "dedup_key": key,
            "client": "Tieline",
            "payload": {
                "summary": clip(f"{title_of(Message((item,)))}: {why(facts)}".removesuffix(": "), SUMMARY),
                "source": f"tieline/{facts.namespace}/{facts.project}",
                "severity": self._severity(facts.status),
                "timestamp": facts.at.isoformat(),
                "component": self.option("component") or facts.name,
                "group": facts.project,
                "class": facts.reason or facts.status.value,
                "custom_details": _custom(item),
            },
            "links": links[:10],
        }

    def _severity(self, status: Status) -> str:
        if status is Status.FAILED:
            return self.option("severity").lower() or "error"
        return _SEVERITY.get(status, "info")

    @staticmethod
    def _test(words: str, key: str) -> dict[str, Any]:
        payload = {"summary": clip(f"{TEST}: {words}", SUMMARY), "source": "tieline", "severity": "info",
                   "class": "test"}  # fmt: skip
        return {"event_action": "trigger", "dedup_key": key, "client": "Tieline", "payload": payload}


def dedup_key(subject: str) -> str:
    """The same for all runs of one job; what is too long keeps its beginning, and a digest of all."""
    key = f"tieline/{subject}"
    if len(key) <= KEY:
        return key
    digest = hashlib.sha256(subject.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"{key[: KEY - 33]}~{digest}"


def _enqueue(url: str) -> str:
    """Where events go: a server's address alone, or with the path of the API that came before, means this one's."""
    found = urlsplit(url)
    if found.path.strip("/") and not found.path.startswith("/generic/2010-04-15"):
        return url
    return found._replace(path=ENQUEUE, query="").geturl()


def _custom(item: Item) -> dict[str, Any]:
    facts = item.facts
    found: dict[str, Any] = {label.lower(): value for label, value in details(item)}
    found |= {"run": facts.run, "name": facts.name, "namespace": facts.namespace, "engine": facts.engine}
    found |= {"reason": facts.reason, "message": facts.message, "exit code": facts.exit_code, "owner": facts.owner}
    found |= {
        "tags": ", ".join(facts.tags),
        "job file": facts.job_file,
        "log": "\n".join(fitting(item.tail, TAIL, 1000)),
    }
    found |= {"log note": item.tail_note, "links": "\n".join(f"{link.title}: {link.target}" for link in item.links)}
    if facts.seconds is not None:
        found["duration"] = duration(facts.seconds)
    return {name: value for name, value in found.items() if value not in ("", None)}
