"""What compile says or refuses so that no secret goes where it should not: other servers, arguments, plain http."""

from __future__ import annotations

from typing import Any

import pytest
from test_planner import job, plan, refused

from tieline.errors import Code
from tieline.kinds import registry
from tieline.kinds.pages import connect
from tieline.model.binding import Derived, FromSecret, Text
from tieline.model.connection import Connection
from tieline.model.plan import CloneStep

CATALOG = """
connections:
  - {name: code, kind: git, schema: {url: "https://Git.example/org/code"}, secret: {name: token}}
  - {name: port, kind: git, schema: {url: "https://git.example:8443/org/code"}, secret: {name: token}}
  - {name: open, kind: git, schema: {url: "https://git.example/org/code"}}
  - {name: mate, kind: git, schema: {url: "git@git.example:org/code"}, secret: {name: key}}
  - {name: key, kind: ssh, secret: {name: key, mountPath: /ssh}}
  - {name: db, kind: postgres, schema: {host: db.example}, secret: {name: login}}
  - {name: items, kind: custom, secret: {name: few, items: [ONE]}, envPrefix: MY_}
  - {name: place, kind: custom, configMap: {name: map}}
"""


def clone(entry: str) -> CloneStep:
    (step,) = plan(job(f"  init: [{entry}]"), catalog=CATALOG).steps
    assert isinstance(step, CloneStep)
    return step


# --- a job's own url


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/other/repository",
        "https://git.example:443/other/repository",
        "HTTPS://GIT.EXAMPLE/other/repository".replace("HTTPS", "https"),
        "ssh://git@evil.example/x",
        "git@evil.example:x/y",
        "/srv/code",
    ],
)
def test_another_repository_of_the_same_server_or_one_that_is_sent_no_token(url: str) -> None:
    assert clone(f'{{connection: code, git: {{url: "{url}"}}}}').remote.url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/org/code",
        "http://git.example/org/code",
        "https://git.example:8443/org/code",
        "https://git.example.evil.example/org/code",
        "https://sub.git.example/org/code",
    ],
)
def test_another_server_is_not_sent_the_connections_token(url: str) -> None:
    found = refused(job(f'  init: [{{connection: code, git: {{url: "{url}"}}}}]'), catalog=CATALOG)
    assert found == [(Code.NOT_ALLOWED, "run.init[0].git.url")]


def test_a_param_or_a_template_is_judged_like_the_file() -> None:
    text = job('  init: [{connection: code, git: {url: "https://{{ host }}/x/y"}}]', rest="inputs: [{name: host}]")
    assert refused(text, catalog=CATALOG, params={"host": "evil.example"}) == [
        (Code.NOT_ALLOWED, "run.init[0].git.url")
    ]
    (step,) = plan(text, catalog=CATALOG, params={"host": "git.example"}).steps
    assert isinstance(step, CloneStep)
    by_param = {"repo": {"connection": "code", "init": True, "git": {"url": "https://evil.example/x/y"}}}
    given = job("", rest="inputs: [{name: repo, type: git, isOptional: true}]")
    assert Code.NOT_ALLOWED in {code for code, _ in refused(given, catalog=CATALOG, params=by_param)}


def test_the_port_is_part_of_it() -> None:
    found = refused(job('  init: [{connection: port, git: {url: "https://git.example/x/y"}}]'), catalog=CATALOG)
    assert found == [(Code.NOT_ALLOWED, "run.init[0].git.url")]


@pytest.mark.parametrize("connection", ["open", "mate", "key"])
def test_a_connection_without_a_token_may_be_used_for_any_server(connection: str) -> None:
    step = clone(f'{{connection: {connection}, git: {{url: "https://elsewhere.example/x/y"}}}}')
    assert not {"username", "password"} & set(step.remote.credentials.values)


# --- arguments


def exposed(container: str, connections: str = "[]", more: str = "") -> dict[str, str]:
    text = f"kind: component\nrun:\n  kind: job\n  connections: {connections}\n  container: {container}\n{more}"
    return {
        notice.field: notice.message
        for notice in plan(text, catalog=CATALOG).notices
        if "argument list" in notice.message
    }


@pytest.mark.parametrize(
    ("container", "connections", "secret"),
    [
        ("{command: [x, --password=$(PGPASSWORD)]}", "[db]", "'login'"),
        ("{command: [x], args: [$(PGPASSWORD)]}", "[db]", "'login'"),
        ("{command: [x, $(ANY)]}", "[db]", "'login' (if it has that key)"),
        ("{command: [x, $(MY_ONE)]}", "[items]", "'few'"),
        ("{command: [x, $(A)], env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}", "[]", "'s'"),
        (
            "{command: [x, $(B)], env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}, "
            "{name: B, value: 'u:$(A)'}]}",
            "[]",
            "'s'",
        ),
    ],
)
def test_a_secret_in_an_argument_is_said(container: str, connections: str, secret: str) -> None:
    found = exposed(container, connections)
    assert list(found) == ["run.container"]
    assert f"the secret {secret}" in found["run.container"]


