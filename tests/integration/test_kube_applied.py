"""Manifests on a real cluster: its server takes them (``dryRun=All``), and its node gives the job what they promise.

Tieline's own containers are replaced by ones of busybox that only make the folders (``podPatch``): what is looked at
here is what the user's container finds.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from secrets_kube import kube

from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted, prepare
from tieline.engines.kubernetes.manifests import manifests
from tieline.engines.kubernetes.names import RUN
from tieline.engines.kubernetes.settings import Cluster
from tieline.engines.kubernetes.values import Known

__all__ = ["kube"]

IMAGE = os.environ.get("TIELINE_TEST_IMAGE", "docker.io/local/busybox:1.35")
FOLDERS = (
    "mkdir -p /tieline/work /tieline/tmp /tieline/artifacts /tieline/root/src && echo brought > /tieline/root/src/in"
)
STAND_IN = {
    "spec": {
        "initContainers": [{"name": "tieline-*", "image": IMAGE, "command": ["sh", "-c", FOLDERS]}],
        "containers": [{"name": "tieline-*", "image": IMAGE, "command": ["true"]}],
    }
}
PATIENCE = 120.0


class Namespace:
    """One namespace of a real cluster, and all that is in it."""

    def __init__(self, config: Path) -> None:
        lightkube = pytest.importorskip("lightkube")
        self.name = f"tl-manifests-{uuid.uuid4().hex[:8]}"
        settings = lightkube.KubeConfig.from_file(config)
        self.client = lightkube.Client(config=settings, namespace=self.name)
        self.dry = lightkube.Client(config=settings, namespace=self.name, dry_run=True)

    def make(self, manifest: dict[str, Any], *, dry: bool = False) -> Any:
        from lightkube import codecs

        return (self.dry if dry else self.client).create(codecs.from_dict(manifest))

    def secret(self, name: str, **values: str) -> None:
        self.make({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})

    def config_map(self, name: str, **values: str) -> None:
        self.make({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": values})

    def log_of(self, objects: list[dict[str, Any]]) -> str:
        """What the main container of a job prints, once it has ended."""
        from lightkube.resources.core_v1 import Pod

        for manifest in objects:
            self.make(manifest)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for pod in self.client.list(Pod, labels={"tieline.dev/run": objects[0]["metadata"]["labels"][RUN]}):
                if pod.status and pod.status.phase in ("Succeeded", "Failed"):
                    text = "".join(self.client.log(pod.metadata.name, container="main"))
                    assert pod.status.phase == "Succeeded", text
                    return text
            time.sleep(0.5)
        raise AssertionError(f"the pod has not ended: {[pod.status for pod in self.client.list(Pod)]}")


@pytest.fixture
def namespace(kube: Path) -> Iterator[Namespace]:
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Namespace as Resource
    from lightkube.resources.core_v1 import ServiceAccount

    found = Namespace(kube)
    found.client.create(Resource(metadata=ObjectMeta(name=found.name)))
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(found.client.list(ServiceAccount)) and time.monotonic() < deadline:
            time.sleep(0.1)  # no pod is admitted before there is one
        yield found
    finally:
        found.client.delete(Resource, found.name)
        found.client.close()
        found.dry.close()


CATALOG = """
artifactsStore: {name: store, kind: host_path, schema: {hostPath: STORE, mountPath: /store}}
connections:
  - {name: plain, kind: http, schema: &h {url: "https://h"}}
  - {name: files, kind: http, schema: *h, secret: {name: keys, mountPath: /f, items: [a], defaultMode: 0640}}
  - name: files2
    kind: http
    schema: *h
    secret: {name: keys, mountPath: /g/h, items: [b]}
    configMap: {name: keys, mountPath: /g}
  - {name: images, kind: registry, schema: {url: reg.example/a}, secret: {name: docker, mountPath: /docker}}
  - {name: both, kind: registry, schema: {url: reg.example/b}, secret: {name: docker2, mountPath: /docker2}}
  - name: whole
    kind: http
    schema: *h
    secret: {name: keys}
    envPrefix: P_
    env: [{name: ODD, value: "$(HOME) $$ $x"}]
  - {name: pg, kind: postgres, schema: {host: db}, secret: {name: pg}}
  - {name: bucket, kind: s3, schema: {bucket: "s3://models"}, secret: {name: login}}
