"""What the tests of channels share: events to tell, and hostile text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tieline.channels.base import Sender
from tieline.channels.opening import open_sender
from tieline.model.access import Channel
from tieline.model.notification import EventFacts, Item, Link, Message
from tieline.model.run import Status
from tieline.secrets.secret import Secret

AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
RUN = "0f8fad5b-d9cb-469f-a165-70867728950e"
LINKS = (
    Link("Logs", f"tieline runs logs {RUN[:8]}"),
    Link("Run", f"https://tieline.example.org/runs/{RUN}"),
)
HOSTILE = (
    "<!channel> <@U123> @channel @all @here @everyone <@&42> [click](https://evil.example) <https://evil.example|x> "
    "``` `code` **bold** {{DATE(2026)}} \x1b[31mred\x1b]8;;https://evil.example\x07link \x00\x07\u202egnp.exe \ud800 "
    "& <b>"
)
URLS = {
    "slack": "/services/T0/B0/",
    "teams": "/workflows/f00/triggers/manual/paths/invoke/",
    "discord": "/api/webhooks/42/",
    "mattermost": "/hooks/",
    "pagerduty": "/v2/enqueue",
    "hipchat": "/v2/room/7/notification/",
    "webhook": "/take/",
}
SERVICES = tuple(URLS)
OPENED: list[Sender] = []
"""All that were opened, so that a test can close them."""


def facts(status: Status = Status.FAILED, **more: Any) -> EventFacts:
    given: dict[str, Any] = {
        "run": RUN, "sequence": 7, "at": AT, "status": status, "attempt": 2, "name": "train", "project": "penguins",
        "namespace": "default", "kind": "job", "engine": "process", "created_at": AT - timedelta(minutes=4),
        "started_at": AT - timedelta(seconds=185), "finished_at": AT if status.is_final else None, "owner": "ada",
        "tags": ("nightly",), "job_file": "train.yaml",
    }  # fmt: skip
    if status is Status.FAILED:
        given |= {"reason": "exit-code", "message": "the program ended with 3", "exit_code": 3}
    return EventFacts(**{**given, **more})


def item(status: Status = Status.FAILED, key: str = "event-1", **more: Any) -> Item:
    tail = ("Epoch 3", "loss is NaN") if status is Status.FAILED else ()
    return Item(key, facts(status, **more), LINKS, tail)


def hostile_item(length: int = 100_000) -> Item:
    """Text that means something to every service, and much of it."""
    long = HOSTILE * (length // len(HOSTILE) + 1)
    found = facts(name=HOSTILE, project=long, message=long, reason=long, owner=HOSTILE, namespace=HOSTILE, tags=(long,))
    links = (Link(long, f"https://x.example/{'y' * 5000}"), Link(HOSTILE, f"tieline runs logs {HOSTILE}"), *LINKS)
    return Item("event-9", found, links, tuple([long, HOSTILE, "😀" * length] * 20))


def single(status: Status = Status.FAILED, **more: Any) -> Message:
    return Message((item(status, **more),))


def digest(count: int, **more: Any) -> Message:
    return Message(tuple(item(key=f"event-{number}", name=f"job-{number}", **more) for number in range(count)))


def opened(
    service: str, secrets: Mapping[str, str], options: Iterable[tuple[str, str]] = (), **more: Any
) -> Sender:  # fmt: skip
    access = Channel(service=service, options=dict(options), **more)
    sender = open_sender(access, {name: Secret(value) for name, value in secrets.items()})
    OPENED.append(sender)
    return sender


def whole(service: str, base: str, canary: str = "c4nary-7Qx9", **more: Any) -> Sender:
    """A sender with all that its service needs."""
    secrets = {"url": base + URLS[service] + (canary if service != "pagerduty" else "")}
    if service == "hipchat":
        secrets["url"] = f"{base}/v2/room/7/notification?auth_token={canary}"
    if service in ("pagerduty", "webhook"):
        secrets |= {"routing-key": canary, "token": canary, "signing-key": f"{canary}-key"}
    return opened(service, {name: text for name, text in secrets.items() if service != "pagerduty" or name != "token"},
                  **more)  # fmt: skip
