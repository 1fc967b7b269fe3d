"""Certificates, good and bad, against real servers; and everything that is a host and no more yet."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import pytest
from probes_harness import HASTY, ask, failure, login, marks, of

from servers.certificates import Authority, Pair
from servers.https import connect_proxy, https_server, mute_server
from servers.processes import free_port
from tieline.model.access import Channel, Database, Http, ObjectStore, Registry, Socket
from tieline.probes import Report
from tieline.probes.certificate import read

HERE = ("DNS:localhost", "IP:127.0.0.1")
LATER = "comes with a later version"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Pair:
    return authority.issue(*HERE)


def asked(pair: Pair, ca: Path | None, host: str = "127.0.0.1") -> Report:
    with https_server(pair.files) as server:
        url = server.url().replace("127.0.0.1", host)
        return ask(Http(url=url, ca_bundle=str(ca) if ca else None), {})


def test_a_certificate_that_is_trusted(authority: Authority, good: Pair) -> None:
    report = asked(good, authority.certificate)
    assert marks(report) == "PPP--P--"
    told = of(report, "tls").detail
    assert told.startswith(
        "TLSv1.3; the certificate is trusted: for localhost, 127.0.0.1, by Test Authority, until 2040"
    )
    assert marks(asked(good, authority.certificate, "localhost")) == "PPP--P--"


def test_one_that_nobody_vouches_for(authority: Authority, good: Pair) -> None:
    report = asked(good, None)
    assert marks(report) == "PPF-----"
    assert "does not trust who signed" in failure(report).detail
    assert failure(report).part == "caBundle"


def test_one_that_is_signed_by_itself(authority: Authority) -> None:
    pair = authority.self_signed("127.0.0.1", *HERE)
    report = asked(pair, authority.certificate)
    assert "signed by itself (it is for localhost, 127.0.0.1, by itself" in failure(report).detail
    assert marks(asked(pair, pair.certificate)) == "PPP--P--"


def test_one_that_has_expired(authority: Authority) -> None:
    report = asked(authority.expired(*HERE), authority.certificate)
    assert "has expired" in failure(report).detail
    assert "expired on 2021-01-01" in failure(report).detail


def test_one_that_is_not_valid_yet(authority: Authority) -> None:
    report = asked(authority.issue(*HERE, start="20390101000000Z"), authority.certificate)
    assert "not valid yet (it is for localhost, 127.0.0.1, by Test Authority, from 2039-01-01" in failure(report).detail


def test_one_for_another_name(authority: Authority) -> None:
    report = asked(authority.issue("DNS:www.example.org"), authority.certificate)
    assert "is not for 127.0.0.1 (it is for www.example.org" in failure(report).detail
    assert failure(report).part == "url"


def test_one_that_ends_soon_is_trusted_and_told(authority: Authority) -> None:
    end = datetime.now(UTC) + timedelta(days=4, hours=1)
    report = asked(authority.issue(*HERE, end=f"{end:%Y%m%d%H%M%SZ}"), authority.certificate)
    assert marks(report) == "PPP--P--"
    assert "(in 4 days) – renew it soon" in of(report, "tls").detail


def test_a_ca_bundle_that_is_none(good: Pair, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("hello")
    for path in (tmp_path / "gone.pem", nonsense):
        report = asked(good, path)
        assert failure(report).part == "caBundle"
        assert str(path) in failure(report).detail


def test_https_to_a_server_that_does_not_speak_it() -> None:
    with https_server() as server:
        report = ask(Http(url=server.url().replace("http:", "https:")), {})
    assert marks(report) == "PPF-----"
    assert failure(report).part == "tls"


def test_https_to_a_server_that_says_nothing_or_hangs_up() -> None:
    with mute_server() as port:
        assert "no answer within" in failure(ask(Http(url=f"https://127.0.0.1:{port}/"), {}, HASTY)).detail
    with mute_server(hang_up=True) as port:
        assert failure(ask(Http(url=f"https://127.0.0.1:{port}/"), {}, HASTY)).operation == "tls"


def test_through_a_proxy(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    pair = authority.issue("DNS:far.example.invalid")
    with https_server(pair.files) as server, connect_proxy() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        far = f"https://far.example.invalid:{server.port}/"
        report = ask(Http(url=far, ca_bundle=str(authority.certificate)), {})
    assert marks(report) == "PPP--P--"
    assert of(report, "reach").detail.endswith(f"and connects to far.example.invalid:{server.port}")
    assert set(proxy.asked) == {f"CONNECT far.example.invalid:{server.port} HTTP/1.1"}


def test_tls_and_an_address_without_it_contradict_each_other() -> None:
    with https_server() as server:
        assert "begins with http://" in failure(ask(Http(url=server.url(), tls=True), {})).detail


@pytest.mark.parametrize("junk", [b"", b"0", b"\x30\x82\xff\xff", b"\x30\x03\x02\x01\x01", bytes(range(256))])
def test_bytes_that_are_no_certificate(junk: bytes) -> None:
    assert read(junk) is None


def test_a_certificate_cut_anywhere_is_none(good: Pair) -> None:
    der = ssl.PEM_cert_to_DER_cert(good.certificate.read_text())
    assert read(der) is not None
    assert all(read(der[:length]) is None for length in range(0, len(der), 7))


def test_a_buckets_server_is_judged_like_any_other(authority: Authority, good: Pair) -> None:
    credentials, secrets = login(access_key_id="AKIA1234", secret_access_key="abcdefgh")
    with https_server(good.files) as server:
        bucket = ObjectStore(
            provider="s3",
            bucket="b",
            endpoint=server.url(""),
            ca_bundle=str(authority.certificate),
            credentials=credentials,
        )
        report = ask(bucket, secrets)
        lax = ask(bucket.model_copy(update={"ca_bundle": None, "insecure": True}), secrets)
        bare = ask(bucket, {})
        unknown = ask(bucket.model_copy(update={"ca_bundle": None}), secrets)
    assert marks(report)[:4] == "PPPF"  # it speaks no S3
    assert "not verified (insecure: true)" in of(lax, "tls").detail
    assert marks(bare) == "PPPF----"
    assert failure(bare).part == "access-key-id"
    assert marks(unknown) == "PPF-----"
    assert failure(unknown).part == "caBundle"


def test_a_bucket_at_a_metadata_address_is_refused() -> None:
    report = ask(ObjectStore(provider="s3", bucket="b", endpoint="http://169.254.169.254"), {})
    assert marks(report) == "F-------"
    assert failure(report).part == "endpoint"


def test_registries(authority: Authority, good: Pair) -> None:
    with https_server(good.files) as server:
        host = f"127.0.0.1:{server.port}"
        assert marks(ask(Registry(host=host, ca_bundle=str(authority.certificate)), {})) == "PPP-----"
        assert marks(ask(Registry(host=host), {})) == "PPF-----"
        assert marks(ask(Registry(host=host, insecure=True), {})) == "PPP-----"
    with https_server() as server:
        report = ask(Registry(host=f"127.0.0.1:{server.port}", insecure=True), {})
        assert of(report, "tls").detail == "insecure: true, and the server speaks plain http"


def test_channels(authority: Authority) -> None:
    credentials, secrets = login(url=f"https://127.0.0.1:{free_port()}/services/T000/B000/s3cr3tpath")
    report = ask(Channel(service="slack", credentials=credentials), secrets)
    assert marks(report) == "PF------"
    assert "s3cr3tpath" not in repr(report)
    missing, _ = login(url=None, token=None)
    assert failure(ask(Channel(service="slack", credentials=missing), {})).part == "url"


@contextmanager
def mail_server(pair: Pair, *, offers: bool = True) -> Iterator[int]:
    """A mail server, as far as STARTTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair.files)
    with create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        connection.sendall(b"220 mail\r\n")
                        if not connection.recv(100):
                            continue
                        connection.sendall(b"250-mail\r\n" + (b"250 STARTTLS\r\n" if offers else b"250 HELP\r\n"))
                        if not connection.recv(100):
                            continue
                        connection.sendall(b"220 go on\r\n")
                        context.wrap_socket(connection, server_side=True).close()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.close()
        thread.join()


