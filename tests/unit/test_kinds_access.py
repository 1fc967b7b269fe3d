"""What adapters and probes are given: the parts of an address, and where the credentials are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from tieline.kinds import registry
from tieline.kinds.pages import connect
from tieline.model.access import (
    Access,
    Channel,
    Database,
    GitRemote,
    Http,
    ObjectStore,
    Registry,
    Socket,
    SshHost,
    Volume,
)
from tieline.model.binding import Derived, FromSecret


def opened(kind: str, schema: dict[str, Any] | None = None, **envelope: Any) -> Any:
    found = registry.get(kind)
    assert found is not None
    data = {"name": "it", "kind": kind, **({"schema": schema} if schema is not None else {}), **envelope}
    return found.access(connect(found, data))


def complaints(kind: str, schema: dict[str, Any] | None = None, **envelope: Any) -> dict[str, str]:
    found = registry.get(kind)
    assert found is not None
    data = {"name": "it", "kind": kind, **({"schema": schema} if schema is not None else {}), **envelope}
    return {field: f"{wrong}; {todo}" for field, wrong, todo in found.check(connect(found, data))}


@pytest.mark.parametrize("kind", registry.names())
def test_every_example_gives_an_access_that_survives_json(kind: str) -> None:
    found = registry.get(kind)
    assert found is not None
    adapter: TypeAdapter[Access] = TypeAdapter(Access)
    for example in found.examples:
        access = found.access(connect(found, example))
        assert adapter.validate_python(access.as_json()) == access


@pytest.mark.parametrize(
    ("envelope", "method"),
    [
        ({}, "anonymous"),
        ({"secret": {"name": "s"}}, "secret"),
        ({"auth": {"method": "workload-identity"}}, "workload-identity"),
        ({"secret": {"name": "s"}, "auth": {"method": "anonymous"}}, "anonymous"),
        ({"secret": {"name": "s"}, "auth": {"method": "assume-role", "role": "arn:x"}}, "assume-role"),
    ],
)
def test_the_method_is_what_auth_says_else_the_secret_else_none(envelope: dict[str, Any], method: str) -> None:
    found = opened("s3", {"bucket": "bkt"}, **envelope).credentials
    assert found.method == method
    assert found.secret == ("s" if "secret" in envelope else None)
    assert ("access-key-id" in found.values) == (method in ("secret", "assume-role"))


def test_volumes() -> None:
    host = opened("host_path", {"hostPath": "/srv", "mountPath": "/d", "subPath": "a"})
    assert host == Volume(host_path="/srv", mount_path="/d", sub_path="a")
    claim = opened("volume_claim", {"volumeClaim": "c", "mountPath": "/d", "readOnly": True})
    assert claim == Volume(claim="c", mount_path="/d", read_only=True)


@pytest.mark.parametrize(
    ("kind", "bucket", "place"),
    [
        ("s3", "s3://bkt/a/p/", ("s3", "bkt", "a/p", None, None)),
        ("s3", "bkt", ("s3", "bkt", "", None, None)),
        ("gcs", "gs://bkt/p", ("gcs", "bkt", "p", None, None)),
        ("wasb", "wasbs://con@acc.blob.core.windows.net/p/q", ("azure", "con", "p/q", "acc", None)),
        ("wasb", "abfss://con@acc.dfs.core.windows.net/", ("azure", "con", "", "acc", None)),
        (
            "wasb",
            "wasbs://con@acc.blob.core.chinacloudapi.cn",
            ("azure", "con", "", "acc", "https://acc.blob.core.chinacloudapi.cn"),
        ),
    ],
)
def test_buckets(kind: str, bucket: str, place: tuple[Any, ...]) -> None:
    store = opened(kind, {"bucket": bucket})
    assert isinstance(store, ObjectStore)
    assert (store.provider, store.bucket, store.prefix, store.account, store.endpoint) == place


def test_a_bucket_of_the_older_format_has_its_endpoint_in_env() -> None:
    env = [{"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"}, {"name": "AWS_REGION", "value": "eu-1"}]
    store = opened("s3", {"bucket": "s3://bkt"}, env=env)
    assert (store.endpoint, store.region) == ("http://minio:9000", "eu-1")


def test_git() -> None:
    remote = opened("git", {"url": "https://g.org/r", "revision": "v1", "depth": "3"}, secret={"name": "s"})
    assert isinstance(remote, GitRemote)
    assert (remote.url, remote.revision, remote.depth, remote.ssh) == ("https://g.org/r", "v1", 3, None)
    assert {name: value.form for name, value in remote.credentials.values.items() if isinstance(value, Derived)} == {
        "username": "git-user",
        "password": "git-password",
    }


def test_git_over_ssh() -> None:
    remote = opened("git", {"url": "ssh://me@g.org:2222/r"}, secret={"name": "s", "mountPath": "/k"})
    assert remote.ssh is not None
    assert (remote.ssh.host, remote.ssh.port, remote.ssh.user) == ("g.org", 2222, "me")
    assert set(remote.ssh.credentials.values) == {"private-key", "known-hosts"}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (None, (None, None, 22, None)),
        ({"url": "git@h.org:o/r.git"}, ("git@h.org:o/r.git", "h.org", 22, "git")),
        ({"url": "ssh://me@h.org:2222"}, ("ssh://me@h.org:2222", "h.org", 2222, "me")),
        ({"url": "me@h.org", "port": 2200, "user": "you"}, ("me@h.org", "h.org", 2200, "you")),
        ({"url": "h.org:2200"}, ("h.org:2200", "h.org", 2200, None)),
        ({"url": "https://g.org/o/r"}, ("https://g.org/o/r", None, 22, None)),
    ],
)
def test_ssh(schema: dict[str, Any] | None, place: tuple[Any, ...]) -> None:
    host = opened("ssh", schema, secret={"name": "s", "mountPath": "/k"})
    assert isinstance(host, SshHost)
    assert (host.url, host.host, host.port, host.user) == place
    assert isinstance(host.credentials.values["private-key"], FromSecret)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("org/repo", ("docker.io", "org/repo")),
        ("repo", ("docker.io", "repo")),
        ("gcr.io/p/r", ("gcr.io", "p/r")),
        ("localhost/r", ("localhost", "r")),
        ("reg:5000/o/r", ("reg:5000", "o/r")),
        ("reg.example.org", ("reg.example.org", "")),
        ("https://index.docker.io/v1/", ("docker.io", "")),
        ("https://reg.example.org:5000/o", ("reg.example.org:5000", "o")),
    ],
)
def test_registries(url: str, place: tuple[str, str]) -> None:
    registry_ = opened("registry", {"url": url})
    assert isinstance(registry_, Registry)
    assert (registry_.host, registry_.repository) == place


def test_databases() -> None:
    found = opened("mysql", {"uri": "mysql://me@db:3307/x?charset=utf8"}, secret={"name": "s"})
    assert isinstance(found, Database)
    assert (found.protocol, found.host, found.port, found.database, found.username) == ("mysql", "db", 3307, "x", "me")
    assert found.uri == "mysql://db:3307/x?charset=utf8"
    assert set(found.credentials.values) == {"username", "password"}
    file = opened("sqlite", {"path": "/srv/x.db"})
    assert (file.protocol, file.path, file.host) == ("sqlite", "/srv/x.db", None)


def test_a_database_whose_address_is_in_the_secret() -> None:
    found = opened("postgres", secret={"name": "s"})
    assert (found.host, found.uri, found.port) == (None, None, 5432)
    assert {"host", "port", "database", "uri", "username", "password"} <= set(found.credentials.values)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("jdbc:postgresql://db.example.org:5432/x", ("db.example.org", 5432)),
        ("jdbc:sqlserver://db:1433;databaseName=x", ("db", 1433)),
        ("jdbc:oracle:thin:@db:1521/x", ("db", 1521)),
        ("jdbc:sqlite:/srv/x.db", (None, None)),
    ],
)
def test_jdbc_addresses_give_a_host_where_they_have_one(uri: str, place: tuple[Any, ...]) -> None:
    found = opened("jdbc", {"uri": uri})
    assert (found.host, found.port, found.uri) == (*place, uri)


def test_services() -> None:
    assert opened("http", {"host": "h", "port": 8443, "tls": True}).url == "https://h:8443"
    assert isinstance(opened("http", secret={"name": "s"}), Socket)  # its address is only known to the secret
    grpc = opened("grpc", {"host": "h", "port": 8001, "tls": True})
    assert isinstance(grpc, Socket)
    assert (grpc.host, grpc.port, grpc.tls) == ("h", 8001, True)
    assert opened("segment", secret={"name": "s"}).url == "https://api.segment.io"


def test_clouds_are_reached_where_one_logs_in() -> None:
    assert opened("aws").url == "https://sts.amazonaws.com"
    assert opened("aws", {"region": "eu-1"}).url == "https://sts.eu-1.amazonaws.com"
    assert isinstance(opened("gcp", {"project": "x"}), Http)
    assert opened("azure", {"endpoint": "https://login.chinacloudapi.cn"}).url == "https://login.chinacloudapi.cn"


def test_channels() -> None:
    slack = opened("slack", {"channel": "#x", "icon": ":x:", "ours": 1}, secret={"name": "s"})
    assert isinstance(slack, Channel)
    assert (slack.service, slack.channel, slack.options) == ("slack", "#x", {"icon": ":x:", "ours": "1"})
    assert {"url", "webhooks", "token"} == set(slack.credentials.values)
    assert "routing-key" in opened("pagerduty", secret={"name": "s"}).credentials.values


@pytest.mark.parametrize(
    ("given", "port", "tls"),
    [({}, "587", "starttls"), ({"tls": "implicit"}, "465", "implicit"), ({"tls": False, "port": 25}, "25", "none")],
)
def test_mail(given: dict[str, Any], port: str, tls: str) -> None:
    mail = opened("email", {"host": "smtp", "from": "a@x.org", "to": ["b@x.org", "c@x.org"], **given})
    assert mail.options["port"] == port
    assert mail.options["tls"] == tls
    assert (mail.options["host"], mail.options["from"], mail.options["to"]) == ("smtp", "a@x.org", "b@x.org, c@x.org")


def test_custom() -> None:
    assert opened("custom", {"url": "https://a.example.org"}).url == "https://a.example.org"
    assert opened("custom", {"host": "h", "port": 7}) == Socket(host="h", port=7)
    assert opened("custom") == Socket()


def test_ssh_asks_for_a_secret_that_is_mounted() -> None:
    assert set(complaints("ssh")) == {"secret"}
    assert set(complaints("ssh", secret={"name": "s"})) == {"secret.mountPath"}
    assert set(complaints("ssh", secret={"name": "s", "mountPath": "/k", "items": ["other"]})) == {"secret.items"}
    assert complaints("ssh", secret={"name": "s", "mountPath": "/k", "items": ["id_rsa"]}) == {}


def test_apprise_has_its_addresses_in_a_secret() -> None:
    found = opened("apprise", None, secret={"name": "s"})
    assert isinstance(found, Channel)
    assert (found.service, set(found.credentials.values)) == ("apprise", {"url", "urls"})
    assert set(complaints("apprise")) == {"secret"}
    assert set(complaints("apprise", {"url": "json://example.org"}, secret={"name": "s"})) == {"schema.url"}
    assert complaints("apprise", secret={"name": "s"}) == {}


def test_a_channel_asks_for_a_secret_or_an_address() -> None:
    assert set(complaints("slack")) == {"secret"}
    assert complaints("slack", {"url": "https://hooks.example.org/x"}) == {}
    assert complaints("slack", secret={"name": "s"}) == complaints("slack", configMap={"name": "c"}) == {}
    assert set(complaints("pagerduty", {"url": "https://events.example.org"})) == {"secret"}


def test_something_has_to_say_where_a_database_is() -> None:
    assert set(complaints("postgres")) == {"schema"}
    assert set(complaints("jdbc", {"host": "db"})) == {"schema"}
    assert set(complaints("http")) == {"schema"}
    assert complaints("postgres", secret={"name": "s"}) == complaints("segment") == {}


def test_an_auth_that_the_kind_has_not_is_refused() -> None:
    wrong = {"method": "workload-identity"}
    for kind, schema in (("postgres", {"host": "db"}), ("host_path", {"hostPath": "/a", "mountPath": "/b"})):
        assert set(complaints(kind, schema, auth=wrong)) == {"auth.method"}
    assert set(complaints("s3", {"bucket": "bkt"}, auth={"method": "secret"})) == {"auth.method"}
    assert set(complaints("s3", {"bucket": "bkt"}, auth={"method": "assume-role"})) == {"auth.role"}


ROLE = {"method": "assume-role", "role": "arn:aws:iam::123456789012:role/r"}


def test_a_role_says_how_it_is_taken_on() -> None:
    more = {"externalId": "ours", "duration": "2h", "endpoint": "https://sts.example.org:8443"}
    found = opened("s3", {"bucket": "bkt"}, secret={"name": "s"}, auth={**ROLE, **more}).credentials
    assert (found.role, found.external_id, found.duration, found.endpoint) == (
        ROLE["role"], "ours", 7200, "https://sts.example.org:8443",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "auth", "wrong"),
    [
        ("s3", {**ROLE, "endpoint": "sts.example.org"}, "auth.endpoint"),
        ("s3", {**ROLE, "endpoint": "https://key:canary@sts.example.org"}, "auth.endpoint"),
        ("s3", {"method": "anonymous", "endpoint": "https://sts.example.org"}, "auth.endpoint"),
        ("s3", {"method": "anonymous", "duration": "1h"}, "auth.duration"),
        ("s3", {"method": "workload-identity", "externalId": "x"}, "auth.externalId"),
        ("gcs", {"method": "workload-identity", "duration": "1h"}, "auth.duration"),
        ("wasb", {"method": "workload-identity", "endpoint": "https://sts.example.org"}, "auth.endpoint"),
    ],
)
def test_what_only_goes_with_a_role(kind: str, auth: dict[str, Any], wrong: str) -> None:
    bucket = {"wasb": "wasbs://bkt@account.blob.core.windows.net/"}.get(kind, "bkt")
    found = complaints(kind, {"bucket": bucket}, auth=auth)
    assert set(found) == {wrong}
    assert "canary" not in str(found)


def test_two_things_of_a_connection_at_one_path_are_refused() -> None:
    both = {"secret": {"name": "s", "mountPath": "/x"}, "configMap": {"name": "c", "mountPath": "/x"}}
    assert set(complaints("custom", **both)) == {"configMap.mountPath"}
    volume = {"hostPath": "/a", "mountPath": "/x"}
    assert set(complaints("host_path", volume, secret={"name": "s", "mountPath": "/x"})) == {"secret.mountPath"}


def test_a_variable_twice_in_env_is_refused() -> None:
    assert set(complaints("custom", env=[{"name": "A"}, {"name": "A"}])) == {"env.1.name"}


@pytest.mark.parametrize("key", ["password", "PASSWORD", "token", "apiKey", "client_secret", "accessKey"])
@pytest.mark.parametrize("kind", ["postgres", "custom", "http", "slack", "aws"])
def test_a_credential_does_not_belong_into_the_catalog(kind: str, key: str) -> None:
    found = complaints(kind, {key: "pa55"}, secret={"name": "s"})
    assert set(found) == {f"schema.{key}"}
    assert "put it into a secret" in found[f"schema.{key}"]
    assert "pa55" not in str(found)


def test_keys_that_cannot_be_entries_are_refused() -> None:
    found = complaints("http", {"url": "https://a.example.org", "a/b": 1, "type": "x", "..": 2})
    assert set(found) == {"schema.a/b", "schema.type", "schema..."}


@pytest.mark.parametrize(
    ("kind", "field", "good", "bad"),
    [("pagerduty", "severity", "Critical", "fatal"), ("webhook", "method", "put", "GET")],
)
def test_fields_of_a_channel_that_take_one_of_a_few_words(kind: str, field: str, good: str, bad: str) -> None:
    there = {"url": "https://hooks.example.org/x"}
    assert complaints(kind, {**there, field: good}, secret={"name": "s"}) == {}
    assert list(complaints(kind, {**there, field: bad}, secret={"name": "s"})) == [f"schema.{field}"]
