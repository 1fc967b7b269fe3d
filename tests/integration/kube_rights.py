"""A namespace of a test's own on the cluster, users of it with certain rights (a service account, and a kubeconfig with
its token), and plans for pods."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from servers.processes import eventually
from tieline.compile.catalog import Home, read_catalog
from tieline.compile.jobs import read_job
from tieline.compile.planner import Request, compile_job
from tieline.documents.document import Document, parse_document
from tieline.engines.kubernetes.api import NAMESPACES, Api, Kind
from tieline.engines.kubernetes.roles import MANIFESTS
from tieline.errors import Code, NotFound, Problem
from tieline.model.plan import Identity, Layout, Plan, Traits

RBAC = "rbac.authorization.k8s.io/v1"
KINDS = {
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "Role": Kind(RBAC, "roles"),
    "RoleBinding": Kind(RBAC, "rolebindings"),
    "ClusterRole": Kind(RBAC, "clusterroles", namespaced=False),
    "ClusterRoleBinding": Kind(RBAC, "clusterrolebindings", namespaced=False),
    "Secret": Kind("v1", "secrets"),
    "ConfigMap": Kind("v1", "configmaps"),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "PersistentVolume": Kind("v1", "persistentvolumes", namespaced=False),
    "StorageClass": Kind("storage.k8s.io/v1", "storageclasses", namespaced=False),
    "PriorityClass": Kind("scheduling.k8s.io/v1", "priorityclasses", namespaced=False),
    "Pod": Kind("v1", "pods"),
    "Job": Kind("batch/v1", "jobs"),
}
Rule = dict[str, list[str]]


@dataclass
class Space:
    """A namespace; ``admin`` may do everything in it."""

    name: str
    admin: Api
    config: Path
    folder: Path

    def make(self, kind: str, name: str, **parts: Any) -> dict[str, Any]:
        """Make an object; what is in no namespace is removed with this one by whoever made it."""
        found = {"apiVersion": KINDS[kind].api, "kind": kind, "metadata": {"name": name}, **parts}
        return self.admin.create(KINDS[kind], self.name, found)

    def secret(self, name: str, **data: str) -> None:
        self.make("Secret", name, stringData={key.replace("__", "."): value for key, value in data.items()})

    def remove(self, kind: str, name: str) -> None:
        assert self.admin.delete(KINDS[kind], self.name, name)

    def apply(self, manifest: str, *, skip: tuple[str, ...] = ()) -> None:
        """Make what a manifest that ships has."""
        for found in yaml.safe_load_all((MANIFESTS / manifest).read_text()):
            if found["kind"] not in skip:
                self.admin.create(KINDS[found["kind"]], self.name, found)

    def user(self, name: str, rules: list[Rule] | None = None, *, roles: tuple[str, ...] = ()) -> Path:
        """A kubeconfig of somebody who has these rules, and these roles of the namespace."""
        self.make("ServiceAccount", name)
        if rules:
            self.make("Role", name, rules=rules)
        for role in (*roles, *([name] if rules else ())):
            self.bind(name, role)
        return self.config_of(name)

    def bind(self, account: str, role: str) -> None:
        subject = {"kind": "ServiceAccount", "name": account, "namespace": self.name}
        ref = {"apiGroup": RBAC.partition("/")[0], "kind": "Role", "name": role}
        self.make("RoleBinding", f"{account}-{role}", roleRef=ref, subjects=[subject])

    def config_of(self, account: str) -> Path:
        """The kubeconfig of a service account, with a token of an hour."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        made = self.admin.create(Kind("v1", f"serviceaccounts/{account}/token"), self.name, body)
        data = yaml.safe_load(self.config.read_text())
        data["users"] = [{"name": "account", "user": {"token": made["status"]["token"]}}]
        data["contexts"] = [{**data["contexts"][0], "context": {**data["contexts"][0]["context"], "user": "account"}}]
        data["contexts"][0]["context"]["namespace"] = self.name
        data["current-context"] = data["contexts"][0]["name"]
        path = self.folder / f"kubeconfig-{account}"
        path.touch(0o600)
        path.write_text(yaml.safe_dump(data))
        return path


@contextmanager
def space(config: Path, folder: Path) -> Iterator[Space]:
    """A namespace of its own, deleted afterwards with all that is in it."""
    name = f"tl-{secrets.token_hex(4)}"
    with Api.open(None, {"KUBECONFIG": str(config)}) as admin:
        admin.create(NAMESPACES, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        try:
            eventually(lambda: admin.get(KINDS["ServiceAccount"], name, "default") is not None)
            yield Space(name, admin, config, folder)
        finally:
            admin.delete(NAMESPACES, "", name, grace=0)


def opened(config: Path) -> Api:
    """The cluster as the user of this kubeconfig."""
    return Api.open(None, {"KUBECONFIG": str(config)})


# --- plans

CONTEXT = "/tieline"
LAYOUT = Layout(
    context_path=CONTEXT,
    artifacts_path=f"{CONTEXT}/artifacts",
    outputs_path=f"{CONTEXT}/artifacts/u/outputs",
    work_path=f"{CONTEXT}/work",
    binding_root=f"{CONTEXT}/bindings",
    real_mounts=True,
)


def plan_of(catalog: Any, run: Any, *, kind: str = "job", namespace: str = "default") -> Plan:
    """What a job of this catalog becomes, for pods. ``catalog``: connections, or a whole deployment file."""
    whole = catalog if isinstance(catalog, dict) else {"connections": catalog}
    shared, _ = read_catalog(parse_document(yaml.safe_dump(whole), "tieline.yaml"), Home("/h/a", "/h/c"), "/srv")
    top = {key: run.pop(key) for key in ("plugins", "mount") if key in run}
    container = {"image": "busybox", "command": ["true"], **run.pop("container", {})}
    text = yaml.safe_dump({"kind": "component", **top, "run": {"kind": kind, "container": container, **run}})
    job, known = read_job(parse_document(text, "job.yaml"), _nothing, _nothing)
    identity = Identity(uuid="0" * 32, name="n", project="p", namespace=namespace, kind=kind, created_at="2026-01-01")
    return compile_job(job, shared, Request(identity, LAYOUT, Traits(name="kubernetes", pods=True)), known)[0]


def _nothing(name: str) -> Document:
    raise NotFound(Problem(Code.FILE_NOT_FOUND, name))
