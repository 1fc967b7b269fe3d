"""Docker's config.json: made for one registry, merged for several."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tieline.kinds import derived
from tieline.secrets.docker import HUB, Login, merged, parsed, registry_of
from tieline.secrets.failures import Unusable
from tieline.secrets.forms import MAKERS
from tieline.secrets.secret import Secret


def auth(login: str) -> dict[str, str]:
    return {"auth": base64.b64encode(login.encode()).decode()}


def make(**parts: str | bytes) -> Any:
    made = MAKERS[derived.DOCKER_CONFIG]({name: Secret(value) for name, value in parts.items()})
    return None if made is None else json.loads(made)


def merge(*logins: tuple[str, str, dict[str, Any]]) -> tuple[Any, list[str]]:
    text, notes = merged(Login(name, host, config) for name, host, config in logins)
    return json.loads(text), notes


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("http://GHCR.io/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("ghcr.io/org/repo", "ghcr.io/org/repo"),  # podman's login for one repository
    ],
)
def test_which_registry_a_key_means(key: str, registry: str) -> None:
    assert registry_of(key) == registry


def test_user_and_password_make_a_login() -> None:
    made = make(host="ghcr.io:443", username="me", password="p:w")
    assert made == {"auths": {"ghcr.io:443": auth("me:p:w")}}


def test_docker_hub_has_its_own_key() -> None:
    assert make(host="docker.io", username="me", password="pw") == {"auths": {HUB: auth("me:pw")}}


def test_a_config_wins_over_a_legacy_one_and_that_over_a_login() -> None:
    config, legacy = {"auths": {"a": auth("config")}}, {"b": auth("legacy")}
    every = {"config": json.dumps(config), "legacy": json.dumps(legacy), "username": "me", "password": "pw"}
    assert make(host="a", **every) == config
    del every["config"]
    assert make(host="a", **every) == {"auths": legacy}


def test_a_config_stays_as_it_is_to_the_byte() -> None:
    text = b'{ "auths": {"a": {"identitytoken": "t"}},\n "credHelpers": {"gcr.io": "gcloud"}, "x": [1] }\n'
    made = MAKERS[derived.DOCKER_CONFIG]({"host": Secret("a"), "config": Secret(text)})
    assert made == text


@pytest.mark.parametrize("parts", [{}, {"username": "me"}, {"password": "pw"}, {"username": "", "password": "pw"}])
def test_half_a_login_is_none(parts: dict[str, str]) -> None:
    assert make(host="ghcr.io", **parts) is None


@pytest.mark.parametrize(
    "config",
    [
        "canary",
        "[]",
        '{"auths": [1]}',
        '{"auths": {"a": "canary"}}',
        '{"credHelpers": ["canary"]}',
        b"\xff",
        "[" * 99999,
    ],
)
def test_a_config_that_is_none_is_told_without_its_text(config: str | bytes) -> None:
    with pytest.raises(Unusable) as caught:
        make(host="ghcr.io", config=config)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_user_with_a_colon_is_refused() -> None:
    with pytest.raises(Unusable):
        make(host="ghcr.io", username="a:b", password="pw")


# --- merging


def test_registries_are_put_together() -> None:
    made, notes = merge(
        ("a", "ghcr.io", {"auths": {"ghcr.io": auth("a")}, "credHelpers": {"gcr.io": "gcloud"}, "proxies": {"x": 1}}),
        ("b", "docker.io", {"auths": {HUB: {"identitytoken": "t"}}, "proxies": {"x": 2}}),
    )
    assert made == {
        "auths": {"ghcr.io": auth("a"), HUB: {"identitytoken": "t"}},
        "credHelpers": {"gcr.io": "gcloud"},
        "proxies": {"x": 1},
    }
    assert notes == []


def test_a_connections_own_registry_is_its_own_whoever_comes_first() -> None:
    first = ("a", "ghcr.io", {"auths": {"ghcr.io": auth("a"), "docker.io": auth("somebody")}})
    second = ("b", "docker.io", {"auths": {HUB: auth("b"), "ghcr.io": auth("somebody")}})
    for order in ((first, second), (second, first)):
        made, notes = merge(*order)
        assert made["auths"] == {"ghcr.io": auth("a"), HUB: auth("b")}
        assert notes == []


def test_two_logins_to_one_registry_are_told() -> None:
    made, notes = merge(
        ("a", "ghcr.io", {"auths": {"ghcr.io": auth("a")}}), ("b", "ghcr.io", {"auths": {"ghcr.io": auth("b")}})
    )
    assert made["auths"] == {"ghcr.io": auth("a")}
    assert len(notes) == 1
    assert all(word in notes[0] for word in ("'a'", "'b'", "ghcr.io"))


def test_the_same_login_twice_is_nothing_to_tell() -> None:
    same = {"auths": {"ghcr.io": auth("a")}}
    assert merge(("a", "ghcr.io", same), ("b", "ghcr.io", same)) == (same, [])


def test_a_store_becomes_the_helper_of_its_own_registries() -> None:
    made, _ = merge(
        ("a", "ghcr.io", {"credsStore": "desktop", "auths": {"quay.io": {}, "gcr.io": auth("g")}}),
        ("b", "docker.io", {"auths": {HUB: auth("b")}}),
    )
    assert "credsStore" not in made
    assert made["credHelpers"] == {"ghcr.io": "desktop", "quay.io": "desktop"}
    assert made["auths"] == {"quay.io": {}, "gcr.io": auth("g"), HUB: auth("b")}


def test_nulls_of_other_programs_are_read() -> None:
    config = parsed(b'{"auths": {"a": null}, "credHelpers": null}')
    assert merge(("a", "a", config)) == ({"auths": {"a": None}}, [])
