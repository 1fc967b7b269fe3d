"""From a name to the addresses that may be asked. A catalog can name any host, and whoever tests a connection asks it
from inside the network: the addresses where clouds hand out a machine's credentials are refused.

A name is looked up once, and the address that was judged here is the one that is connected to: a name that answers
differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from tieline.probes.family import Failed
from tieline.probes.report import Limits

METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "fd00:ec2::254",  # AWS, instance metadata
            "fd00:ec2::23",  # AWS, pod identity
            "fd20:ce::254",  # Google Cloud
            "100.100.100.200",  # Alibaba Cloud
            "192.0.0.192",  # Oracle Cloud
            "168.63.129.16",  # Azure, WireServer
        ),
    )
)
"""Metadata services outside the link-local ranges (169.254.0.0/16, fe80::/10), where most of them are."""
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "metadata.azure.internal"})
"""Their names, for where a proxy does the looking up."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Address:
    """One address that may be connected to, as the socket module wants it."""

    family: int
    place: tuple[str, int] | tuple[str, int, int, int] | str

    @property
    def text(self) -> str:
        """``10.0.0.7:5432``, ``[fd00::7]:5432``, or the path of a socket."""
        if isinstance(self.place, str):
            return self.place
        host, port = self.place[0], self.place[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def ip(self) -> str:
        """The address alone; empty for the path of a socket."""
        return "" if isinstance(self.place, str) else self.place[0]


def is_refused(ip: Ip) -> bool:
    """Whether it is link-local or a cloud's metadata service, however it is dressed up (IPv4 within IPv6)."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None and is_refused(inner):
            return True
    return ip.is_link_local or ip in METADATA


def resolve(host: str, port: int, limits: Limits, part: str = "host") -> tuple[Address, ...]:
    """The addresses of a host that may be connected to. Raises Failed: there are none, or none is allowed."""
    if host.startswith("/"):
        return (Address(socket.AF_UNIX, host),)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "it is no name"
        raise Failed(
            f"the name {host} has no address: {said}", "check the name, and this machine's DNS", part
        ) from None
    addresses = dict.fromkeys(Address(family, place) for family, _, _, _, place in found)  # type: ignore[arg-type]
    allowed = tuple(address for address in addresses if limits.allow_link_local or not _judged(address))
    if not allowed:
        where = ", ".join(address.ip for address in addresses)
        raise Failed(
            f"{host} is {where}: link-local and metadata addresses are not asked",
            "name another host; --allow-link-local if that is really meant",
            part,
        )
    return allowed


def check_name(host: str, limits: Limits, part: str) -> None:
    """Refuse a host that a proxy is to look up, as far as its name alone says it. Raises Failed."""
    plain = host.strip("[]").rstrip(".").lower()
    try:
        refused = is_refused(ipaddress.ip_address(plain))
    except ValueError:
        refused = plain in METADATA_NAMES
    if refused and not limits.allow_link_local:
        raise Failed(f"{host} is a link-local or metadata address, which is not asked", "name another host", part)


def _judged(address: Address) -> bool:
    return is_refused(ipaddress.ip_address(address.ip.partition("%")[0]))
