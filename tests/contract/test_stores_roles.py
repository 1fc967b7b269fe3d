"""Buckets that are opened with a role: keys or a cluster's token prove who asks, credentials come for a while and are
renewed, and what fails says which field to mend, without any secret.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.certificates import Authority
from servers.https import connect_proxy
from servers.identities import giver
from servers.moto import EXTERNAL, TOKEN, Moto, moto, role
from servers.processes import eventually
from tieline.model.access import Credentials, ObjectStore
from tieline.secrets.secret import Secret
from tieline.stores import Store, StoreTrouble, Why, open_store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def server(shared: Moto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Moto]:
    """What it was asked is counted anew; and no log of any library has a secret in it."""
    for name in ("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    caplog.set_level(logging.DEBUG)
    shared.asked.clear()
    shared.used.clear()
    yield shared
    shared.busy = 0
    assert [value for value in shared.secrets() if value in caplog.text] == []


@pytest.fixture
def token(server: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a cluster's token."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
    return file


def keys(server: Moto, **changes: str) -> dict[str, Secret]:
    given = {"access-key-id": server.user[0], "secret-access-key": server.user[1]}
    return {name: Secret(value) for name, value in {**given, **changes}.items()}


def access(
    server: Moto, name: str | None = "writer", *, auth: dict[str, object] | None = None, **more: object
) -> ObjectStore:
    given = {"method": "assume-role", "secret": "login", "role": role(name) if name else None, **(auth or {})}
    place = {"endpoint": server.endpoint, "region": "us-east-1", "prefix": os.urandom(6).hex(), **more}
    return ObjectStore(provider="s3", bucket="data", credentials=Credentials(**given), **place)  # type: ignore[arg-type]


def by_keys(server: Moto, name: str = "writer", **auth: object) -> Store:
    return open_store(access(server, name, auth=auth), {}, keys(server))


def by_token(server: Moto, name: str | None = "writer", **more: object) -> Store:
    return open_store(access(server, name, auth={"method": "workload-identity", "secret": None}, **more), {}, {})


def trouble(server: Moto, attempt: Callable[[], object]) -> StoreTrouble:
    with pytest.raises(StoreTrouble) as caught:
        attempt()
    text = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caught.value.problems}"
    assert [value for value in server.secrets() if value in text] == []
    return caught.value


def read(store: Store, key: str) -> bytes:
    with store.open(key) as stream:
        return stream.read()


def works(store: Store) -> bool:
    name = f"seen/{os.urandom(6).hex()}"
    store.save_bytes(b"1", name)
    return read(store, name) == b"1" and name in [entry.key for entry in store.list()]


# --- taking on


def test_keys_take_on_a_role_and_the_role_opens_the_bucket(server: Moto) -> None:
    assert works(by_keys(server))
    (asked,) = server.asked
    assert asked["RoleArn"] == role("writer")
    assert asked["RoleSessionName"] == "tieline"
    assert set(server.used) == {server.given[-1][0]}  # nothing went to the bucket with the user's own key


def test_the_same_keys_without_the_role_may_not(server: Moto) -> None:
    own = access(server, auth={"method": "secret", "role": None})
    assert trouble(server, lambda: works(open_store(own, {}, keys(server)))).why == Why.FORBIDDEN


def test_a_token_takes_on_a_role(server: Moto, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert works(by_token(server))
    monkeypatch.setenv("AWS_ROLE_ARN", role("closed"))
    assert works(by_token(server))  # the connection's own role comes first
    monkeypatch.setenv("AWS_ROLE_ARN", role("reader"))
    found = trouble(server, lambda: works(by_token(server, None)))
    assert (found.why, found.part) == (Why.FORBIDDEN, "auth.role")
    assert [asked["RoleArn"] for asked in server.asked] == [role("writer"), role("writer"), role("reader")]


def test_what_a_role_may_not_is_forbidden(server: Moto) -> None:
    store = by_keys(server, "reader")
    assert all(entry.what == "file" for entry in store.list())
    found = trouble(server, lambda: store.save_bytes(b"1", "f"))
    assert (found.why, found.part) == (Why.FORBIDDEN, "auth.role")


def test_an_external_id_and_a_duration(server: Moto) -> None:
    assert works(by_keys(server, "named", external_id=EXTERNAL, duration=900))
    assert server.asked[-1]["DurationSeconds"] == "900"
    found = trouble(server, lambda: by_keys(server, "named", external_id="another").stat("f"))
    assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "auth.role")
    assert "auth.externalId" in found.problems[0].hint


def test_keys_that_are_for_a_while_themselves(server: Moto) -> None:
    """Their session token is signed too: it reaches STS, which knows the role that they are of."""
    assert works(by_keys(server))
    key, secret, session = server.given[-1]
    mine = {"access-key-id": Secret(key), "secret-access-key": Secret(secret), "session-token": Secret(session)}
    store = open_store(access(server), {}, mine)
    found = trouble(server, lambda: store.stat("f"))  # `writer` may not take on roles
    assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "auth.role")
    assert "403 AccessDenied" in str(found)


# --- what is wrong, and what to mend


def test_what_sts_refuses_names_the_field_to_mend(server: Moto) -> None:
    for name, given, part in (
        ("closed", {}, "auth.role"),
        ("writer", {"access-key-id": "AKIANOBODY"}, "access-key-id"),
        ("writer", {"secret-access-key": "canary-wrong-secret"}, "secret-access-key"),
    ):
        store = open_store(access(server, name), {}, keys(server, **given))
        for attempt in (
            lambda s=store: s.stat("f"),
            lambda s=store: list(s.list()),
            lambda s=store: s.save_bytes(b"", "f"),
        ):
            found = trouble(server, attempt)
            assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, part)
            assert role(name) in str(found)
            assert "canary" not in str(found)
    assert server.used == []  # the bucket was not asked


def test_a_token_that_is_not_taken(server: Moto, token: Path) -> None:
    token.write_text("canary.another.token")
    found = trouble(server, lambda: by_token(server).stat("f"))
    assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "auth.method")
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in found.problems[0].hint
    assert "canary" not in str(found)


def test_a_token_that_is_not_there(server: Moto, token: Path) -> None:
    store = by_token(server)
    for break_it in (lambda: token.write_text(""), token.unlink, token.mkdir):
        break_it()
        found = trouble(server, lambda: store.stat("f"))
        assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "auth.method")
        assert str(token) in str(found)
    assert server.asked == []


@pytest.mark.parametrize(
    ("auth", "env", "told", "part"),
    [
        ({"secret": None}, {}, "no secret", "secret"),
        ({"role": None}, {}, "no role", "auth.role"),
        (
            {"method": "workload-identity", "role": None},
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/x"},
            "AWS_ROLE_ARN",
            "auth.role",
        ),
        ({"method": "workload-identity"}, {}, "AWS_WEB_IDENTITY_TOKEN_FILE", "auth.method"),
    ],
)
def test_what_is_not_there_is_known_before_anybody_is_asked(
    server: Moto, auth: dict[str, object], env: dict[str, str], told: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found = trouble(server, lambda: open_store(access(server, auth=auth), {}, keys(server)))
    assert told in str(found)
    assert found.part == part
    assert server.asked == []


def test_a_secret_without_keys_is_no_other_login(server: Moto) -> None:
    found = trouble(server, lambda: open_store(access(server), {}, {"other": Secret("x")}))
    assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "access-key-id")


def test_sts_that_is_not_reached(server: Moto) -> None:
    for endpoint, told in (
        ("http://127.0.0.1:1", "does not answer"),
        ("http://does-not.exist.invalid", "has no address"),
        (server.endpoint.replace("http:", "https:"), "does not answer with TLS"),
    ):
        found = trouble(server, lambda endpoint=endpoint: by_keys(server, endpoint=endpoint).stat("f"))
        assert (found.why, found.part) == (Why.UNREACHABLE, "auth.endpoint")
        assert told in str(found)


def test_sts_that_is_something_else(server: Moto) -> None:
    found = trouble(server, lambda: by_keys(server, endpoint=f"{server.endpoint}/data").stat("f"))
    assert found.part == "auth.endpoint"


def test_sts_that_is_busy_is_worth_another_attempt(server: Moto) -> None:
    server.busy = 1
    store = by_keys(server)
    found = trouble(server, lambda: store.save_bytes(b"1", "f"))
    assert found.why == Why.BROKEN
    store.save_bytes(b"1", "f")
    assert read(store, "f") == b"1"


# --- nothing else


def test_nobody_else_is_asked(server: Moto, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an SDK would find in the environment, or at a metadata service, is left alone; also where it fails."""
    with giver() as metadata:
        for name in (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_METADATA_ENDPOINT",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        ):
            monkeypatch.setenv(name, f"http://{metadata.place}")
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
            monkeypatch.setenv(name, f"http://{metadata.place}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.user[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.user[1])
        monkeypatch.setenv("AWS_ROLE_ARN", role("writer"))
        assert works(by_keys(server))
        assert works(by_token(server))
        assert trouble(server, lambda: by_keys(server, "closed").stat("f")).part == "auth.role"
        token.write_text("another")
        assert trouble(server, lambda: by_token(server).stat("f")).part == "auth.method"
        assert metadata.asked == []


# --- the way there


@pytest.mark.parametrize("how", ["keys", "token"])
def test_a_private_authority_and_a_proxy_are_those_of_the_bucket(
    how: str, token: Path, tmp_path: Path, server: Moto
) -> None:
    host = "localhost"
    authority = Authority(tmp_path)
    pair = authority.issue("IP:127.0.0.1", f"DNS:{host}")
    with moto(tmp_path, tls=pair.files) as secure, connect_proxy() as proxy:
        auth = {"method": "workload-identity", "secret": None} if how == "token" else {}
        trusted = {"ca_bundle": str(authority.certificate)}

        def store(**more: object) -> Store:
            return open_store(access(secure, auth=auth, **more), {}, keys(secure))

        found = trouble(secure, lambda: store().stat("f"))
        assert (found.why, found.part) == (Why.UNREACHABLE, "caBundle")
        assert secure.asked == []
        assert works(store(**trusted))
        assert proxy.asked == []
        assert works(store(**trusted, endpoint=f"https://{host}:{secure.port}", proxy=proxy.url))
        assert {line.split()[1] for line in proxy.asked} == {f"{host}:{secure.port}"}
        assert len(secure.asked) == 2
        assert works(store(insecure=True))


# --- credentials that end


def test_they_are_kept_while_they_are_good(server: Moto) -> None:
    store = by_keys(server)
    for number in range(20):
        store.save_bytes(b"1", f"f{number}")
    assert len(server.asked) == 1


def test_they_are_got_anew_ahead_of_their_end(server: Moto, token: Path) -> None:
    for store in (by_keys(server, duration=2), open_store(
        access(server, auth={"method": "workload-identity", "secret": None, "duration": 2}), {}, {}
    )):  # fmt: skip
        asked = len(server.asked)
        store.save_bytes(b"1", "f")
        first = server.given[-1][0]
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert read(store, "f") == b"1"
            time.sleep(0.05)
        assert len(server.asked) - asked >= 2
        assert server.given[-1][0] != first


def test_the_old_ones_are_used_while_they_are_good_and_sts_is_not(server: Moto) -> None:
    store = by_keys(server, duration=60)
    store.save_bytes(b"1", "f")
    server.busy = 1000
    eventually(lambda: read(store, "f") == b"1" and True)
    assert len(server.asked) == 1


def test_when_the_server_says_that_they_ended_new_ones_are_got(server: Moto, token: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"2")
    for make in (by_keys, by_token):
        for again in (
            lambda s: s.save_file(tmp_path / "file", "f"), lambda s: read(s, "f"), lambda s: list(s.list()),
            lambda s: s.stat("f"), lambda s: s.delete("f"),
        ):  # fmt: skip
            store = make(server)
            store.save_bytes(b"1", "f")
            asked = len(server.asked)
            server.end_all()
            eventually(lambda s=store, a=again: _in_time(s, a))
            assert len(server.asked) == asked + 1
            assert server.used[-1] == server.given[-1][0]


def _in_time(store: Store, attempt: Callable[[Store], object]) -> bool:
    """One attempt: it may be told that its login has ended, and the next one has another."""
    try:
        attempt(store)
    except StoreTrouble as error:
        return _must(error.why == Why.NOT_AUTHENTICATED, False)
    return True


def _must(condition: bool, value: bool) -> bool:
    assert condition
    return value


def test_a_token_is_read_anew_each_time(server: Moto, token: Path) -> None:
    store = by_token(server)
    store.save_bytes(b"1", "f")
    server.tokens = {"canary.the.next"}
    token.write_text("canary.the.next")
    server.end_all()
    try:
        assert eventually(lambda: _in_time(store, lambda s: read(s, "f")))
    finally:
        server.tokens = {TOKEN}
    assert [asked["WebIdentityToken"] for asked in server.asked] == [TOKEN, "canary.the.next"]
