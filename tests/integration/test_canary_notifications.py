"""The canary test for notifications: every channel's address, token and password is a canary; the services echo them in
their refusals; and they are on no surface: the console, the record, the logs, the messages, any process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from canary_harness import World

from servers.receiver import Receiver, Step, receiver

HTTP = ("slack", "teams", "discord", "mattermost", "hipchat", "webhook", "pagerduty")


FAULTS = {
    "well": Step(),
    "refused": Step(404, echo=True),
    "error": Step(500, echo=True),
    "cut": Step(does="cut"),
    "redirect": Step(302, headers={"Location": "{echo}"}, echo=True),
    "nonsense": Step(does="nonsense"),
}


@pytest.fixture(scope="module")
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, there: Receiver) -> World:
    """Its channels: each service with an address that is a canary, slack with a token, and the older form."""
    made = World(tmp_path_factory.mktemp("canary"))
    made.channels = []
    value = made.canaries.value
    for service in HTTP:
        address = there.url(f"/{value(f'{service} path')}?code={value(f'{service} query')}")
        keys = {name: value(f"{service} {name}") for name in ("token", "routing_key", "signing_key")}
        add(made, service, service, {**keys, "url": address}, channel="room")
    add(made, "by-token", "slack", {"token": value("bot")}, channel="#c", url=there.url("/api"))
    old = {"url": there.url(f"/services/{value('old path')}")}
    add(made, "old", "slack", {"POLYAXON_INTEGRATIONS_WEBHOOKS_SLACK": json.dumps([old, old])})
    catalog(made)
    return made


def add(world: World, name: str, kind: str, keys: dict[str, str], **schema: Any) -> None:
    world.keep(name, keys)
    world.channels.append({"name": name, "kind": kind, "secret": {"name": name}, "schema": schema})


def catalog(world: World) -> None:
    place = {"hostPath": str(world.store), "mountPath": "/store"}
    data = {
        "artifactsStore": {"name": "store", "kind": "host_path", "schema": place},
        "connections": [{"name": "db", "kind": "custom", "secret": {"name": "db"}}],
        "notificationConnections": world.channels,
    }
    world.keep("db", {"PASSWORD": world.canaries.value("db password")})
    (world.files / "tieline.yaml").write_text(json.dumps(data))


def job(world: World) -> str:
    data = {
        "kind": "component", "name": "job",
        "plugins": {"notifications": [{"connections": [one["name"] for one in world.channels], "trigger": "done"}]},
        "run": {"kind": "job", "connections": ["db"],
                "container": {"command": ["sh", "-c", "echo fine; sleep 0.5; exit 1"]}},
    }  # fmt: skip
    (world.files / "job.json").write_text(json.dumps(data))
    return "job.json"


@pytest.mark.parametrize("fault", FAULTS)
def test_no_surface_shows_a_channels_secret(world: World, there: Receiver, fault: str) -> None:
    there.clear()
    there.script(*[FAULTS[fault]] * len(world.channels))
    with world.watched():
        told = world("run", job(world), code=1)
    assert "told" in told
    world("notifications", "list", "-o", "json")
    assert len(there.requests) >= len(HTTP)
    for one in there.requests:  # a routing key is where PagerDuty wants it
        assert world.canaries.found_in(one.body.partition(b"routing_key")[0]) == [], one.path
    assert world.found() == []


def test_nor_does_what_is_shown_afterwards(world: World, there: Receiver) -> None:
    there.script(*[FAULTS["refused"]] * 40)
    with world.watched():
        world("notifications", "retry", "--failed", "--unknown", "--timeout", "2", code=None)
    world.everything()
    for number in (1, len(world.channels) + 1, 2 * len(world.channels) + 1):
        world("notifications", "show", str(number))
        world("notifications", "show", str(number), "-o", "json")
    assert world.found() == []


def test_testing_them_shows_none_either(world: World, there: Receiver) -> None:
    there.script(*[FAULTS["refused"]] * 100)
    names = [one["name"] for one in world.channels]
    with world.watched():
        world("connections", "test", *names, "--send", code=None)
    assert world.found() == []
