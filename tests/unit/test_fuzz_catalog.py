"""Any bytes given as a catalog end in success, or in problems with a place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import VALID, told, use_catalog, valid
from strategies import (
    all_kinds,
    among,
    any_text,
    damaged,
    good_text,
    in_words,
    mostly,
    nasty_text,
    of_annotation,
    of_form,
    scratched,
    soup,
    values,
)

from tieline.model.catalog import DeploymentForm
from tieline.model.connection import ConnectionForm

SEEDS = [
    {
        "artifactsStore": {
            "name": "azure", "kind": "wasb", "schema": {"bucket": "wasbs://container@account.blob.core.windows.net/"},
            "secret": {"name": "az-secret"},
        },
        "connections": [
            {"name": "repo-test", "kind": "git", "schema": {"url": "https://gitlab.com/org/test"}},
            {"name": "docker", "kind": "registry", "schema": {"url": "org/repo"},
             "secret": {"name": "docker-conf", "mountPath": "/kaniko/.docker"}},
        ],
        "notificationConnections": [{"name": "my-slack", "kind": "slack", "secret": {"name": "my-slack"}}],
    },
    {"persistence": {"repos": {"mountPath": "/polyaxon-repos", "hostPath": "/path/to/logs"}}},
    {"persistence": {"logs": {"mountPath": "/polyaxon-repos", "existingClaim": "logs-pvc"}}},
]  # fmt: skip
EXAMPLES: list[Any] = [dict(example) for kind in all_kinds() for example in kind.examples]
KINDS = all_kinds()
names = mostly(good_text, nasty_text)


def catalog_of(connection: Any) -> dict[str, Any]:
    return {"connections": [connection]}


@st.composite
def connections(draw: Any) -> Any:
    """An envelope from its form, with a schema from the form of its kind."""
    kind = draw(among(KINDS))
    data = draw(of_form(ConnectionForm, names, 3))
    data["name"] = draw(mostly(st.sampled_from(["a", "b", "a-b", "a_b"]), values))
    data["kind"] = draw(mostly(st.just(kind.name), values))
    data["schema"] = draw(mostly(of_annotation(kind.schema, names, 2), values))
    return data


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a file says: the working folder and Tieline's home stay as they are."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []
    assert list(own_home.iterdir()) == []


@given(st.one_of(st.binary(max_size=200), any_text, soup))
def test_anything(raw: bytes | str) -> None:
    told(raw, use_catalog)


@given(scratched(among([(VALID / "catalog.yaml").read_text(), "a: &a [1]\nb: *a\n"])))
def test_a_valid_file_with_damaged_bytes(raw: bytes) -> None:
    told(raw, use_catalog)


@given(damaged(among([valid("catalog.yaml"), *SEEDS])).flatmap(in_words))
def test_a_valid_file_with_damaged_nodes(text: str) -> None:
    told(text, use_catalog)


@given(damaged(among(EXAMPLES).map(catalog_of)).flatmap(in_words))
def test_every_kind_with_damaged_nodes(text: str) -> None:
    told(text, use_catalog)


@given(st.lists(connections(), max_size=3).map(lambda items: {"connections": items}).flatmap(in_words))
def test_connections_made_from_the_forms(text: str) -> None:
    told(text, use_catalog)


@given(of_form(DeploymentForm, names).flatmap(in_words))
def test_files_made_from_the_forms(text: str) -> None:
    told(text, use_catalog)


def test_the_valid_file_is_valid() -> None:
    assert told((VALID / "catalog.yaml").read_bytes(), use_catalog) is None