def test_mail(authority: Authority, good: Pair) -> None:
    def mail(port: int, tls: str) -> Channel:
        options = {"host": "127.0.0.1", "port": str(port), "tls": tls, "caBundle": str(authority.certificate)}
        return Channel(service="email", options=options)

    with mail_server(good) as port:
        assert marks(ask(mail(port, "starttls"), {}))[:3] == "PPP"
    with mail_server(good, offers=False) as port:
        assert "offers no STARTTLS" in failure(ask(mail(port, "starttls"), {})).detail
    with https_server(good.files) as server:
        assert marks(ask(mail(server.port, "implicit"), {}, HASTY)) == "PPPF----"


def test_sockets_and_databases_that_are_a_host_and_a_port(authority: Authority, good: Pair) -> None:
    with https_server(good.files) as server:
        at = {"host": "127.0.0.1", "port": server.port}
        assert marks(ask(Socket(**at, tls=True, ca_bundle=str(authority.certificate)), {})) == "PPP-----"
        assert marks(ask(Socket(**at), {})) == "PP------"
        assert marks(ask(Database(protocol="mongodb", **at, tls=True), {})) == "PPF-----"
        inside = ask(Database(protocol="sqlserver", **at, tls=True), {})
        assert "inside its own handshake" in of(inside, "tls").detail
        assert of(inside, "read").detail == f"testing sqlserver {LATER}"
    assert marks(ask(Socket(host="127.0.0.1", port=free_port()), {})) == "PF------"
    assert marks(ask(Socket(), {})) == "--------"
    credentials, secrets = login(host="127.0.0.1", port=str(free_port()))
    assert marks(ask(Database(protocol="oracle", credentials=credentials), secrets)) == "PF------"
