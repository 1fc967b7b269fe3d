"""From references to values: which key, which source, optional or not; and the forms that name a file of the job."""

from __future__ import annotations

import base64
import json
import traceback
from typing import Any

import pytest

from tieline.errors import Code, Refused, StepFailed, TielineError
from tieline.kinds import derived, registry
from tieline.kinds.derived import derive, entry_path, first, merged
from tieline.model.binding import (
    Derived,
    FromConfigMap,
    FromSecret,
    ResourceSource,
    Text,
    Value,
    WholeResource,
)
from tieline.model.connection import Connection, ResourceRef
from tieline.model.plan import Layout
from tieline.secrets.failures import SourceFailed, unreachable
from tieline.secrets.memory import MemorySource
from tieline.secrets.names import Resource
from tieline.secrets.resolve import LONGEST_VARIABLE, Places, Resolver, file_names
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Source, Sources

PLACES = Places("/run/bindings", "/run/made")
SECRETS = {
    "db": {"username": "me", "password": "p w", "empty": ""},
    "git": {"POLYAXON_GIT_CREDENTIALS": "me:tok:en"},
    "key": {"GC_KEYFILE_DICT": '{"private_key": "a\\\\nb"}'},
    "broken": {"GC_KEYFILE_DICT": "canary{", "GC_KEY_PATH": "/keys/a.json"},
}
CONFIG_MAPS = {"place": {"host": "db.example", "port": "5433"}}


class Closed(MemorySource):
    """A source that cannot be asked."""

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        raise unreachable("the cluster", "timed out", "check the network")

    def names(self, resource: Resource) -> list[str]:
        raise unreachable("the cluster", "timed out", "check the network")


def resolver(*sources: Source) -> Resolver:
    return Resolver(Sources(sources or [MemorySource(SECRETS, CONFIG_MAPS)], "default"), PLACES)


def secret(name: str, *keys: str, optional: bool = False) -> FromSecret:
    return FromSecret(secret=name, keys=keys, optional=optional)


def text(value: Value | None, *sources: Source) -> str | None:
    assert value is not None
    found = resolver(*sources).resolve(value)
    return None if found is None else found.reveal_text()


def refusal(value: Value, *sources: Source) -> str:
    with pytest.raises(Refused) as caught:
        resolver(*sources).resolve(value)
    assert caught.value.code is Code.SECRET_MISSING
    return str(caught.value)


# --- references


def test_a_literal_is_itself() -> None:
    assert text(Text(text="ü")) == "ü"


def test_the_first_key_that_is_there() -> None:
    assert text(secret("db", "PASSWORD", "password", "username")) == "p w"
    assert text(FromConfigMap(config_map="place", keys=("hostname", "host"))) == "db.example"


def test_an_empty_value_is_a_value() -> None:
    assert text(secret("db", "empty", "password")) == ""


def test_an_optional_value_may_be_missing() -> None:
    assert text(secret("db", "token", optional=True)) is None
    assert text(secret("nowhere", "token", optional=True)) is None
    assert text(FromConfigMap(config_map="place", keys=("x",), optional=True)) is None


def test_a_missing_secret_is_told_with_the_nearest_and_the_remedy() -> None:
    assert refusal(secret("dbs", "password")) == (
        "there is no secret 'dbs' in memory; did you mean 'db'? else give dbs password"
    )


def test_a_missing_key_is_told_with_the_nearest_and_the_remedy() -> None:
    assert refusal(secret("db", "pasword")) == (
        "the secret 'db' in memory has no key 'pasword'; it has 'empty', 'password', 'username'; "
        "did you mean 'password'? else give db pasword"
    )


def test_several_missing_keys_are_all_named() -> None:
    assert "has no key 'token' or 'TOKEN'; it has" in refusal(secret("db", "token", "TOKEN"))


def test_a_config_map_is_no_secret_of_that_name() -> None:
    assert "there is no config map 'db'" in refusal(FromConfigMap(config_map="db", keys=("password",)))


@pytest.mark.parametrize("name", ["../db", "a/b", "", "A", "a" * 254, "db\0"])
def test_a_name_that_is_none_is_never_looked_for(name: str) -> None:
    assert "cannot be the name of a secret" in refusal(secret(name, "k"))


