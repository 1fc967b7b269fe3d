"""Binding directories as projected volumes: the job finds the same files as if they were written for it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kube_plans import CLUSTER, NATIVE, UUID, check_sound, check_valid, containers_of, made, mounts_of, planned, pod_of

from tieline.engines.kubernetes.layout import BINDINGS
from tieline.engines.kubernetes.manifests import manifests
from tieline.engines.kubernetes.projected import LARGEST, literal_key, projected_of
from tieline.engines.kubernetes.users import User
from tieline.engines.kubernetes.values import Known
from tieline.errors import Code, Refused
from tieline.kinds.derived import derive, entry_path, first
from tieline.model.binding import Binding, Entry, FromConfigMap, FromSecret, Text, Value
from tieline.model.plan import Plan
from tieline.secrets.memory import MemorySource
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources
from tieline.steps.binding_directory import write_bindings

CATALOG = """
connections:
  - {name: plain, kind: http, schema: {url: "https://h/?a=$(B)"}}
  - {name: one, kind: s3, schema: {bucket: "s3://bucket/p"}, secret: {name: s3}}
  - {name: two, kind: s3, schema: {bucket: "s3://other"}, secret: {name: s3}, configMap: {name: place}}
  - {name: pg, kind: postgres, schema: {host: db}, secret: {name: pg}}
  - {name: images, kind: registry, schema: {url: reg.example/a}, secret: {name: docker}}
"""
KNOWN = {
    ("secret", "s3"): ("accesskey", "secretkey"), ("configMap", "place"): ("region",),
    ("secret", "pg"): ("username", "password"), ("secret", "docker"): (".dockerconfigjson",),
}  # fmt: skip


def job(*connections: str, run: str = "") -> str:
    uses = f"connections: [{', '.join(connections)}]"
    return f"kind: component\nrun:\n  kind: job\n  {uses}\n{run}\n  container: {{image: i}}\n"


def directory(objects: list[dict[str, Any]], connection: str, container: str = "main") -> dict[str, Any]:
    """The volume of a binding directory; its mount's own fields are looked at here."""
    mount = mounts_of(objects, container)[f"{BINDINGS}/{connection}"]
    assert mount["readOnly"] is True
    assert "subPath" not in mount, "the kubelet would never bring what is changed"
    found: dict[str, Any] = mount["source"]["projected"]
    return found


def names(objects: list[dict[str, Any]]) -> list[str]:
    return [container["name"] for container in pod_of(objects)["initContainers"]]


def bound(plan: Plan, *bindings: Binding) -> Plan:
    return plan.model_copy(update={"bindings": bindings})


def binding(*entries: Entry, name: str = "x") -> Binding:
    return Binding(connection=name, type="t", provider="p", entries=entries)


def test_literals_are_in_the_runs_config_map_and_secrets_are_items() -> None:
    objects = made(job("one"), CATALOG, known=KNOWN)
    literals, keys = directory(objects, "one")["sources"]
    assert literals["configMap"]["name"] == f"tieline-{UUID}"
    data = objects[0]["data"]
    files = {item["path"]: data[item["key"]] for item in literals["configMap"]["items"]}
    assert files == {"type": "s3", "provider": "s3", "bucket": "bucket", "prefix": "p", "uri": "s3://bucket/p"}
    items = [{"key": "accesskey", "path": "access-key-id"}, {"key": "secretkey", "path": "secret-access-key"}]
    assert keys == {"secret": {"name": "s3", "items": items, "optional": True}}
    check_sound(objects)
    check_valid(objects, native=False)
    assert names(objects) == [], "there is nothing to write"


def test_a_text_of_the_catalog_arrives_as_it_is() -> None:
    objects = made(job("plain"), CATALOG)
    assert objects[0]["data"]["bindings.plain.url"] == "https://h/?a=$(B)"


def test_of_several_places_the_one_that_has_the_value() -> None:
    sources = directory(made(job("two"), CATALOG, known=KNOWN), "two")["sources"]
    assert {"configMap": {"name": "place", "items": [{"key": "region", "path": "region"}], "optional": True}} in sources


def test_what_a_volume_cannot_say_is_written() -> None:
    text = job("plain", "one", "pg")
    objects = made(text, CATALOG)
    assert containers_of(objects)["tieline-steps-0"]["command"][3:] == ["steps", "0", "0", "--first", "one", "pg"]
    paths = mounts_of(objects)
    assert f"{BINDINGS}/plain" in paths
    assert not {f"{BINDINGS}/one", f"{BINDINGS}/pg"} & set(paths), "which key there is, or what is made of it"
    assert not [key for key in objects[0]["data"] if key.startswith(("bindings.one", "bindings.pg"))]
    seen = made(text, CATALOG, known=KNOWN)
    assert containers_of(seen)["tieline-steps-0"]["command"][3:] == ["steps", "0", "0", "--first", "pg"]
    steps = mounts_of(seen, "tieline-steps-0")
    assert [path for path in steps if path.startswith("/run/tieline/secrets")] == ["/run/tieline/secrets/pg"]


