"""Derived values: every form of kinds/derived.py, made as its documentation says."""

from __future__ import annotations

import inspect
import json
import shlex
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.kinds import derived
from tieline.secrets import resolve
from tieline.secrets.failures import Unusable
from tieline.secrets.forms import MAKERS, uri
from tieline.secrets.secret import Secret


def make(form: str, **parts: str | bytes) -> bytes | None:
    return MAKERS[form]({name.replace("_", "-"): Secret(value) for name, value in parts.items()})


def text(form: str, **parts: str | bytes) -> str | None:
    made = make(form, **parts)
    return None if made is None else made.decode()


def test_every_form_is_known_to_the_resolver() -> None:
    resolver = inspect.getsource(resolve)
    names = {value: name for name, value in vars(derived).items() if name.isupper() and isinstance(value, str)}
    assert [form for form in derived.FORMS if form not in MAKERS and f"derived.{names[form]}" not in resolver] == []


# --- uri


@pytest.mark.parametrize(
    ("parts", "made"),
    [
        ({"base": "postgresql://db:5432/x", "username": "me", "password": "pw"}, "postgresql://me:pw@db:5432/x"),
        ({"base": "redis://r:6379/0", "password": "pw"}, "redis://:pw@r:6379/0"),
        ({"base": "postgresql://db/x", "username": "me"}, "postgresql://me@db/x"),
        ({"base": "postgresql://db/x"}, "postgresql://db/x"),
        ({"base": "postgresql://db/x", "username": "me", "password": ""}, "postgresql://me@db/x"),
        (
            {"base": "mysql://db/x?a=b@c", "username": "a@b:c/d?e#f%g", "password": "p w+ü&"},
            "mysql://a%40b%3Ac%2Fd%3Fe%23f%25g:p%20w%2B%C3%BC%26@db/x?a=b@c",
        ),
        ({"base": "mongodb://a:1,b:2/x", "username": "u", "password": "p"}, "mongodb://u:p@a:1,b:2/x"),
        ({"base": "amqp://old@h/x", "username": "u", "password": "p"}, "amqp://u:p@h/x"),
        ({"base": "jdbc:db2://h:50000/x", "username": "u", "password": "p"}, "jdbc:db2://h:50000/x"),
        ({"scheme": "postgresql", "host": "db", "port": "5433", "database": "x"}, "postgresql://db:5433/x"),
        ({"scheme": "postgresql", "host": "::1", "port": "5"}, "postgresql://[::1]:5"),
        ({"scheme": "postgresql", "host": "[::1]", "port": "5"}, "postgresql://[::1]:5"),
        ({"scheme": "postgresql", "host": "db:1234", "port": "5432"}, "postgresql://db:1234"),
        ({"scheme": "mongodb", "host": "a:1,b:2", "database": "x"}, "mongodb://a:1,b:2/x"),
        ({"scheme": "postgresql", "host": "/var/run/pg", "database": "x"}, "postgresql://%2Fvar%2Frun%2Fpg/x"),
        (
            {"scheme": "mysql", "host": "db\n", "port": "3306\n", "database": "/a b/ü", "query": "x=1&y=%20"},
            "mysql://db:3306/a%20b/%C3%BC?x=1&y=%20",
        ),
        (
            {"scheme": "mysql", "host": "db", "username": "u", "password": "p"},
            "mysql://u:p@db",
        ),
    ],
)
def test_a_uri(parts: dict[str, str], made: str) -> None:
    assert uri({name: Secret(value) for name, value in parts.items()}) == made.encode()


@pytest.mark.parametrize("parts", [{}, {"scheme": "a"}, {"host": "h"}, {"scheme": "a", "host": ""}, {"username": "u"}])
def test_a_uri_needs_a_scheme_and_a_host(parts: dict[str, str]) -> None:
    assert make(derived.URI, **parts) is None


def test_a_port_that_is_none_is_told_without_its_text() -> None:
    with pytest.raises(Unusable) as caught:
        make(derived.URI, scheme="a", host="h", port="canary")
    assert "canary" not in str(caught.value)


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_whatever_is_in_a_login_it_comes_back_from_the_uri(username: bytes, password: bytes) -> None:
    made = make(derived.URI, base="postgresql://db.example:5432/x?a=b", username=username, password=password)
    assert made is not None
    parts = urlsplit(made.decode("ascii"))
    assert (parts.hostname, parts.port, parts.path, parts.query) == ("db.example", 5432, "/x", "a=b")
    user, _, secret = parts.netloc.rpartition("@")[0].partition(":")
    assert (unquote_to_bytes(user), unquote_to_bytes(secret)) == (username, password)


