"""Plans and manifests of jobs that are written in a test, and what is true of every pod that Tieline makes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import kubernetes_validate

from tieline.compile.catalog import Home, read_catalog
from tieline.compile.jobs import read_job
from tieline.compile.planner import Request, compile_job
from tieline.documents.document import parse_document
from tieline.engines.kubernetes.layout import layout_of
from tieline.engines.kubernetes.manifests import NOTHING_KNOWN, manifests
from tieline.engines.kubernetes.names import is_dns_label
from tieline.engines.kubernetes.settings import Cluster
from tieline.engines.kubernetes.values import Known
from tieline.errors import Code, NotFound
from tieline.model.plan import Identity, Plan, Traits

UUID = "0123456789abcdef0123456789abcdef"
CLUSTER = Cluster(None, "team-a")
NATIVE = Cluster(None, "team-a", native_sidecars=True)
STORE = "artifactsStore: {name: store, kind: s3, schema: {bucket: 's3://artifacts/a'}, secret: {name: store-login}}\n"
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)  # 2 MB each time
OLDEST, FIRST_NATIVE = (1, 25), (1, 29)


@cache
def versions(oldest: tuple[int, int] = OLDEST) -> tuple[str, ...]:
    """Every version of Kubernetes that the schemas know, from the oldest that counts."""
    newest = int(kubernetes_validate.latest_version().split(".")[1])
    return tuple(f"1.{minor}" for minor in range(oldest[1], newest + 1))


def planned(job: str, catalog: str = "", *, kind: str = "job", store: str = STORE) -> Plan:
    """The plan of a job for a cluster. Raises InvalidInput."""

    def load(name: str) -> Any:
        raise NotFound.of(Code.FILE_NOT_FOUND, f"there is no file {name}")

    found = read_catalog(parse_document(store + catalog, "tieline.yaml"), Home("/h/a", "/h/c"), "/srv")[0]
    read, known = read_job(parse_document(job, "job.yaml"), load, load)
    identity = Identity(
        uuid=UUID, name="a run", project="p", namespace="default", kind=kind, created_at="2026-01-01T00:00:00+00:00"
    )
    request = Request(identity, layout_of(UUID), Traits(name="kubernetes", pods=True))
    return compile_job(read, found, request, known)[0]


def made(
    job: str, catalog: str = "", cluster: Cluster = CLUSTER, known: Known = NOTHING_KNOWN, **more: Any
) -> list[dict[str, Any]]:
    """The manifests of a job. Raises InvalidInput or Refused."""
    return manifests(planned(job, catalog, **more), cluster, known)


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod's own ``spec``."""
    spec: dict[str, Any] = template_of(objects)["spec"]
    return spec


def template_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = objects[1]["spec"]["template"]
    return found


def containers_of(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """All containers of the pod, by name."""
    pod = pod_of(objects)
    return {container["name"]: container for container in (*pod["initContainers"], *pod["containers"])}


def variables_of(container: dict[str, Any]) -> dict[str, Any]:
    """Each variable's text, or where it comes from."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def mounts_of(objects: list[dict[str, Any]], container: str = "main") -> dict[str, dict[str, Any]]:
    """What is at each path of a container: its mount, and its volume's source under ``source``."""
    volumes = {volume["name"]: volume for volume in pod_of(objects)["volumes"]}
    found = {}
    for mount in containers_of(objects)[container]["volumeMounts"]:
        source = {key: value for key, value in volumes[mount["name"]].items() if key != "name"}
        found[mount["mountPath"]] = {**mount, "source": source}
    return found


def check_valid(objects: list[dict[str, Any]], native: bool) -> None:
    """By the schemas of every version that has these forms; 1.25 to 1.28 know no sidecars of the cluster's own."""
    for version in versions(FIRST_NATIVE if native else OLDEST):
        for item in objects:
            kubernetes_validate.validate(item, version, strict=True)


def check_sound(objects: list[dict[str, Any]]) -> None:
    """What no schema knows and a server or a node would refuse."""
    pod = pod_of(objects)
    volumes = [volume["name"] for volume in pod["volumes"]]
    assert len(volumes) == len(set(volumes))
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if len(volume) == 2 and
              "persistentVolumeClaim" in volume]  # fmt: skip
    assert len(claims) == len(set(claims)), "a claim stands in a pod once"
    names = [container["name"] for container in (*pod["initContainers"], *pod["containers"])]
    assert len(names) == len(set(names))
    assert all(map(is_dns_label, (*names, *volumes)))
    used = set()
    for container in (*pod["initContainers"], *pod["containers"]):
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert len(paths) == len({path.rstrip("/") for path in paths}), container["name"]
        assert not [path for path in paths if ":" in path or not path.startswith("/")]
        used |= {mount["name"] for mount in container["volumeMounts"]}
        listed = [item["name"] for item in container["env"]]
        assert len(listed) == len(set(listed))
    assert used <= set(volumes)
    assert len(json.dumps(objects[0]["data"])) < 1_048_576