def test_a_file_that_a_variable_names_is_written_before_anything_begins() -> None:
    objects = made(job("images"), CATALOG, known=KNOWN)
    assert names(objects) == ["tieline-steps-0"]
    assert "/run/tieline/secrets/docker" in mounts_of(objects, "tieline-steps-0")


def test_all_containers_of_the_user_have_them() -> None:
    run = "  init: [{container: {name: prep, image: i, command: [x]}}]\n  sidecars: [{name: side, image: i}]"
    for cluster in (CLUSTER, NATIVE):
        objects = made(job("one", run=run), CATALOG, cluster, KNOWN)
        assert directory(objects, "one", "init-prep") == directory(objects, "one", "sidecar-side")
        assert directory(objects, "one", "init-prep") == directory(objects, "one")
        assert f"{BINDINGS}/one" not in mounts_of(objects, "tieline-collector")
        check_valid(objects, native=cluster is NATIVE)


@pytest.mark.parametrize(
    ("security", "mode"),
    [("{}", 0o644), ("{runAsUser: 0}", 0o600), ("{runAsUser: 7}", 0o644), ("{runAsUser: 7, fsGroup: 8}", 0o640),
     ("{fsGroup: 8}", 0o640)],
)  # fmt: skip
def test_modes_that_the_jobs_user_can_read(security: str, mode: int) -> None:
    run = f"  environment: {{securityContext: {security}}}"
    assert directory(made(job("one", run=run), CATALOG, known=KNOWN), "one")["defaultMode"] == mode


@pytest.mark.parametrize(
    ("user", "is_volume"), [(User(0), True), (User(), False), (User(7), False), (User(0, fs_group=8), False)]
)
def test_a_mode_of_an_entrys_own(user: User, is_volume: bool) -> None:
    """A key that others may read is refused by ssh, if it is its own user's; what is in a volume is root's."""
    entry = Entry(name="key", value=FromSecret(secret="s", keys=("k",)), mode=0o600)
    found = projected_of(bound(planned(job()), binding(entry)), {}, user)
    assert list(found) == (["x"] if is_volume else [])
    for one in found.values():
        keys = one.source(0o600)["projected"]["sources"][1]["secret"]
        assert keys == {"name": "s", "items": [{"key": "k", "path": "key", "mode": 0o600}]}


@pytest.mark.parametrize("name", ["a/b", "..", "../a", "..a", ".", "a b", "x" * 254, "type", "twice"])
def test_names_that_no_file_of_a_volume_has(name: str) -> None:
    entries = (Entry(name=name, value=Text(text="a")), Entry(name="twice", value=Text(text="b")))
    assert projected_of(bound(planned(job()), binding(*entries)), {}, User()) == {}


def test_keys_of_the_config_map() -> None:
    assert literal_key("a", "b.c") == "bindings.a.b.c"
    long = literal_key("a" * 63, "b" * 240)
    assert len(long) <= 253
    assert long != literal_key("a" * 63, "b" * 239)


