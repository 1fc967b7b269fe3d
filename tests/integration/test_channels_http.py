"""Senders against a real server on this machine, which answers, refuses, hangs, drips and cuts as services do."""

from __future__ import annotations

import base64
import gc
import hashlib
import hmac
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from channels_harness import OPENED, SERVICES, digest, item, opened, single, whole
from servers.certificates import Authority
from servers.https import mute_server
from servers.processes import eventually, free_port
from servers.receiver import Receiver, Step, receiver, tell
from tieline.channels.base import Answer, Outcome, Sender
from tieline.channels.opening import traits_of
from tieline.model.notification import Message
from tieline.model.run import Status

CANARY = "c4nary-7Qx9-f00dfeed"
ECHO = f"no {CANARY} here: /services/T0/B0/{CANARY} token={CANARY}"
DELIVERED, LATER, UNSURE, REFUSED = Outcome.DELIVERED, Outcome.LATER, Outcome.UNSURE, Outcome.REFUSED


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def opening(there: Receiver) -> Any:
    """Opens senders to the receiver."""
    return lambda service, **more: whole(service, there.url(""), CANARY, **more)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes what a test opened."""
    yield
    while OPENED:
        OPENED.pop().close()


def send(sender: Sender, message: Message | None = None, limit: float | None = None) -> Answer:
    if limit is not None:
        sender.limit = limit  # type: ignore[attr-defined]
    answer = sender.send(sender.targets[0], message or single())
    assert CANARY not in repr(answer) + repr(sender.targets)
    return answer


# What services answer


@pytest.mark.parametrize("service", SERVICES)
def test_a_message_is_taken(service: str, there: Receiver, opening: Any) -> None:
    sender = opening(service)
    assert send(sender).outcome is DELIVERED
    (one,) = there.requests
    assert one.method == "POST"
    assert one.headers["content-type"].startswith("application/json")
    assert one.headers["user-agent"].startswith("Tieline/")
    assert CANARY in one.path + one.body.decode()
    if traits_of(service).folds:
        assert send(sender, digest(5)).outcome is DELIVERED
        assert len(there.requests) == 2


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("step", "outcome", "after", "busy"),
    [
        (Step(429, ECHO, {"Retry-After": "7"}), LATER, 7, True),
        (Step(429, ECHO), LATER, None, True),
        (Step(503, ECHO, {"Retry-After": "3"}), LATER, 3, True),
        (Step(408, ECHO), LATER, None, False),
        (Step(425, ECHO), LATER, None, False),
        (Step(500, ECHO), UNSURE, None, False),
        (Step(502, f"<html>{CANARY}</html>"), UNSURE, None, False),
        (Step(504, ECHO), UNSURE, None, False),
        (Step(400, ECHO), REFUSED, None, False),
        (Step(401, json.dumps({"error": ECHO})), REFUSED, None, False),
        (Step(403, json.dumps({"message": ECHO})), REFUSED, None, False),
        (Step(404, ECHO), REFUSED, None, False),
        (Step(410, json.dumps({"errors": [ECHO]})), REFUSED, None, False),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Step) else None,
)
def test_what_an_answer_means(
    service: str, step: Step, outcome: Outcome, after: float | None, busy: bool, there: Receiver, opening: Any
) -> None:
    there.script(step)
    answer = send(opening(service))
    assert (answer.outcome, answer.retry_after, answer.busy) == (outcome, after, busy)
    assert answer.status == str(step.status)
    assert answer.reason
    assert answer.hint or outcome is LATER
    assert len(there.requests) == 1


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": formatdate(time.time() + 80_000, usegmt=True)}, 70_000, 80_001),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0, 0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30, 30),
        ({"Retry-After": "-3"}, 0, 0),
        ({"Retry-After": "1e9"}, 86400, 86400),
    ],
)
def test_retry_after(headers: dict[str, str], low: float, high: float, there: Receiver, opening: Any) -> None:
    there.script(Step(429, "slow down", headers))
    after = send(opening("webhook")).retry_after
    assert after is not None
    assert low <= after <= high


@pytest.mark.parametrize("text", ["soon", "nan", "inf", ""])
def test_a_retry_after_that_says_nothing(text: str, there: Receiver, opening: Any) -> None:
    there.script(Step(429, "slow down", {"Retry-After": text}))
    assert send(opening("webhook")).retry_after is None


def test_discord_says_when_in_its_body(there: Receiver, opening: Any) -> None:
    there.script(Step(429, '{"message":"You are being rate limited.","retry_after":0.65,"global":false}',
                      {"Retry-After": "1"}))  # fmt: skip
    assert send(opening("discord")).retry_after == 0.65
    assert there.requests[0].path.endswith("?wait=true")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(service: str, status: int, there: Receiver, opening: Any) -> None:
    there.script(Step(status, "", {"Location": f"https://elsewhere.example/{CANARY}?token={CANARY}"}))
    answer = send(opening(service))
    assert (answer.outcome, answer.status) == (REFUSED, str(status))
    assert "elsewhere.example" in answer.reason
    assert len(there.requests) == 1


# What connections do


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_listens(service: str) -> None:
    sender = whole(service, f"http://127.0.0.1:{free_port()}", CANARY)
    answer = send(sender)
    assert (answer.outcome, answer.status, answer.busy) == (LATER, "connection refused", True)


@pytest.mark.parametrize("service", SERVICES)
def test_cut_after_it_was_sent(service: str, there: Receiver, opening: Any) -> None:
    there.script(Step(does="cut"))
    answer = send(opening(service))
    assert (answer.outcome, answer.status) == (UNSURE, "connection cut")
    assert len(there.requests) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_no_answer(service: str, there: Receiver, opening: Any) -> None:
    there.script(Step(does="hang"))
    began = time.monotonic()
    answer = send(opening(service), limit=1.5)
    assert time.monotonic() - began < 20
    assert (answer.outcome, answer.status) == (UNSURE, "timed out after it was sent")


@pytest.mark.parametrize("does", ["drip", "drip-head"])
@pytest.mark.parametrize("service", ["slack", "webhook"])
def test_a_slow_drip_holds_nobody(does: str, service: str, there: Receiver, opening: Any) -> None:
    there.script(Step(200, "x" * 10_000, does=does))
    sender = opening(service)
    began = time.monotonic()
    answer = send(sender, limit=1.5)
    assert time.monotonic() - began < 20
    assert answer.outcome is (DELIVERED if does == "drip" else UNSURE)
    assert send(sender, limit=5).outcome is DELIVERED


def test_an_answer_that_is_not_whole(there: Receiver, opening: Any) -> None:
    there.script(Step(200, "x" * 100, does="short"), Step(200, "x" * 10_000_000), Step(404, "y" * 100, does="short"))
    sender = opening("webhook")
    assert [send(sender).outcome for _ in range(4)] == [DELIVERED, DELIVERED, REFUSED, DELIVERED]


def test_something_else_answers(there: Receiver, opening: Any) -> None:
    there.script(Step(does="nonsense"))
    answer = send(opening("webhook"))
    assert (answer.outcome, answer.status) == (UNSURE, "not HTTP")


@pytest.mark.parametrize("begun", [True, False], ids=["whenever", "before_tls"])
def test_reset_before_it_was_sent(begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TLS nothing is sent before both have agreed, so a reset at once is surely before."""
    pair = Authority(tmp_path).issue("IP:127.0.0.1")
    if not begun:  # the socket is made, and TLS begins on it when the reset has surely come
        wrapping = ssl.SSLContext.wrap_socket
        monkeypatch.setattr(
            ssl.SSLContext, "wrap_socket", lambda *given, **more: (time.sleep(0.2), wrapping(*given, **more))[1]
        )
    with receiver(pair.files) as there:
        sender = whole("slack", there.url(""), CANARY, options={"caBundle": str(tmp_path / "ca.pem")})
        there.script(Step(does="reset"))
        answer = send(sender)
        assert (answer.outcome, answer.busy) == (LATER, True)
        assert there.requests == []
        assert send(sender).outcome is DELIVERED
    gc.collect()  # what was left open is told by this test, not by one that comes later


