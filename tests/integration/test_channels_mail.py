"""Mail against a real server: what arrives, and of everything that goes wrong whether it may be tried again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from probes_harness import Login, login, new_folder

from servers.certificates import Authority, Pair
from servers.https import mute_server
from servers.processes import free_port
from servers.smtp import PASSWORD, USER, smtp_server
from tieline.channels.base import Answer, Outcome, Unusable
from tieline.channels.mail import MailSender
from tieline.channels.opening import open_sender, traits_of
from tieline.channels.wording import TEST
from tieline.model.access import Channel
from tieline.model.notification import EventFacts, Item, Link, Message
from tieline.model.run import Status

AT = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
RUN = "0123abcd-0000-4000-8000-00000000cafe"
NOBODY: Login = login()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(new_folder(tmp_path_factory.mktemp("mail"), "ca"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Pair:
    return authority.issue("IP:127.0.0.1")


def channel(port: int, who: Login | None = None, **options: str) -> MailSender:
    """A sender for a server of this machine."""
    given = {"host": "127.0.0.1", "port": str(port), "tls": "none", "from": "Tieline <tieline@example.org>"}
    found, secrets = who or (None, {})
    access = Channel(service="email", options={**given, "to": "ml@example.org", **options},
                     **({"credentials": found} if found else {}))  # fmt: skip
    sender = open_sender(access, secrets)
    assert isinstance(sender, MailSender)
    return sender


def item(status: Status = Status.FAILED, key: str = "key-1", **facts: Any) -> Item:
    given: dict[str, Any] = {
        "run": RUN, "sequence": 4, "at": AT, "status": status, "attempt": 1, "name": "train", "project": "birds",
        "namespace": "default", "kind": "job", "engine": "process", "created_at": AT,
    }  # fmt: skip
    links = (Link("Log", "tieline logs 0123abcd"), Link("Page", "https://tieline.example.org/runs/0123?a=1&b=2"))
    return Item(key, EventFacts(**{**given, **facts}), links, ("epoch 1 <b>bold</b>", ".", "done\x1b[0m"))


ONE = Message(items=(item(),))


def send(sender: MailSender, message: Message = ONE, limit: float = 5) -> Answer:
    sender.limit = limit
    return sender.send(sender.targets[0], message)


def test_a_mail_arrives() -> None:
    with smtp_server() as server:
        answer = send(channel(server.port, subject="[ml]", to="ml@example.org, Doe, Jane <jane@example.org>"))
        assert answer == Answer(Outcome.DELIVERED, "SMTP 250")
        (letter,) = server.letters
    assert (letter.sender, letter.recipients) == ("tieline@example.org", ("ml@example.org", "jane@example.org"))
    mail = letter.mail
    assert (mail["Subject"], mail["From"]) == ("[ml] train failed", "Tieline <tieline@example.org>")
    assert mail["To"] == 'ml@example.org, "Doe, Jane" <jane@example.org>'
    assert (mail["Auto-Submitted"], mail["X-Tieline-Run"]) == ("auto-generated", RUN)
    assert mail["Date"] is not None
    text = letter.text()
    assert text.startswith("train failed\n\nRun: 0123abcd\nProject: birds\nStatus: failed")
    assert "\n.\n" in text, "a line that is a dot is not the end"
    assert "\x1b" not in text
    page = letter.text("html")
    assert "epoch 1 &lt;b&gt;bold&lt;/b&gt;" in page
    assert 'href="https://tieline.example.org/runs/0123?a=1&amp;b=2"' in page
    assert 'content="light dark"' in page


def test_the_id_stays_the_same_and_the_mails_of_a_run_are_siblings() -> None:
    with smtp_server() as server:
        sender = channel(server.port)
        later = Message(items=(item(Status.SUCCEEDED, "key-2"),))
        other = Message(items=(item(key="key-3", run="other"),))
        digest = Message(items=(item(key="key-1"), item(key="key-3", run="other")))
        for message in (ONE, ONE, later, other, digest, Message(test="Hello."), Message(test="Hello.")):
            assert send(sender, message).outcome is Outcome.DELIVERED
        mails = [letter.mail for letter in server.letters]
    ids = [mail["Message-ID"] for mail in mails]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 6
    assert all(one.endswith("@example.org>") for one in ids)
    threads = [mail["References"] for mail in mails]
    assert threads[0] == threads[1] == threads[2] != threads[3]
    assert threads == [mail["In-Reply-To"] for mail in mails]
    assert threads[4:] == [None, None, None]
    assert mails[4]["Subject"] == "2 events: 2 failed"
    assert mails[4]["X-Tieline-Run"] == f"{RUN}, other"
    assert server.letters[4].text("html").count("<li") == 2
    assert mails[5]["Subject"] == TEST
    assert "Hello." in server.letters[5].text()


def test_nothing_from_outside_becomes_a_header() -> None:
    with smtp_server() as server:
        sender = channel(server.port, subject="[ml]\r\nBcc: evil@example.org", to="Ünal\n Ö <ml@example.org>")
        name = "träin\r\nBcc: evil@example.org\r\n\r\n<script>"
        message = Message(items=(item(name=name, message="\udcff\x00 \u202e broken", run="a\r\nX-Evil: 1"),))
        assert send(sender, message).outcome is Outcome.DELIVERED
        (letter,) = server.letters
    mail = letter.mail
    assert (mail["Bcc"], mail["X-Evil"]) == (None, None)
    assert letter.recipients == ("ml@example.org",)
    assert mail["Subject"] == "[ml] Bcc: evil@example.org träin Bcc: evil@example.org <script> failed"
    assert mail["To"].addresses[0].display_name == "Ünal Ö"
    assert letter.content.isascii()
    assert "<script>" not in letter.text("html")
    assert letter.options == ()


def test_smtputf8_where_an_address_needs_it_and_only_there() -> None:
    with smtp_server() as server:
        assert send(channel(server.port, to="jürgen@exämple.org")).outcome is Outcome.DELIVERED
        assert server.letters[0].recipients == ("jürgen@xn--exmple-cua.org",)
        assert "SMTPUTF8" in server.letters[0].options
        assert send(channel(server.port, to="ml@exämple.org")).outcome is Outcome.DELIVERED
        assert server.letters[1].options == ()
    with conversation(b"220 a", b"250 a") as port:
        answer = send(channel(port, to="jürgen@example.org"))
    assert (answer.outcome, answer.status) == (Outcome.REFUSED, "no SMTPUTF8")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_and_a_login(authority: Authority, good: Pair, tls: str) -> None:
    who = login(username=USER, password=PASSWORD)
    with smtp_server(tls, good, login=True) as server:
        bundle = {"tls": tls, "caBundle": str(authority.certificate)}
        assert send(channel(server.port, who, **bundle)).outcome is Outcome.DELIVERED
        wrong = send(channel(server.port, login(username=USER, password="canary-4711"), **bundle))
        assert (wrong.outcome, wrong.status) == (Outcome.REFUSED, "SMTP 535")
        assert "username and password" in wrong.hint
        assert "canary" not in repr(wrong)
        none = send(channel(server.port, **bundle))
        assert (none.outcome, none.status) == (Outcome.REFUSED, "SMTP 530")
        assert "secret" in none.hint
        unknown = send(channel(server.port, who, tls=tls))
        assert (unknown.outcome, unknown.status) == (Outcome.LATER, "certificate")
        assert "caBundle" in unknown.hint
        assert server.logins == [(USER, PASSWORD), (USER, "canary-4711")]


def test_a_login_by_the_mechanism_that_there_is() -> None:
    who = login(username=USER, password=PASSWORD)
    with smtp_server(login=True, without=("PLAIN",)) as server:
        assert send(channel(server.port, who)).outcome is Outcome.DELIVERED
    with smtp_server(login=True, without=("PLAIN", "LOGIN")) as server:
        answer = send(channel(server.port, who))
    assert (answer.outcome, answer.status) == (Outcome.REFUSED, "no login")


def test_without_starttls_nothing_is_sent_in_plain() -> None:
    with smtp_server() as server:
        answer = send(channel(server.port, login(username=USER, password=PASSWORD), tls="starttls"))
        assert (answer.outcome, answer.status) == (Outcome.REFUSED, "no STARTTLS")
        assert "implicit" in answer.hint
        assert server.said == ["EHLO"]
        assert server.letters == []
        plain = send(channel(server.port, tls="implicit"))
    assert (plain.outcome, plain.status) == (Outcome.REFUSED, "no TLS")


def test_recipients_that_are_refused() -> None:
    many = "a@example.org, b@example.org, c@example.org"
    with smtp_server() as server:
        server.at_rcpt = {"b@example.org": "550 5.1.1 nobody here", "c@example.org": "450 greylisted"}
        some = send(channel(server.port, to=many))
        assert some.outcome is Outcome.DELIVERED
        assert "b@example.org: SMTP 550; c@example.org: SMTP 450" in some.reason
        assert server.letters[0].recipients == ("a@example.org",)
        later = send(channel(server.port, to="b@example.org, c@example.org"))
        assert (later.outcome, later.status) == (Outcome.LATER, "SMTP 450")
        never = send(channel(server.port, to="b@example.org"))
        assert (never.outcome, never.status) == (Outcome.REFUSED, "SMTP 550")
        assert "nobody here" in never.reason
        server.at_mail = "553 not yours"
        sender = send(channel(server.port))
        assert (sender.outcome, sender.status) == (Outcome.REFUSED, "SMTP 553")
        assert len(server.letters) == 1


@pytest.mark.parametrize(
    ("reply", "outcome", "status"),
    [
        ("451 try later", Outcome.LATER, "SMTP 451"),
        ("554 looks like spam", Outcome.REFUSED, "SMTP 554"),
        ("hang", Outcome.UNSURE, "timed out after DATA"),
        ("cut", Outcome.UNSURE, "cut after DATA"),
    ],
)
def test_once_the_mail_was_sent(reply: str, outcome: Outcome, status: str) -> None:
    with smtp_server() as server:
        server.at_data = reply
        started = time.monotonic()
        answer = send(channel(server.port), limit=1)
        assert (answer.outcome, answer.status) == (outcome, status)
        assert time.monotonic() - started < 20
        assert len(server.letters) == (outcome is Outcome.UNSURE)


def test_a_server_that_is_not_there_or_not_now() -> None:
    gone = send(channel(free_port()))
    assert (gone.outcome, gone.status) == (Outcome.LATER, "connection refused")
    nowhere = send(channel(25, host="no-such-name.invalid"))
    assert (nowhere.outcome, nowhere.status) == (Outcome.LATER, "no address")
    with mute_server(b"421 too many connections\r\n", hang_up=True) as port:
        busy = send(channel(port))
    assert (busy.outcome, busy.status, busy.busy) == (Outcome.LATER, "SMTP 421", True)
    with mute_server(b"554 go away\r\n", hang_up=True) as port:
        assert send(channel(port)).outcome is Outcome.REFUSED
    with mute_server(b"220 hello\r\n", hang_up=True) as port:
        cut = send(channel(port))
    assert (cut.outcome, cut.status) == (Outcome.LATER, "connection cut")
    with mute_server(b"SSH-2.0-OpenSSH\r\n") as port:
        assert send(channel(port)).status == "not SMTP"


def test_the_whole_time_has_an_end() -> None:
    """Also where every single waiting is short: a reply that drips."""
    for script in ((), (b"220 a", b"drip")):
        with conversation(*script) as port:
            started = time.monotonic()
            answer = send(channel(port), limit=1)
            assert time.monotonic() - started < 20
        assert (answer.outcome, answer.status) == (Outcome.LATER, "timed out")


def test_what_was_said_before_tls_is_forgotten(authority: Authority, good: Pair) -> None:
    """Whoever sits between could have added it: a reply that is there already when TLS begins."""
    bundle = {"tls": "starttls", "caBundle": str(authority.certificate)}
    with conversation(b"220 a", b"250-a\r\n250 STARTTLS", b"220 go\r\n250 evil") as port:
        assert send(channel(port, **bundle), limit=2).outcome is not Outcome.DELIVERED


def test_what_a_server_repeats_is_scrubbed() -> None:
    secret = "canary-password-4711"
    with conversation(b"220 a", b"250-a\r\n250 AUTH PLAIN", b"535 no: " + secret.encode()) as port:
        answer = send(channel(port, login(username=USER, password=secret)))
    assert answer.status == "SMTP 535"
    assert secret not in repr(answer)


def test_one_target_whatever_the_recipients() -> None:
    sender = channel(25, to=", ".join(f"{name}@example.org" for name in "abcde"))
    (target,) = sender.targets
    assert target.words == "a@example.org, b@example.org, c@example.org and 2 more"
    assert "@" not in target.id
    traits = traits_of(sender.access.service)
    assert (traits.keyed, traits.folds, traits.rate) == (False, True, MailSender.traits.rate)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"to": "nobody"}, "to"),
        ({"to": "a@ä..y"}, "to"),
        ({"from": "a@example.org, b@example.org"}, "from"),
        ({"tls": "implicit", "caBundle": "/nowhere.pem"}, "caBundle"),
        ({"tls": "implicit", "caBundle": __file__}, "caBundle"),
        ({"host": ""}, "host"),
    ],
)
def test_what_no_sender_can_be_made_of(options: dict[str, str], part: str) -> None:
    with pytest.raises(Unusable) as caught:
        channel(25, **options)
    assert caught.value.part == part
    assert caught.value.hint


@pytest.mark.parametrize(
    ("who", "part"),
    [
        (login(username=USER), "password"),
        (login(password=PASSWORD), "username"),
        (login(username=None, password=None), "password"),
    ],
)
def test_half_a_login(who: Login, part: str) -> None:
    with pytest.raises(Unusable) as caught:
        channel(25, who)
    assert caught.value.part == part


def test_a_password_on_several_lines_is_one(tmp_path: Path) -> None:
    """A file of a secret often ends with a line end."""
    with smtp_server(login=True) as server:
        assert send(channel(server.port, login(username=USER, password=f"{PASSWORD}\n"))).outcome is Outcome.DELIVERED


@contextmanager
def conversation(*replies: bytes) -> Iterator[int]:
    """A server that says these, one for each command, whatever it is told, and then nothing; ``drip``: a reply that
    never ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            one, _ = listening.accept()
            with one:
                one.settimeout(5)
                try:
                    for reply in replies:
                        if reply == b"drip":
                            for _ in range(100):
                                one.sendall(b"250-x\r\n")
                                time.sleep(0.1)
                        one.sendall(reply + b"\r\n")
                        one.recv(4096)
                    one.recv(4096)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
