"""What each kind's schema takes and refuses: places, addresses, paths, and the traps of the field."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from tieline.kinds import registry

STRICT = ("host_path", "volume_claim", "gcs", "s3", "wasb", "git", "registry", "ssh")


def read(kind: str, **schema: Any) -> Any:
    found = registry.get(kind)
    assert found is not None
    return found.schema.model_validate(schema)


def refusal(kind: str, **schema: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, **schema)
    return str(caught.value)


@pytest.mark.parametrize("kind", STRICT)
def test_a_strict_kind_refuses_an_unknown_key(kind: str) -> None:
    assert "Extra inputs are not permitted" in refusal(kind, endpiont="x")


@pytest.mark.parametrize("kind", [name for name in registry.names() if name not in STRICT])
def test_a_free_form_kind_keeps_an_unknown_key(kind: str) -> None:
    found = registry.get(kind)
    assert found is not None
    example = dict(found.examples[0].get("schema") or {})
    assert found.schema.model_validate({**example, "ourOwn": [1, 2]}).model_extra["ourOwn"] == [1, 2]


@pytest.mark.parametrize("kind", registry.names())
def test_both_spellings_of_a_key_are_read(kind: str) -> None:
    found = registry.get(kind)
    assert found is not None
    for example in found.examples:
        camel = found.schema.model_validate(example.get("schema") or {})
        snake = {name: getattr(camel, name) for name in camel.model_fields_set & set(found.schema.model_fields)}
        again = found.schema.model_validate({**snake, **(camel.model_extra or {})})
        assert again == camel


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        ("host_path", {"mountPath": "/data"}),
        ("host_path", {"hostPath": "/data"}),
        ("volume_claim", {"mountPath": "/data"}),
        ("s3", {}),
        ("gcs", {}),
        ("wasb", {}),
        ("git", {}),
        ("registry", {}),
        ("sqlite", {}),
        ("email", {"host": "smtp.example.org"}),
    ],
)
def test_a_required_field_is_missed(kind: str, lacking: dict[str, Any]) -> None:
    assert "Field required" in refusal(kind, **lacking)


@pytest.mark.parametrize(
    "bucket", ["s3://name", "s3://name/", "s3://name/a/b", "s3://my.bucket-1/p_q/", "name", "s3://name/a b/ü"]
)
def test_s3_buckets(bucket: str) -> None:
    assert read("s3", bucket=bucket).bucket == bucket


@pytest.mark.parametrize(
    "bucket",
    [
        "",
        "gs://name",
        "s3:/name",
        "s3://",
        "https://name.s3.amazonaws.com",
        "s3://ab",
        "name/prefix",  # a name or a path? Written out there is no doubt
        "s3://name/../other",
        "s3://name/a/./b",
        "s3://name/a?versionId=1",
        "s3://name\n",
        "name\n",
        "AKIA:secret@name",
    ],
)
def test_what_is_no_s3_bucket_is_refused_with_the_right_form(bucket: str) -> None:
    message = refusal("s3", bucket=bucket)
    assert "s3://NAME" in message or "credentials belong into a secret" in message


@pytest.mark.parametrize(("kind", "bucket"), [("s3", "s3://ab"), ("s3", "ab"), ("s3", "s3://a/p"), ("gcs", "gs://ab/")])
def test_a_bucket_of_less_than_three_characters_is_told_so(kind: str, bucket: str) -> None:
    assert "three characters or more" in refusal(kind, bucket=bucket)


@pytest.mark.parametrize("bucket", ["gs://name", "gs://name/prefix/", "na_me.example.org"])
def test_gcs_buckets(bucket: str) -> None:
    assert read("gcs", bucket=bucket).bucket == bucket


@pytest.mark.parametrize("bucket", ["s3://name", "gs://Name", "gs://", "name/prefix", "gs://name/.."])
def test_what_is_no_gcs_bucket_is_refused_with_the_right_form(bucket: str) -> None:
    assert "gs://NAME" in refusal("gcs", bucket=bucket)


@pytest.mark.parametrize(
    "bucket",
    [
        "wasbs://container@account.blob.core.windows.net",
        "wasbs://container@account.blob.core.windows.net/prefix/",
        "wasb://container@account.blob.core.windows.net/",
        "abfss://container@account.dfs.core.windows.net/prefix",
        "wasbs://container@account.blob.core.chinacloudapi.cn/prefix",
        "wasbs://$web@account.blob.core.windows.net",
    ],
)
def test_azure_containers(bucket: str) -> None:
    assert read("wasb", bucket=bucket).bucket == bucket


@pytest.mark.parametrize(
    "bucket",
    [
        "container",
        "wasbs://container",
        "wasbs://account.blob.core.windows.net/container",
        "https://account.blob.core.windows.net/container",
        "wasbs://container@account/prefix",
        "wasbs://container@account.blob.core.windows.net/../x",
    ],
)
def test_what_is_no_azure_container_is_refused_with_the_right_form(bucket: str) -> None:
    assert "wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PREFIX" in refusal("wasb", bucket=bucket)


def test_the_mangled_address_of_the_fields_own_example_is_explained() -> None:
    message = refusal("wasb", bucket="wasbs://[email protected]/")
    assert "protection of e-mail addresses" in message
    assert "wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PREFIX" in message


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.com/org/test",
        "http://git.example.org:8080/org/test.git",
        "git@github.com:org/repo.git",
        "github.com:org/repo.git",
        "ssh://git@git.example.org:2222/org/repo.git",
        "ssh://git.example.org/org/repo",
        "/srv/git/repo.git",
        "file:///srv/git/repo.git",
        "./repo",
        "../repo",
        "/srv/a; touch x",
    ],
)
def test_git_addresses(url: str) -> None:
    assert read("git", url=url).url == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://user:tok3n@github.com/org/repo", "credentials belong into a secret"),
        ("https://tok3n@github.com/org/repo", "credentials belong into a secret"),
        ("ssh://git:tok3n@github.com/org/repo", "credentials belong into a secret"),
        ("https://git.example.org/repo?password=tok3n", "credentials belong into a secret"),
        ("ext::sh -c 'touch x' tok3n", "transport helpers"),
        ("fd::17", "transport helpers"),
        ("--upload-pack=tok3n", "begins with '-'"),
        ("-oProxyCommand=tok3n", "begins with '-'"),
        ("ssh://-oProxyCommand=tok3n/x", "no git repository's address"),
        ("git@-oProxyCommand=tok3n:x", "no git repository's address"),
        ("git://github.com/org/repo", "no git repository's address"),
        ("ftp://example.org/repo", "no git repository's address"),
        ("https://github.com", "no git repository's address"),
        ("", "no git repository's address"),
        ("https://github.com/org/repo\n--config=x", "no git repository's address"),
    ],
)
def test_dangerous_git_addresses_are_refused_and_not_quoted(url: str, says: str) -> None:
    message = refusal("git", url=url)
    assert says in message
    assert "tok3n" not in message


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pull/3/head", "HEAD~2", "4f2a" * 10, 20240101])
def test_revisions(revision: Any) -> None:
    assert read("git", url="https://x.org/r", revision=revision).revision == str(revision)


@pytest.mark.parametrize("revision", ["-b", "--upload-pack=x", "", "a b", "main\n"])
def test_a_revision_that_would_be_an_option_is_refused(revision: str) -> None:
    assert "it may not begin with '-'" in refusal("git", url="https://x.org/r", revision=revision)


@pytest.mark.parametrize("flag", ["--upload-pack=touch x", "-u touch", "--config core.sshCommand=x", "-cx=y", "-c"])
def test_a_flag_that_would_run_a_command_is_refused(flag: str) -> None:
    assert "would run a command" in refusal("git", url="https://x.org/r", flags=["--depth=1", flag])


def test_the_older_formats_flags_are_read() -> None:
    flags = ["--experimental-fetch", "--depth 1", "--recurse-submodules"]
    assert read("git", url="https://x.org/r", flags=flags).flags == tuple(flags)


@pytest.mark.parametrize(
    "url", ["https://gitlab.com/org/test", "git@another.com:org/repo.git", "ssh://me@host:2222", "me@host", "host"]
)
def test_ssh_addresses(url: str) -> None:
    assert read("ssh", url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "org/repo",
        "repo",
        "gcr.io",
        "ghcr.io/org/team/repo",
        "registry.example.org:5000/repo",
        "localhost/repo",
        "localhost:5000",
        "https://registry.example.org/org/repo",
        "https://index.docker.io/v1/",
        "[::1]:5000/repo",
    ],
)
def test_registry_addresses(url: str) -> None:
    assert read("registry", url=url).url == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("org/repo:latest", "names an image"),
        ("https://gcr.io/org/repo:latest", "names an image"),
        ("org/repo@sha256:abc", "names an image"),
        ("user:pw@gcr.io/org", "credentials belong into a secret"),
        ("Org/Repo", "small letters"),
        ("", "HOST/ORG/REPO"),
        ("gcr.io/../x", "HOST/ORG/REPO"),
    ],
)
def test_what_is_no_registry_is_refused(url: str, says: str) -> None:
    assert says in refusal("registry", url=url)


@pytest.mark.parametrize("path", ["/srv/data", "/", "/a/..b/c", "./data", "../data", "../../x/y", "data", ".", "/a; b"])
def test_host_paths(path: str) -> None:
    assert read("host_path", hostPath=path, mountPath="/data").host_path == path


@pytest.mark.parametrize("path", ["", "/a/../b", "/..", "a/../b", "./a/..", "s3://bucket", "/a\nb", "../../a/../b"])
def test_bad_host_paths_are_refused(path: str) -> None:
    assert "no path of a machine" in refusal("host_path", hostPath=path, mountPath="/data")


@pytest.mark.parametrize("path", ["data", "", "/data/../x", "./data", "/data\n"])
def test_a_mount_path_is_absolute(path: str) -> None:
    assert "absolute path without '..'" in refusal("volume_claim", volumeClaim="c", mountPath=path)


@pytest.mark.parametrize("path", ["/a", "a/../b", "..", ""])
def test_a_sub_path_is_relative(path: str) -> None:
    assert "relative path without '..'" in refusal("volume_claim", volumeClaim="c", mountPath="/d", subPath=path)


@pytest.mark.parametrize("port", [5433, "5433"])
def test_a_port_may_be_decimal_text(port: Any) -> None:
    assert read("postgres", host="db", port=port).port == 5433


@pytest.mark.parametrize("port", [0, 65536, -1, True, 54.0, "0x10", "5433.0", " 5433", "", "⁵"])
def test_bad_ports_are_refused(port: Any) -> None:
    refusal("postgres", host="db", port=port)


@pytest.mark.parametrize("host", ["db", "db.example.org", "10.0.0.1", "[::1]", "::1", "/var/run/postgresql", "a_b"])
def test_hosts(host: str) -> None:
    assert read("postgres", host=host).host == host


@pytest.mark.parametrize("host", ["postgres://db", "me@db", "db:5432", "d b", "", "-oX", "db\n"])
def test_what_is_no_host_is_refused_with_the_right_form(host: str) -> None:
    assert "like db.example.org" in refusal("postgres", host=host)


@pytest.mark.parametrize(
    ("kind", "field", "address"),
    [
        ("postgres", "uri", "postgresql://me:pa55@db.example.org/x"),
        ("postgres", "uri", "postgresql://:pa55@db.example.org/x"),
        ("postgres", "uri", "postgresql://db.example.org/x?password=pa55"),
        ("redis", "uri", "redis://:pa55@redis.example.org"),
        ("jdbc", "uri", "jdbc:sqlserver://db:1433;user=me;Password=pa55"),
        ("http", "url", "https://me:pa55@api.example.org"),
        ("ftp", "url", "ftp://me:pa55@ftp.example.org"),
        ("webhook", "url", "https://me:pa55@hooks.example.org"),
        ("s3", "endpoint", "https://me:pa55@minio.example.org"),
        ("s3", "proxy", "http://me:pa55@proxy.example.org:3128"),
    ],
)
def test_a_password_in_an_address_is_refused_and_not_quoted(kind: str, field: str, address: str) -> None:
    message = refusal(kind, **{"bucket": "s3://bkt", field: address} if kind == "s3" else {field: address})
    assert "credentials belong into a secret" in message
    assert "pa55" not in message


def test_another_kinds_uri_is_refused() -> None:
    assert "postgresql://HOST:PORT/DATABASE" in refusal("postgres", uri="mysql://db.example.org/x")
    assert read("postgres", uri="postgresql+psycopg://db.example.org/x").uri
    assert read("mongo", uri="mongodb+srv://cluster.example.org/x").uri
    assert "jdbc:" in refusal("jdbc", uri="postgresql://db/x")


def test_a_uri_and_its_parts_are_not_both_given() -> None:
    assert "uri and host are both given" in refusal("postgres", uri="postgresql://db/x", host="db")
    assert "given twice" in refusal("postgres", uri="postgresql://me@db/x", username="you")
    assert "url and host or port are both given" in refusal("http", url="https://a.example.org", port=1)


def test_numbers_and_booleans_are_read_as_text_where_text_is_meant() -> None:
    assert read("redis", host="r", database=2).database == "2"
    assert read("postgres", host="db", options={"keepalives": 1, "x": True}).options == {"keepalives": "1", "x": "true"}


@pytest.mark.parametrize("to", [["a@example.org", "b@example.org"], "a@example.org, b@example.org"])
def test_mail_addresses_are_a_list_or_one_line(to: Any) -> None:
    form = read("email", host="smtp", to=to, **{"from": "Us <us@example.org>"})
    assert form.to == ("a@example.org", "b@example.org")


@pytest.mark.parametrize("to", [[], ["nobody"], "[email protected]", "a@example.org,"])
def test_what_is_no_mail_address_is_refused(to: Any) -> None:
    refusal("email", host="smtp", to=to, **{"from": "us@example.org"})


def test_a_thousand_buckets_are_read_in_a_few_milliseconds() -> None:
    kind = registry.get("s3")
    assert kind is not None
    data = [{"bucket": f"s3://bucket-{number}/prefix", "region": "eu-central-1"} for number in range(1000)]
    kind.schema.model_validate(data[0])  # built at its first use
    best = min(_timed(kind.schema, data) for _ in range(5))
    assert best < 0.1  # about 4 ms alone on one core; other work may share it


def _timed(schema: Any, data: list[dict[str, str]]) -> float:
    start = time.perf_counter()
    for item in data:
        schema.model_validate(item)
    return time.perf_counter() - start
