"""One suite for every source of secrets: home, folders (plain, and as Kubernetes mounts them), variables, memory, and
an API that speaks as a cluster does (a real cluster is in test_secrets_cluster.py)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from secrets_api import Api

from tieline.model.catalog import DirectorySecrets
from tieline.secrets.cluster import ClusterSource
from tieline.secrets.directory import DirectorySource
from tieline.secrets.environment import STARTS, EnvironmentSource, in_capitals
from tieline.secrets.home import HomeSource
from tieline.secrets.keeping import Keeper
from tieline.secrets.memory import MemorySource
from tieline.secrets.names import Resource
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Source

Values = Mapping[str, Mapping[str, bytes]]
Make = Callable[[Values, Values], Source]
EVERY_BYTE = bytes(range(1, 256))
SECRETS: Values = {
    "db": {"username": b"me", "password": b"p\r\n", "empty": b""},
    "az-secret": {"AZURE_ACCOUNT_KEY": EVERY_BYTE, "config.json": b"{}\n"},
    "key.of.mine": {"id_rsa": b"-----BEGIN\nx\n-----END\n"},
}
CONFIG_MAPS: Values = {"place": {"host": b"db.example"}, "db": {"other": b"not secret"}}


def fill(folder: Path, values: Values) -> Path:
    for name, data in values.items():
        for key, value in data.items():
            path = folder / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
    return folder


def fill_as_kubernetes_does(folder: Path, values: Values) -> Path:
    for name, data in values.items():
        moment = folder / name / "..2026_01_01_00_00_00.123"
        moment.mkdir(parents=True)
        (folder / name / "..data").symlink_to(moment.name)
        for key, value in data.items():
            (moment / key).write_bytes(value)
            (folder / name / key).symlink_to(f"..data/{key}")
    return folder


def variables(resource: Resource, values: Values) -> dict[str, str]:
    return {
        f"{STARTS[resource]}{in_capitals(name)}__{in_capitals(key)}": os.fsdecode(value)
        for name, data in values.items()
        for key, value in data.items()
    }


@pytest.fixture(params=["home", "folder", "kubernetes folder", "environment", "memory", "cluster"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    def home(secrets: Values, config_maps: Values) -> Source:
        for resource, values in (("secret", secrets), ("configMap", config_maps)):
            for name, data in values.items():
                keeper = Keeper(tmp_path, resource)  # type: ignore[arg-type]
                keeper.set("team-a", name, {key: Secret(value) for key, value in data.items()})
        return HomeSource(tmp_path, "team-a")

    def folder(secrets: Values, config_maps: Values) -> Source:
        fill(tmp_path / "s", secrets), fill(tmp_path / "c", config_maps)
        return DirectorySource.of(DirectorySecrets(path=f"{tmp_path}/s", config_maps=f"{tmp_path}/c"), "team-a")

    def mounted(secrets: Values, config_maps: Values) -> Source:
        return DirectorySource(
            fill_as_kubernetes_does(tmp_path / "s", secrets), fill_as_kubernetes_does(tmp_path / "c", config_maps)
        )

    def environment(secrets: Values, config_maps: Values) -> Source:
        return EnvironmentSource({**variables("secret", secrets), **variables("configMap", config_maps)})

    if request.param == "cluster":
        pytest.importorskip("lightkube")
        with Api() as api:

            def cluster(secrets: Values, config_maps: Values) -> Source:
                api.put("team-a", secrets, config_maps)
                return ClusterSource(None, "team-a", {"KUBECONFIG": str(api.kubeconfig(tmp_path))})

            yield cluster
        return
    yield {
        "home": home, "folder": folder, "kubernetes folder": mounted, "environment": environment,
        "memory": lambda secrets, config_maps: MemorySource(secrets, config_maps),
    }[request.param]  # fmt: skip


def value(source: Source, resource: Resource, name: str, key: str) -> bytes | None:
    keys = source.keys(resource, name)
    spelt = next((word for word in source.spellings(key) if word in (keys or ())), None)
    found = source.read(resource, name, spelt) if spelt else None
    return None if found is None else found.reveal()


def test_every_byte_comes_back(make: Make) -> None:
    source = make(SECRETS, CONFIG_MAPS)
    for resource, values in (("secret", SECRETS), ("configMap", CONFIG_MAPS)):
        for name, data in values.items():
            for key, wanted in data.items():
                assert value(source, resource, name, key) == wanted, (name, key)  # type: ignore[arg-type]


def test_keys_are_all_there_and_sorted(make: Make) -> None:
    source = make(SECRETS, CONFIG_MAPS)
    keys = source.keys("secret", "db")
    assert keys is not None
    assert keys == sorted(keys)
    assert {key.lower() for key in keys} == {"username", "password", "empty"}


def test_what_is_not_there_is_none(make: Make) -> None:
    source = make(SECRETS, CONFIG_MAPS)
    assert source.keys("secret", "gone") is None
    assert source.keys("secret", "place") is None
    assert source.keys("configMap", "az-secret") is None
    assert source.read("secret", "db", "gone") is None
    assert source.read("secret", "gone", "password") is None
    assert value(source, "secret", "db", "other") is None


def test_nothing_at_all_is_none(make: Make) -> None:
    source = make({}, {})
    assert source.keys("secret", "db") is None
    assert source.keys("configMap", "db") is None
    assert source.names("secret") == []


@pytest.mark.parametrize(
    "name", ["..", ".", "../db", "db/..", "a/../db", "/db", "DB", "db\0", "", "db\n", "d b", "a" * 254]
)
def test_names_that_are_none_find_nothing(make: Make, name: str) -> None:
    source = make(SECRETS, CONFIG_MAPS)
    assert source.keys("secret", name) is None
    assert source.read("secret", name, "password") is None


@pytest.mark.parametrize(
    "key", ["..", ".", "../db/password", "x/../password", "/etc/passwd", "..data", "a\0", "", "~part"]
)
def test_keys_that_are_none_find_nothing(make: Make, key: str) -> None:
    source = make(SECRETS, CONFIG_MAPS)
    assert source.read("secret", "db", key) is None
    assert value(source, "secret", "db", key) is None


def test_suggestions_are_names_of_secrets(make: Make) -> None:
    source = make(SECRETS, CONFIG_MAPS)
    assert set(source.names("secret")) <= {*SECRETS, "key-of-mine"}
    assert set(source.names("configMap")) <= {*CONFIG_MAPS}


def test_the_remedy_names_the_secret_and_the_key_and_no_value(make: Make) -> None:
    source = make(SECRETS, CONFIG_MAPS)
    remedy = source.remedy("secret", "db", ("password",))
    assert "db" in remedy.lower()
    assert "password" in remedy.lower()
    assert "p\r" not in remedy


def test_the_text_of_a_source_has_no_value(make: Make) -> None:
    source = make({"db": {"password": b"canary-5d1e"}}, {})
    assert value(source, "secret", "db", "password") == b"canary-5d1e"
    assert "canary" not in f"{source!r} {source} {source.name}"
