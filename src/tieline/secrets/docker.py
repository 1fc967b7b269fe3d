"""Docker's ``config.json``: made from what a registry's secret has, and one made of several.

A job has one such file for all of its registries. The credentials of a connection's own registry are always its own;
for a registry that only comes along in somebody's file, the first file wins. Helpers stay: a ``credsStore``, which
would answer for every registry, becomes the helper of the registries that it was there for.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tieline.secrets.failures import Unusable, json_object

HUB = "https://index.docker.io/v1/"
"""Docker Hub's key in ``auths``."""
_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_MERGED = ("auths", "credHelpers", "credsStore")
_USUAL = re.compile(r"^(?:https?://)?([^/]+)(?:/v[12])?/?$", re.IGNORECASE)


def registry_of(key: str) -> str:
    """The registry that a key of ``auths`` or ``credHelpers`` means: ``https://ghcr.io/v2/`` → ``ghcr.io``."""
    found = _USUAL.match(key)
    host = found[1].lower() if found else key
    return "docker.io" if host in _HUB_HOSTS else host


def docker_config(
    *, host: str, config: bytes | None, legacy: bytes | None, username: bytes | None, password: bytes | None
) -> bytes | None:
    """The form ``docker-config``: the first of these that is there, a whole file as it is."""
    if config is not None:
        parsed(config)
        return config
    if legacy is not None:
        return _text({"auths": json_object(legacy, "the .dockercfg")})
    if not (host and username and password):
        return None
    if b":" in username:
        raise Unusable("a user name with a colon in it cannot log in to a registry")
    login = base64.b64encode(username + b":" + password).decode()
    return _text({"auths": {HUB if registry_of(host) == "docker.io" else host: {"auth": login}}})


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """What one connection adds to the file: ``host`` is its own registry."""

    connection: str
    host: str
    config: Mapping[str, Any]


def parsed(config: bytes) -> dict[str, Any]:
    """A ``config.json``. Raises Unusable for what is none."""
    data = json_object(config, "the config.json")
    for part in ("auths", "credHelpers"):
        _mapping(data.get(part) or {}, f"{part} of the config.json")
    for entry in (data.get("auths") or {}).values():
        _mapping(entry or {}, "an entry of auths of the config.json")
    return data


def merged(logins: Iterable[Login]) -> tuple[bytes, list[str]]:
    """One file for all of them, and what there is to say: which login of two to one registry is not in it."""
    ordered = list(logins)
    others: dict[str, Any] = {}
    taken: dict[str, tuple[Login, _Part]] = {}
    notes = []
    for login, part in (*_parts(ordered, own=True), *_parts(ordered, own=False)):
        first, has = taken.setdefault(part.registry, (login, part))
        if has != part and part.registry == registry_of(login.host):
            notes.append(
                f"{first.connection!r} and {login.connection!r} log in to {part.registry} in two ways; "
                f"the job's config.json has that of {first.connection!r}"
            )
    for login in ordered:
        others = {**{key: value for key, value in login.config.items() if key not in _MERGED}, **others}
    auths = {key: entry for _, part in taken.values() for key, entry in part.auths.items()}
    helpers = {key: name for _, part in taken.values() for key, name in part.helpers.items()}
    return _text({**others, "auths": auths} | ({"credHelpers": helpers} if helpers else {})), notes


@dataclass(frozen=True, slots=True, repr=False)
class _Part:
    """What a file has for one registry."""

    registry: str
    auths: Mapping[str, Any]
    helpers: Mapping[str, Any]


def _parts(logins: Iterable[Login], *, own: bool) -> Iterable[tuple[Login, _Part]]:
    """What each file has for the connection's own registry, or for all the others."""
    for login in logins:
        yield from ((login, part) for part in _entries(login) if (part.registry == registry_of(login.host)) is own)


def _entries(login: Login) -> Iterable[_Part]:
    """A file, by registry."""
    auths, helpers = login.config.get("auths") or {}, login.config.get("credHelpers") or {}
    store = login.config.get("credsStore")
    own = registry_of(login.host)
    names = dict.fromkeys([own, *map(registry_of, auths), *map(registry_of, helpers)])
    for registry in names:
        keys = {key: entry for key, entry in auths.items() if registry_of(key) == registry}
        helper = {key: name for key, name in helpers.items() if registry_of(key) == registry}
        if store and not helper and not any(keys.values()):
            helper = dict.fromkeys(keys or (HUB if registry == "docker.io" else login.host,), store)
        if keys or helper:
            yield _Part(registry, keys, helper)


def _mapping(data: Any, what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Unusable(f"{what} is no JSON object")
    return data


def _text(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=2).encode()