@pytest.mark.parametrize(
    ("container", "connections"),
    [
        ("{command: [x, $(PGHOST)]}", "[db]"),
        ("{command: [x, $$(PGPASSWORD)]}", "[db]"),
        ("{command: [sh, -c, 'x $PGPASSWORD']}", "[db]"),
        ("{command: [x, $(PGPASSWORD)]}", "[]"),
        ("{command: [x, $(TIELINE_OUTPUTS)]}", "[db]"),
        ("{command: [x, $(MY_TWO), $(ONE)]}", "[items]"),
        ("{command: [x, $(ANY)]}", "[place]"),
        ("{command: [x, $(PGPASSWORD)], env: [{name: PGPASSWORD, value: public}]}", "[db]"),
        ("{command: [x, $(A)], env: [{name: A, valueFrom: {configMapKeyRef: {name: s, key: k}}}]}", "[]"),
    ],
)
def test_what_is_no_secret_is_not(container: str, connections: str) -> None:
    assert exposed(container, connections) == {}


def test_init_programs_and_sidecars_too() -> None:
    found = exposed(
        "{command: [x]}",
        "[db]",
        "  init: [{container: {name: prep, command: [x, $(PGPASSWORD)]}}]\n"
        "  sidecars: [{name: side, command: [x, $(PGPASSWORD)]}]\n",
    )
    assert list(found) == ["init[prep]", "sidecars[side]"]


# --- one key of a secret


def test_a_key_that_every_engine_gives_needs_no_notice() -> None:
    env = "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: B, valueFrom: {fieldRef: {x: y}}}]"
    notices = plan(f"kind: component\nrun: {{kind: job, container: {{command: [x], {env}}}}}", catalog=CATALOG).notices
    told = [notice.field for notice in notices]
    assert "run.container.env[0].valueFrom" not in told
    assert "run.container.env[1].valueFrom" in told


@pytest.mark.parametrize("ref", ["{name: s}", "{key: k}", "{name: '', key: k}", "s", "null"])
@pytest.mark.parametrize("kind", ["secretKeyRef", "configMapKeyRef"])
def test_a_reference_that_is_none_is_refused(kind: str, ref: str) -> None:
    env = f"env: [{{name: A, valueFrom: {{{kind}: {ref}}}}}]"
    found = refused(f"kind: component\nrun: {{kind: job, container: {{command: [x], {env}}}}}", catalog=CATALOG)
    assert found == [(Code.BAD_VALUE, "run.container.env[0].valueFrom")]


# --- kinds


def connection(kind: str, **form: Any) -> Connection:
    found = registry.get(kind)
    assert found is not None
    return connect(found, {"name": "c", "kind": kind, **form})


def complaints(kind: str, **schema: Any) -> list[str]:
    found = registry.get(kind)
    assert found is not None
    return [field for field, _, _ in found.check(connection(kind, schema=schema))]


@pytest.mark.parametrize("url", ["git@git.example:org/x", "ssh://git@git.example/org/x"])
def test_a_proxy_over_ssh_has_no_effect_and_is_an_error(url: str) -> None:
    assert complaints("git", url=url, proxy="http://proxy.example:3128") == ["schema.proxy"]
    assert complaints("git", url=url) == []


def test_a_proxy_over_http_is_fine() -> None:
    assert complaints("git", url="https://git.example/org/x", proxy="http://proxy.example:3128") == []


@pytest.mark.parametrize(
    ("uri", "tls", "wanted"),
    [
        ("redis://h:1/0", True, "rediss://h:1/0"),
        ("rediss://h:1/0", True, "rediss://h:1/0"),
        ("valkey://h:1/0", True, "valkeys://h:1/0"),
        ("redis://h:1/0", False, "redis://h:1/0"),
        ("redis://h:1/0", None, "redis://h:1/0"),
        ("rediss://h:1/0", None, "rediss://h:1/0"),
    ],
)
def test_tls_of_redis_is_in_its_scheme(uri: str, tls: bool | None, wanted: str) -> None:
    given = connection("redis", schema={"uri": uri, **({} if tls is None else {"tls": tls})})
    kind = registry.get("redis")
    assert kind is not None
    entries = {entry.name: entry.value for entry in kind.bind(given).entries}
    assert entries["uri"] == Text(text=wanted)
    assert getattr(kind.access(given), "uri", None) == wanted


def test_with_a_password_or_a_host_from_the_secret() -> None:
    kind = registry.get("redis")
    assert kind is not None
    bound = kind.bind(connection("redis", schema={"uri": "redis://h/0", "tls": True}, secret={"name": "s"}))
    uri = {entry.name: entry.value for entry in bound.entries}["uri"]
    assert isinstance(uri, Derived)
    assert uri.parts["base"] == Text(text="rediss://h/0")
    bound = kind.bind(connection("redis", schema={"tls": True}, secret={"name": "s"}))
    uri = {entry.name: entry.value for entry in bound.entries}["uri"]
    assert isinstance(uri, Derived)
    made = [part for part in uri.parts.values() if isinstance(part, Derived)]
    assert made[0].parts["scheme"] == Text(text="rediss")
    assert any(isinstance(part, FromSecret) for part in uri.parts.values())


def test_a_uri_that_encrypts_and_tls_that_says_no() -> None:
    assert complaints("redis", uri="rediss://h/0", tls=False) == ["schema.tls"]
    assert complaints("redis", uri="rediss://h/0", tls=True) == []
    assert complaints("postgres", uri="postgres://h/0", tls=False) == []
