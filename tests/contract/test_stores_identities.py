"""Buckets of Azure and Google that are opened as a workload: with a token of whoever runs there, and nothing else."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers import buckets
from servers.azurite import ACCOUNT, Azurite, azurite
from servers.certificates import Authority
from servers.identities import ASSERTION, CLIENT, TENANT, Giver, azure_token, giver
from servers.processes import eventually
from tieline.model.access import Credentials, ObjectStore
from tieline.model.binding import Text
from tieline.secrets.secret import Secret
from tieline.stores import Store, StoreTrouble, Why, open_store

WORKLOAD = Credentials(method="workload-identity")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def blobs(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("blobs"), tls=authority.issue("IP:127.0.0.1").files) as server:
        yield server


@pytest.fixture
def azure(blobs: Azurite, authority: Authority) -> ObjectStore:
    trusted = str(authority.certificate)
    return ObjectStore(
        provider="azure", bucket="data", account=ACCOUNT, endpoint=blobs.endpoint, ca_bundle=trusted,
        prefix=secrets.token_hex(8), credentials=WORKLOAD,
    )  # fmt: skip


@pytest.fixture
def gcs() -> ObjectStore:
    return buckets.gcs_access(secrets.token_hex(8)).model_copy(update={"credentials": WORKLOAD})


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Giver]:
    """What a cluster sets for a pod; and no log has a token in it."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(ASSERTION + "\n")
    with giver() as there:
        for name, value in {
            "AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT, "AZURE_AUTHORITY_HOST": f"http://{there.place}/",
            "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"), "GCE_METADATA_HOST": there.place,
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield there
        assert [token for token in (ASSERTION, *there.given) if token in caplog.text] == []


@pytest.fixture(params=["azure", "gcs"])
def access(request: pytest.FixtureRequest, cloud: Giver) -> ObjectStore:
    if request.param == "gcs":
        cloud.make = buckets.google().token
    found: ObjectStore = request.getfixturevalue(request.param)
    return found


def trouble(cloud: Giver, attempt: Callable[[], object]) -> StoreTrouble:
    with pytest.raises(StoreTrouble) as caught:
        attempt()
    text = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caught.value.problems}"
    assert [token for token in (ASSERTION, "canary", *cloud.given) if token in text] == []
    return caught.value


def works(store: Store) -> bool:
    name = secrets.token_hex(4)
    store.save_bytes(b"1", name)
    with store.open(name) as stream:
        return stream.read() == b"1" and name in [entry.key for entry in store.list()]


def test_a_workload_opens_its_bucket(access: ObjectStore, cloud: Giver) -> None:
    store = open_store(access, {}, {})
    assert works(store)
    assert works(store)
    assert len(cloud.asked) == 1


def test_the_connection_may_name_the_tenant(azure: ObjectStore, cloud: Giver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_TENANT_ID")
    named = WORKLOAD.model_copy(update={"values": {"tenant-id": Text(text=TENANT)}})
    assert works(open_store(azure.model_copy(update={"credentials": named}), {}, {"tenant-id": Secret(TENANT)}))


def test_tokens_are_got_anew_ahead_of_their_end(access: ObjectStore, cloud: Giver) -> None:
    cloud.seconds = 2
    store = open_store(access, {}, {})
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert works(store)
    assert len(cloud.given) >= 2


def test_a_token_that_has_ended_for_the_server_is_got_anew(azure: ObjectStore, cloud: Giver) -> None:
    """Whoever gave it said that it is good for longer."""
    cloud.make = lambda: azure_token(1)
    store = open_store(azure, {}, {})
    assert works(store)
    cloud.make = azure_token
    attempts = []

    def in_time() -> bool:
        try:
            assert works(store)
        except StoreTrouble as error:
            attempts.append(error.why)
            return False
        return len(cloud.given) > 1

    eventually(in_time)
    assert set(attempts) <= {Why.NOT_AUTHENTICATED}
    assert len(cloud.given) == 2


def test_a_refusal_says_what_to_mend(access: ObjectStore, cloud: Giver) -> None:
    for status, why in ((403, Why.NOT_AUTHENTICATED), (404, Why.NOT_AUTHENTICATED), (503, Why.BROKEN)):
        cloud.status = status
        found = trouble(cloud, lambda: open_store(access, {}, {}).stat("f"))
        assert (found.why, found.part) == (why, "auth.method")
        assert str(status) in str(found)


def test_an_answer_that_has_no_token(access: ObjectStore, cloud: Giver) -> None:
    cloud.make = str
    assert trouble(cloud, lambda: open_store(access, {}, {}).stat("f")).why == Why.NOT_AUTHENTICATED


def test_nobody_there(access: ObjectStore, cloud: Giver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    found = trouble(cloud, lambda: open_store(access, {}, {}).stat("f"))
    assert (found.why, found.part) == (Why.UNREACHABLE, "auth.method")


def test_whoever_answers_in_the_place_of_googles_metadata_server(gcs: ObjectStore, cloud: Giver) -> None:
    cloud.flavor = "a login page"
    found = trouble(cloud, lambda: open_store(gcs, {}, {}).stat("f"))
    assert "not Google's metadata server" in str(found)


def test_the_metadata_server_is_asked_through_no_proxy(
    gcs: ObjectStore, cloud: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.make = buckets.google().token
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(StoreTrouble) as caught:
        open_store(gcs, {}, {}).stat("f")
    assert len(cloud.given) == 1
    assert caught.value.part == "endpoint"  # the bucket itself is reached as everything is


@pytest.mark.parametrize("name", ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"])
def test_what_is_not_set_is_known_before_anybody_is_asked(
    name: str, azure: ObjectStore, cloud: Giver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name)
    found = trouble(cloud, lambda: open_store(azure, {}, {}))
    assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "auth.method")
    assert name in str(found)


def test_no_other_method_asks_who_runs_here(azure: ObjectStore, gcs: ObjectStore, cloud: Giver) -> None:
    """With all that a cluster sets, a secret that does not do and an anonymous login stay what they are."""
    for access in (azure, gcs):
        lacking = access.model_copy(update={"credentials": Credentials(method="secret", secret="s")})
        assert trouble(cloud, lambda a=lacking: open_store(a, {}, {"other": Secret("x")})).why == Why.NOT_AUTHENTICATED
        nobody = access.model_copy(update={"credentials": Credentials()})
        found = trouble(cloud, lambda a=nobody: open_store(a, {}, {}).stat("f"))
        assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "secret")
    assert cloud.asked == []


def test_a_role_is_amazons(azure: ObjectStore, gcs: ObjectStore, cloud: Giver) -> None:
    for access in (azure, gcs):
        role = access.model_copy(update={"credentials": Credentials(method="assume-role", role="r", secret="s")})
        assert trouble(cloud, lambda a=role: open_store(a, {}, {})).why == Why.UNSUPPORTED
