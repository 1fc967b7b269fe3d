"""Catalogs: views, names, stores, and the seeds' own files."""

from __future__ import annotations

import pytest

from tieline.compile.catalog import Home, read_catalog
from tieline.documents.document import parse_document
from tieline.errors import Code, InvalidInput, Problem
from tieline.model.catalog import Catalog

HOME = Home("/home/u/.tieline/artifacts", "/home/u/.tieline/claims", "/home/u")

SEED = """
artifactsStore:
  name: azure
  kind: wasb
  schema:
    bucket: "wasbs://container@account.blob.core.windows.net/"
  secret:
    name: "az-secret"
connections:
  - name: repo-test
    kind: git
    schema:
      url: https://gitlab.com/org/test
    secret:
      name: "gitlab-connection"
  - name: docker-connection
    description: "some description"
    kind: registry
    schema:
      url: org/repo
    secret:
      name: docker-conf
      mountPath: /kaniko/.docker
notificationConnections:
  - name: my-slack
    kind: slack
    secret:
      name: my-slack
"""


def load(text: str) -> Catalog:
    return read_catalog(parse_document(text, "t.yaml"), HOME, "/srv/deploy")[0]


def warnings(text: str) -> list[Problem]:
    return read_catalog(parse_document(text, "t.yaml"), HOME, "/srv/deploy")[1]


def problems(text: str) -> list[tuple[Code, int]]:
    with pytest.raises(InvalidInput) as caught:
        load(text)
    return [(problem.code, problem.place.line) for problem in caught.value.problems]


def test_the_seed_loads_and_its_store_is_in_the_catalog() -> None:
    view = load(SEED).views["default"]
    assert list(view.connections) == ["azure", "repo-test", "docker-connection"]
    assert list(view.notifications) == ["my-slack"]
    assert view.store is view.connections["azure"]
    assert view.notifications["my-slack"].notifications_only


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("persistence:\n  repos:\n    mountPath: /polyaxon-repos\n    hostPath: /path/to/logs\n", []),
        (
            "persistence:\n  logs:\n    mountPath: /polyaxon-repos\n    existingClaim: logs-pvc\n",
            ["did you mean persistence.repos?"],
        ),
    ],
)
def test_the_repos_seed_loads(text: str, warned: list[str]) -> None:
    assert [problem.hint for problem in warnings(text)] == warned


def test_a_mangled_bucket_address_is_told_how_it_should_look() -> None:
    with pytest.raises(InvalidInput) as caught:
        load('artifactsStore: {name: azure, kind: wasb, schema: {bucket: "wasbs://[email protected]/"}}')
    assert "blob.core.windows.net" in caught.value.problems[0].hint


def test_an_empty_catalog_has_a_local_store() -> None:
    catalog, _ = read_catalog(None, HOME, "/srv/deploy")
    assert catalog.default_store
    assert list(catalog.views["default"].connections) == ["artifacts-store"]
    assert catalog.views["default"].store.schema_.host_path == HOME.artifacts


def test_an_empty_file_is_an_empty_catalog() -> None:
    assert load("").default_store
    assert load("# nothing\n").default_store


def test_every_problem_of_every_connection_at_once() -> None:
    assert problems(
        "connections:\n"
        "  - {name: a, kind: s3, schema: {bucket: 's3://bucket/p', regin: eu}}\n"
        "  - {name: b, kind: gti, schema: {url: x}}\n"
        "  - {name: B, kind: redis}\n"
        "  - {kind: redis, schema: {host: h}}\n"
        "  - 3\n"
        "  - {name: c, kind: git}\n"
    ) == [
        (Code.UNKNOWN_KEY, 2), (Code.UNKNOWN_KIND, 3), (Code.BAD_VALUE, 4), (Code.MISSING_KEY, 5),
        (Code.WRONG_TYPE, 6), (Code.MISSING_KEY, 7),
    ]  # fmt: skip


def test_names_are_unique_and_so_are_their_kubernetes_labels() -> None:
    one = "connections: [{name: a-b, kind: redis, schema: {host: h}},\n {name: %s, kind: redis, schema: {host: h}}]"
    assert problems(one % "a-b") == [(Code.DUPLICATE_NAME, 2)]
    assert problems(one % "a_b") == [(Code.DUPLICATE_NAME, 2)]
    assert load(one % "ab")


