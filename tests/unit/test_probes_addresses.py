"""Which addresses may be asked: everything, but link-local ones and where clouds hand out credentials."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from tieline.probes.addresses import check_name, is_refused, resolve
from tieline.probes.family import Failed
from tieline.probes.line import Line
from tieline.probes.report import Limits


@pytest.mark.parametrize(
    "ip",
    [
        "169.254.169.254", "169.254.0.1", "169.254.170.2", "fe80::1", "febf::1", "fd00:ec2::254", "fd20:ce::254",
        "100.100.100.200", "192.0.0.192", "168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1", "::ffff:100.100.100.200",
    ],
)  # fmt: skip
def test_metadata_addresses_are_refused_however_they_are_written(ip: str) -> None:
    assert is_refused(ipaddress.ip_address(ip))


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.7", "192.168.1.1", "8.8.8.8", "::1", "fd00::7", "2001:db8::1"])
def test_others_are_not(ip: str) -> None:
    assert not is_refused(ipaddress.ip_address(ip))


def answers(monkeypatch: pytest.MonkeyPatch, *ips: str) -> list[str]:
    """Have every name answered with these addresses; which names were looked up."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [
            (
                socket.AF_INET6 if ":" in ip else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (ip, port, 0, 0)[: 4 if ":" in ip else 2],
            )
            for ip in ips
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_a_name_that_leads_to_metadata_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "169.254.169.254")
    with pytest.raises(Failed, match="not asked") as caught:
        resolve("innocent.example.org", 80, Limits())
    assert (caught.value.part, "--allow-link-local" in caught.value.hint) == ("host", True)
    allowed = resolve("innocent.example.org", 80, Limits(allow_link_local=True))
    assert [address.text for address in allowed] == ["169.254.169.254:80"]


def test_of_several_addresses_only_the_allowed_ones_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "fe80::1", "10.0.0.7", "169.254.169.254")
    assert [address.text for address in resolve("both.example.org", 80, Limits())] == ["10.0.0.7:80"]


def test_a_name_is_looked_up_once_and_its_address_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the second answer would be another one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        asked = answers(monkeypatch, "127.0.0.1")
        line = Line("rebinding.example.org", port, Limits(timeout=2))
        assert line.resolve() == "rebinding.example.org is 127.0.0.1"
        answers(monkeypatch, "169.254.169.254")
        assert line.reach() == f"127.0.0.1:{port} accepts connections"
        with line.open() as connection:
            assert connection.getpeername() == ("127.0.0.1", port)
        assert asked == ["rebinding.example.org"]


def test_a_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(Failed, match=r"gone\.example\.org has no address"):
        resolve("gone.example.org", 80, Limits())


def test_what_is_no_name_at_all_is_told() -> None:
    with pytest.raises(Failed, match="has no address"):
        resolve("a" * 80 + ".example.org", 80, Limits())


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "metadata.google.internal", "METADATA.", "metadata"])
def test_a_host_that_a_proxy_looks_up_is_judged_by_its_name(host: str) -> None:
    with pytest.raises(Failed, match="not asked"):
        check_name(host, Limits(), "url")
    check_name(host, Limits(allow_link_local=True), "url")
    check_name("example.org", Limits(), "url")


def test_a_line_that_was_cut_opens_nothing_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = Line("127.0.0.1", server.getsockname()[1], Limits(timeout=2))
        line.resolve()
        with line.open():
            line.cut()
        with pytest.raises(Failed, match="can't be reached"):
            line.open()