# --- sources in their order


def test_the_first_source_that_has_the_secret_gives_all_of_it() -> None:
    one, two = MemorySource({"db": {"password": "one"}}), MemorySource({"db": {"password": "two", "username": "two"}})
    assert text(secret("db", "password"), one, two) == "one"
    assert text(secret("db", "username", optional=True), one, two) is None
    assert text(secret("db", "username"), two, one) == "two"


def test_a_source_that_cannot_be_asked_is_another_error_than_a_missing_secret() -> None:
    with pytest.raises(SourceFailed) as caught:
        resolver(Closed(), MemorySource(SECRETS)).resolve(secret("db", "password", optional=True))
    assert caught.value.code is not Code.SECRET_MISSING
    assert str(caught.value) == "the cluster cannot be asked: timed out; check the network"


def test_a_source_is_not_asked_for_what_an_earlier_one_has() -> None:
    assert text(secret("db", "password"), MemorySource(SECRETS), Closed()) == "p w"


def test_suggestions_never_fail() -> None:
    class Mute(MemorySource):
        def names(self, resource: Resource) -> list[str]:
            raise unreachable("the cluster", "forbidden", "")

    assert "there is no secret 'dbs' in memory or memory; did you mean 'db'?" in refusal(
        secret("dbs", "password"), Mute(), MemorySource(SECRETS)
    )


def test_without_any_source_it_says_so() -> None:
    with pytest.raises(Refused) as caught:
        Resolver(Sources([], "default"), PLACES).resolve(secret("db", "password"))
    assert "no source at all" in str(caught.value)


def test_a_run_reads_every_key_once() -> None:
    source = MemorySource(SECRETS)
    ours = resolver(source)
    for _ in range(3):
        ours.resolve(secret("db", "password"))
        ours.whole(WholeResource(resource="secret", name="db", connection="c"))
    assert sorted(source.read_keys) == sorted(set(source.read_keys))


# --- derived values


def test_first() -> None:
    assert text(first(secret("db", "token", optional=True), secret("db", "password"), Text(text="x"))) == "p w"
    assert text(first(secret("db", "a", optional=True), secret("db", "b", optional=True))) is None


def test_first_goes_by_number() -> None:
    parts: dict[str, Value] = {str(number): secret("db", "nothing", optional=True) for number in range(1, 12)}
    parts |= {"10": Text(text="ten"), "9": Text(text="nine")}
    assert text(Derived(form=derived.FIRST, parts=parts)) == "nine"


def test_a_path_of_a_binding_file() -> None:
    assert text(entry_path("db", "password")) == "/run/bindings/db/password"
    assert text(entry_path("db", "password", secret("db", "password", optional=True))) == "/run/bindings/db/password"
    assert text(entry_path("db", "token", secret("db", "token", optional=True))) is None


def test_places_are_those_of_the_layout() -> None:
    layout = Layout(
        context_path="/c", artifacts_path="/c/a", outputs_path="/c/o", work_path="/c/w", binding_root="/c/b"
    )
    assert Places.of(layout) == Places("/c/b", "/c/made")


def test_nested_forms() -> None:
    inner = derive(derived.GIT_PASSWORD, {"credentials": secret("git", "POLYAXON_GIT_CREDENTIALS", optional=True)})
    assert text(derive(derived.URI, {"base": "https://h/x", "password": inner})) == "https://:tok%3Aen@h/x"


def test_a_derived_value_without_its_parts_is_an_error_unless_it_is_optional() -> None:
    parts: dict[str, Value] = {"json": secret("db", "nothing", optional=True)}
    assert text(Derived(form=derived.GOOGLE_KEYFILE, parts=parts, optional=True)) is None
    assert "no google-keyfile can be made of the secret 'db' (key nothing)" in refusal(
        Derived(form=derived.GOOGLE_KEYFILE, parts=parts)
    )


def test_an_unknown_form_is_an_error() -> None:
    assert "does not know how" in refusal(Derived(form="x-ray", parts={"a": secret("db", "password")}))


