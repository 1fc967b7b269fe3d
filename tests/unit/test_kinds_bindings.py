"""What a connection puts into a job: files of the binding directory, variables, mounts; and the envelope's own part."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.kinds import derived, registry
from tieline.kinds.bindings import why
from tieline.kinds.pages import connect
from tieline.model.binding import (
    Binding,
    ClaimSource,
    Derived,
    FromConfigMap,
    FromSecret,
    HostPathSource,
    ResourceSource,
    Text,
    Value,
)


def bind(kind: str, schema: dict[str, Any] | None = None, **envelope: Any) -> Binding:
    found = registry.get(kind)
    assert found is not None
    data = {"name": "it", "kind": kind, **({"schema": schema} if schema is not None else {}), **envelope}
    return found.bind(connect(found, data))


def entries(binding: Binding) -> dict[str, Value]:
    assert len({entry.name for entry in binding.entries}) == len(binding.entries)
    return {entry.name: entry.value for entry in binding.entries}


def texts(binding: Binding) -> dict[str, str]:
    return {name: value.text for name, value in entries(binding).items() if isinstance(value, Text)}


def variables(binding: Binding) -> dict[str, Value]:
    assert len({variable.name for variable in binding.variables}) == len(binding.variables)
    return {variable.name: variable.value for variable in binding.variables}


def secret(name: str, *keys: str) -> FromSecret:
    return FromSecret(secret=name, keys=keys, optional=True)


@pytest.mark.parametrize("kind", registry.names())
def test_every_example_binds_completely(kind: str) -> None:
    found = registry.get(kind)
    assert found is not None
    assert found.examples
    for example in found.examples:
        connection = connect(found, example)
        assert found.check(connection) == []
        binding = found.bind(connection)
        assert binding == found.bind(connection)
        assert Binding.model_validate(binding.as_json()) == binding
        assert (binding.connection, binding.provider) == (example["name"], kind)
        assert binding.type
        assert {"type", "provider"}.isdisjoint(entries(binding))
        assert all(variable.why and variable.connection for variable in binding.variables)
        assert all(value.form in derived.FORMS for value in _derived(binding))
        assert all(_optional(value) for value in (*entries(binding).values(), *variables(binding).values()))


def _derived(binding: Binding) -> list[Derived]:
    found = [
        value for value in (*entries(binding).values(), *variables(binding).values()) if isinstance(value, Derived)
    ]
    for value in found:
        found += [part for part in value.parts.values() if isinstance(part, Derived)]
    return found


def _optional(value: Value) -> bool:
    return isinstance(value, Text) or value.optional


def test_a_secret_without_a_path_is_injected_whole() -> None:
    binding = bind("custom", secret={"name": "s"}, configMap={"name": "c", "items": ["A"]}, envPrefix="X_")
    assert [(item.resource, item.name, item.items, item.prefix) for item in binding.resources] == [
        ("secret", "s", None, "X_"),
        ("configMap", "c", ("A",), "X_"),
    ]
    assert binding.mounts == ()


@pytest.mark.parametrize("mode", ["0600", 0o600])
def test_items_with_a_path_are_only_those_files(mode: Any) -> None:
    binding = bind("custom", secret={"name": "s", "mountPath": "/keys", "items": ["a", "b"], "defaultMode": mode})
    (mount,) = binding.mounts
    assert mount.source == ResourceSource(resource="secret", name="s", items=("a", "b"), mode=0o600)
    assert (mount.mount_path, mount.read_only, mount.connection) == ("/keys", True, "it")
    assert binding.resources == ()


def test_a_config_map_stands_beside_a_secret() -> None:
    binding = bind("s3", {"bucket": "bkt"}, secret={"name": "s"}, configMap={"name": "c", "mountPath": "/etc/c"})
    assert [item.name for item in binding.resources] == ["s"]
    assert [mount.mount_path for mount in binding.mounts] == ["/etc/c"]


def test_env_is_a_list_and_always_injected() -> None:
    binding = bind("custom", {}, env=[{"name": "A", "value": "1"}, {"name": "B", "value": True}], envPrefix="T_")
    assert variables(binding) == {"T_A": Text(text="1"), "T_B": Text(text="true")}
    assert {variable.origin for variable in binding.variables} == {"env"}


def test_what_env_says_is_kept_over_the_kinds_own_variable() -> None:
    binding = bind("s3", {"bucket": "bkt", "region": "eu-1"}, env=[{"name": "AWS_REGION", "value": "us-1"}])
    assert variables(binding)["AWS_REGION"] == Text(text="us-1")
    assert variables(binding)["AWS_DEFAULT_REGION"] == Text(text="eu-1")


def test_annotations_are_passed_on() -> None:
    assert bind("custom", annotations={"a/b": "c"}).annotations == {"a/b": "c"}


def test_the_prefix_is_put_before_every_variable() -> None:
    schema = {"bucket": "s3://bkt", "region": "eu-1", "endpoint": "https://minio.example.org"}
    plain = bind("s3", schema, secret={"name": "s"}, env=[{"name": "A"}])
    prefixed = bind("s3", schema, secret={"name": "s"}, env=[{"name": "A"}], envPrefix="ONE_")
    assert list(variables(prefixed)) == [f"ONE_{name}" for name in variables(plain)]
    assert len(plain.variables) == 7


def test_a_volume() -> None:
    schema = {"mountPath": "/data", "readOnly": True, "subPath": "a/b"}
    for kind, own, source in (
        ("host_path", {"hostPath": "/srv/x"}, HostPathSource(path="/srv/x")),
        ("volume_claim", {"volumeClaim": "pvc"}, ClaimSource(claim="pvc")),
    ):
        binding = bind(kind, {**schema, **own})
        (mount,) = binding.mounts
        assert mount.source == source
        assert (mount.mount_path, mount.read_only, mount.sub_path) == ("/data", True, "a/b")
        assert texts(binding) == {
            "path": "/data",
            "mount-path": "/data",
            "read-only": "true",
            "sub-path": "a/b",
            **({"host-path": "/srv/x"} if kind == "host_path" else {"volume-claim": "pvc"}),
        }


def test_an_s3_bucket() -> None:
    schema = {"bucket": "s3://bkt/a/p/", "endpoint": "https://minio:9000", "region": "eu-1", "addressingStyle": "path"}
    binding = bind("s3", schema, secret={"name": "s"})
    assert texts(binding) == {
        "bucket": "bkt",
        "prefix": "a/p",
        "uri": "s3://bkt/a/p",
        "endpoint": "https://minio:9000",
        "region": "eu-1",
        "addressing-style": "path",
    }
    found = variables(binding)
    assert set(found) == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL_S3",
    }
    key = found["AWS_ACCESS_KEY_ID"]
    assert isinstance(key, FromSecret)
    assert key.optional
    assert key.keys[0] == "AWS_ACCESS_KEY_ID"  # the same key that the whole secret injects: no collision
    assert key == entries(binding)["access-key-id"]


def test_only_the_items_of_a_secret_are_looked_for() -> None:
    binding = bind(
        "s3", {"bucket": "bkt"}, secret={"name": "s", "items": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]}
    )
    assert entries(binding)["access-key-id"] == secret("s", "AWS_ACCESS_KEY_ID")
    assert "session-token" not in entries(binding)
    assert "AWS_SESSION_TOKEN" not in variables(binding)


def test_settings_may_come_from_env_or_the_config_map() -> None:
    binding = bind(
        "s3",
        {"bucket": "bkt"},
        env=[{"name": "AWS_REGION", "value": "eu-1"}],
        configMap={"name": "c", "items": ["AWS_ENDPOINT_URL"]},
    )
    assert entries(binding)["region"] == Text(text="eu-1")
    assert entries(binding)["endpoint"] == FromConfigMap(config_map="c", keys=("AWS_ENDPOINT_URL",), optional=True)


@pytest.mark.parametrize("method", ["anonymous", "workload-identity"])
def test_no_credentials_are_bound_where_they_are_not_used(method: str) -> None:
    binding = bind("s3", {"bucket": "bkt"}, secret={"name": "s"}, auth={"method": method})
    assert "access-key-id" not in entries(binding)
    assert "AWS_ACCESS_KEY_ID" not in variables(binding)


def test_a_gcs_bucket_has_its_key_as_a_file() -> None:
    binding = bind("gcs", {"bucket": "gs://bkt/p", "project": "ours"}, secret={"name": "s"})
    assert texts(binding) == {"bucket": "bkt", "prefix": "p", "uri": "gs://bkt/p", "project": "ours"}
    keyfile = entries(binding)["keyfile.json"]
    assert isinstance(keyfile, Derived)
    assert keyfile.form == derived.GOOGLE_KEYFILE
    assert isinstance(keyfile.parts["json"], FromSecret)
    assert "GC_KEYFILE_DICT" in keyfile.parts["json"].keys
    credentials = variables(binding)["GOOGLE_APPLICATION_CREDENTIALS"]
    assert isinstance(credentials, Derived)
    path, named = credentials.parts["1"], credentials.parts["2"]
    assert isinstance(path, Derived)
    assert path.parts["entry"] == Text(text="keyfile.json")
    assert isinstance(named, FromSecret)
    assert "GC_KEY_PATH" in named.keys
    assert [entry.mode for entry in binding.entries if entry.name == "keyfile.json"] == [0o600]


def test_an_azure_container() -> None:
    binding = bind("wasb", {"bucket": "wasbs://con@account.blob.core.windows.net/p/"}, secret={"name": "s"})
    assert texts(binding) == {
        "bucket": "con",
        "container": "con",
        "account": "account",
        "prefix": "p",
        "uri": "wasbs://con@account.blob.core.windows.net/p",
    }
    found = variables(binding)
    assert found["AZURE_STORAGE_ACCOUNT"] == Text(text="account")
    for name, older in (
        ("AZURE_STORAGE_KEY", "AZURE_ACCOUNT_KEY"),
        ("AZURE_STORAGE_SAS_TOKEN", "AZURE_SAS_TOKEN"),
        ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_CONNECTION_STRING"),
    ):
        value = found[name]
        assert isinstance(value, FromSecret)
        assert {name, older} <= set(value.keys)


def test_git_over_http_asks_a_helper_and_has_no_credentials_in_the_url() -> None:
    binding = bind("git", {"url": "https://gitlab.com/org/test"}, secret={"name": "gitlab-connection"})
    found = entries(binding)
    assert found["url"] == Text(text="https://gitlab.com/org/test")
    user, password, askpass = found["username"], found["password"], found["askpass"]
    assert isinstance(user, Derived)
    assert isinstance(password, Derived)
    assert isinstance(askpass, Derived)
    assert (user.form, password.form, askpass.form) == ("git-user", "git-password", "git-askpass")
    assert "POLYAXON_GIT_CREDENTIALS" in str(user.parts["credentials"])
    assert user.parts["host"] == askpass.parts["host"] == Text(text="gitlab.com")
    assert "GIT_ASKPASS" in variables(binding)
    assert [entry.mode for entry in binding.entries if entry.name == "askpass"] == [0o700]


def test_a_public_repository_needs_no_helper() -> None:
    assert variables(bind("git", {"url": "https://gitlab.com/org/test"})) == {}


def test_git_over_ssh_takes_the_key_of_the_secret() -> None:
    binding = bind("git", {"url": "git@github.com:org/repo"}, secret={"name": "s", "mountPath": "/root/.ssh"})
    assert "username" not in entries(binding)
    assert isinstance(entries(binding)["private-key"], FromSecret)
    assert set(variables(binding)) == {"GIT_SSH_COMMAND"}


def test_ssh_needs_no_schema() -> None:
    binding = bind("ssh", secret={"name": "s", "mountPath": "/etc/.ssh", "defaultMode": "0600"})
    key = entries(binding)["private-key"]
    assert isinstance(key, FromSecret)
    assert key.keys[0] == "id_rsa"
    command = variables(binding)["GIT_SSH_COMMAND"]
    assert isinstance(command, Derived)
    assert command.form == derived.GIT_SSH_COMMAND
    assert [entry.mode for entry in binding.entries if entry.name == "private-key"] == [0o600]
    assert binding.mounts[0].mount_path == "/etc/.ssh"


@pytest.mark.parametrize(
    "more",
    [
        {"schema": {"privateKey": "deploy"}},
        {"env": [{"name": "POLYAXON_SSH_PRIVATE_KEY", "value": "deploy"}]},
        {"env": [{"name": "POLYAXON_SSH_PRIVATE_KEY", "value": "/etc/.ssh/deploy"}]},
    ],
)
def test_ssh_takes_the_key_that_is_named(more: dict[str, Any]) -> None:
    binding = bind("ssh", **more, secret={"name": "s", "mountPath": "/etc/.ssh"})
    assert entries(binding)["private-key"] == secret("s", "deploy")


def test_a_registry_of_the_fields_own_example() -> None:
    binding = bind("registry", {"url": "org/repo"}, secret={"name": "docker-conf", "mountPath": "/kaniko/.docker"})
    assert texts(binding) == {
        "url": "org/repo",
        "host": "docker.io",
        "repository": "org/repo",
        "uri": "docker.io/org/repo",
    }
    (mount,) = binding.mounts
    assert mount.mount_path == "/kaniko/.docker"
    assert isinstance(mount.source, ResourceSource)
    assert mount.source.names == {".dockerconfigjson": "config.json"}
    assert set(variables(binding)) == {"DOCKER_CONFIG", "REGISTRY_AUTH_FILE"}


def test_the_registries_of_a_job_merge_into_one_authfile() -> None:
    one = variables(bind("registry", {"url": "gcr.io/a"}, name="one", secret={"name": "s1"}))
    two = variables(bind("registry", {"url": "org/b"}, name="two", secret={"name": "s2"}))
    both = derived.merged([one["DOCKER_CONFIG"], two["DOCKER_CONFIG"]])
    assert both is not None
    assert both.form == derived.DOCKER_CONFIG_DIR
    assert set(both.parts) == {"config:one", "config:two"}
    assert derived.merged([one["DOCKER_CONFIG"], two["REGISTRY_AUTH_FILE"]]) is None
    assert derived.merged([one["DOCKER_CONFIG"], Text(text="/x")]) is None


def test_a_registry_without_a_secret_sets_nothing() -> None:
    assert variables(bind("registry", {"url": "org/repo"})) == {}


def test_a_database_by_its_parts() -> None:
    schema = {"host": "db", "database": "a/b c", "username": "me@x", "tls": True, "options": {"x": "1&2"}}
    binding = bind("postgres", schema)
    assert texts(binding) == {
        "host": "db",
        "port": "5432",
        "database": "a/b c",
        "username": "me@x",
        "tls": "true",
        "sslmode": "require",
        "options": '{"x": "1&2"}',
        "uri": "postgresql://me%40x@db:5432/a/b%20c?x=1%262&sslmode=require",
    }
    assert variables(binding) == {
        "PGHOST": Text(text="db"),
        "PGPORT": Text(text="5432"),
        "PGDATABASE": Text(text="a/b c"),
        "PGUSER": Text(text="me@x"),
        "PGSSLMODE": Text(text="require"),
    }


def test_a_database_by_its_uri_has_the_same_entries() -> None:
    parts = bind("mysql", {"host": "db", "port": 3307, "database": "shop", "username": "me"})
    whole = bind("mysql", {"uri": "mysql://me@db:3307/shop"})
    assert texts(parts) == texts(whole)
    assert variables(parts) == variables(whole)


def test_a_databases_password_comes_from_the_secret_and_makes_the_uri() -> None:
    binding = bind("postgres", {"host": "db", "database": "x"}, secret={"name": "s"})
    uri, password = entries(binding)["uri"], entries(binding)["password"]
    assert isinstance(uri, Derived)
    assert uri.form == derived.URI
    assert uri.parts["base"] == Text(text="postgresql://db:5432/x")
    assert uri.parts["password"] == password
    assert isinstance(password, FromSecret)
    assert {"password", "PGPASSWORD", "POSTGRES_PASSWORD"} <= set(password.keys)


def test_a_database_may_be_in_the_secret_altogether() -> None:
    binding = bind("postgres", secret={"name": "s"})
    found = entries(binding)
    assert isinstance(found["host"], FromSecret)
    uri, port = found["uri"], found["port"]
    assert isinstance(uri, Derived)
    assert uri.form == derived.FIRST
    assert isinstance(uri.parts["1"], FromSecret)
    made = uri.parts["2"]
    assert isinstance(made, Derived)
    assert made.parts["scheme"] == Text(text="postgresql")
    assert isinstance(port, Derived)
    assert port.form == derived.FIRST
    assert port.parts["2"] == derived.only_with("5432", found["host"])  # what it means: test_kinds_found.py


@pytest.mark.parametrize(
    ("kind", "schema", "uri"),
    [
        ("redis", {"host": "r", "database": 2, "tls": True}, "rediss://r:6379/2"),
        ("mongo", {"host": "m", "replicaSet": "rs0"}, "mongodb://m:27017?replicaSet=rs0"),
        ("mongo", {"uri": "mongodb+srv://c.example.org/x"}, "mongodb+srv://c.example.org/x"),
        ("mssql", {"host": "q", "database": "x", "tls": False}, "mssql://q:1433/x?encrypt=no"),
        ("snowflake", {"account": "org-a", "database": "d", "schema": "s", "warehouse": "w"}, "snowflake://org-a/d/s?warehouse=w"),
        ("databricks", {"host": "d", "httpPath": "/x"}, "databricks://token@d:443?http_path=%2Fx"),
        ("presto", {"host": "p", "catalog": "hive", "schema": "default"}, "presto://p:8080/hive/default"),
        ("cloudant", {"host": "c", "tls": False, "port": 5984}, "http://c:5984"),
        ("jdbc", {"uri": "jdbc:db2://h:50000/x"}, "jdbc:db2://h:50000/x"),
        ("hive_metastore", {"host": "h"}, "thrift://h:9083"),
        ("sqlite", {"path": "/srv/x.db", "options": {"mode": "ro"}}, "sqlite:///file:/srv/x.db?mode=ro&uri=true"),
        ("postgres", {"host": "::1"}, "postgresql://[::1]:5432"),
        ("postgres", {"uri": "postgres://db/x?sslmode=verify-full", "tls": True}, "postgres://db/x?sslmode=verify-full"),
        ("http", {"host": "h", "tls": True}, "https://h"),
        ("jenkins", {"url": "https://j.example.org"}, "https://j.example.org"),
        ("ftp", {"host": "f", "path": "in"}, "ftp://f:21/in"),
        ("samba", {"host": "s", "share": "x"}, "smb://s:445/x"),
        ("segment", {}, "https://api.segment.io"),
    ],
)  # fmt: skip
def test_uris(kind: str, schema: dict[str, Any], uri: str) -> None:
    assert texts(bind(kind, schema))["uri"] == uri


def test_the_port_is_the_urls_own() -> None:
    assert texts(bind("jenkins", {"url": "https://j.example.org"}))["port"] == "443"
    assert "port" not in texts(bind("mongo", {"uri": "mongodb+srv://c.example.org/x"}))
    assert texts(bind("mongo", {"uri": "mongodb://a:1,b:2/x"}))["port"] == "1"


def test_unknown_keys_become_entries() -> None:
    binding = bind(
        "http", {"url": "https://a.example.org", "note": "as it is", "many": [1, "ü"], "yes": True, "no": None}
    )
    assert {"note": "as it is", "many": '[1, "ü"]', "yes": "true"}.items() <= texts(binding).items()
    assert "no" not in texts(binding)


def test_a_channel_has_no_variables_of_its_own() -> None:
    binding = bind("slack", secret={"name": "my-slack"})
    assert variables(binding) == {}
    url = entries(binding)["url"]
    assert isinstance(url, FromSecret)
    assert {"url", "SLACK_WEBHOOK_URL", "SLACK_URL"} <= set(url.keys)
    assert entries(binding)["uri"] == url


def test_a_custom_connection_says_its_own_type_and_has_the_secrets_items() -> None:
    schema = {"type": "robot", "provider": "us", "axes": ["x"], "fields": {"required": ["axes"]}}
    binding = bind("custom", schema, secret={"name": "s", "items": ["pin", "a/b"]})
    assert (binding.type, binding.provider) == ("robot", "custom")
    assert entries(binding) == {"axes": Text(text='["x"]'), "pin": secret("s", "pin")}


def test_why_says_where_a_value_comes_from() -> None:
    binding = bind("postgres", {"host": "db"}, secret={"name": "s", "items": ["password"]})
    reasons = {variable.name: variable.why for variable in binding.variables}
    assert reasons["PGHOST"] == "host, as the catalog says"
    assert reasons["PGPASSWORD"] == "password, from password of the secret s"
    assert why(entries(binding)["uri"], "uri") == "uri, made by the form uri, from password of the secret s"
