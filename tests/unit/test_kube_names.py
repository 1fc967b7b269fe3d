"""Names, groups of steps, settings and patches of pods: the small parts that manifests are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kube_plans import UUID, containers_of, made, planned, pod_of

from tieline.engines.kubernetes.groups import Group, UserInit, groups_of
from tieline.engines.kubernetes.names import (
    container_names,
    is_dns_label,
    is_label_key,
    is_label_value,
    labels,
    object_name,
)
from tieline.engines.kubernetes.patching import patched
from tieline.engines.kubernetes.settings import IMAGE, cluster_of, for_server
from tieline.errors import Code, Refused
from tieline.model.catalog import ClusterForm

NAMES = st.text(st.sampled_from("ab1-_.A/é"), min_size=1, max_size=70)


@given(st.lists(NAMES, max_size=8))
def test_every_name_gets_a_label_of_its_own(names: list[str]) -> None:
    found = labels(names)
    assert list(found) == list(dict.fromkeys(names))
    assert all(map(is_dns_label, found.values()))
    assert len(set(found.values())) == len(found)
    assert [name for name in found if is_dns_label(name) and found[name] != name] == []


def test_a_made_label_gives_way_to_a_real_one() -> None:
    made_alone = labels(["a_b"])["a_b"]
    both = labels(["a_b", made_alone])
    assert both[made_alone] == made_alone
    assert both["a_b"] != made_alone


@pytest.mark.parametrize(
    ("text", "is_value", "is_key"),
    [("", True, False), ("a", True, True), ("A_b.c-1", True, True), ("a/b", False, True), ("-a", False, False),
     ("a" * 64, False, False), ("x.y/A", False, True), ("X/a", False, False), ("a\n", False, False)],
)  # fmt: skip
def test_labels_as_kubernetes_has_them(text: str, is_value: bool, is_key: bool) -> None:
    assert (is_label_value(text), is_label_key(text)) == (is_value, is_key)


def test_containers_of_programs_whose_names_are_no_labels() -> None:
    plan = planned("""
kind: component
run:
  kind: job
  init: [{container: {name: a_b, image: i, command: [x]}}, {container: {name: main, image: i, command: [x]}}]
  sidecars: [{name: tieline-collector, image: i}, {image: i}]
  container: {name: other, image: i}
