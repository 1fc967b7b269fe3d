"""Testing buckets on real servers: what each login may do, what to mend, and that nothing is left behind."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from probes_harness import ask, failure, login, marks, of

from acceptance.cli_harness import Cli
from servers import buckets
from servers.azurite import KEY as AZURE_KEY
from servers.seaweedfs import ADMIN, BLIND, OTHER, READER
from tieline.model.access import ObjectStore
from tieline.probes import Operation, Report
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret

Given = tuple[str, str]


@pytest.fixture
def prefix() -> Iterator[str]:
    """A prefix with one object in it; afterwards nothing else is there."""
    name = f"probes/{secrets.token_hex(8)}"
    stores = [make(name) for make in (buckets.s3, buckets.azure, buckets.gcs)]
    for store in stores:
        store.save_bytes(b"some text", "seen")
    yield name
    assert [[entry.key for entry in store.walk()] for store in stores] == [["seen"]] * 3


def s3(prefix: str, given: Given = ADMIN, **changes: object) -> Report:
    credentials, values = login(access_key_id=given[0], secret_access_key=given[1])
    access = buckets.s3_access(prefix).model_copy(update={"credentials": credentials, **changes})
    return ask(access, values)


def azure(prefix: str, container: str = "data", **given: str) -> Report:
    credentials, values = login(**(given or {"account_key": AZURE_KEY}))
    return ask(buckets.azure_access(prefix, container).model_copy(update={"credentials": credentials}), values)


def gcs(prefix: str, bucket: str = "data", **given: str) -> Report:
    credentials, values = login(**(given or {"keyfile.json": buckets.google().key}))
    return ask(buckets.gcs_access(prefix, bucket).model_copy(update={"credentials": credentials}), values)


def test_everything(prefix: str) -> None:
    for report in (s3(prefix), azure(prefix), gcs(prefix)):
        assert marks(report) == "PP-PPPPP"
        assert of(report, "list").detail == f"1 object under {prefix}"
        assert of(report, "read").detail == "9 bytes of seen (9 bytes)"


def test_a_login_that_may_only_read(prefix: str) -> None:
    signature = buckets.blobs().signature("data", "rl")
    for report in (s3(prefix, READER), azure(prefix, sas_token=signature)):
        assert marks(report) == "PP-PPPF-"
        assert failure(report).part == "secret"
        assert report.failed() == ()  # a job that only reads needs no more
        assert [result.operation for result in report.failed({Operation.WRITE})] == [Operation.WRITE]


def test_an_artifacts_store_has_to_be_written(prefix: str) -> None:
    credentials, values = login(access_key_id=READER[0], secret_access_key=READER[1])
    access = buckets.s3_access(prefix).model_copy(update={"credentials": credentials})
    assert [result.operation.value for result in ask(access, values, makes_folder=True).failed()] == ["write"]


def test_a_login_that_may_not_list(prefix: str) -> None:
    report = s3(prefix, BLIND)
    assert marks(report) == "PP-PFPPP"
    assert failure(report).part == "secret"


def test_a_login_that_may_do_nothing_here_is_known_all_the_same(prefix: str) -> None:
    report = s3(prefix, OTHER)
    assert marks(report) == "PP-PF-F-"
    assert "may not list" in of(report, "authenticate").detail


def test_logins_that_are_wrong(prefix: str) -> None:
    wrong = "d3Jvbmcga2V5IHRoYXQgaXMgMzIgYnl0ZXMgbG9uZyE="
    for report, part in (
        (s3(prefix, (ADMIN[0], "a-wrong-secret")), "secret-access-key"),
        (s3(prefix, ("an-unknown-key", "a-wrong-secret")), "access-key-id"),
        (azure(prefix, account_key=wrong), "account-key"),
        (azure(prefix, connection_string=f"AccountName=another;AccountKey={AZURE_KEY}"), "connection-string"),
        (gcs(prefix, **{"keyfile.json": '{"type": "nothing that is known"}'}), "secret"),
    ):
        assert marks(report) == "PP-F----"
        assert failure(report).part == part


def test_a_secret_without_its_keys(prefix: str) -> None:
    credentials, _ = login(access_key_id=None, secret_access_key=None)
    report = ask(buckets.s3_access(prefix).model_copy(update={"credentials": credentials}), {})
    assert marks(report) == "PP-F----"
    assert failure(report).part == "access-key-id"


def test_anonymous(prefix: str) -> None:
    for access in (
        buckets.s3_access("nothing", bucket="public", login=None),
        buckets.azure_access("nothing", container="public", anonymous=True),
        buckets.gcs_access("nothing", bucket="public", anonymous=True),
    ):
        report = ask(access, {})
        assert marks(report)[:6] == "PP--PP", access.provider
        assert "no login" in of(report, "authenticate").detail
    for access in (buckets.s3_access(prefix, login=None), buckets.gcs_access(prefix, anonymous=True)):
        report = ask(access, {})
        assert marks(report) == "PP-F----"
        assert failure(report).part == "secret"


def test_no_such_bucket(prefix: str) -> None:
    for report in (azure(prefix, "not-there"), gcs(prefix, "not-there")):
        assert marks(report) == "PP-PFFF-"
        assert {result.part for result in report.results if result.outcome.value == "fail"} == {"bucket"}


def test_nobody_there() -> None:
    report = ask(ObjectStore(provider="s3", bucket="data", endpoint="http://127.0.0.1:1"), {})
    assert marks(report) == "PF------"
    assert failure(report).part == "endpoint"


def test_the_command_names_the_field_to_mend(prefix: str, tmp_path: Path) -> None:
    with Cli(tmp_path) as cli:
        schema = {"bucket": f"s3://data/{prefix}", "endpoint": buckets.weed().endpoint, "addressingStyle": "path"}
        connection = {"name": "images", "kind": "s3", "schema": schema, "secret": {"name": "s3-login"}}
        cli.write("tieline.yaml", json.dumps({"connections": [connection]}))

        def keep(given: Given) -> None:
            values = {"AWS_ACCESS_KEY_ID": Secret(given[0]), "AWS_SECRET_ACCESS_KEY": Secret(given[1])}
            Keeper(cli.home, "secret").set("default", "s3-login", values)

        keep(ADMIN)
        assert "an object of" in cli("connections", "test", "images").out
        keep((ADMIN[0], "a-wrong-secret"))
        failed = cli("connections", "test", "images", code=69)
        assert "AWS_SECRET_ACCESS_KEY of the secret s3-login" in failed.out + failed.err
        assert "a-wrong-secret" not in failed.out + failed.err
