"""What only buckets do: logins that may not, objects that change, many and large ones, private authorities. And what no
message may ever have in it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers import buckets
from servers.azurite import ACCOUNT
from servers.azurite import KEY as AZURE_KEY
from servers.certificates import Authority
from servers.https import connect_proxy
from servers.processes import eventually
from servers.seaweedfs import ADMIN, BLIND, OTHER, READER, Seaweed, seaweedfs
from tieline.errors import TielineError
from tieline.model.access import Credentials, ObjectStore
from tieline.secrets.secret import Secret
from tieline.steps.retrying import persistently
from tieline.stores import Store, StoreTrouble, Why, open_store
from tieline.stores.reading import PART

DOMAIN = "s3.example.invalid"
Make = Callable[[str], Store]
PROVIDERS: dict[str, Make] = {"s3": buckets.s3, "wasb": buckets.azure, "gcs": buckets.gcs}


@pytest.fixture
def prefix() -> str:
    return f"buckets/{secrets.token_hex(8)}"


@pytest.fixture(params=PROVIDERS)
def store(request: pytest.FixtureRequest, prefix: str) -> Store:
    return PROVIDERS[request.param](prefix)


def trouble(attempt: Callable[[], object]) -> StoreTrouble:
    """What it fails with; and no secret of any login is in the message."""
    with pytest.raises(StoreTrouble) as caught:
        attempt()
    text = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    logins = [secret for _, secret in (ADMIN, READER, BLIND, OTHER)]
    for value in (*logins, AZURE_KEY, "Signature=", "sig=", "Authorization:", "PRIVATE KEY", "Bearer"):
        assert value not in text
    return caught.value


def read(store: Store, key: str) -> bytes:
    with store.open(key) as stream:
        return stream.read()


def every_way(store: Store, local: Path) -> list[Callable[[], object]]:
    (local / "f").write_bytes(b"1")
    return [
        lambda: store.stat("seen/f"),
        lambda: list(store.list("seen")),
        lambda: store.open("seen/f"),
        lambda: store.fetch_file("seen/f", local / "g"),
        lambda: store.save_bytes(b"1", "seen/f"),
        lambda: store.save_file(local / "f", "seen/f"),
        lambda: store.save_chunks([b"1"], "seen/f"),
        lambda: store.make_dir("seen/d"),
        lambda: store.delete("seen/f"),
    ]


# --- who may not


def test_a_wrong_secret_and_an_unknown_key_are_told_as_logins_that_fail(prefix: str, tmp_path: Path) -> None:
    buckets.s3(prefix).save_bytes(b"1", "seen/f")
    for login, part in (((ADMIN[0], "wrong"), "secret-access-key"), (("nobody", "wrong"), "access-key-id")):
        for attempt in every_way(buckets.s3(prefix, login=login), tmp_path):
            found = trouble(attempt)
            assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, part)


def test_a_wrong_account_key_of_azure(prefix: str, tmp_path: Path) -> None:
    wrong = "d3Jvbmcga2V5IHRoYXQgaXMgMzIgYnl0ZXMgbG9uZyE="
    for attempt in every_way(buckets.azure(prefix, account_key=wrong), tmp_path):
        found = trouble(attempt)
        assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "account-key")
    assert wrong not in str(found)


def test_a_key_of_google_that_is_anothers(prefix: str, tmp_path: Path) -> None:
    openssl = ("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    other = subprocess.run(openssl, capture_output=True, text=True, check=True).stdout
    store = buckets.gcs(prefix, key=buckets.google().key_with(private_key=other))
    for attempt in every_way(store, tmp_path):
        assert trouble(attempt).why == Why.NOT_AUTHENTICATED


def test_a_login_without_rights_is_forbidden(prefix: str, tmp_path: Path) -> None:
    for attempt in every_way(buckets.s3(prefix, login=OTHER), tmp_path):
        found = trouble(attempt)
        assert (found.why, found.part) == (Why.FORBIDDEN, "secret")


def test_a_login_that_may_only_read(prefix: str, tmp_path: Path) -> None:
    buckets.s3(prefix).save_bytes(b"1", "seen/f")
    signature = buckets.blobs().signature("data", "rl")
    buckets.azure(prefix).save_bytes(b"1", "seen/f")
    for store in (buckets.s3(prefix, login=READER), buckets.azure(prefix, sas_token=signature)):
        assert read(store, "seen/f") == b"1"
        assert [entry.key for entry in store.list()] == ["seen/f"]
        for attempt in every_way(store, tmp_path)[4:]:
            found = trouble(attempt)
            assert found.why == Why.FORBIDDEN
            assert signature not in str(found)
        assert read(store, "seen/f") == b"1"


def test_a_login_that_may_read_and_not_list(prefix: str) -> None:
    buckets.s3(prefix).save_bytes(b"1", "seen/f")
    blind = buckets.s3(prefix, login=BLIND)

    assert read(blind, "seen/f") == b"1"
    blind.save_bytes(b"2", "seen/f")
    assert read(blind, "seen/f") == b"2"
    assert trouble(lambda: list(blind.list())).why == Why.FORBIDDEN
    assert trouble(lambda: blind.stat("seen")).why == Why.FORBIDDEN  # whether it is a folder cannot be known


def test_anonymous(prefix: str, tmp_path: Path) -> None:
    buckets.s3(prefix, bucket="public").save_bytes(b"1", "seen/f")
    buckets.azure(prefix, container="public").save_bytes(b"1", "seen/f")
    buckets.gcs(prefix, bucket="public").save_bytes(b"1", "seen/f")
    for access in (
        buckets.s3_access(prefix, bucket="public", login=None),
        buckets.azure_access(prefix, container="public", anonymous=True),
        buckets.gcs_access(prefix, bucket="public", anonymous=True),
    ):
        assert read(open_store(access, {}), "seen/f") == b"1"
        assert [entry.key for entry in open_store(access, {}).list()] == ["seen/f"]
    for access in (
        buckets.s3_access(prefix, login=None),
        buckets.azure_access(prefix, anonymous=True),
        buckets.gcs_access(prefix, anonymous=True),
    ):
        for attempt in every_way(open_store(access, {}), tmp_path)[:5]:
            found = trouble(attempt)
            assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "secret"), access.provider


@pytest.mark.parametrize("provider", ["s3", "azure", "gcs"])
def test_a_secret_that_lacks_its_key_is_no_anonymous_login(provider: str) -> None:
    access = ObjectStore(
        provider=provider, bucket="data", account="a", credentials=Credentials(secret="s", method="secret")
    )  # type: ignore[arg-type]
    found = trouble(lambda: open_store(access, {}, {"other": Secret("x")}))
    assert found.why == Why.NOT_AUTHENTICATED
    assert found.part in ("access-key-id", "account-key", "keyfile.json")


def test_azures_three_kinds_of_secret(prefix: str) -> None:
    server = buckets.blobs()
    for number, given in enumerate(
        (
            {"account_key": AZURE_KEY},
            {"sas_token": "?" + server.signature("data", "racwdl")},
            {"connection_string": server.connection_string()},
        )
    ):
        store = buckets.azure(prefix, **given)
        store.save_bytes(b"1", f"f{number}")
        assert len(list(store.list())) == number + 1


def test_a_connection_string_for_another_account(prefix: str) -> None:
    other = f"AccountName=somebody;AccountKey={AZURE_KEY}"
    found = trouble(lambda: buckets.azure(prefix, connection_string=other))
    assert found.part == "connection-string"
    assert ACCOUNT not in other


# --- what is not there


@pytest.mark.parametrize(
    "make",
    [
        lambda: buckets.s3(bucket="not-there", login=OTHER[:1] + OTHER[1:]),
        lambda: buckets.azure(container="not-there"),
        lambda: buckets.gcs(bucket="not-there"),
    ],
    ids=["s3", "wasb", "gcs"],
)
def test_no_such_bucket_is_no_empty_store(make: Callable[[], Store], tmp_path: Path) -> None:
    store = make()
    for attempt in (lambda: store.stat("f"), lambda: store.stat(""), lambda: list(store.walk())):
        found = trouble(attempt)
        assert (found.why, found.part) in ((Why.NOT_FOUND, "bucket"), (Why.FORBIDDEN, "secret"))


def test_nothing_answers() -> None:
    for endpoint, why in (
        ("http://127.0.0.1:1", "nothing answers"),
        ("http://does-not.exist.invalid", "no address"),
        (buckets.weed().endpoint.replace("http", "https"), "does not answer with TLS"),
    ):
        found = trouble(lambda endpoint=endpoint: buckets.s3(endpoint=endpoint).stat("f"))
        assert (found.why, found.part) == (Why.UNREACHABLE, "endpoint")
        assert why in str(found)


# --- contents


def test_twelve_parts(store: Store, tmp_path: Path) -> None:
    data = os.urandom(1024 * 1024) * ((12 * PART) // (1024 * 1024) - 1) + b"the end"
    (tmp_path / "large").write_bytes(data)
    saved = store.save_file(tmp_path / "large", "large", digest=True)
    store.fetch_file("large", tmp_path / "back")

    assert saved.size == len(data)
    assert (tmp_path / "back").read_bytes() == data
    with store.open("large", offset=len(data) - 7) as stream:
        assert stream.read() == b"the end"
    with store.open("large", offset=len(data)) as stream:
        assert stream.read() == b""
    with store.open("large") as stream:
        assert b"".join(iter(lambda: stream.read(3_000_001), b"")) == data


def test_parts_of_chunks_that_raise_are_given_up(prefix: str) -> None:
    store, seen = buckets.s3(prefix), []

    def chunks() -> Iterator[bytes]:
        for _ in range(4):
            yield b"x" * PART
        seen.extend(buckets.weed().names("data/.uploads"))
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        store.save_chunks(chunks(), "f")
    assert len(seen) == 1
    eventually(lambda: not buckets.weed().names("data/.uploads"))  # the library gives them up beside what goes on
    assert store.stat("f") is None


def test_many_small_objects(store: Store) -> None:
    names = [f"{number // 100:02d}/{number:04d}" for number in range(2_000)]
    todo = iter(names)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                name = next(todo, None)
            if name is None:
                return
            store.save_bytes(name.encode(), f"many/{name}")

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [entry.key for entry in store.list("many")] == [f"many/{name}" for name in names]
    assert read(store, "many/07/0777") == b"07/0777"
    persistently(lambda: store.delete("many"))  # as `runs rm` does: Azurite drops a connection now and then
    assert list(store.walk()) == []


def test_an_object_that_changes_while_it_is_read_is_an_error(store: Store, tmp_path: Path) -> None:
    store.save_chunks([b"a" * PART, b"a" * PART, b"a" * PART], "f")
    with store.open("f") as stream:
        assert stream.read(PART)[:1] == b"a"
        store.save_chunks([b"b" * PART, b"b" * PART, b"b" * PART], "f")
        assert trouble(stream.read).why == Why.CHANGED
    with store.open("f") as stream:
        stream.read(10)
        store.delete("f")
        assert trouble(stream.read).why in (Why.NOT_FOUND, Why.CHANGED)  # Azure tells the two by one word


def test_a_file_and_a_folder_of_one_name(store: Store) -> None:
    store.save_bytes(b"file", "a")
    store.save_bytes(b"inner", "a/b")

    assert [(entry.key, entry.what) for entry in store.walk()] == [("a", "file"), ("a", "dir"), ("a/b", "file")]
    store.delete("a")
    assert [(entry.key, entry.what) for entry in store.walk()] == [("a", "dir"), ("a/b", "file")]


def test_empty_folders_of_other_programs_are_folders() -> None:
    prefix = f"folders/{secrets.token_hex(8)}"
    for folder in ("empty", "full"):
        buckets.weed().put(f"open/{prefix}/{folder}/")
    store = buckets.s3(prefix, bucket="open")
    store.save_bytes(b"", "full/nothing")

    assert [(entry.key, entry.what) for entry in store.walk()] == [
        ("empty", "dir"), ("full", "dir"), ("full/nothing", "file"),
    ]  # fmt: skip


def test_names_that_look_like_ours_are_told_apart(store: Store) -> None:
    names = ["%0A", "\n", "%250A", "%41", "a%", "100%25", "%E9", "caf\udce9", "café", "back\\slash", "dot.", "dot.%2E"]
    for name in names:
        store.save_bytes(name.encode("utf-8", "surrogateescape"), f"x/{name}")
    for name in names:
        assert read(store, f"x/{name}") == name.encode("utf-8", "surrogateescape")
    assert [entry.key for entry in store.list("x")] == sorted((f"x/{name}" for name in names), key=os.fsencode)


def test_a_prefix_is_all_that_a_store_sees(prefix: str) -> None:
    outer, one, two = buckets.s3(prefix), buckets.s3(f"{prefix}/one"), buckets.s3(f"{prefix}/one-more")
    one.save_bytes(b"1", "f")
    two.save_bytes(b"2", "f")

    assert [entry.key for entry in one.walk()] == ["f"]
    assert [entry.key for entry in outer.list()] == ["one-more/f", "one/f"]
    one.delete("f")
    assert one.stat("") is None
    assert read(two, "f") == b"2"
    for key in ("../one-more/f", "/f", "x/../../f"):
        assert trouble(lambda key=key: one.open(key)).why == Why.UNSAFE


# --- the way there


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    pair = authority.issue("IP:127.0.0.1", f"DNS:{DOMAIN}", f"DNS:*.{DOMAIN}")
    with seaweedfs(tmp_path_factory.mktemp("secure"), tls=pair.files, domain=DOMAIN) as server:
        yield server


def test_a_private_authority(secure: Seaweed, authority: Authority) -> None:
    found = trouble(lambda: buckets.s3(endpoint=secure.endpoint).stat(""))
    assert (found.why, found.part) == (Why.UNREACHABLE, "caBundle")

    for more in ({"ca_bundle": str(authority.certificate)}, {"insecure": True}):
        store = buckets.s3(endpoint=secure.endpoint, **more)
        store.save_bytes(b"1", "f")
        assert read(store, "f") == b"1"


def test_through_a_proxy_by_either_addressing_style(secure: Seaweed, authority: Authority) -> None:
    endpoint, trusted = f"https://{DOMAIN}:{secure.port}", str(authority.certificate)
    for style, host in (("path", DOMAIN), ("virtual", f"data.{DOMAIN}")):
        with connect_proxy() as proxy:
            store = buckets.s3("p", endpoint=endpoint, ca_bundle=trusted, proxy=proxy.url, addressing_style=style)
            store.save_bytes(b"1", f"{style}/f")
            assert read(store, f"{style}/f") == b"1"
            assert [entry.key for entry in store.list(style)] == [f"{style}/f"]
            assert {line.split()[1] for line in proxy.asked} == {f"{host}:{secure.port}"}
    for name in ("path", "virtual"):
        assert secure.look(f"data/p/{name}/f") == b"1"
    found = trouble(lambda: buckets.s3(endpoint=endpoint, proxy="http://127.0.0.1:1").stat("f"))
    assert (found.why, found.part) == (Why.UNREACHABLE, "proxy")


def test_a_file_of_authorities_that_is_not_there(secure: Seaweed) -> None:
    found = trouble(lambda: buckets.s3(endpoint=secure.endpoint, ca_bundle="/not/there.pem"))
    assert found.part == "caBundle"


HOSTILE = {
    "AWS_ACCESS_KEY_ID": "canary-key", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_SESSION_TOKEN": "canary-token",
    "AWS_TOKEN": "canary", "AWS_ENDPOINT": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_REGION": "nowhere", "AWS_DEFAULT_REGION": "nowhere",
    "AWS_BUCKET": "elsewhere", "AWS_BUCKET_NAME": "elsewhere", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    "AWS_SKIP_SIGNATURE": "true", "AWS_S3_EXPRESS": "true", "AWS_REQUEST_PAYER": "true", "AWS_PROXY_URL": "http://a:1",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/not/there", "AWS_ROLE_ARN": "canary", "AWS_UNSIGNED_PAYLOAD": "true",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1", "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1",
    "AWS_CA_BUNDLE": "/not/there.pem", "AWS_ALLOW_HTTP": "false", "AWS_TIMEOUT": "1 ms",
    "AZURE_STORAGE_ACCOUNT_NAME": "canary", "AZURE_STORAGE_ACCOUNT_KEY": "canary", "AZURE_STORAGE_TOKEN": "canary",
    "AZURE_STORAGE_SAS_TOKEN": "canary=1", "AZURE_CONTAINER_NAME": "elsewhere", "AZURE_STORAGE_USE_EMULATOR": "true",
    "AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:1", "AZURE_SKIP_SIGNATURE": "true", "AZURE_USE_AZURE_CLI": "true",
    "AZURE_FEDERATED_TOKEN_FILE": "/not/there", "AZURE_CLIENT_ID": "canary", "AZURE_TENANT_ID": "canary",
    "AZURE_CLIENT_SECRET": "canary", "AZURE_USE_FABRIC_ENDPOINT": "true",
    "GOOGLE_SERVICE_ACCOUNT_KEY": "{}", "GOOGLE_APPLICATION_CREDENTIALS": "/not/there", "GOOGLE_BUCKET": "elsewhere",
    "GOOGLE_BUCKET_NAME": "elsewhere", "GOOGLE_BASE_URL": "http://127.0.0.1:1", "GOOGLE_SKIP_SIGNATURE": "true",
}  # fmt: skip
"""Everything that the library would take from the environment, if it were let."""


def test_nothing_of_the_environment_is_used(prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for make in PROVIDERS.values():
        make(prefix).save_bytes(b"1", "seen/f")
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)

    for make in PROVIDERS.values():
        store = make(prefix)
        assert read(store, "seen/f") == b"1"
        assert [entry.key for entry in store.list()] == ["seen/f"]
        for attempt in every_way(store, tmp_path):
            attempt()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN[1])
    for access in (
        buckets.s3_access(prefix, login=None),
        buckets.azure_access(prefix, anonymous=True),
        buckets.gcs_access(prefix, anonymous=True),
    ):
        found = trouble(lambda access=access: open_store(access, {}).open("seen/f"))
        assert (found.why, found.part) == (Why.NOT_AUTHENTICATED, "secret")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("AWS_SERVER_SIDE_ENCRYPTION", buckets.s3),
        ("AZURE_ENCRYPTION_KEY", buckets.azure),
        ("GOOGLE_SERVICE_ACCOUNT", buckets.gcs),
    ],
)
def test_what_could_not_be_kept_out_is_refused(name: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "canary")
    found = trouble(lambda: make("x"))
    assert found.why == Why.UNSUPPORTED
    assert name in str(found)
    assert "canary" not in str(found)


def test_the_library_is_imported_only_for_buckets() -> None:
    code = (
        "import sys; import tieline.stores, tieline.app.submit, tieline.engines.process.supervisor;"
        "print('obstore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_failures_are_tielines_own(prefix: str, tmp_path: Path) -> None:
    """Whatever goes wrong, callers see one kind of error."""
    for attempt in every_way(buckets.s3(prefix, login=OTHER), tmp_path):
        with pytest.raises(TielineError):
            attempt()
