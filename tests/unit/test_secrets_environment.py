"""Secrets in variables: how names and keys are written there, and what is never found."""

from __future__ import annotations

import pytest

from tieline.secrets.environment import EnvironmentSource
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Located

ENVIRON = {
    "TIELINE_SECRET_AZ_SECRET__AZURE_ACCOUNT_KEY": "1",
    "TIELINE_SECRET_AZ_SECRET__CONFIG_JSON": "2",
    "TIELINE_SECRET_AZ_SECRET__id_rsa": "3",
    "TIELINE_SECRET_AZ_SECRET__ID_RSA": "4",
    "TIELINE_SECRET_AZ_SECRET___PRIVATE": "5",
    "TIELINE_SECRET_A__B__C": "6",
    "TIELINE_SECRET___K": "7",
    "TIELINE_SECRET_X__": "8",
    "TIELINE_SECRET_X": "9",
    "TIELINE_SECRET_BAD__a/b": "10",
    "TIELINE_CONFIG_MAP_AZ_SECRET__HOST": "11",
    "tieline_secret_low__K": "12",
    "HOME": "/root",
}
SOURCE = EnvironmentSource(ENVIRON)


def read(name: str, *keys: str) -> str | None:
    there = SOURCE.keys("secret", name)
    located = Located(SOURCE, "secret", name, tuple(there or ()))
    spelt = located.pick(keys)
    found = located.read(spelt) if spelt else None
    return found.reveal_text() if found is not None else None


@pytest.mark.parametrize("name", ["az-secret", "az.secret", "az_secret"])
def test_a_name_is_in_capitals(name: str) -> None:
    assert read(name, "AZURE_ACCOUNT_KEY") == "1"


def test_a_key_is_itself_or_in_capitals() -> None:
    assert read("az-secret", "config.json") == "2"
    assert read("az-secret", "azure-account-key") == "1"
    assert read("az-secret", "id_rsa") == "3"
    assert read("az-secret", "id-rsa") == "4"
    assert read("az-secret", "_PRIVATE") == "5"
    assert read("az-secret", "nothing") is None


def test_a_whole_secret_has_its_keys_as_the_variables_have_them() -> None:
    assert SOURCE.keys("secret", "az-secret") == ["AZURE_ACCOUNT_KEY", "CONFIG_JSON", "ID_RSA", "_PRIVATE", "id_rsa"]
    assert SOURCE.keys("configMap", "az-secret") == ["HOST"]


def test_the_first_two_marks_end_the_name_so_one_secret_never_sees_anothers_keys() -> None:
    assert SOURCE.keys("secret", "a") == ["B__C"]
    for name in ("a--b", "a.-b", "a__b"):
        assert SOURCE.keys("secret", name) is None
        assert "another name" in SOURCE.remedy("secret", name, ("C",))


@pytest.mark.parametrize("name", ["x", "bad", "low", "", "AZ_SECRET", "../az-secret", "az secret", "a" * 300])
def test_what_is_not_there(name: str) -> None:
    assert SOURCE.keys("secret", name) is None
    assert SOURCE.read("secret", name, "K") is None


def test_what_is_read_must_be_a_key() -> None:
    assert SOURCE.read("secret", "az-secret", "config.json") is None
    assert SOURCE.read("secret", "az-secret", "CONFIG_JSON") == Secret("2")


def test_bytes_that_are_no_text_survive() -> None:
    source = EnvironmentSource({"TIELINE_SECRET_A__B": "\udcff\udcfe"})
    assert source.read("secret", "a", "B") == Secret(b"\xff\xfe")


def test_the_remedy_is_a_variable() -> None:
    assert (
        SOURCE.remedy("secret", "az-secret", ("config.json",))
        == "set the variable TIELINE_SECRET_AZ_SECRET__CONFIG_JSON"
    )
    assert SOURCE.remedy("configMap", "m", ()) == "set the variable TIELINE_CONFIG_MAP_M__KEY"


def test_suggestions_and_texts() -> None:
    assert SOURCE.names("secret") == ["a", "az-secret"]
    assert "/root" not in repr(SOURCE)