def test_what_is_broken_is_noted_and_the_next_one_is_taken() -> None:
    value = first(
        derive(derived.GOOGLE_KEYFILE, {"json": secret("broken", "GC_KEYFILE_DICT", optional=True)}),
        secret("broken", "GC_KEY_PATH", optional=True),
    )
    ours = resolver()
    assert value is not None
    for _ in range(2):
        assert ours.text(value) == "/keys/a.json"
    assert ours.notes == [
        "no google-keyfile could be made of the secret 'broken' (key GC_KEYFILE_DICT): the key file is no JSON object"
    ]


def test_a_required_part_that_is_missing_is_told_itself() -> None:
    assert "there is no secret 'gone'" in refusal(
        Derived(form=derived.URI, parts={"base": Text(text="a://b"), "password": secret("gone", "p")}, optional=True)
    )


# --- one Docker configuration for all registries


def registry_binding(name: str, url: str, secret_name: str) -> Value:
    kind = registry.get("registry")
    assert kind is not None
    connection = Connection(
        name, "registry", kind.schema.model_validate({"url": url}), secret=ResourceRef(name=secret_name)
    )
    return next(item.value for item in kind.bind(connection).variables if item.name == "DOCKER_CONFIG")


LOGINS = {
    "ghcr": {".dockerconfigjson": json.dumps({"auths": {"ghcr.io": {"identitytoken": "t"}}})},
    "hub": {"username": "me", "password": "pw"},
    "nothing": {"other": "x"},
}


def test_registries_make_one_folder() -> None:
    ours = resolver(MemorySource(LOGINS))
    both = merged([registry_binding("a", "ghcr.io/org", "ghcr"), registry_binding("b", "org/repo", "hub")])
    assert both is not None
    file = both.model_copy(update={"form": derived.DOCKER_CONFIG_FILE})
    assert ours.text(both) == "/run/made/docker-a.b"
    assert ours.text(file) == "/run/made/docker-a.b/config.json"
    assert list(ours.made) == ["docker-a.b/config.json"]
    made = json.loads(ours.made["docker-a.b/config.json"].reveal())
    login = base64.b64encode(b"me:pw").decode()
    assert made == {"auths": {"ghcr.io": {"identitytoken": "t"}, "https://index.docker.io/v1/": {"auth": login}}}


def test_a_registry_without_a_login_adds_nothing() -> None:
    ours = resolver(MemorySource(LOGINS))
    assert ours.resolve(registry_binding("a", "ghcr.io", "nothing")) is None
    assert ours.made == {}
    both = merged([registry_binding("a", "ghcr.io", "nothing"), registry_binding("b", "org/repo", "hub")])
    assert both is not None
    assert ours.text(both) == "/run/made/docker-b"


def test_two_groups_of_registries_have_two_folders() -> None:
    ours = resolver(MemorySource(LOGINS))
    found = {ours.text(registry_binding(name, "org/repo", "hub")) for name in ("a", "b")}
    assert found == {"/run/made/docker-a", "/run/made/docker-b"}
    assert len(ours.made) == 2


def test_many_registries_still_make_a_folder_with_a_short_name() -> None:
    ours = resolver(MemorySource(LOGINS))
    many = merged(registry_binding(f"registry-{number:03}", "org/repo", "hub") for number in range(100))
    assert many is not None
    folder = ours.text(many)
    assert folder is not None
    assert len(folder) < 60


# --- whole secrets, and their files


def whole(data: dict[str, Any], **more: Any) -> tuple[dict[str, str], list[str]]:
    ours = resolver(MemorySource({"s": data}))
    resource = WholeResource(resource="secret", name="s", connection="c", **more)
    return {name: value.reveal_text() for name, value in ours.whole(resource).items()}, ours.notes


def test_a_whole_secret_becomes_variables() -> None:
    assert whole({"A": "1", "b.c-d": "2"}) == ({"A": "1", "b.c-d": "2"}, [])
    assert whole({"A": "1"}, prefix="X_") == ({"X_A": "1"}, [])


def test_only_its_items() -> None:
    assert whole({"A": "1", "B": "2"}, items=("B",)) == ({"B": "2"}, [])
    assert whole({"A": "1"}, items=()) == ({}, [])
    with pytest.raises(Refused, match="has no key 'C'"):
        whole({"A": "1"}, items=("A", "C"))


