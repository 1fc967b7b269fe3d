"""What each service is sent, held against what it documents: fields, limits, and no obeying of a job's own words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from channels_harness import AT, HOSTILE, LINKS, RUN, SERVICES, digest, facts, hostile_item, item, opened, single, whole
from tieline.channels import discord, mattermost, pagerduty, slack, teams
from tieline.channels.base import Unusable
from tieline.channels.hooks import HttpSender
from tieline.channels.http import Request
from tieline.channels.opening import SENDERS, open_sender, traits_of
from tieline.channels.text import clean, cleaned, clip, told, units
from tieline.model.access import Channel
from tieline.model.notification import Item, Message
from tieline.model.run import Status

BASE = "https://chat.example.org"
HUGE = Message((hostile_item(),))
HUGE_DIGEST = Message(tuple(replace(hostile_item(500), key=f"e{number}") for number in range(60)))
TEST = Message(test="Sent by ada with tieline connections test")
MESSAGES = {
    "single": single(), "succeeded": single(Status.SUCCEEDED), "running": single(Status.RUNNING), "digest": digest(12),
    "test": TEST, "huge": HUGE, "huge digest": HUGE_DIGEST,
}  # fmt: skip
FOLDING = [name for name in SERVICES if traits_of(name).folds]


def request_of(service: str, message: Message, **more: Any) -> Request:
    sender = whole(service, BASE, **more)
    assert isinstance(sender, HttpSender)
    try:
        return sender.request(sender._places[0], cleaned(message))
    finally:
        sender.close()


def payload(service: str, message: Message, **more: Any) -> Any:
    return json.loads(request_of(service, message, **more).body)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def without_code(text: str) -> str:
    """What is left of Markdown when all code is taken out, in which nothing is a link."""
    return re.sub(r"(?<!\\)`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def cases(*names: str) -> Any:
    return pytest.mark.parametrize("name", names or list(MESSAGES))


# What a person needs


@pytest.mark.parametrize("service", SERVICES)
def test_a_failure_says_what_a_person_needs(service: str) -> None:
    text = json.dumps(payload(service, single()), ensure_ascii=False).replace("\\\\", "")
    for needed in (RUN[:8], "train", "penguins", "failed", "the program ended with 3", "exit-code", "ada",
                   "loss is NaN", "tieline.example.org/runs", "tieline runs logs"):  # fmt: skip
        assert needed in text, needed
    assert "3 min 5 s" in text or '"seconds": 185.0' in text


@pytest.mark.parametrize("service", FOLDING)
def test_a_digest_has_a_line_for_each_event(service: str) -> None:
    most = traits_of(service).most
    name = "n" * 40
    message = Message(
        tuple(item(key=f"e{number}", name=f"{name}-{number:03}", message="m" * 80) for number in range(most))
    )
    text = json.dumps(payload(service, message))
    assert [number for number in range(most) if f"{name}-{number:03}" not in text.replace("\\\\", "")] == []
    assert "more" not in text


@pytest.mark.parametrize("service", FOLDING)
def test_what_a_digest_leaves_out_is_counted(service: str) -> None:
    sent = json.dumps(payload(service, digest(3000, message="x" * 200)), ensure_ascii=False)
    shown = len(set(re.findall(r"job-\d+", sent)))
    assert 0 < shown < 3000
    assert f"… and {3000 - shown} more" in sent


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "pagerduty"])
def test_a_test_is_marked_as_one(service: str) -> None:
    text = json.dumps(payload(service, TEST))
    assert TEST.test in text
    assert "Test message from Tieline" in text or '"type": "test"' in text


@pytest.mark.parametrize("service", SERVICES)
@cases("huge", "huge digest")
def test_nothing_of_a_terminal_is_left(service: str, name: str) -> None:
    if name in MESSAGES and not (traits_of(service).folds or name == "huge"):
        return
    for text in texts(payload(service, MESSAGES[name])):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


# Slack


@cases()
def test_slack_keeps_to_block_kit(name: str) -> None:
    sent = payload("slack", MESSAGES[name], channel="#ml", options={"username": "tieline", "icon": "robot_face"})
    assert (sent["channel"], sent["username"], sent["icon_emoji"]) == ("#ml", "tieline", ":robot_face:")
    assert sent["text"]
    blocks = sent["blocks"]
    assert len(blocks) <= 50
    for block in blocks:
        assert block["type"] in ("header", "section", "context")
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 0 < units(block["text"]["text"]) <= 150
        if block["type"] == "section":
            assert ("text" in block) != ("fields" in block)
            assert all(0 < units(part["text"]) <= 2000 for part in block.get("fields", []))
            assert "text" not in block or 0 < units(block["text"]["text"]) <= 3000
        assert len(block.get("fields", [])) <= 10
    assert units(json.dumps(sent)) < 400_000


@cases("huge", "huge digest")
def test_slack_mentions_nobody(name: str) -> None:
    sent = payload("slack", MESSAGES[name])
    for text in [sent["text"], *texts([block for block in sent["blocks"] if block["type"] != "header"])]:
        for found in re.findall(r"<[^>]*>?", text):
            assert re.fullmatch(r"<https://(tieline|x)\.example[^|<> ]*\|[^<>]*>", found), found
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)
        assert not text.startswith("```") or (text.count("```"), text[-3:]) == (2, "```")


def test_slack_by_token() -> None:
    sender = opened("slack", {"token": "xoxb-1"}, channel="#ml")
    request = sender.request(sender._places[0], cleaned(single()))
    assert request.url == "https://slack.com/api/chat.postMessage"
    assert request.headers["Authorization"] == "Bearer xoxb-1"
    assert json.loads(request.body)["channel"] == "#ml"
    assert sender.targets[0].words == "#ml"


@pytest.mark.parametrize(
    ("secrets", "more", "part"),
    [
        ({"token": "xoxb-1"}, {}, "channel"),
        ({"token": "xoxb\n1 é", "url": BASE}, {"channel": "#x"}, "token"),
        ({}, {}, "url"),
        ({"url": "hooks.slack.com/services/x"}, {}, "url"),
        ({"url": "https://hooks.slack.com/ services"}, {}, "url"),
        ({"url": "http://[x"}, {}, "url"),
        ({"webhooks": "https://hooks.slack.com/x"}, {}, "webhooks"),
        ({"webhooks": '["https://hooks.slack.com/x"]'}, {}, "webhooks"),
        ({"webhooks": '[{"channel": "x"}]'}, {}, "webhooks"),
        ({"webhooks": '[{"url": "https://x.example", "method": "GET"}]'}, {}, "webhooks"),
        ({"url": BASE}, {"options": {"caBundle": "/nowhere/ca.pem"}}, "caBundle"),
    ],
)
def test_what_slack_cannot_be_made_of(secrets: dict[str, str], more: dict[str, Any], part: str) -> None:
    with pytest.raises(Unusable) as refused:
        opened("slack", secrets, **more)
    assert refused.value.part == part
    assert refused.value.hint
    for text in secrets.values():
        assert text not in refused.value.reason


# Teams


@cases()
def test_teams_gets_a_small_adaptive_card(name: str) -> None:
    request = request_of("teams", MESSAGES[name])
    assert len(request.body) <= 28 * 1000
    sent = json.loads(request.body)
    (attachment,) = sent["attachments"]
    assert sent["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["contentUrl"] is None
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {part["type"] for part in card["body"]} <= {"RichTextBlock", "FactSet"}
    for part in card["body"]:
        for run in part.get("inlines", []):
            assert run["type"] == "TextRun"
            assert run["text"]
    assert all(action["url"].startswith("https://") for action in card.get("actions", []))


def test_teams_makes_no_markup_of_a_jobs_text() -> None:
    body = payload("teams", HUGE)["attachments"][0]["content"]["body"]
    values = [fact["value"] for part in body if part["type"] == "FactSet" for fact in part["facts"]]
    assert any("evil" in value for value in values)
    for value in values:
        assert not re.search(r"(?<!\\)[\[\]()*_`<>]", value)
        assert "{{" not in value
        assert "://" not in value


# Discord


@cases()
def test_discord_keeps_to_the_limits_of_embeds(name: str) -> None:
    sent = payload("discord", MESSAGES[name], options={"username": "tieline"})
    assert sent["allowed_mentions"] == {"parse": []}
    (embed,) = sent["embeds"]
    assert 0 < units(embed["title"]) <= 256
    assert 0 < units(embed.get("description", "x")) <= 4096
    fields = embed.get("fields", [])
    assert len(fields) <= 25
    assert all(0 < units(one["name"]) <= 256 and 0 < units(one["value"]) <= 1024 for one in fields)
    parts = [embed["title"], embed.get("description", ""), embed["footer"]["text"]]
    assert sum(map(units, [*parts, *(text for one in fields for text in (one["name"], one["value"]))])) <= 6000
    assert 0 <= embed["color"] <= 0xFFFFFF


def test_discord_makes_no_links_of_a_jobs_text() -> None:
    (embed,) = payload("discord", HUGE)["embeds"]
    outside = without_code(embed["description"])
    assert embed["description"].count("```") == 2
    for target in re.findall(r"(?<!\\)\]\((.*?)\)", outside + embed["title"]):
        assert target in [link.target for link in LINKS]


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://discord.com/api/webhooks/1/x", "https://discord.com/api/webhooks/1/x?wait=true"),
        ("https://d.example/w/1?thread_id=7", "https://d.example/w/1?thread_id=7&wait=true"),
        ("https://d.example/w/1?wait=false&a=%20", "https://d.example/w/1?a=+&wait=true"),
    ],
)
def test_discord_is_asked_to_wait(url: str, wanted: str) -> None:
    assert discord.waiting(url) == wanted


# Mattermost


@cases()
def test_mattermost_gets_one_attachment(name: str) -> None:
    sent = payload("mattermost", MESSAGES[name], channel="#town-square", options={"icon": "https://x.example/i.png"})
    assert set(sent) <= {"text", "username", "icon_url", "icon_emoji", "channel", "attachments"}
    assert (sent["channel"], sent["icon_url"]) == ("town-square", "https://x.example/i.png")
    (attachment,) = sent["attachments"]
    assert re.fullmatch("#[0-9a-f]{6}", attachment["color"])
    assert attachment["fallback"]
    assert units(json.dumps(sent, ensure_ascii=False)) <= 16383
    assert not any(re.search(r"@\w", text) for text in texts(attachment))


def test_mattermost_makes_no_links_of_a_jobs_text() -> None:
    (attachment,) = payload("mattermost", HUGE)["attachments"]
    assert attachment["text"].count("```") == 2
    outside = without_code(attachment["text"])
    for target in re.findall(r"(?<!\\)\]\((.*?)\)", outside):
        assert target in [link.target for link in LINKS]


# PagerDuty


@pytest.mark.parametrize(
    ("status", "action", "severity"),
    [
        (Status.FAILED, "trigger", "error"),
        (Status.STOPPED, "trigger", "warning"),
        (Status.RETRYING, "trigger", "warning"),
        (Status.RUNNING, "trigger", "info"),
        (Status.SUCCEEDED, "resolve", None),
    ],
)
def test_pagerduty_triggers_and_resolves(status: Status, action: str, severity: str | None) -> None:
    sent = payload("pagerduty", single(status))
    assert (sent["event_action"], sent["dedup_key"]) == (action, "tieline/default/penguins/train")
    assert sent.get("payload", {}).get("severity") == severity


def test_pagerduty_gets_what_it_documents() -> None:
    sent = payload("pagerduty", single(), options={"severity": "critical", "component": "nightly"})
    body = sent["payload"]
    assert (body["severity"], body["component"], body["group"], body["class"]) == (
        "critical", "nightly", "penguins", "exit-code",
    )  # fmt: skip
    assert body["timestamp"] == AT.isoformat()
    assert body["custom_details"]["log"] == "Epoch 3\nloss is NaN"
    assert sent["links"] == [{"href": LINKS[1].target, "text": "Run"}]


def test_pagerduty_keeps_to_its_limits() -> None:
    request = request_of("pagerduty", HUGE)
    sent = json.loads(request.body)
    assert len(request.body) < 512 * 1024
    assert len(sent["payload"]["summary"]) <= 1024
    assert len(sent["dedup_key"]) <= 255


def test_long_subjects_stay_apart() -> None:
    keys = {pagerduty.dedup_key(f"default/penguins/{'n' * 300}{number}") for number in range(20)}
    assert len(keys) == 20
    assert {len(key) for key in keys} == {255}


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        (None, "https://events.pagerduty.com/v2/enqueue"),
        ("https://events.eu.pagerduty.com", "https://events.eu.pagerduty.com/v2/enqueue"),
        (
            "https://events.pagerduty.com/generic/2010-04-15/create_event.json",
            "https://events.pagerduty.com/v2/enqueue",
        ),
        ("https://relay.example.org/pd", "https://relay.example.org/pd"),
    ],
)
def test_where_pagerduty_is(url: str | None, wanted: str) -> None:
    sender = opened("pagerduty", {"routing-key": "r" * 32}, url=url)
    assert sender._places[0].url == wanted


# HipChat


@cases()
def test_hipchat_gets_text(name: str) -> None:
    sent = payload("hipchat", MESSAGES[name])
    assert 0 < units(sent["message"]) <= 10_000
    assert sent["message_format"] == "text"
    assert sent["color"] in ("yellow", "green", "red", "purple", "gray", "random")
    assert isinstance(sent["notify"], bool)
    assert not re.search(r"@\w", sent["message"])


def test_a_room_of_hipchat() -> None:
    sender = opened("hipchat", {"url": "https://hip.example.org/", "token": "t0ken"}, channel="ML runs/7")
    request = sender.request(sender._places[0], cleaned(single()))
    assert request.url == "https://hip.example.org/v2/room/ML%20runs%2F7/notification"
    assert request.headers["Authorization"] == "Bearer t0ken"
    with pytest.raises(Unusable):
        opened("hipchat", {"url": "https://hip.example.org/", "token": "t0ken"})


# Webhooks


def test_the_webhooks_document() -> None:
    assert payload("webhook", single()) == {
        "version": 1,
        "type": "run.failed",
        "id": "event-1",
        "timestamp": "2026-01-31T12:00:00+00:00",
        "run": {
            "uuid": RUN, "name": "train", "project": "penguins", "namespace": "default", "kind": "job",
            "engine": "process", "status": "failed", "reason": "exit-code", "message": "the program ended with 3",
            "exitCode": 3, "attempt": 2, "sequence": 7, "owner": "ada", "jobFile": "train.yaml", "tags": ["nightly"],
            "createdAt": "2026-01-31T11:56:00+00:00", "startedAt": "2026-01-31T11:56:55+00:00",
            "finishedAt": "2026-01-31T12:00:00+00:00", "seconds": 185.0,
        },
        "resolves": False,
        "links": [{"title": link.title, "target": link.target} for link in LINKS],
        "log": {"tail": ["Epoch 3", "loss is NaN"], "note": ""},
    }  # fmt: skip


def test_a_webhooks_document_is_the_same_at_every_try() -> None:
    first, second = (request_of("webhook", single()) for _ in range(2))
    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == "event-1"


def test_a_webhooks_key_is_fit_for_a_header() -> None:
    headers = request_of("webhook", Message((replace(item(), key="ä\r\nX: y"),))).headers
    assert all(value.isascii() and value.isprintable() for value in headers.values())


def test_a_webhooks_method() -> None:
    assert request_of("webhook", single(), options={"method": "put"}).method == "PUT"
    with pytest.raises(Unusable):
        whole("webhook", BASE, options={"method": "GET"})
    with pytest.raises(Unusable):
        opened("webhook", {"url": BASE, "signing-key": "whsec_no base64!"})


# Text


def test_clean_text() -> None:
    assert clean("a\x1b[31mb\x1b[0m\x00c\r\nd\te") == "ab\ufffdc d\te"
    assert clean("a\nb", lines=True) == "a\nb"
    assert clean("\u202ex\ufeffy") == "\ufffdx\ufffdy"
    assert clean("x" * 5000) == "x" * 999 + "…"
    assert clean("\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\") == "here"


@pytest.mark.parametrize("most", [1, 2, 3, 10, 11])
def test_a_clip_counts_as_services_do(most: int) -> None:
    for text in ("😀" * 20, "x" * 20, "x😀" * 20, "e"):
        short = clip(text, most)
        assert units(short) == len(short.encode("utf-16-le")) // 2 <= most


def test_told_measures_what_is_escaped() -> None:
    lines = told(digest(50, message="<" * 100), 1000, slack.escape)
    assert sum(units(line) + 1 for line in lines) <= 1000
    assert lines[-1] == f"… and {50 - len(lines) + 1} more"


@pytest.mark.parametrize("escape", [discord.escape, mattermost.escape, teams.escape])
def test_escapes_escape_themselves(escape: Any) -> None:
    assert escape("\\[x](y)").startswith("\\\\\\[x\\]\\(")


# Opening


def test_the_table_of_senders() -> None:
    with pytest.raises(Unusable):
        open_sender(Channel(service="pigeon"), {})
    for service in SERVICES:
        assert service in SENDERS
        traits = traits_of(service)
        assert traits.folds != traits.keyed
        assert (traits.most == 1) == traits.keyed


def test_the_older_form_has_a_target_for_each_object() -> None:
    text = json.dumps([
        {"url": f"{BASE}/services/1/aaaaaaaa", "channel": "one", "icon_url": "https://x.example/i.png"},
        {"url": f"{BASE}/services/2/bbbbbbbb", "method": "PUT"},
    ])  # fmt: skip
    sender = opened("slack", {"webhooks": text})
    assert [target.words for target in sender.targets] == ["one (1 of 2)", "Slack (2 of 2)"]
    assert len({target.id for target in sender.targets}) == 2
    first, second = (sender.request(place, cleaned(single())) for place in sender._places)
    assert json.loads(first.body)["icon_url"] == "https://x.example/i.png"
    assert (first.method, second.method) == ("POST", "PUT")
    assert "aaaaaaaa" not in repr(first) + repr(sender._places) + repr(sender.targets)
    assert opened("slack", {"webhooks": json.dumps({"url": BASE})}).targets[0].words == "Slack"
    pager = opened("pagerduty", {"webhooks": json.dumps([{"service_key": "k" * 32}, {"service_key": "j" * 32}])})
    assert len({target.id for target in pager.targets}) == 2


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", list(Status))
def test_every_status_can_be_told(service: str, status: Status) -> None:
    bare = facts(status, started_at=None, finished_at=None, owner="", reason="", message="", tags=(), attempt=1)
    for message in (single(status), Message((Item("k", bare, tail_note="the log is gone"),))):
        assert payload(service, message)


def test_hostile_text_is_hostile() -> None:
    assert HOSTILE in hostile_item().facts.message