def test_large_texts_are_not_put_into_the_config_map_twice() -> None:
    half = Text(text="é" * (LARGEST // 4))
    several = [binding(Entry(name="e", value=half), name=name) for name in ("a", "b", "c")]
    plan = bound(planned(job()), *several, binding(name="d"))
    objects = manifests(plan, CLUSTER)
    assert containers_of(objects)["tieline-steps-0"]["command"][3:] == ["steps", "0", "0", "--first", "b", "c"]
    assert list(projected_of(plan, {}, User())) == ["a", "d"]


def test_the_config_map_is_measured_whole() -> None:
    """A plan that fits by itself, and does not with what its bindings put beside it."""
    room = "x" * (1_000_000 - LARGEST - 20_000)
    step = f"  init: [{{file: {{filename: big, content: {room}}}}}]"
    plan = planned(job(run=step))
    manifests(plan, CLUSTER)
    with pytest.raises(Refused) as caught:
        manifests(bound(plan, binding(Entry(name="e", value=Text(text="y" * (LARGEST - 1000))))), CLUSTER)
    assert [problem.code for problem in caught.value.problems] == [Code.TOO_LARGE]


def test_nothing_stands_where_they_are() -> None:
    run = "  volumes: [{name: v, emptyDir: {}}]"
    text = job("one", run=run).replace("image: i", f"image: i, volumeMounts: [{{name: v, mountPath: {BINDINGS}/one}}]")
    with pytest.raises(Refused) as caught:
        made(text, CATALOG, known=KNOWN)
    assert {problem.code for problem in caught.value.problems} == {Code.MOUNT_COLLISION}


ONE, OTHER = (FromSecret(secret=name, keys=("k",), optional=True) for name in ("s", "t"))


@pytest.mark.parametrize(
    ("value", "looked_at", "key"),
    [
        (first(ONE, OTHER), {}, None),
        (first(ONE, OTHER), {"s": ("k",)}, ("s", "k")),
        (first(ONE, OTHER), {"s": ()}, None),
        (first(ONE, OTHER), {"s": (), "t": ("k",)}, ("t", "k")),
        (first(ONE.model_copy(update={"optional": False}), OTHER), {}, ("s", "k")),
        (entry_path("x", "e", ONE), {}, None),
    ],
)
def test_a_value_that_may_come_from_several_places(
    value: Value, looked_at: dict[str, tuple[str, ...]], key: tuple[str, str] | None
) -> None:
    """Certain only if it is known which of them have it."""
    plan = bound(planned(job()), binding(Entry(name="e", value=value)))
    known: Known = {("secret", name): keys for name, keys in looked_at.items()}
    found = [one.files[-1].key for one in projected_of(plan, known, User()).values()]
    assert [(reference.name, reference.key) for reference in found] == ([key] if key else [])
    assert len(found) == (1 if key else 0)


# --- the same files as those that are written

KEYS = ("a", "b", "c")
names_of = st.sampled_from(["s", "t"])
keys_of = st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True).map(tuple)
references = st.one_of(
    st.builds(FromSecret, secret=names_of, keys=keys_of, optional=st.booleans()),
    st.builds(lambda name, keys, optional: FromConfigMap(config_map=name, keys=keys, optional=optional),
              names_of, keys_of, st.booleans()),
)  # fmt: skip
simple: st.SearchStrategy[Value] = st.one_of(st.builds(Text, text=st.text(max_size=5)), references)
texts = st.builds(Text, text=st.sampled_from(["h", "", "9", "x"]))
values: st.SearchStrategy[Value] = st.one_of(
    simple,
    st.lists(simple, min_size=2, max_size=3).map(lambda parts: first(*parts) or Text(text="")),
    st.builds(lambda host, port: derive("uri", {"scheme": "s", "host": host, "port": port}) or host, texts, texts),
    st.builds(lambda host, user: derive("uri", {"base": host, "username": user}) or host, texts, simple),
    st.builds(lambda when: entry_path("x", "e", when), st.none() | simple),
)
contents = st.dictionaries(names_of, st.dictionaries(st.sampled_from(KEYS), st.text(max_size=3)))


def kubelet(source: dict[str, Any], there: dict[str, dict[str, dict[str, str]]]) -> dict[str, bytes] | None:
    """The files of a projected volume; None where the pod does not start."""
    found = {}
    for part in source["projected"]["sources"]:
        [(kind, one)] = part.items()
        data = there[kind].get(one["name"])
        for item in one["items"]:
            if data is not None and item["key"] in data:
                found[item["path"]] = data[item["key"]].encode()
            elif not one.get("optional"):
                return None
    return found


def written(one: Binding, resolver: Resolver) -> dict[str, bytes] | None:
    with TemporaryDirectory() as folder:
        try:
            [path] = write_bindings([one], Path(folder), resolver.data)
        except Refused:
            return None
        return {file.name: file.read_bytes() for file in path.iterdir()}


@given(st.lists(values, max_size=3), contents, contents, st.sets(st.tuples(st.booleans(), names_of)))
def test_a_volume_has_the_files_that_would_be_written(
    made_of: list[Value], secrets: dict[str, dict[str, str]], maps: dict[str, dict[str, str]],
    looked_at: set[tuple[bool, str]],
) -> None:  # fmt: skip
    plan = bound(planned(job()), binding(*(Entry(name=f"e{i}", value=value) for i, value in enumerate(made_of))))
    known = {
        ("secret" if is_secret else "configMap", name): tuple((secrets if is_secret else maps).get(name, ()))
        for is_secret, name in looked_at
    }
    resolver = Resolver(Sources([MemorySource(secrets, maps)], "default"), Places.of(plan.layout))
    for one in projected_of(plan, known, User()).values():  # type: ignore[arg-type]
        own = {"configMap": {**maps, f"tieline-{UUID}": one.literals}, "secret": secrets}
        assert kubelet(one.source(0o600), own) == written(plan.bindings[0], resolver)


def test_the_same_plan_makes_the_same_bytes() -> None:
    text = job("plain", "one", "two", "pg", "images")
    assert json.dumps(made(text, CATALOG, known=KNOWN)) == json.dumps(made(text, CATALOG, known=KNOWN))
