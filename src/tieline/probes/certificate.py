"""What a certificate says, whether it is trusted or not: whom it is for, who issued it, and from when to when.

Python's ``getpeercert`` answers for verified certificates only, and the ones that people need to be told about are the
others. So the few fields are read from the DER itself (RFC 5280, section 4.1; X.690).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_SEQUENCE, _SET, _EXTENSIONS, _VERSION = 0x30, 0x31, 0xA3, 0xA0
_COMMON_NAME, _ORGANISATION = bytes.fromhex("550403"), bytes.fromhex("55040a")
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")
_DNS, _IP = 0x82, 0x87
_UTC_TIME = 0x17
MANY = 6


@dataclass(frozen=True, slots=True)
class Certificate:
    """The fields that a person asks for."""

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime
    self_issued: bool

    def words(self, now: datetime) -> str:
        """``for a.example.org, by Our CA, until 2031-01-01 (in 12 days)``."""
        names = ", ".join(self.names[:MANY]) + (" …" if len(self.names) > MANY else "")
        issuer = "itself" if self.self_issued else self.issuer or "an issuer without a name"
        return f"for {names or 'no name'}, by {issuer}, {self._period(now)}"

    def _period(self, now: datetime) -> str:
        days = (self.ends - now).days
        if now < self.begins:
            return f"from {self.begins:%Y-%m-%d %H:%M} UTC only"
        if now >= self.ends:
            return f"expired on {self.ends:%Y-%m-%d} ({-days} {'day' if days == -1 else 'days'} ago)"
        return f"until {self.ends:%Y-%m-%d} (in {days} {'day' if days == 1 else 'days'})"


def read(der: bytes) -> Certificate | None:
    """The certificate's fields; None where this is none that can be read."""
    try:
        return _read(der)
    except (IndexError, ValueError, StopIteration):
        return None


def _read(der: bytes) -> Certificate:
    (_, outer), *_ = _parts(der)
    (_, signed), *_ = _parts(outer)
    fields = [part for part in _parts(signed) if part[0] != _VERSION]
    issuer, validity, subject = fields[2][1], fields[3][1], fields[4][1]
    begins, ends = (_time(tag, value) for tag, value in _parts(validity))
    names = [name for tag, value in fields if tag == _EXTENSIONS for name in _alternative(value)]
    common = _named(subject, _COMMON_NAME)
    return Certificate(
        tuple(dict.fromkeys(names)) or ((common,) if common else ()),
        _named(issuer, _COMMON_NAME) or _named(issuer, _ORGANISATION),
        begins,
        ends,
        issuer == subject,
    )


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and contents of each element that stands in ``data``."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + length > len(data):
            raise ValueError("cut short")
        yield tag, data[at : at + length]
        at += length


def _time(tag: int, value: bytes) -> datetime:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC)


def _named(name: bytes, wanted: bytes) -> str:
    for _, relative in _parts(name):
        for _, pair in _parts(relative):
            (_, identifier), (_, value) = _parts(pair)
            if identifier == wanted:
                return value.decode("utf-8", "replace")
    return ""


def _alternative(extensions: bytes) -> Iterator[str]:
    (_, listed), *_ = _parts(extensions)
    for _, extension in _parts(listed):
        (_, identifier), *rest = _parts(extension)
        if identifier != _ALTERNATIVE_NAMES:
            continue
        (_, names), *_ = _parts(rest[-1][1])
        for tag, value in _parts(names):
            if tag == _DNS:
                yield value.decode("ascii", "replace")
            elif tag == _IP:
                yield str(ipaddress.ip_address(value))
