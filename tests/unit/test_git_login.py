"""What is said of a login: no value in any form, the secret and its keys by name; and which server a URL is of."""

import base64
from urllib.parse import quote

import pytest

from tieline.errors import Code, Problem, StepFailed
from tieline.git.credentials import needed
from tieline.git.login import Login, keys_of
from tieline.git.url import http_origin, is_ssh, ssh_place
from tieline.kinds.derived import GIT_PASSWORD, derive
from tieline.model.access import Credentials, GitRemote, SshHost
from tieline.model.binding import FromSecret, Text
from tieline.secrets.secret import Secret

VALUE = "p@ss/w+rd"


@pytest.mark.parametrize(
    "said", [VALUE, quote(VALUE), quote(VALUE, safe=""), base64.b64encode(VALUE.encode()).decode(), f"x{VALUE}{VALUE}"]
)
def test_a_value_is_hidden_in_every_form(said: str) -> None:
    login = Login(hidden=(Secret(f"{VALUE}\n"),))
    assert VALUE not in login.hide(f"remote: {said}!")
    assert login.hide(f"remote: {said}!").startswith("remote: ")
    assert "***" in login.hide(said)
    assert VALUE not in repr(login)


def test_a_line_of_a_key_is_hidden() -> None:
    key = "-----BEGIN X PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END X PRIVATE KEY-----\n"
    assert "b3BlbnNz" not in Login(hidden=(Secret(key),)).hide("line 2: b3BlbnNzaC1rZXktdjEAAAAABG5vbmU")


def test_a_value_that_is_hardly_one_hides_no_words() -> None:
    assert Login(hidden=(Secret("git"), Secret(""))).hide("git fetch said") == "git fetch said"


def test_the_problems_of_an_error_are_cleaned() -> None:
    error = StepFailed(Problem(Code.CLONE_FAILED, f"no {VALUE}", f"not {VALUE}"), Problem(Code.STOPPED, "fine"))
    cleaned = Login(hidden=(Secret(VALUE),)).hidden_in(error)
    assert [(p.code, p.message, p.hint) for p in cleaned.problems] == [
        (Code.CLONE_FAILED, "no ***", "not ***"),
        (Code.STOPPED, "fine", ""),
    ]


def test_keys_are_told_by_their_first_names() -> None:
    token = FromSecret(secret="s", keys=("token", "TOKEN"))
    value = derive(GIT_PASSWORD, {"password": FromSecret(secret="s", keys=("password",)), "token": token, "x": "text"})
    assert keys_of(value) == ["password", "token"]
    assert keys_of(None) == []


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Git.Example.org/a", "https://git.example.org"),
        ("https://git.example.org:443/a", "https://git.example.org"),
        ("http://git.example.org:443/a", "http://git.example.org:443"),
        ("https://me:pw@git.example.org:8443", "https://git.example.org:8443"),
        ("http://[::1]:80/a", "http://[::1]"),
        ("https://git.example.org@evil.example/a", "https://evil.example"),
        ("https://git.example.org\\@evil.example/a", "https://evil.example"),
        ("https://git.example.org.evil.example/", "https://git.example.org.evil.example"),
        ("ssh://git@example.org/a", None),
        ("git@example.org:a", None),
        ("/srv/https://a/", None),
    ],
)
def test_the_origin_of_an_http_address(url: str, origin: str | None) -> None:
    assert http_origin(url) == origin


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("git@example.org:a/b", ("git@example.org:", "git", "example.org", None)),
        ("example.org:/a", ("example.org:", None, "example.org", None)),
        ("ssh://me@example.org:22/a", ("ssh://me@example.org:22/", "me", "example.org", 22)),
        ("ssh://[::1]/a", ("ssh://[::1]/", None, "::1", None)),
        ("ssh://-oProxyCommand=x/a", None),
        ("ssh://a b/c", None),
        ("https://example.org:22/a", None),
        ("file:///a", None),
        ("/a:b", None),
    ],
)
def test_the_place_of_an_ssh_address(url: str, place: tuple[object, ...] | None) -> None:
    assert ssh_place(url) == place
    assert place is None or is_ssh(url)


def test_what_is_needed_is_what_the_address_asks_for() -> None:
    text = Text(text="x")
    ssh = SshHost(credentials=Credentials(values={"private-key": text, "known-hosts": text}))
    web = Credentials(values={"username": text, "password": text, "askpass": text})

    assert needed(GitRemote(url="https://a/b", credentials=web)) == {"username": text, "password": text}
    assert needed(GitRemote(url="git@a:b", ssh=ssh)) == {"private-key": text, "known-hosts": text}
    assert needed(GitRemote(url="https://a/b", ssh=ssh, credentials=ssh.credentials)) == {}
    assert needed(GitRemote(url="/a", ssh=ssh, credentials=web)) == {}
