"""No message of a probe has a secret in it, in any form that a driver or a server may say it back."""

from __future__ import annotations

import base64
import json
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.secrets.scrub import LONGEST, Scrubber
from tieline.secrets.secret import Secret

PASSWORD = "s3cret:with/all@signs%20?#"
KEY = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQABAAABgQ\nQDkk8yZ0xvbmdlcg\n-----END KEY-----\n"


def scrubbed(text: str, *values: str) -> str:
    return Scrubber(Secret(value) for value in values)(text)


@pytest.mark.parametrize(
    "said",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote_plus(PASSWORD),
        f"postgresql://me:{quote(PASSWORD, safe='')}@db/x",
        "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode(),
        "token " + base64.urlsafe_b64encode(f"someone:{PASSWORD}".encode()).decode().rstrip("="),
        repr(PASSWORD + "\n"),
        json.dumps({"password": PASSWORD}),
    ],
)
def test_a_password_is_hidden_in_every_form(said: str) -> None:
    assert scrubbed(f"failed: {said} is wrong", PASSWORD).replace("***", "").find("s3cret") < 0
    assert "***" in scrubbed(f"failed: {said} is wrong", PASSWORD)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("user:tokentoken", "bad tokentoken"),
        ("https://hooks.example.org/services/T0/B0/xyzxyz", "POST /services/T0/B0/xyzxyz"),
        ("https://hooks.example.org/services/T0/B0/xyzxyz", "no address for hooks.example.org"),
        ("postgresql://ada:p%40ss@db.example.org/shop", "FATAL: user ada, p@ss, p%40ss at db.example.org"),
        (KEY, "bad line: QDkk8yZ0xvbmdlcg"),
    ],
)
def test_parts_of_a_value_are_hidden(value: str, said: str) -> None:
    found = scrubbed(said, value)
    for part in ("tokentoken", "xyzxyz", "hooks.example", "ada", "p@ss", "p%40ss", "db.example", "QDkk8y"):
        assert part not in found


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_value_is_hidden_as_json_writes_it(ascii_only: bool) -> None:
    value = 'quo"te\\back-é1'
    assert scrubbed(json.dumps({"p": value}, ensure_ascii=ascii_only), value) == '{"p": "***"}'


def test_short_values_are_hidden_where_they_stand_alone() -> None:
    assert scrubbed("a cat sat at a:5", "a") == "*** cat sat at ***:5"
    assert scrubbed("port 80 of 8080", "80") == "port *** of 8080"


def test_a_longer_value_wins_over_one_that_it_begins_with() -> None:
    assert scrubbed("x secret-more y", "secret", "secret-more") == "x *** y"


def test_text_without_secrets_stays_as_it_is_but_for_control_characters_and_length() -> None:
    assert scrubbed("all is\n  well") == "all is well"
    assert scrubbed("a\x1b[31mb\x07", "zzzz") == "a\\x1b[31mb\\x07"
    assert len(scrubbed("x" * 5000)) == LONGEST + 1
    assert scrubbed("SHA256:AIClRwhOYWOFivqrFNsqeZruWBtwsA3J31phGLtD7nk", "other") == (
        "SHA256:AIClRwhOYWOFivqrFNsqeZruWBtwsA3J31phGLtD7nk"
    )


def test_empty_values_hide_nothing() -> None:
    assert scrubbed("nothing to hide", "", " ", "\n") == "nothing to hide"


@given(st.text(string.printable, min_size=4, max_size=60).filter(lambda value: len(value.strip()) >= 4), st.text())
def test_a_value_never_comes_through(value: str, around: str) -> None:
    words = value.strip()
    for said in (value, quote(value, safe=""), f"{around}{value}{around}"):
        found = scrubbed(said, value)
        assert words not in found or words in "***"
