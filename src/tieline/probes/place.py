"""Where a server is: what the catalog says, and where it is silent, what the secret or the config map says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from tieline.model.access import Database, Socket
from tieline.probes.family import LATER, Failed, looked_for, no_credential
from tieline.secrets.secret import Secret

LOOKED_UP = "mongodb+srv"
"""A scheme whose name stands for servers that only its client finds (DNS SRV)."""
SECURE = frozenset({"https", "rediss", "valkeys", "grpcs", "ftps", "swebhdfs"})
"""Schemes that mean TLS."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server's place and, for a database, what to open there. ``part``: which of the access's parts said it.
    ``options``: the parameters of its address."""

    host: str
    port: int
    database: str | None = None
    username: str | None = None
    password: str | None = None
    secure: bool = False
    part: str = "host"
    options: Mapping[str, str] = field(default_factory=dict)


def known_place(access: Database, secrets: Mapping[str, Secret]) -> Place:
    """The place of a database that is one server. Raises Failed where there is none that can be tried."""
    place = place_of(access, secrets)
    if isinstance(place, str):
        raise Failed(place, "give it a host", "host")
    return place


def place_of(access: Database | Socket, secrets: Mapping[str, Secret]) -> Place | str:
    """The place, or why there is none that can be tried. Raises Failed: it is in a secret that is not there."""
    texts = {name: secret.reveal_text().strip() for name, secret in secrets.items()}
    uri = getattr(access, "uri", None) or ""
    scheme = uri.partition(":")[0]
    if scheme == LOOKED_UP:
        return f"its servers are looked up by its client (DNS SRV): doing that {LATER}"
    username, password = texts.get("username"), texts.get("password")
    database = getattr(access, "database", None) or texts.get("database")
    if access.host is not None:
        port = access.port or _number(texts.get("port"))
        if port is None:
            return "the address has no port, and there is no usual one"
        host = access.host.split(",")[0].strip("[]")  # of several, the first
        return Place(host, port, database, username, password, scheme in SECURE, "host", _query(uri))
    whole, named = texts.get("uri"), texts.get("host")
    if whole and not named:
        return _from_uri(whole, access.port, texts)
    if named:
        port = _number(texts.get("port")) or access.port
        if port is None:
            return "the secret has a host and no port, and there is no usual one"
        return Place(named.split(",")[0].strip("[]"), port, database, username, password, False, "host")
    if looked_for(access.credentials, "host", "uri"):
        raise no_credential(access.credentials, "the address is not in the catalog", "host", "uri")
    return "nothing says where it is that can be read here"


def _from_uri(uri: str, usual: int | None, texts: Mapping[str, str]) -> Place | str:
    """A whole address out of a secret, with its user and password in it."""
    try:
        found = urlsplit(uri)
        host, port = found.hostname, found.port
    except ValueError:
        raise Failed(
            "the address in the secret can't be read", "write it like scheme://user:password@host:port/name", "uri"
        ) from None
    if found.scheme == LOOKED_UP:
        return f"its servers are looked up by its client (DNS SRV): doing that {LATER}"
    number = port or usual
    if not host or number is None:
        raise Failed(
            "the address in the secret has no host and port", "write scheme://user:password@host:port/name", "uri"
        )
    return Place(
        host,
        number,
        unquote(found.path.lstrip("/")) or texts.get("database"),
        unquote(found.username) if found.username else texts.get("username"),
        unquote(found.password) if found.password else texts.get("password"),
        found.scheme in SECURE,
        "uri",
        _query(uri),
    )


def _query(uri: str) -> dict[str, str]:
    return dict(parse_qsl(uri.partition("?")[2].partition("#")[0]))


def _number(text: str | None) -> int | None:
    """A port as a secret has it."""
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Failed("the port in the secret is no number from 1 to 65535", "correct it", "port")
    return int(text)