def test_a_reset_is_never_told_as_delivered_or_refused(there: Receiver, opening: Any) -> None:
    """Without TLS it depends on the moment whether the message was already written."""
    there.script(Step(does="reset", times=20))
    sender = opening("slack")
    answers = [send(sender) for _ in range(20)]
    assert {answer.outcome for answer in answers} <= {LATER, UNSURE}
    assert there.resets == 20


def test_a_message_that_was_not_written_wholly_was_not_taken() -> None:
    """A server that reads nothing of a large message, and resets: what is left was never sent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def serve() -> None:
            line, _ = listening.accept()
            time.sleep(0.3)
            line.close()  # unread data makes it a reset

        thread = threading.Thread(target=serve)
        thread.start()
        sender = opened("webhook", {"url": f"http://127.0.0.1:{listening.getsockname()[1]}/{CANARY}"})
        tail = tuple("x" * 1000 for _ in range(200))
        links = tuple(item().links[1] for _ in range(100_000))
        answer = send(sender, Message((type(item())("k", item().facts, links, tail),)), limit=5)
        thread.join()
    assert (answer.outcome, answer.busy) == (LATER, True)


@pytest.mark.parametrize("service", ["webhook", "pagerduty"])
def test_kept_connections(service: str, there: Receiver, opening: Any) -> None:
    """To whom a message may be sent twice, the connection is kept; one that was closed while idle is made anew."""
    sender = opening(service)
    assert [send(sender).outcome for _ in range(5)] == [DELIVERED] * 5
    assert there.connections == 1
    there.script(Step(does="linger", seconds=0.1))
    assert send(sender).outcome is DELIVERED
    time.sleep(0.4)
    assert send(sender).outcome is DELIVERED
    assert there.connections == 2


@pytest.mark.parametrize("service", ["slack", "teams", "discord", "mattermost", "hipchat"])
def test_connections_that_are_not_kept(service: str, there: Receiver, opening: Any) -> None:
    sender = opening(service)
    assert [send(sender).outcome for _ in range(3)] == [DELIVERED] * 3
    assert there.connections == 3
    assert {one.headers["connection"] for one in there.requests} == {"close"}


# TLS and proxies


def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("IP:127.0.0.1")
    with receiver(pair.files) as there:
        trusting = whole("webhook", there.url(""), CANARY, options={"caBundle": str(tmp_path / "ca.pem")})
        assert send(trusting).outcome is DELIVERED
        answer = send(whole("webhook", there.url(""), CANARY))
        assert (answer.outcome, answer.status, answer.busy) == (LATER, "certificate", True)
        assert "caBundle" in answer.hint
        assert len(there.requests) == 1


def test_the_time_is_up_with_tls_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca = {"caBundle": str(authority.certificate)}
    with receiver(authority.issue("IP:127.0.0.1").files) as there:
        sender = whole("webhook", there.url(""), CANARY, options=ca)
        for does in ("hang", "drip-head", "cut"):
            there.script(Step(200, does=does))
            assert send(sender, limit=1.5).outcome is UNSURE
        assert send(sender, limit=5).outcome is DELIVERED
    with mute_server() as port:
        began = time.monotonic()
        answer = send(whole("webhook", f"https://127.0.0.1:{port}", CANARY, options=ca), limit=0.5)
        assert (answer.outcome, answer.status) == (LATER, "timed out")
        assert time.monotonic() - began < 20


def test_another_name_and_no_tls(tmp_path: Path, there: Receiver) -> None:
    authority = Authority(tmp_path)
    with receiver(authority.issue("DNS:other.example.org").files) as named:
        ca = {"caBundle": str(authority.certificate)}
        assert send(whole("webhook", named.url(""), CANARY, options=ca)).status == "certificate"
    answer = send(whole("webhook", f"https://127.0.0.1:{there.port}", CANARY), limit=0.5)
    assert answer.outcome is LATER
    assert there.requests == []


def test_a_name_that_nobody_knows() -> None:
    answer = send(whole("webhook", "http://tieline.invalid", CANARY), limit=20)
    assert answer.outcome is LATER
    assert "tieline.invalid" not in repr(answer)  # the whole address is a secret


def test_a_proxy_that_is_asked_and_fails(tmp_path: Path, there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CONNECT to a proxy was sent, and nothing of the message."""
    monkeypatch.setenv("HTTPS_PROXY", there.url(""))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for step in (Step(502), Step(does="cut"), Step(does="hang")):
        there.script(step)
        answer = send(whole("slack", "https://tieline.invalid", CANARY), limit=1.5)
        assert answer.outcome is LATER, step
    assert eventually(lambda: len(there.requests) == 3)
    assert {one.method for one in there.requests} == {"CONNECT"}