""")
    names = container_names(plan)
    assert list(names) == ["init-a_b", "init-main", "sidecar-tieline-collector", "sidecar-sidecar-1", "main"]
    assert names["main"] == "main"
    assert len(set(names.values())) == 5
    assert all(map(is_dns_label, names.values()))
    assert object_name(plan.run.uuid) == f"tieline-{plan.run.uuid}"


FILE = "{file: {filename: f, content: x}}"
OWN = "{container: {name: %s, image: i, command: [x]}}"


@pytest.mark.parametrize(
    ("inits", "expected"),
    [
        ([], []),
        ([FILE], [(0, 1)]),
        ([OWN % "a"], ["a"]),
        ([FILE, FILE, OWN % "a", OWN % "b", FILE], [(0, 2), "a", "b", (4, 5)]),
        ([OWN % "a", FILE, OWN % "b"], ["a", (1, 2), "b"]),
    ],
)
def test_steps_that_stand_together_share_a_container(inits: list[str], expected: list[object]) -> None:
    job = f"kind: component\nrun: {{kind: job, init: [{', '.join(inits)}], container: {{image: i}}}}\n"
    found = groups_of(planned(job))
    assert [(item.begin, item.end) if isinstance(item, Group) else item.step.name for item in found] == expected
    assert [item.number for item in found if isinstance(item, Group)] == list(
        range(sum(isinstance(item, Group) for item in found))
    )
    assert all(planned(job).steps[item.index] == item.step for item in found if isinstance(item, UserInit))
    inside = [container["name"] for container in pod_of(made(job))["initContainers"]]
    numbers = iter(range(len(inits) + 1))
    assert inside == [f"tieline-steps-{next(numbers)}" if isinstance(item, Group) else f"init-{item.step.name}"
                      for item in found]  # fmt: skip


def test_the_first_group_prepares_the_run_where_there_is_something_to_write() -> None:
    catalog = "connections: [{name: pg, kind: postgres, schema: {host: h}, secret: {name: login}}]\n"
    text = "kind: component\nrun: {kind: job, connections: [%s], init: [%s, %s], container: {image: i}}\n"
    objects = made(text % ("pg", OWN % "a", FILE), catalog)
    commands = [containers_of(objects)[name]["command"][3:] for name in ("tieline-steps-0", "tieline-steps-1")]
    assert commands == [["steps", "0", "0", "--first", "pg"], ["steps", "1", "2"]]
    objects = made(text % ("", OWN % "a", FILE), catalog)
    assert containers_of(objects)["tieline-steps-0"]["command"][3:] == ["steps", "1", "2", "--first"]


def test_the_promised_folders_are_there_before_anything_runs() -> None:
    objects = made(f"kind: component\nrun: {{kind: job, init: [{OWN % 'a'}], container: {{image: i}}}}\n")
    wanted = {f"artifacts/{UUID}/outputs", "work", "tmp"}
    for name, container in containers_of(objects).items():
        folders = {item.get("subPath") for item in container["volumeMounts"] if item["name"] == "tieline-context"}
        assert folders - {None} == wanted, name


def test_settings_of_a_cluster() -> None:
    found = cluster_of(None, "", "team_a", {})
    assert (found.context, found.namespace, found.image, found.native_sidecars) == (None, "team-a", IMAGE, None)
    form = ClusterForm.model_validate(
        {"context": "east", "image": "reg/tieline:1", "serviceAccount": "t", "nativeSidecars": True,
         "podPatch": {"spec": {"hostNetwork": True}}}
    )  # fmt: skip
    found = cluster_of(form, "east", "n", {"TIELINE_KUBERNETES_HOST": "h", "TIELINE_KUBERNETES_PORT": "1"})
    assert (found.context, found.image, found.service_account, found.native_sidecars) == (
        "east",
        "reg/tieline:1",
        "t",
        True,
    )
    assert (found.api_host, found.api_port, found.pod_patch) == ("h", "1", {"spec": {"hostNetwork": True}})
    assert cluster_of(form, "east", "n", {"TIELINE_STEPS_IMAGE": "mine"}).image == "mine"


def test_a_cluster_that_is_served_by_an_agent_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        cluster_of(ClusterForm(agent="west"), "west", "n", {})
    assert [(problem.code, problem.place.field) for problem in caught.value.problems] == [
        (Code.UNSUPPORTED, "clusters.west.agent")
    ]


def test_a_patch_merges_as_kubernetes_does() -> None:
    data = {
        "metadata": {"labels": {"a": "1"}},
        "spec": {
            "hostNetwork": False,
            "dnsPolicy": "Default",
            "containers": [{"name": "main", "image": "i"}, {"name": "tieline-collector", "env": [{"name": "A"}]}],
            "tolerations": [{"key": "own"}],
        },
    }
    patch = {
        "metadata": {"labels": {"b": "2"}},
        "spec": {
            "hostNetwork": True,
            "dnsPolicy": None,
            "containers": [{"name": "tieline-*", "env": [{"name": "B", "value": "x"}]},
                           {"name": "none-*", "image": "j"}, {"name": "extra", "image": "k"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "theirs"}],
        },
    }  # fmt: skip
    before = repr(data)
    assert patched(data, patch) == {
        "metadata": {"labels": {"a": "1", "b": "2"}},
        "spec": {
            "hostNetwork": True,
            "containers": [
                {"name": "main", "image": "i"},
                {"name": "tieline-collector", "env": [{"name": "A"}, {"name": "B", "value": "x"}]},
                {"name": "extra", "image": "k"},
            ],
            "tolerations": [{"key": "own"}, {"key": "theirs"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    }
    assert repr(data) == before


@pytest.mark.parametrize(("written", "version", "used"), [
    (None, (1, 28), False), (None, (1, 29), True), (False, (1, 31), False), (True, (1, 28), True),
])  # fmt: skip
def test_sidecars_of_the_cluster(written: bool | None, version: tuple[int, int], used: bool) -> None:
    form = ClusterForm.model_validate({} if written is None else {"nativeSidecars": written})
    assert for_server(cluster_of(form, "east", "n", {}), version).native_sidecars is used
