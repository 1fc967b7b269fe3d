"""Testing http connections against a real server: logins, statuses, redirects, answers without end."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from probes_harness import HASTY, NOBODY, Login, ask, failure, login, marks, of

from servers.https import PASSWORD, TOKEN, USER, Https, https_server, mute_server
from servers.processes import free_port
from tieline.model.access import Http
from tieline.probes import Limits, Report

RIGHT = login(username=USER, password=PASSWORD)


@pytest.fixture(scope="module")
def server() -> Iterator[Https]:
    with https_server() as server:
        yield server


def asked(server: Https, path: str, who: Login = NOBODY, limits: Limits | None = None) -> Report:
    credentials, secrets = who
    return ask(Http(url=server.url(path), credentials=credentials), secrets, *([limits] if limits else []))


def test_a_login_that_makes_the_difference_is_proved(server: Https) -> None:
    report = asked(server, "/private", RIGHT)
    assert marks(report) == "PP-P-P--"
    assert of(report, "authenticate").detail == (
        "the user and password made the difference: 200 OK, and 401 Unauthorized without"
    )
    assert of(report, "read").detail == "200 OK, 6 bytes of text/plain"
    token = asked(server, "/token", login(token=TOKEN))
    assert marks(token) == "PP-P-P--"
    assert "the token made the difference" in of(token, "authenticate").detail


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/private", login(username=USER, password="wrong")),
        ("/private", login(username="someone", password=PASSWORD)),
        ("/token", login(token="wrong-token")),
    ],
)
def test_a_wrong_login_fails(server: Https, path: str, who: Login) -> None:
    report = asked(server, path, who)
    assert marks(report) == "PP-F----"
    assert "401 Unauthorized" in failure(report).detail
    assert failure(report).part in ("password", "token")


def test_a_login_that_nobody_asks_for_proves_nothing(server: Https) -> None:
    """The same for the right one and for a wrong one: a pass would be a pass for both."""
    for who in (RIGHT, login(username=USER, password="wrong")):
        report = asked(server, "/", who)
        assert marks(report) == "PP---P--"
        assert of(report, "authenticate").detail.startswith("not proved: the server answers 200 OK without a login")


def test_a_secret_that_is_not_there(server: Https) -> None:
    report = asked(server, "/private", login(username=None, password=None, token=None))
    assert marks(report) == "PP-F----"
    assert "looked for password in the secret login; token in the secret login" in failure(report).detail
    assert failure(report).part == "password"


def test_a_server_that_asks_for_a_login_where_the_connection_has_none(server: Https) -> None:
    report = asked(server, "/private")
    assert "asks for a login (Basic): 401 Unauthorized" in failure(report).detail
    assert failure(report).part == "secret"


def test_401_and_403_are_told_apart(server: Https) -> None:
    known = asked(server, "/forbidden", RIGHT)
    assert marks(known) == "PP---F--"
    assert "403 Forbidden" in of(known, "read").detail
    assert "not proved: 403 Forbidden with the user and password, 401" in of(known, "authenticate").detail
    assert marks(asked(server, "/forbidden", login(username=USER, password="wrong"))) == "PP-F----"
    closed = asked(server, "/closed", RIGHT)
    assert failure(closed).detail == "403 Forbidden with the user and password, 403 Forbidden without"


@pytest.mark.parametrize(
    ("path", "expected", "words"),
    [
        ("/broken", "PP-F----", "500 Internal Server Error"),
        ("/busy", "PP-F----", "429 Too Many Requests"),
        ("/missing", "PP------", "404 Not Found for /missing"),
        ("/away", "PP------", "302 Found to http://169.254.169.254/latest, which is not followed"),
        ("/turn", "PP------", "which is not followed"),
    ],
)
def test_statuses(server: Https, path: str, expected: str, words: str) -> None:
    report = asked(server, path)
    assert marks(report) == expected
    assert any(words in result.detail for result in report.results)
    assert "token=x" not in repr(report)


def test_a_redirect_is_not_followed(server: Https) -> None:
    before = len(server.requests)
    asked(server, "/turn")
    assert [path for path, _ in server.requests[before:]] == ["/turn"]


def test_an_answer_without_end_is_read_so_far_and_no_further(server: Https) -> None:
    report = asked(server, "/huge", limits=Limits(timeout=5, max_bytes=100_000))
    assert of(report, "read").detail == "200 OK, more than 100000 bytes (not read further) of application/octet-stream"


@pytest.mark.parametrize("path", ["/hang", "/slow"])
def test_a_server_that_never_ends_does_not_hang_the_test(server: Https, path: str) -> None:
    started = time.monotonic()
    report = asked(server, path, limits=HASTY)
    assert time.monotonic() - started < 20
    assert marks(report) == "PP-F----"
    assert "no answer within 1 s" in failure(report).detail


def test_what_the_server_says_back_is_not_repeated(server: Https) -> None:
    """It puts the login into its reason, decoded and as it came."""
    report = asked(server, "/echo", RIGHT)
    assert failure(report).detail == "403 Forbidden with the user and password, 200 OK without"


def test_the_login_goes_to_the_server_once_it_was_asked_without(server: Https) -> None:
    before = len(server.requests)
    asked(server, "/private", RIGHT)
    (first, second) = server.requests[before:]
    assert first == ("/private", None)
    assert second[1] is not None


def test_a_token_with_a_line_end_in_it_is_refused(server: Https) -> None:
    report = asked(server, "/token", login(token="good\r\nX-Evil: 1"))
    assert failure(report).part == "token"
    assert not any("Evil" in str(header) for _, header in server.requests)


def test_nothing_listens() -> None:
    report = ask(Http(url=f"http://127.0.0.1:{free_port()}/"), {})
    assert marks(report) == "PF------"
    assert "the connection was refused" in failure(report).detail
    assert failure(report).part == "url"


@pytest.mark.parametrize("url", ["http://no-such-name.invalid/", "http://169.254.169.254/latest/meta-data/"])
def test_a_host_that_is_none_or_not_to_be_asked(url: str) -> None:
    report = ask(Http(url=url), {})
    assert marks(report) == "F-------"
    assert failure(report).part == "url"


def test_a_server_that_speaks_something_else() -> None:
    with mute_server(b"SSH-2.0-OpenSSH_9.2\r\n", hang_up=True) as port:
        report = ask(Http(url=f"http://127.0.0.1:{port}/"), {})
    assert "is no HTTP" in failure(report).detail


def test_a_login_of_another_sort_comes_later(server: Https) -> None:
    report = asked(server, "/", login(write_key="w-12345"))
    assert "comes with a later version" in of(report, "authenticate").detail


def test_through_a_proxy(server: Https, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is spoken to in the server's place, and told the whole address; ours answers all by the path."""
    monkeypatch.setenv("http_proxy", server.url())
    monkeypatch.setenv("no_proxy", "")
    report = ask(Http(url="http://nowhere.invalid/private"), {})
    assert of(report, "resolve").detail.endswith("it looks nowhere.invalid up")
    assert server.requests[-1][0] == "http://nowhere.invalid/private"
    refused = ask(Http(url="http://metadata.google.internal/computeMetadata/"), {})
    assert marks(refused) == "F-------"
    monkeypatch.setenv("no_proxy", "nowhere.invalid")
    assert marks(ask(Http(url="http://nowhere.invalid/"), {})) == "F-------"


def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    with mute_server(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as port:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
        report = ask(Http(url="https://nowhere.invalid/"), {})
    assert "the proxy does not connect to nowhere.invalid:443: 407" in failure(report).detail
    assert failure(report).part == "proxy"
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    assert "socks5 proxy" in failure(ask(Http(url="https://nowhere.invalid/"), {})).detail