def test_a_proxy_for_plain_http(there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", there.url(""))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert send(whole("webhook", "http://tieline.invalid", CANARY)).outcome is DELIVERED
    assert there.requests[0].path.startswith("http://tieline.invalid/take/")


# What single services do


@pytest.mark.parametrize(
    ("error", "outcome"),
    [("ratelimited", LATER), ("service_unavailable", LATER), ("internal_error", UNSURE), ("fatal_error", UNSURE),
     ("channel_not_found", REFUSED), ("not_in_channel", REFUSED), ("invalid_auth", REFUSED),
     ("missing_scope", REFUSED), ("brand_new_error", REFUSED)],
)  # fmt: skip
def test_slacks_web_api(error: str, outcome: Outcome, there: Receiver) -> None:
    there.script(Step(200, json.dumps({"ok": False, "error": error}), {"Retry-After": "9"}))
    sender = opened("slack", {"token": CANARY}, url=there.url("/api"), channel="#ml")
    answer = send(sender)
    assert (answer.outcome, answer.status) == (outcome, error)
    assert error in answer.reason
    assert answer.hint or outcome is LATER or error == "brand_new_error"
    assert answer.busy == (outcome is LATER)
    assert send(sender).outcome is DELIVERED
    assert {one.path for one in there.requests} == {"/api/chat.postMessage"}
    assert there.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    there.script(Step(200, "<html>log in</html>"), Step(200, json.dumps({"ok": False, "error": CANARY})))
    assert [send(sender).outcome for _ in range(2)] == [UNSURE, REFUSED]


@pytest.mark.parametrize(
    ("service", "status", "body", "word"),
    [
        ("slack", 404, "no_service", "make a new one"),
        ("slack", 403, "action_prohibited", "ask an admin"),
        ("discord", 404, '{"message": "Unknown Webhook", "code": 10015}', "make a new one"),
        ("teams", 400, '{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"x"}}', "Power Automate"),
        ("hipchat", 401, '{"error":{"code":401,"message":"Invalid OAuth session"}}', "make a new one"),
        ("pagerduty", 400, '{"status":"invalid event","message":"Event object is invalid","errors":[]}', "routing key"),
        ("mattermost", 400, '{"id":"web.incoming_webhook.invalid.app_error","message":"Invalid webhook"}', "new one"),
    ],
)  # fmt: skip
def test_what_services_say_is_explained(
    service: str, status: int, body: str, word: str, there: Receiver, opening: Any
) -> None:
    there.script(Step(status, body))
    answer = send(opening(service))
    assert answer.outcome is REFUSED
    assert word in answer.hint


def test_what_came_before_workflows(there: Receiver, opening: Any) -> None:
    failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error"
    there.script(Step(200, f"{failed} 429 with ContextId"), Step(200, f"{failed} 403 x"), Step(200, "delivery failed"))
    sender = opening("teams")
    assert [send(sender).outcome for _ in range(4)] == [LATER, REFUSED, UNSURE, DELIVERED]


def test_an_incident_is_opened_once_and_resolved(there: Receiver, opening: Any) -> None:
    sender = opening("pagerduty")
    there.script(Step(does="cut"))
    assert send(sender).outcome is UNSURE
    assert send(sender).outcome is DELIVERED
    assert there.opened == {"tieline/default/penguins/train": 1}
    assert there.state()["open"] == ["tieline/default/penguins/train"]
    assert send(sender, single(Status.SUCCEEDED)).outcome is DELIVERED
    assert there.state()["open"] == []


def test_a_test_of_pagerduty_leaves_nothing_open(there: Receiver, opening: Any) -> None:
    sender = opening("pagerduty")
    answer = send(sender, Message(test="hello"))
    assert answer.outcome is DELIVERED
    assert "resolved" in answer.reason
    assert [one.json["event_action"] for one in there.requests] == ["trigger", "resolve"]
    assert there.requests[0].json["payload"]["severity"] == "info"
    assert there.state()["open"] == []
    there.clear()
    there.script(Step(202), Step(500))
    answer = send(sender, Message(test="hello"))
    assert (answer.outcome, answer.hint) == (DELIVERED, "resolve it by hand")


@pytest.mark.parametrize("key", ["plain secret", "whsec_" + base64.b64encode(b"\x00\xffbinary").decode()])
def test_a_signature_is_verified_as_the_standard_says(key: str, there: Receiver) -> None:
    sender = opened("webhook", {"url": there.url(f"/{CANARY}"), "signing-key": key, "token": CANARY})
    for message in (single(), single(name="zoë"), Message(test="hello")):
        assert send(sender, message).outcome is DELIVERED
    raw = base64.b64decode(key[6:]) if key.startswith("whsec_") else key.encode()
    for one in there.requests:
        head = one.headers
        content = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + one.body
        wanted = base64.b64encode(hmac.digest(raw, content, hashlib.sha256)).decode()
        assert head["webhook-signature"].split(",") == ["v1", wanted]
        assert abs(int(head["webhook-timestamp"]) - time.time()) < 60
        assert head["webhook-id"] == head["idempotency-key"] == one.json["id"]
        assert head["authorization"] == f"Bearer {CANARY}"


def test_a_key_is_the_same_for_every_try(there: Receiver, opening: Any) -> None:
    there.script(Step(does="cut"), Step(500), Step(503), Step(does="reset"))
    sender = opening("webhook")
    while send(sender).outcome is not DELIVERED:
        pass
    assert len(there.taken) == 3
    assert there.keys == {"event-1": 3}


@pytest.mark.parametrize("service", SERVICES)
def test_the_older_form_with_two_targets(service: str, there: Receiver) -> None:
    path = "/v2/enqueue" if service == "pagerduty" else f"/v2/room/{CANARY}/notification"
    objects = [
        {"url": there.url(path), "service_key": CANARY, "method": "POST"},
        {"url": there.url(path), "service_key": f"{CANARY}-2", "method": "PUT", "channel": "two"},
    ]
    sender = opened(service, {"webhooks": json.dumps(objects)})
    assert len(sender.targets) == 2
    for target in sender.targets:
        assert sender.send(target, single()).outcome is DELIVERED
        there.script(Step(404, ECHO))
        answer = sender.send(target, single())
        assert answer.outcome is REFUSED
        assert CANARY not in repr(answer) + repr(target)
    if service != "pagerduty":
        assert [one.method for one in there.taken] == ["POST", "PUT"]


# Secrets


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_logged(service: str, there: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        there.script(Step(), Step(404, ECHO), Step(does="cut"))
        sender = whole(service, there.url(""), CANARY)
        for _ in range(3):
            send(sender)
    assert CANARY not in caplog.text


def test_part_of_an_address_is_hidden_too(there: Receiver) -> None:
    sender = opened("teams", {"url": there.url(f"/workflows/{CANARY}?sp=run&sig=s1gnature%2Fx")})
    there.script(Step(400, f"no workflow {CANARY} with s1gnature/x or s1gnature%2Fx"))
    answer = send(sender)
    assert "no workflow *** with ***" in answer.reason
    assert "s1gnature" not in answer.reason


def test_an_address_in_the_schema_may_be_told(there: Receiver) -> None:
    sender = opened("webhook", {}, url=there.url("/runs"))
    assert sender.targets[0].words == "127.0.0.1"


# The receiver of another process


def test_a_receiver_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    tests = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "servers.receiver", "--log", str(log)], cwd=tests, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(tests)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert tell(port, Step(429, headers={"Retry-After": "2"}), Step(does="reset"))["left"] == 2
        sender = whole("webhook", f"http://127.0.0.1:{port}", CANARY)
        while send(sender).outcome is not DELIVERED:
            pass
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_state") as answer:
            state = json.load(answer)
        assert (state["taken"], state["keys"], state["most"], state["left"]) == (1, 1, 1, 0)
        rows = [json.loads(row) for row in log.read_text().splitlines()]
        assert [row["status"] for row in rows] == [429, 0]
        assert rows[-1]["headers"]["idempotency-key"] == "event-1"
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()
