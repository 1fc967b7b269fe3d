"""Delivering to a real receiver that misbehaves: what arrives, how often, and what is said of what does not."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import deliver_harness
import pytest
from outbox_harness import World

from servers.certificates import Authority
from servers.processes import eventually
from servers.receiver import Receiver, Step, receiver
from tieline.app.delivering import Deliverer
from tieline.app.notifications import wait_for
from tieline.app.opened_channels import Opened
from tieline.channels.base import LIMIT
from tieline.channels.opening import open_sender
from tieline.model.access import Channel
from tieline.model.notification import Delivery
from tieline.model.run import Status
from tieline.runs.outbox import Outbox
from tieline.secrets.secret import Secret
from tieline.secrets.sources import open_sources


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def world(tmp_path: Path, there: Receiver) -> Iterator[World]:
    made = World.at(tmp_path / "home")
    made.channel("hook", "webhook", url=there.url("/hook"))
    made.channel("team", "slack", url=there.url("/team"))
    made.channel("page", "pagerduty", url=there.url("/v2/enqueue"))
    yield made
    made.record.close()


def deliver(world: World, seconds: float = 30.0, *, unlimited: bool = False) -> None:
    """Until nothing is waiting."""
    with Deliverer(world.home, world.record, unlimited=unlimited):
        wait_for(world.record.outbox, seconds)


def outcomes(world: World, number: int = 1) -> list[tuple[str, str]]:
    return [(one.outcome, one.status) for one in world.record.outbox.get(number).history]


def test_everybody_is_told_once(world: World, there: Receiver) -> None:
    run = world.ended("hook", "team", "page")
    deliver(world)
    assert {state for _, _, state in world.states()} == {"delivered"}
    assert Counter(one.path for one in there.requests) == {"/hook": 1, "/team": 1, "/v2/enqueue": 1}
    (key,) = there.keys
    assert key == f"{run.uuid}.3.hook"
    assert there.opened == {"tieline/default/penguins/train": 1}


def test_a_success_resolves_what_a_failure_triggered(world: World, there: Receiver) -> None:
    world.ended("page")
    deliver(world)
    assert there.state()["open"] == ["tieline/default/penguins/train"]
    world.ended("page", status=Status.SUCCEEDED)
    deliver(world)
    assert there.state()["open"] == []


def test_429_is_waited_for_as_the_service_asks(world: World, there: Receiver) -> None:
    there.script(Step(429, headers={"Retry-After": "1"}), Step(503, headers={"Retry-After": "1"}))
    world.ended("team")
    began = time.monotonic()
    deliver(world)
    assert outcomes(world) == [("later", "429"), ("later", "503"), ("delivered", "200")]
    assert time.monotonic() - began >= 2
    assert len(there.taken) == 1


def test_a_busy_service_is_left_alone_by_all_its_messages(world: World, there: Receiver) -> None:
    there.script(Step(429, headers={"Retry-After": "2"}))
    for _ in range(5):
        world.ended("team")
    deliver(world)
    gaps = [later.at - there.requests[0].at for later in there.requests[1:]]
    assert min(gaps) >= 2


def test_a_service_that_is_not_there_is_tried_again(world: World) -> None:
    world.channel("team", "slack", url="http://127.0.0.1:1/nobody")
    world.ended("team")
    with Deliverer(world.home, world.record):
        eventually(lambda: world.told()[0].attempts >= 2)
    assert outcomes(world)[0] == ("later", "connection refused")


def test_what_was_not_sent_is_sent_again(world: World, tmp_path: Path) -> None:
    """Reset before anything was sent: while TLS is agreed on, so that no kernel can have taken the message."""
    authority = Authority(tmp_path)
    with receiver(authority.issue("IP:127.0.0.1").files) as there:
        world.channel("team", "slack", url=there.url("/team"), caBundle=str(authority.certificate))
        there.script(Step(does="reset"))
        world.ended("team")
        deliver(world)
        assert [outcome for outcome, _ in outcomes(world)] == ["later", "delivered"]
        assert len(there.taken) == 1


@pytest.mark.parametrize("fault", [Step(500), Step(does="cut"), Step(502)])
def test_an_ambiguous_answer_is_tried_again_only_with_a_key(world: World, there: Receiver, fault: Step) -> None:
    for name, state in (("team", Delivery.UNKNOWN), ("hook", Delivery.DELIVERED), ("page", Delivery.DELIVERED)):
        there.clear()
        there.script(fault)
        world.ended(name)
        deliver(world)
        assert world.told(name)[0].state is state, name
        assert len(there.requests) == (1 if state is Delivery.UNKNOWN else 2)
    assert there.opened == {"tieline/default/penguins/train": 1}, "twice with one key has the effect of once"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 302])
def test_a_refusal_is_final_and_seen(world: World, there: Receiver, status: int) -> None:
    there.script(Step(status, body="no_service"))
    world.ended("hook")
    deliver(world)
    (row,) = world.told()
    assert (row.state, row.status, row.attempts) == (Delivery.FAILED, str(status), 1)
    assert row.reason


def test_a_secret_that_is_missing_is_waited_for(world: World, there: Receiver) -> None:
    pin = world.pins["page"]
    access = json.loads(json.dumps(pin.access).replace('"page"', '"gone"'))
    world.pins["page"] = type(pin)("other", pin.connection, pin.namespace, access, pin.sources)
    world.ended("page")
    with Deliverer(world.home, world.record):
        eventually(lambda: world.told()[0].attempts)
        eventually(lambda: world.told()[0].state is Delivery.PENDING)
    row = world.told()[0]
    assert row.status == "secret missing"
    assert "gone" in row.reason


def test_a_burst_is_told_at_the_allowed_rate_and_then_in_one_message(world: World, there: Receiver) -> None:
    runs = [world.ended("team", name=f"job-{number}") for number in range(30)]
    deliver(world)
    assert {state for _, _, state in world.states()} == {"delivered"}
    texts = [one.body.decode() for one in there.requests]
    assert len(texts) == 5, "what Slack takes at once"
    assert all(sum(run.uuid[:8] in text for text in texts) == 1 for run in runs), "each is told of, once"


def test_a_hanging_channel_keeps_no_other_waiting(world: World, there: Receiver) -> None:
    there.script(Step(does="hang"))
    world.ended("team")
    deliverer = Deliverer(world.home, world.record).start()
    eventually(lambda: there.requests)
    world.ended("hook", "page")
    deliverer.wake()
    eventually(lambda: [one.state for one in world.told()].count(Delivery.DELIVERED) == 2, 5)
    assert world.told("team")[0].state is Delivery.SENDING
    there.close()
    deliverer.stop()


def test_deliverers_side_by_side_send_nothing_twice(world: World, there: Receiver) -> None:
    there.script(Step(seconds=0.003, times=400))
    for _ in range(60):
        world.ended("hook", "team", "page")
    argv = [sys.executable, deliver_harness.__file__, str(world.home.root)]
    processes = [subprocess.Popen(argv) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert {state for _, _, state in world.states()} == {"delivered"}
    assert Counter(one.path for one in there.requests) == {"/hook": 60, "/team": 60, "/v2/enqueue": 60}
    assert there.state()["most"] == 1
    assert list((world.home.root / "deliverers").glob("*.lock")) == []


def test_two_webhooks_of_the_older_form_are_told_once_each(world: World, there: Receiver) -> None:
    from tieline.app.secrets import keeper
    from tieline.secrets.secret import Secret

    pin = world.pins["page"]
    urls = json.dumps([{"url": there.url("/one")}, {"url": there.url("/two")}])
    keeper(world.home, "secret").set("default", "old", {"POLYAXON_INTEGRATIONS_WEBHOOKS_SLACK": Secret(urls)})
    keys = ["POLYAXON_INTEGRATIONS_WEBHOOKS_SLACK"]
    access = {
        "type": "channel", "service": "slack",
        "credentials": {"secret": "old", "method": "secret",
                        "values": {"webhooks": {"type": "secret", "secret": "old", "keys": keys}}},
    }  # fmt: skip
    world.pins["old"] = type(pin)("old", "old", "default", access, [])
    there.script(Step(), Step(503))
    world.ended("old")
    deliver(world)
    assert Counter(one.path for one in there.requests) == {"/one": 1, "/two": 2}
    assert outcomes(world) == [("later", "503"), ("delivered", "200")]


def test_what_waits_for_an_earlier_one_is_not_looked_at_without_a_pause(
    world: World, there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = []
    hold = Outbox.hold
    monkeypatch.setattr(Outbox, "hold", lambda self, *words: (holds.append(1), hold(self, *words))[1])
    there.script(Step(408, headers={"Retry-After": "4"}))
    run = world.run("hook", trigger="created", more="saving")
    world.record.transition(run.uuid, Status.SAVING)
    deliver(world)
    assert [one.json["type"] for one in there.requests] == ["run.created", "run.created", "run.saving"]
    assert len(holds) < 10


def test_an_incident_is_not_opened_after_the_success_that_ends_it(world: World, there: Receiver) -> None:
    there.script(Step(500))
    world.ended("page")
    world.ended("page", status=Status.SUCCEEDED)
    deliver(world)
    assert [one.json["event_action"] for one in there.requests] == ["trigger", "trigger", "resolve"]
    assert set(there.incidents.values()) == {"resolve"}


def test_a_listener_that_fails_has_nobody_told_twice(world: World, there: Receiver) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError

    world.ended("team")
    with Deliverer(world.home, world.record, gone):
        wait_for(world.record.outbox, 10)
    assert len(there.requests) == 1
    assert world.states() == [("team", "failed", "delivered")]


def test_many_targets_that_hang_do_not_outlast_the_hold(world: World) -> None:
    secret = json.dumps([{"url": f"https://hooks.example.org/{number}"} for number in range(20)])
    sender = open_sender(Channel(service="webhook"), {"webhooks": Secret(secret)})
    limits = Deliverer(world.home, world.record)._limits(
        Opened(sender.traits, open_sources((), "default", world.home.root, {}), sender)
    )
    assert limits.lease / 2 >= 20 * LIMIT


@pytest.mark.parametrize("statement", ["update channels set access = '[]'", "update notifications set facts = '{}'"])
def test_rows_of_another_version_stop_nobody_and_are_looked_at_with_pauses(
    world: World, there: Receiver, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes: list[object] = []
    monkeypatch.setattr(threading, "excepthook", crashes.append)
    world.ended("hook")
    with sqlite3.connect(world.home.database) as connection:
        connection.execute(statement)
    connection.close()
    world.ended("team")
    with Deliverer(world.home, world.record):
        there.wait(1)
        time.sleep(0.5)
    assert (crashes, [one.path for one in there.requests]) == ([], ["/team"])