def test_a_name_may_not_be_used_for_a_connection_and_a_channel() -> None:
    assert problems(
        "connections: [{name: a, kind: redis, schema: {host: h}}]\n"
        "notificationConnections: [{name: a, kind: slack, secret: {name: s}}]"
    ) == [(Code.DUPLICATE_NAME, 2)]


def test_the_store_must_be_able_to_store() -> None:
    assert problems("artifactsStore: {name: a, kind: git, schema: {url: https://h/r}}") == [(Code.WRONG_STORE_KIND, 1)]


NAMESPACES = """
connections:
  - {name: images, kind: host_path, schema: {hostPath: /srv/images, mountPath: /images}}
  - {name: labels, kind: host_path, schema: {hostPath: /srv/labels, mountPath: /labels}}
notificationConnections:
  - {name: everyone, kind: slack, secret: {name: s}}
clusters:
  east: {context: prod-east}
namespaces:
  team-a: {cluster: east, inherit: all, connections: [{name: db, kind: redis, schema: {host: a}}]}
  team-b:
    inherit: [images]
    connections: [{name: db, kind: redis, schema: {host: b}}]
    artifactsStore: {name: own, kind: host_path, schema: {hostPath: /srv/b, mountPath: /b}}
  team-c: {}
"""


def test_each_namespace_has_its_own_view() -> None:
    views = load(NAMESPACES).views
    assert sorted(views["team-a"].connections) == ["artifacts-store", "db", "images", "labels"]
    assert sorted(views["team-a"].notifications) == ["everyone"]
    assert sorted(views["team-b"].connections) == ["db", "images", "own"]
    assert sorted(views["team-c"].connections) == ["artifacts-store"]
    assert views["team-a"].connections["db"].schema_.host == "a"
    assert views["team-b"].connections["db"].schema_.host == "b"
    assert views["team-b"].store.name == "own"
    assert views["team-a"].cluster == "east"


def test_what_a_namespace_inherits_must_be_there_and_not_collide() -> None:
    assert sorted(problems("namespaces: {a: {inherit: [nothing], cluster: west}}")) == [
        (Code.UNKNOWN_CLUSTER, 1),
        (Code.UNKNOWN_CONNECTION, 1),
    ]
    assert problems(
        "connections: [{name: db, kind: redis, schema: {host: h}}]\n"
        "namespaces:\n"
        "  a: {inherit: all, connections: [{name: db, kind: redis, schema: {host: x}}]}"
    ) == [(Code.DUPLICATE_NAME, 3)]


def test_relative_paths_are_relative_to_the_file() -> None:
    view = load("connections: [{name: d, kind: host_path, schema: {hostPath: ../data, mountPath: /data}}]").views[
        "default"
    ]
    assert view.connections["d"].schema_.host_path == "/srv/data"


def test_free_form_kinds_take_unknown_keys_with_a_warning() -> None:
    (warning,) = warnings("connections: [{name: r, kind: redis, schema: {host: h, prot: 1}}]")
    assert warning.warning
    assert warning.code is Code.UNKNOWN_KEY
    assert "'port'" in warning.hint


def test_a_volume_for_repos_has_one_source() -> None:
    assert problems("persistence: {repos: {mountPath: /r, hostPath: /a, existingClaim: b}}") == [(Code.BAD_VALUE, 1)]


@pytest.mark.parametrize("mode", ["0600", "'0600'", "384"])
def test_modes_mean_the_same_in_all_their_forms(mode: str) -> None:
    view = load(
        "connections: [{name: r, kind: redis, schema: {host: h}, "
        f"secret: {{name: s, mountPath: /s, defaultMode: {mode}}}}}]"
    ).views["default"]
    secret = view.connections["r"].secret
    assert secret is not None
    assert secret.default_mode == 0o600


def test_keys_of_ones_own_are_no_mistakes_where_there_are_no_others() -> None:
    assert warnings("connections: [{name: c, kind: custom, schema: {anything: 1, hostt: h}}]") == []
    (warned,) = warnings("connections: [{name: c, kind: redis, schema: {host: h, databse: 0}}]")
    assert (warned.code, warned.warning) == (Code.UNKNOWN_KEY, True)