# --- google-keyfile


@pytest.mark.parametrize("key", ["a\\nb\\n", "a\nb\n", "a\\r\\nb\\n"])
def test_escaped_line_ends_of_a_google_key_become_real_ones(key: str) -> None:
    made = make(derived.GOOGLE_KEYFILE, json=json.dumps({"type": "service_account", "private_key": key}))
    assert made is not None
    assert json.loads(made) == {"type": "service_account", "private_key": "a\nb\n"}


def test_a_google_key_may_have_real_line_ends_inside_its_text() -> None:
    made = make(derived.GOOGLE_KEYFILE, json='{"private_key": "a\nb"}')
    assert made is not None
    assert json.loads(made) == {"private_key": "a\nb"}


@pytest.mark.parametrize("broken", ["canary{", "[1]", '"canary"', b"\xff\xfecanary", "[" * 100_000])
def test_a_google_key_that_is_none_is_told_without_its_text(broken: str | bytes) -> None:
    with pytest.raises(Unusable) as caught:
        make(derived.GOOGLE_KEYFILE, json=broken)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


# --- git over http


@pytest.mark.parametrize(
    ("parts", "user", "password"),
    [
        ({"username": "me", "password": "pw"}, "me", "pw"),
        ({"credentials": "me:tok:en"}, "me", "tok:en"),
        ({"credentials": "me:tok\r\n"}, "me", "tok"),
        ({"credentials": "token"}, "oauth2", "token"),
        ({"credentials": ":token"}, "oauth2", "token"),
        ({"token": "token\n"}, "oauth2", "token"),
        ({"token": "token", "host": "bitbucket.org"}, "x-token-auth", "token"),
        ({"token": "token", "host": "Bitbucket.org:443"}, "x-token-auth", "token"),
        ({"token": "token", "host": "git.bitbucket.org"}, "oauth2", "token"),
        ({"credentials": "token", "host": "bitbucket.org"}, "x-token-auth", "token"),
        ({"username": "me", "token": "token"}, "me", "token"),
        ({"username": "me", "credentials": "you:token"}, "me", "token"),
        ({"password": "pw", "token": "token", "credentials": "a:b"}, "a", "pw"),
        ({"token": "token", "credentials": "a:b"}, "a", "token"),
        ({"password": "pw"}, None, "pw"),
        ({"username": "me"}, "me", None),
        ({"credentials": "me:"}, "me", None),
        ({}, None, None),
    ],
)
def test_a_login_for_git(parts: dict[str, str], user: str | None, password: str | None) -> None:
    assert text(derived.GIT_USER, **{"host": "git.example", **parts}) == user
    given = {name: part for name, part in parts.items() if name not in ("username", "host")}
    assert text(derived.GIT_PASSWORD, **given) == password


def test_git_over_ssh_takes_this_key_only() -> None:
    made = text(derived.GIT_SSH_COMMAND, key_path="/b/code/private-key", port="2222", user="git")
    assert made is not None
    words = shlex.split(made)
    assert words[0] == "ssh"
    assert {'IdentityFile="/b/code/private-key"', "IdentitiesOnly=yes", "BatchMode=yes"} <= set(words)
    assert "StrictHostKeyChecking=accept-new" in words
    assert words[-4:] == ["-p", "2222", "-l", "git"]


def test_known_hosts_make_ssh_strict() -> None:
    made = text(derived.GIT_SSH_COMMAND, key_path="/b/k", known_hosts_path="/b/hosts")
    assert made is not None
    words = shlex.split(made)
    assert {'UserKnownHostsFile="/b/hosts"', "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes"} <= set(
        words
    )
    assert "-p" not in words


def test_without_a_key_there_is_no_ssh_command() -> None:
    assert make(derived.GIT_SSH_COMMAND, known_hosts_path="/b/hosts") is None


def test_without_a_password_there_is_no_askpass() -> None:
    assert make(derived.GIT_ASKPASS, host="h", username_path="/u") is None