def test_what_is_no_variables_name_is_left_out_with_a_note() -> None:
    found, notes = whole({"A": "1", "2b": "2"})
    assert found == {"A": "1"}
    assert notes == [
        "the key '2b' of the secret 's' is no variable's name, so it is left out; mountPath makes it a file"
    ]
    assert whole({"2b": "2"}, prefix="X") == ({"X2b": "2"}, [])


def test_a_missing_whole_secret_is_told_with_all_the_keys_that_it_needs() -> None:
    with pytest.raises(Refused, match="there is no secret 't' in memory; give t A B"):
        resolver(MemorySource({})).whole(WholeResource(resource="secret", name="t", items=("A", "B"), connection="c"))


@pytest.mark.parametrize("value", [b"a\0b", b"x" * (LONGEST_VARIABLE + 1)])
def test_what_no_variable_can_hold_is_refused_by_name(value: bytes) -> None:
    ours = resolver(MemorySource({"s": {"A": value}}))
    for ask in (
        lambda: ours.variables(WholeResource(resource="secret", name="s", connection="c")),
        lambda: ours.text(secret("s", "A")),
    ):
        with pytest.raises(StepFailed, match="'s'") as caught:
            ask()
        assert "mountPath" in str(caught.value)
        assert len(str(caught.value)) < 300


def test_text_that_is_not_utf8_survives_a_variable() -> None:
    ours = resolver(MemorySource({"s": {"A": b"\xff\xfe"}}))
    found = ours.text(secret("s", "A"))
    assert found is not None
    assert found.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_files_of_a_secret() -> None:
    data = {"id_rsa": b"\0key\n", ".dockerconfigjson": "{}"}
    ours = resolver(MemorySource({"s": data}, {"s": {"a": "1"}}))
    source = ResourceSource(resource="secret", name="s", names={".dockerconfigjson": "config.json", "gone": "x"})
    assert ours.files(source) == {"id_rsa": (Secret(b"\0key\n"), 0o600), "config.json": (Secret("{}"), 0o600)}
    one = ResourceSource(resource="secret", name="s", items=("id_rsa",), mode=0o400)
    assert ours.files(one) == {"id_rsa": (Secret(b"\0key\n"), 0o400)}
    assert ours.files(ResourceSource(resource="configMap", name="s")) == {"a": (Secret("1"), 0o644)}
    with pytest.raises(Refused, match="has no key 'id_dsa'"):
        ours.files(ResourceSource(resource="secret", name="s", items=("id_dsa",)))


@pytest.mark.parametrize("item", ["../up", "a/b", ".", "..", "..data", "", "a\0b"])
def test_items_that_are_no_file_names_are_never_written(item: str) -> None:
    with pytest.raises(Refused, match="has no key"):
        resolver(MemorySource({"s": {"A": "1"}})).files(ResourceSource(resource="secret", name="s", items=(item,)))


def test_a_file_keeps_its_name_where_its_other_one_is_taken() -> None:
    assert file_names(["a", "b"], {"a": "b"}) == {"b": "b", "a": "a"}
    assert file_names(["a"], {"a": "b"}) == {"b": "a"}


# --- nothing shows


def test_no_error_and_no_text_of_a_resolver_has_a_value() -> None:
    canary = "canary-91c2"
    source = MemorySource({"s": {"A": canary, "json": f"{canary}{{", "port": canary}})
    ours = resolver(source)
    values: list[Any] = [
        secret("s", "B"),
        secret("t", "A"),
        Derived(form=derived.GOOGLE_KEYFILE, parts={"json": secret("s", "json")}),
        Derived(form=derived.DOCKER_CONFIG, parts={"host": Text(text="h"), "config": secret("s", "json")}),
        Derived(
            form=derived.URI, parts={"scheme": Text(text="a"), "host": Text(text="h"), "port": secret("s", "port")}
        ),
        Derived(form="x", parts={"a": secret("s", "A")}),
    ]
    told = []
    for value in values:
        with pytest.raises(TielineError) as caught:
            ours.resolve(value)
        told.append("".join(traceback.format_exception(caught.value)))
    found = ours.resolve(secret("s", "A"))
    told += [repr(ours), str(vars(ours)), repr(source), f"{found}", str(ours.notes)]
    assert canary not in "\n".join(told)
