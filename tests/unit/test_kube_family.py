"""Every manifest is valid by the schemas of Kubernetes 1.25 to the newest: of the jobs that the project has, and of a
family that hypothesis makes of sources, mounts and init forms. What is not valid is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kube_plans import CLUSTER, FIRST_NATIVE, NATIVE, OLDEST, check_sound, check_valid, made, planned, versions

from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted, prepare
from tieline.engines.kubernetes.manifests import manifests
from tieline.errors import InvalidInput, Refused

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "corpus"
SMALL = ("shell-text-is-text.yaml", "anchors-and-merges.yaml")
JOBS = [
    *(
        CORPUS / "valid" / name
        for name in ("component.yaml", "job.yaml", "operation.yaml", "reference.yaml", "service.yaml")
    ),
    ROOT / "examples" / "penguins" / "train.yaml",
]


def with_images(data: Any) -> Any:
    """The same job with an image for every container that has none: on this machine none is needed."""
    if isinstance(data, list):
        return [with_images(item) for item in data]
    if not isinstance(data, dict):
        return data
    found = {key: with_images(value) for key, value in data.items()}
    given = [found["container"]] if isinstance(found.get("container"), dict) else []
    for container in (*given, *(found.get("sidecars") or ())):
        container.setdefault("image", "busybox")
    return found


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_the_projects_own_jobs(path: Path, native: bool, tmp_path: Path, own_home: Path) -> None:
    config = path.parent / "tieline.yaml" if path.parent.name == "penguins" else CORPUS / "valid" / "catalog.yaml"
    deployment = tmp_path / "tieline.yaml"
    text = yaml.safe_load(config.read_text())
    deployment.write_text(
        yaml.safe_dump({"artifactsStore": STORE, **text, "presets": str(CORPUS / "valid" / "presets")})
    )
    for name in ("component.yaml", path.name):
        source = path.parent / name
        if source.exists():
            (tmp_path / name).write_text(yaml.safe_dump(with_images(yaml.safe_load(source.read_text()))))
    home = HomeFolder(own_home)
    wanted = Wanted(tmp_path / path.name, engine="kubernetes")
    plan = prepare(wanted, load_deployment(deployment, home), home).plan
    objects = manifests(plan, NATIVE if native else CLUSTER)
    check_valid(objects, native)
    check_sound(objects)


STORE = {"name": "store", "kind": "volume_claim", "schema": {"volumeClaim": "store", "mountPath": "/store"}}

PATHS = st.sampled_from(["/data", "/data/in", "/mnt/x", "/tieline/artifacts/x", "/tieline", "/a:b", "/data/"])
NAMES = st.sampled_from(["data", "same", "a.b", "x" * 63, "pvc-1"])
ITEMS = st.none() | st.lists(
    st.sampled_from(["key", "id_rsa", ".dockerconfigjson", "KEY", "a.b"]), min_size=1, unique=True
)
RESOURCES = st.fixed_dictionaries(
    {"name": NAMES},
    optional={"mountPath": PATHS, "items": ITEMS, "defaultMode": st.sampled_from([0o600, "0400", "0444"])},
)
VOLUME = st.fixed_dictionaries(
    {"mountPath": PATHS}, optional={"readOnly": st.booleans(), "subPath": st.sampled_from(["a", "a/b"])}
)
HOST = st.tuples(VOLUME, st.sampled_from(["/srv", "/srv/data", "/"])).map(
    lambda given: {"kind": "host_path", "schema": {**given[0], "hostPath": given[1]}}
)
CLAIM = st.tuples(VOLUME, NAMES).map(
    lambda given: {"kind": "volume_claim", "schema": {**given[0], "volumeClaim": given[1].replace(".", "-")}}
)
OTHERS = st.fixed_dictionaries(
    {"kind_": st.sampled_from([
        ("s3", {"bucket": "s3://bucket/p"}), ("gcs", {"bucket": "gs://bucket"}), ("postgres", {"host": "h"}),
        ("wasb", {"bucket": "wasbs://container@account.blob.core.windows.net/p"}), ("ssh", {"url": "git@h:x/y"}),
        ("git", {"url": "https://git.example/x/y"}), ("registry", {"url": "reg.example/a"}), ("http", {"url": "https://h"}),
    ])},
    optional={"secret": RESOURCES, "configMap": RESOURCES, "envPrefix": st.sampled_from(["A_", "B_"]),
              "env": st.just([{"name": "X", "value": "$(Y) $$ é"}]), "annotations": st.just({"a/b": "c"})},
).map(lambda given: {**{key: value for key, value in given.items() if key != "kind_"},
                     "kind": given["kind_"][0], "schema": given["kind_"][1]})  # fmt: skip
CONNECTIONS = st.lists(HOST | CLAIM | OTHERS, max_size=5).map(
    lambda found: [{"name": f"c{index}", **connection} for index, connection in enumerate(found)]
)
CONTAINERS = st.sampled_from(["a", "a_b", "x" * 63, "main"]).map(
    lambda name: {"container": {"name": name, "image": "i", "command": ["x"]}}
)
WHICH = st.sampled_from([f"c{index}" for index in range(5)])
TARGETS = st.sampled_from(["src", "/data", "/abs/x", "/data/in/deep", "/etc"])
INITS = st.one_of(
    CONTAINERS,
    st.fixed_dictionaries({"connection": WHICH}, optional={"path": TARGETS}),
    st.fixed_dictionaries({"connection": WHICH, "paths": st.just(["x", ["y", "z"]])}, optional={"path": TARGETS}),
    st.fixed_dictionaries({"connection": WHICH, "artifacts": st.just({"files": ["a"], "dirs": ["b"]})}),
    st.fixed_dictionaries({"git": st.just({"url": "https://git.example/x/z"})}, optional={"path": TARGETS}),
    st.fixed_dictionaries({"file": st.just({"filename": "a/f", "content": "$(x)"})}, optional={"path": TARGETS}),
    st.fixed_dictionaries({"dockerfile": st.just({"image": "i", "run": ["x"]})}),
)
OWN_VOLUMES = [
    {"name": "v0", "emptyDir": {}}, {"name": "v1", "persistentVolumeClaim": {"claimName": "data"}},
    {"name": "v2", "secret": {"secretName": "data"}}, {"name": "v3", "configMap": {"name": "data"}},
    {"name": "v4", "hostPath": {"path": "/srv"}}, {"name": "v5", "csi": {"driver": "d"}},
]  # fmt: skip
MOUNTS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from([f"v{index}" for index in range(6)]), "mountPath": PATHS}),
    max_size=3,
)
USERS = st.sampled_from([{"runAsUser": 0}, {"runAsUser": 7}, {"runAsUser": 7, "fsGroup": 8}])
RUNS = st.fixed_dictionaries(
    {"connections": st.lists(WHICH, unique=True, max_size=5), "init": st.lists(INITS, max_size=5), "mounts": MOUNTS},
    optional={
        "sidecars": st.just([{"name": "a_b", "image": "i"}]),
        "environment": st.fixed_dictionaries(
            {}, optional={"securityContext": USERS, "labels": st.just({"a": "b"}), "serviceAccountName": st.just("sa")}
        ),
    },
)  # fmt: skip


@given(connections=CONNECTIONS, run=RUNS, native=st.booleans(), seed=st.integers(0, 1000))
def test_a_family_of_jobs(connections: list[dict[str, Any]], run: dict[str, Any], native: bool, seed: int) -> None:
    there = {connection["name"] for connection in connections}
    run = {**run, "connections": [name for name in run["connections"] if name in there]}
    run["init"] = [
        entry for entry in run["init"] if entry.get("connection", "c0") in there or "connection" not in entry
    ]
    mounts = run.pop("mounts")
    container = {"image": "i", "command": ["x"], "volumeMounts": mounts}
    job = {"kind": "component", "run": {"kind": "job", **run, "volumes": OWN_VOLUMES, "container": container}}
    catalog = yaml.safe_dump({"connections": connections})
    cluster = NATIVE if native else CLUSTER
    try:
        objects = made(yaml.safe_dump(job), catalog, cluster)
    except (InvalidInput, Refused) as error:
        refused = error.problems
    else:
        refused = ()
    if refused:
        assert all(problem.place.field or problem.place.file for problem in refused)
        return
    check_sound(objects)
    for version in random.Random(seed).sample(versions(FIRST_NATIVE if native else OLDEST), 2):
        for item in objects:
            kubernetes_validate.validate(item, version, strict=True)
    again = manifests(planned(yaml.safe_dump(job), catalog), cluster)
    assert json.dumps(again) == json.dumps(objects)
