"""Apprise, by its ``json://`` addresses, against a real server of this machine."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from probes_harness import login

from servers.processes import free_port
from tieline.channels.base import Answer, Outcome, Unusable
from tieline.channels.catch_all import AppriseSender
from tieline.channels.opening import open_sender, traits_of
from tieline.model.access import Channel
from tieline.model.notification import Message

# what Apprise imports is not ours to mend
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TOKEN = "canary-token-4711"


@dataclass
class Posts:
    """A server that runs. ``status``: what it answers; ``bodies``: what it was sent."""

    port: int
    status: int = 200
    seconds: float = 0
    bodies: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/{TOKEN}"


@contextmanager
def posts() -> Iterator[Posts]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(found.seconds)
            self.send_response(found.status, f"no {TOKEN}" if found.status >= 400 else None)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at ``bodies``."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Posts(server.server_address[1])
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield found
        server.shutdown()


def sender(**values: str) -> AppriseSender:
    credentials, secrets = login(**values)
    made = open_sender(Channel(service="apprise", credentials=credentials), secrets)
    assert isinstance(made, AppriseSender)
    return made


def test_each_address_is_a_target() -> None:
    with posts() as server:
        made = sender(url=server.url, urls=f"{server.url}/two\n not-an-address-{TOKEN}")
        first, second, third = made.targets
        assert [target.words for target in made.targets] == ["json (1 of 3)", "json (2 of 3)", "an address (3 of 3)"]
        assert TOKEN not in repr(made.targets)
        message = Message(test="Hello.")
        assert made.send(first, message) == made.send(second, message) == Answer(Outcome.DELIVERED, "accepted")
        assert [body["message"] for body in server.bodies] == ["Hello.", "Hello."]
        assert "Test message from Tieline" in server.bodies[0]["title"]
        none = made.send(third, message)
    assert (none.outcome, none.status) == (Outcome.REFUSED, "no address")
    assert TOKEN not in repr(none)


def test_a_no_is_unsure_and_says_what_apprise_logged(capfd: pytest.CaptureFixture[str]) -> None:
    with posts() as server:
        server.status = 403
        made = sender(url=server.url)
        answer = made.send(made.targets[0], Message(test="Hello."))
        assert len(server.bodies) == 1, "nothing is sent again by itself"
    assert (answer.outcome, answer.status) == (Outcome.UNSURE, "not accepted")
    assert "403" in answer.reason
    assert TOKEN not in repr(answer)
    gone = sender(url=f"json://127.0.0.1:{free_port()}/{TOKEN}")
    assert gone.send(gone.targets[0], Message(test="Hello.")).outcome is Outcome.UNSURE
    logging.getLogger("apprise").warning("nobody's")
    assert capfd.readouterr() == ("", "")


def test_apprise_is_waited_for_no_longer_than_the_limit() -> None:
    with posts() as server:
        server.seconds = 2
        made = sender(url=server.url)
        made.limit = 0.5
        answer = made.send(made.targets[0], Message(test="Hello."))
        assert (answer.outcome, answer.status) == (Outcome.UNSURE, "timed out")


def test_what_no_sender_can_be_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unusable, match="no address"):
        sender(url="  ")
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(Unusable) as caught:
        sender(url="json://127.0.0.1")
    assert caught.value.hint == "pip install 'tieline[apprise]'"


def test_traits() -> None:
    traits = traits_of("apprise")
    assert (traits.keyed, traits.folds) == (False, True)
    with pytest.raises(Unusable, match="nothing here sends to carrier-pigeon"):
        traits_of("carrier-pigeon")