"""
JOB = """
kind: component
name: train
run:
  kind: job
  connections: [files, files2, images, both, whole, pg, bucket]
  init: [{file: {filename: in, content: x}, path: /src}]
  volumes: [{name: v, emptyDir: {}}, {name: k, secret: {secretName: keys, items: [{key: b, path: x/y, mode: "0444"}]}}]
  environment: ENVIRONMENT
  container:
    image: IMAGE
    imagePullPolicy: IfNotPresent
    volumeMounts: [{name: v, mountPath: /v}, {name: k, mountPath: /k}]
    env: [{name: PGPORT, value: "1"}, {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    command: [sh, -c]
    args:
      - |
        id -u; pwd
        for file in /f/* /g/* /g/h/* /docker/* /docker2/* /k/x/y /src/in $$SERVICE_BINDING_ROOT/bucket/*; do
          if [ -f $$file ]; then echo "$$file=$$(cat $$file)"; fi
        done
        stat -L -c %a /f/a
        stat -L -c 'login %a' $$SERVICE_BINDING_ROOT/bucket/secret-access-key
        touch $$SERVICE_BINDING_ROOT/bucket/new || echo read-only
        env | sort
        ls /run/tieline 2>&1 || true
"""


def prepared(tmp_path: Path, namespace: str, home: Path, known: Known, environment: str = "{}") -> list[dict[str, Any]]:
    catalog, job = tmp_path / "tieline.yaml", tmp_path / "job.yaml"
    catalog.write_text(CATALOG.replace("STORE", str(tmp_path / "store")))
    job.write_text(JOB.replace("IMAGE", IMAGE).replace("ENVIRONMENT", environment))
    folder = HomeFolder(home)
    plan = prepare(Wanted(job, namespace=namespace, engine="kubernetes"), load_deployment(catalog, folder), folder).plan
    return manifests(plan, Cluster(None, namespace, pod_patch=STAND_IN), known)


def test_the_server_takes_them(namespace: Namespace, tmp_path: Path, own_home: Path) -> None:
    for environment in ("{}", "{securityContext: {runAsUser: 7, fsGroup: 8}, hostNetwork: true, labels: {a: b}}"):
        for manifest in prepared(tmp_path, namespace.name, own_home, {}, environment):
            assert namespace.make(manifest, dry=True).metadata.name == manifest["metadata"]["name"]


def test_the_server_takes_a_service(namespace: Namespace, tmp_path: Path, own_home: Path) -> None:
    text = "kind: component\nrun: {kind: service, ports: [80], container: {image: i}}\n"
    (tmp_path / "job.yaml").write_text(text)
    (tmp_path / "tieline.yaml").write_text(CATALOG.replace("STORE", str(tmp_path)))
    home = HomeFolder(own_home)
    wanted = Wanted(tmp_path / "job.yaml", namespace=namespace.name, engine="kubernetes")
    found = prepare(wanted, load_deployment(tmp_path / "tieline.yaml", home), home)
    assert found.cluster is not None
    for manifest in manifests(found.plan, replace(found.cluster, service_account="default")):
        assert namespace.make(manifest, dry=True).metadata.namespace == namespace.name


@pytest.mark.parametrize(
    ("environment", "uid", "mode"), [("{}", "0", "644"), ("{securityContext: {runAsUser: 7, fsGroup: 8}}", "7", "640")]
)
def test_the_job_finds_what_was_promised(
    namespace: Namespace, tmp_path: Path, own_home: Path, environment: str, uid: str, mode: str
) -> None:
    namespace.secret("keys", a="A", b="B", PLAIN="P")
    namespace.config_map("keys", c="C")
    namespace.secret("docker", **{".dockerconfigjson": "{}"})
    namespace.secret("docker2", **{".dockerconfigjson": "{}", "config.json": "own"})
    namespace.secret("pg", username="u", password="p")
    namespace.secret("login", accesskey="AK", secretkey="SK")
    known: Known = {("secret", "pg"): ("username", "password"), ("secret", "login"): ("accesskey", "secretkey")}
    objects = prepared(tmp_path, namespace.name, own_home, known, environment)
    lines = namespace.log_of(objects).splitlines()
    assert lines[:2] == [uid, "/tieline/work"]
    expected = {"/f/a=A", "/g/c=C", "/g/h/b=B", "/docker/config.json={}", "/docker2/config.json=own", "/k/x/y=B",
                "/src/in=brought", "640", f"login {mode}", "/tieline/bindings/bucket/type=s3", "read-only",
                "/tieline/bindings/bucket/access-key-id=AK", "/tieline/bindings/bucket/bucket=models",
                "P_ODD=$(HOME) $$ $x", "P_a=A", "P_PLAIN=P", "PGHOST=db", "PGPORT=1",
                "PGUSER=u", "PGPASSWORD=p", "SERVICE_BINDING_ROOT=/tieline/bindings"}  # fmt: skip
    assert expected <= set(lines)
    assert not [line for line in lines if line.startswith(("/f/b", "KUBERNETES_SERVICE_ACCOUNT"))]
    assert any(line.startswith(f"POD=tieline-{objects[0]['metadata']['labels'][RUN]}") for line in lines)
    assert any("No such file" in line for line in lines), "nothing of Tieline's own is in the job's container"
