"""``secrets:`` of the deployment file: which sources, in which order, for which namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.app.secrets import source_settings, sources_for
from tieline.compile.catalog import Home, read_catalog
from tieline.compile.schemas import catalog_schema
from tieline.documents.document import parse_document
from tieline.errors import Code, InvalidInput
from tieline.model.catalog import Catalog

ONE = "write home, directory, environment or kubernetes"
HOME = HomeFolder(Path("/h"))


def catalog(text: str) -> Catalog:
    return read_catalog(parse_document(text, "t.yaml"), Home("/h/a", "/h/c", "/home/u"), "/srv/deploy")[0]


def asked(text: str, namespace: str | None = None) -> str:
    return sources_for(Deployment(catalog(text), None, ()), namespace, HOME, {}).asked


def problems(text: str) -> list[tuple[Code, str, str]]:
    with pytest.raises(InvalidInput) as caught:
        catalog(text)
    return [(problem.code, problem.place.field, problem.hint) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text", ["{}", "secrets: []", "secrets: [{home: {}}, {environment: {}}]", "secrets:\n- home:\n- environment:\n"]
)
def test_the_default_is_home_and_then_the_environment(text: str) -> None:
    assert asked(text) == "Tieline's home or the environment"


def test_the_order_is_the_files() -> None:
    text = "secrets: [{environment: {}}, {directory: {path: ./s}}, {kubernetes: {}}, {home: {}}]"
    assert asked(text, "team-a") == (
        "the environment, the folder /srv/deploy/s, the cluster of the current context (namespace team-a) "
        "or Tieline's home"
    )


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("s", "/srv/deploy/s"),
        ("../s", "/srv/s"),
        ("~/s", "/home/u/s"),
        ("/run/secrets", "/run/secrets"),
        ("'s/{namespace}'", "/srv/deploy/s/team-a"),
    ],
)
def test_folders_are_relative_to_the_file(path: str, folder: str) -> None:
    assert asked(f"secrets: [{{directory: {{path: {path}}}}}]", "team-a") == f"the folder {folder}"
    settings = catalog(f"secrets: [{{directory: {{path: /x, configMaps: {path}}}}}]").secrets
    assert settings[0].directory is not None
    assert (settings[0].directory.config_maps or "").replace("{namespace}", "team-a") == folder


def test_a_cluster_is_that_of_the_namespace_unless_it_is_named() -> None:
    text = """
clusters: {east: {context: prod-east}}
namespaces: {team-a: {cluster: east}, team_b: {}}
secrets: [{kubernetes: {}}, {kubernetes: {context: other, namespace: fixed}}]
"""
    other = "the cluster of the context 'other' (namespace fixed)"
    assert asked(text, "team-a") == f"the cluster of the context 'prod-east' (namespace team-a) or {other}"
    assert asked(text, "team_b") == f"the cluster of the current context (namespace team-b) or {other}"
    settings = source_settings(Deployment(catalog(text), None, ()), "team-a")
    assert [form.kubernetes.context for form in settings if form.kubernetes] == ["prod-east", "other"]


@pytest.mark.parametrize(
    ("text", "code", "field", "hint"),
    [
        ("secrets: {home: {}}", Code.WRONG_TYPE, "secrets", "write '- item' lines"),
        ("secrets: [{hoem: {}}]", Code.UNKNOWN_KEY, "secrets[0].hoem", "did you mean 'home'?"),
        ("secrets: [{home: {}, environment: {}}]", Code.BAD_VALUE, "secrets[0]", ONE),
        ("secrets: [{}]", Code.BAD_VALUE, "secrets[0]", ONE),
        ("secrets: [{directory: {}}]", Code.MISSING_KEY, "secrets[0].directory", "add 'path: …'"),
        ("secrets: [{home: {path: x}}]", Code.UNKNOWN_KEY, "secrets[0].home.path", ""),
    ],
)  # fmt: skip
def test_mistakes_have_their_place(text: str, code: Code, field: str, hint: str) -> None:
    assert problems(text) == [(code, field, hint)]


@pytest.mark.parametrize("namespace", ["../x", "a/b", "", "A", ".", "a" * 64, "a\0"])
def test_a_namespace_is_a_plain_name(namespace: str) -> None:
    from tieline.secrets.sources import open_sources

    with pytest.raises(InvalidInput) as caught:
        open_sources((), namespace, Path("/h"), {})
    assert caught.value.code is Code.BAD_NAME


def test_editors_know_the_sources() -> None:
    schema = catalog_schema()
    form = schema["$defs"]["SecretSourceForm"]
    assert schema["properties"]["secrets"]["items"] == {"$ref": "#/$defs/SecretSourceForm"}
    assert sorted(form["properties"]) == ["directory", "environment", "home", "kubernetes"]
