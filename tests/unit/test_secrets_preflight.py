"""Before a run is accepted: what a plan needs and no source has, and variables that two connections would set."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.compile.catalog import Home, read_catalog
from tieline.compile.jobs import read_job
from tieline.compile.planner import Request, compile_job
from tieline.documents.document import Document, parse_document
from tieline.errors import Code, NotFound, Problem
from tieline.model.binding import Mount, ResourceSource, WholeResource
from tieline.model.plan import Identity, Layout, Plan, Traits
from tieline.secrets.failures import unreachable
from tieline.secrets.memory import MemorySource
from tieline.secrets.names import Resource
from tieline.secrets.preflight import collisions, known_keys, missing
from tieline.secrets.sources import Source, Sources

LAYOUT = Layout(
    context_path="/c", artifacts_path="/c/a", outputs_path="/c/a/u/outputs", work_path="/c/w", binding_root="/c/b"
)
RUN = Identity(uuid="u", name="n", project="p", namespace="default", kind="job", created_at="2026-01-01T00:00:00")


class Closed(MemorySource):
    """A source that cannot be asked."""

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        raise unreachable("the cluster", f"timed out for {name}", "check the network")


def nothing(name: str) -> Document:
    raise NotFound(Problem(Code.FILE_NOT_FOUND, name))


def plan(catalog: str, run: str) -> Plan:
    shared, _ = read_catalog(parse_document(catalog, "tieline.yaml"), Home("/h/a", "/h/c"), "/srv")
    text = f"kind: component\nrun:\n  kind: job\n  container: {{command: [main]}}\n{run}"
    job, known = read_job(parse_document(text, "job.yaml"), nothing, nothing)
    return compile_job(job, shared, Request(RUN, LAYOUT, Traits(name="process")), known)[0]


def bound(*connections: str, asked: str = "") -> Plan:
    names = [line.partition("name: ")[2].partition(",")[0] for line in connections]
    listed = "".join(f"  - {{{line}}}\n" for line in connections)
    return plan(f"connections:\n{listed}", asked or f"  connections: [{', '.join(names)}]\n")


def ask(found: Plan, *sources: Source) -> list[Problem]:
    return missing(found, Sources(sources, "default"))


def told(found: Plan, secrets: dict[str, Any], config_maps: dict[str, Any] | None = None) -> list[str]:
    source = MemorySource(secrets, config_maps or {})
    problems = ask(found, source)
    assert source.read_keys == [], "preflight reads no value"
    assert all(problem.code is Code.SECRET_MISSING for problem in problems)
    return [f"{'warning: ' if problem.warning else ''}{problem}" for problem in problems]


DB = "name: db, kind: postgres, schema: {host: h}, secret: {name: pg}"


def test_nothing_is_missing() -> None:
    assert told(bound(DB), {"pg": {"PGPASSWORD": "x"}}) == []
    assert told(bound("name: data, kind: host_path, schema: {hostPath: /srv, mountPath: /d}"), {}) == []


def test_a_missing_secret_is_told_once_with_connection_sources_and_remedy() -> None:
    assert told(bound(DB), {"pgx": {}}) == [
        "connections[db]: there is no secret 'pg' in memory; did you mean 'pgx'? else give pg KEY…"
    ]


def test_missing_items_are_told_each_and_together_with_the_secret() -> None:
    items = bound("name: db, kind: http, schema: {url: 'https://h'}, secret: {name: s, items: [USER, PASSWORD]}")
    assert told(items, {}) == ["connections[db]: there is no secret 's' in memory; give s USER PASSWORD"]
    assert told(items, {"s": {"USER": "x", "PASSWRD": "y"}}) == [
        "connections[db]: the secret 's' in memory has no key 'PASSWORD'; it has 'PASSWRD', 'USER'; "
        "did you mean 'PASSWRD'? else give s PASSWORD"
    ]


def test_a_mounted_secret_and_a_config_map_are_needed_too() -> None:
    both = bound(
        "name: c, kind: custom, schema: {a: b}, secret: {name: s, mountPath: /s, items: [key]}, configMap: {name: m}"
    )
    assert told(both, {}) == [
        "connections[c]: there is no config map 'm' in memory; give m KEY…",
        "connections[c]: there is no secret 's' in memory; give s key",
    ]
    assert told(both, {"s": {"key": "1"}}, {"m": {}}) == []


def test_a_secret_that_no_login_can_be_made_of_is_a_warning() -> None:
    (only,) = told(bound(DB), {"pg": {"PGPASWORD": "x"}})
    assert only.startswith("warning: connections[db]: the secret 'pg' in memory has no key 'username' or ")
    assert "it has 'PGPASWORD'; the job gets its keys as they are" in only


def test_the_login_of_a_clone_must_be_there() -> None:
    code = "name: code, kind: git, schema: {url: 'https://g.example/x'}, secret: {name: g}"
    found = bound(code, asked="  init: [{connection: code}]\n")
    (gone,) = told(found, {})
    assert gone == "init[code]: there is no secret 'g' in memory; give g KEY…"
    (useless,) = told(found, {"g": {"other": "x"}})
    assert useless.startswith("init[code]: the secret 'g' in memory has no key ")
    assert told(found, {"g": {"token": "x"}}) == []


def test_the_key_of_a_clone_over_ssh_must_be_there() -> None:
    key = "name: code, kind: git, schema: {url: 'git@g.example:x'}, secret: {name: k, mountPath: /k, items: [id_rsa]}"
    found = bound(key, asked="  init: [{connection: code}]\n")
    assert told(found, {"k": {"id_rsa": "x"}}) == []
    assert [line.split("; it has")[0] for line in told(found, {"k": {"id_dsa": "x"}})] == [
        "init[code]: the secret 'k' in memory has no key 'id_rsa'",
    ]


def test_the_login_of_a_store_and_of_a_fetch_must_be_there() -> None:
    found = plan(
        "artifactsStore: {name: results, kind: s3, schema: {bucket: 's3://results'}, secret: {name: a}}\n"
        "connections:\n  - {name: in, kind: gcs, schema: {bucket: 'gs://input'}, secret: {name: b}}\n",
        "  init: [{connection: in, artifacts: {files: [x]}}]\n",
    )
    assert told(found, {}) == [
        "init[in]: there is no secret 'b' in memory; give b KEY…",
        "artifactsStore[results]: there is no secret 'a' in memory; give a KEY…",
    ]


def test_variables_of_programs_from_a_secret() -> None:
    env = (
        "  init: [{container: {name: prep, command: [x], "
        "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: a}}}]}}]\n"
        "  sidecars: [{name: side, command: [x], env: [{name: B, valueFrom: {configMapKeyRef: {name: m, key: b}}}, "
        "{name: C, valueFrom: {secretKeyRef: {name: s, key: c, optional: true}}}]}]\n"
    )
    found = plan("{}", env)
    assert told(found, {"s": {}}, {"m": {}}) == [
        "prep.env[A]: the secret 's' in memory has no key 'a'; it is empty; give s a",
        "side.env[B]: the config map 'm' in memory has no key 'b'; it is empty; give m b",
    ]
    assert told(found, {"s": {"a": "1"}}, {"m": {"b": "1"}}) == []


def test_volumes_of_a_job_from_a_secret() -> None:
    mount = Mount(source=ResourceSource(resource="secret", name="tls", items=("ca",)), mount_path="/tls")
    found = plan("{}", "").model_copy(update={"volumes": (mount,)})
    assert told(found, {}) == [], "a process that is not isolated has none"
    isolated = found.model_copy(update={"layout": found.layout.model_copy(update={"real_mounts": True})})
    assert told(isolated, {"tls": {}}) == [
        "volumes[/tls]: the secret 'tls' in memory has no key 'ca'; it is empty; give tls ca"
    ]


def test_a_login_that_is_not_used_is_not_needed() -> None:
    found = bound(
        "name: b, kind: s3, schema: {bucket: 's3://bucket'}, auth: {method: anonymous}",
    )
    assert told(found, {}) == []


def test_a_source_that_cannot_be_asked_is_told_once_and_not_as_missing() -> None:
    two = bound(DB, "name: other, kind: redis, schema: {host: r}, secret: {name: pg}")
    problems = ask(two, Closed())
    assert [str(problem) for problem in problems] == [
        "connections[db]: the cluster cannot be asked: timed out for pg; check the network"
    ]
    assert problems[0].code is not Code.SECRET_MISSING


# --- keys of whole secrets


def test_known_keys() -> None:
    source = MemorySource({"s": {"A": "1", "2": "no variable"}})
    ours = Sources([source], "default")
    assert known_keys(WholeResource(resource="secret", name="s", connection="c"), ours) == ("A",)
    assert known_keys(WholeResource(resource="secret", name="s", connection="c", prefix="X"), ours) == ("2", "A")
    assert known_keys(WholeResource(resource="secret", name="s", items=("B",), connection="c"), ours) == ("B",)
    assert known_keys(WholeResource(resource="secret", name="gone", connection="c"), ours) is None
    closed = Sources([Closed()], "default")
    assert known_keys(WholeResource(resource="secret", name="s", connection="c"), closed) is None
    assert source.read_keys == []


A = "name: a, kind: http, schema: {url: 'https://h'}, secret: {name: sa}"
B = "name: b, kind: http, schema: {url: 'https://h'}, secret: {name: sb}"
SAME = {"sa": {"TOKEN": "1", "A": "1", "HOST": "x"}, "sb": {"TOKEN": "2", "B": "1", "HOST": "x"}}


def collided(found: Plan, secrets: dict[str, Any]) -> list[str]:
    problems = collisions(found, Sources([MemorySource(secrets)], "default"))
    assert all(problem.code is Code.VARIABLE_COLLISION and not problem.warning for problem in problems)
    return [str(problem) for problem in problems]


def test_two_whole_secrets_that_set_one_variable() -> None:
    assert collided(bound(A, B), SAME) == [
        "run.connections: 'a' and 'b' both set HOST, TOKEN; give one of them an envPrefix, or its secret a mountPath "
        "and read $SERVICE_BINDING_ROOT/<connection>/ instead"
    ]


@pytest.mark.parametrize(
    "other",
    [
        f"{B}, envPrefix: B_",
        "name: b, kind: http, schema: {url: 'https://h'}, secret: {name: sb, mountPath: /b}",
        "name: b, kind: http, schema: {url: 'https://h'}, secret: {name: sa}",  # the same value of the same secret
        "name: b, kind: http, schema: {url: 'https://h'}, secret: {name: sb, items: [B]}",
        "name: b, kind: http, schema: {url: 'https://h'}, secret: {name: gone}",
    ],
)
def test_ways_out(other: str) -> None:
    assert collided(bound(A, other), SAME) == []


def test_the_jobs_own_variable_wins() -> None:
    found = bound(A, B)
    main = found.main.model_copy(update={"env": plan("{}", "").main.env})
    own = [item.model_copy(update={"name": name}) for name in ("HOST", "TOKEN") for item in _some_variable()]
    assert collided(found.model_copy(update={"main": main.model_copy(update={"env": tuple(own)})}), SAME) == []


def _some_variable() -> Any:
    run = "  sidecars: [{name: s, command: [x], env: [{name: A, value: b}]}]\n"
    return plan("{}", run).sidecars[0].env


def test_a_whole_secret_and_a_variable_of_another_connection() -> None:
    env = "name: b, kind: http, schema: {url: 'https://h'}, env: [{name: TOKEN, value: x}]"
    assert "'a' and 'b' both set TOKEN;" in collided(bound(A, env), SAME)[0]
    kind = "name: b, kind: postgres, schema: {host: h}"
    assert "'a' and 'b' both set PGHOST;" in collided(bound(A, kind), {"sa": {"PGHOST": "y"}})[0]


def test_a_connections_own_variable_over_its_own_secret_is_no_collision() -> None:
    s3 = "name: s3, kind: s3, schema: {bucket: 's3://bucket', region: eu-west-1}, secret: {name: sa}"
    assert collided(bound(s3), {"sa": {"AWS_ACCESS_KEY_ID": "x", "AWS_REGION": "y"}}) == []


def test_two_buckets_with_whole_secrets_of_the_usual_keys() -> None:
    one = "name: one, kind: s3, schema: {bucket: 's3://one'}, secret: {name: sa}"
    two = "name: two, kind: s3, schema: {bucket: 's3://two'}, secret: {name: sb}"
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    assert (
        "'one' and 'two' both set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY;"
        in collided(bound(one, two), {"sa": keys, "sb": keys})[0]
    )


def registry(name: str, url: str, secret: str, more: str = "") -> str:
    return f"name: {name}, kind: registry, schema: {{url: {url}}}, secret: {{name: {secret}, mountPath: /{name}}}{more}"


def test_two_logins_to_one_registry() -> None:
    one, two = registry("one", "org/x", "a"), registry("two", "docker.io/org/y", "b")
    assert collided(bound(one, two), {}) == [
        "run.connections: 'one' and 'two' log in to docker.io in two ways, in one config.json; "
        "give one of them an envPrefix: it gets a config.json of its own"
    ]
    assert collided(bound(one, registry("two", "org/y", "a")), {}) == []
    assert collided(bound(one, registry("two", "ghcr.io/org", "b")), {}) == []
    assert collided(bound(one, registry("two", "org/y", "b", ", envPrefix: B_")), {}) == []
