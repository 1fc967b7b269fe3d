"""URIs of databases and services, taken apart and put together; never with a password in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode

_URI = re.compile(
    r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^@/?#]*)@)?(?P<hosts>[^/?#]*)(?P<path>/[^?#]*)?"
    r"(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"^(?:\[([^\]]*)\]|([^:]*))(?::([0-9]+))?$")
_JDBC_HOST = re.compile(r"//(?:[^@/;?]*@)?(\[[^\]]*\]|[^:/;?,]*)(?::([0-9]+))?|@(?://)?([^:/;?,]+):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a URI, decoded; of several hosts, the first. ``base``: the URI as it is, without its user."""

    scheme: str
    host: str | None
    port: int | None
    path: str
    username: str | None
    base: str


def parse(uri: str) -> Address:
    """The parts of ``scheme://user@host:port/path?query``, or of a JDBC address as far as it has them."""
    if uri.startswith("jdbc:"):
        found = _JDBC_HOST.search(uri)
        host, port, at_host, at_port = found.groups() if found else (None,) * 4
        number = port or at_port
        name = (host or at_host or "").strip("[]") or None
        return Address("jdbc", name, port_of(number), "", None, uri)
    found = _URI.match(uri)
    if found is None:
        return Address("", None, None, "", None, uri)
    scheme, user, hosts, path = found["scheme"], found["user"], found["hosts"], found["path"] or ""
    one = _HOST.match(hosts.split(",")[0])
    bracketed, plain, port = one.groups() if one else (None, None, None)
    base = f"{scheme}://{hosts}{uri[found.end('hosts') :]}"
    username = unquote(user) if user else None
    return Address(scheme, bracketed or plain or None, port_of(port), unquote(path.lstrip("/")), username, base)


def port_of(digits: str | None) -> int | None:
    """A port's number, if the digits are one; of 5,000 digits Python makes no number at all."""
    return int(digits) if digits and len(digits) <= 5 and int(digits) < 65536 else None


def compose(scheme: str, host: str, port: int | None, path: str, query: Mapping[str, str]) -> str:
    """``scheme://host:port/path?query``, percent-encoded; an IPv6 address gets its brackets."""
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    if host.startswith("/"):  # a unix socket's folder
        host = quote(host, safe="")
    end = f":{port}" if port else ""
    where = f"/{quote(path, safe='/')}" if path else ""
    return with_query(f"{scheme}://{host}{end}{where}", query)


def query_text(query: Mapping[str, str]) -> str:
    """``a=1&b=2``, percent-encoded."""
    return urlencode(query, quote_via=quote)


def query_of(uri: str) -> dict[str, str]:
    """The URI's own parameters, decoded; of one that is there twice, the last."""
    return dict(parse_qsl(uri.partition("?")[2].partition("#")[0], keep_blank_values=True))


def with_query(uri: str, query: Mapping[str, str]) -> str:
    """The URI with these parameters added to its own, which stay as they are."""
    own = query_of(uri)
    further = query_text({name: value for name, value in query.items() if name not in own})
    return f"{uri}{'&' if '?' in uri else '?'}{further}" if further else uri


def with_user(uri: str, username: str | None) -> str:
    """The URI, which has no user yet, with one; a JDBC address has no place for it."""
    scheme, mark, rest = uri.partition("://")
    if not username or not mark or scheme.startswith("jdbc:"):
        return uri
    return f"{scheme}://{quote(username, safe='')}@{rest}"
