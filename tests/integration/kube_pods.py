"""Pods that are written by hand, around what Tieline runs inside of one: a plan, its volumes, main, and our containers.

The cluster is the kit of :mod:`secrets_kube`: its only node is this machine, so a folder here is a volume there, and a
pod in the machine's network reaches the tests' servers.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tieline.engines.kubernetes import layout
from tieline.engines.kubernetes.inside.api import Api
from tieline.engines.kubernetes.layout import layout_of
from tieline.engines.kubernetes.ours import ENDS_SIDECARS
from tieline.engines.kubernetes.times import GIVES_UP
from tieline.model.plan import Plan

BUSYBOX = "docker.io/local/busybox:1.35"
CAPABILITIES = ["DAC_READ_SEARCH", "DAC_OVERRIDE", "CHOWN", "FOWNER"]
PATIENCE = 120.0


def server_of(kubeconfig: Path) -> tuple[str, int]:
    """Where the API server is; the test is skipped where that is not this machine."""
    config = yaml.safe_load(kubeconfig.read_text())
    wanted = config["current-context"]
    context = next(one["context"] for one in config["contexts"] if one["name"] == wanted)
    server = next(one["cluster"]["server"] for one in config["clusters"] if one["name"] == context["cluster"])
    address = urlsplit(server)
    if address.hostname not in ("127.0.0.1", "localhost"):
        pytest.skip("the cluster's node is not this machine: its pods do not see the folders and servers of the tests")
    return str(address.hostname), address.port or 443


@dataclass
class Namespace:
    """A namespace of its own, removed with all that is in it."""

    kubeconfig: Path
    name: str = field(default_factory=lambda: f"kin-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        from lightkube import Client, KubeConfig

        self.client = Client(config=KubeConfig.from_file(self.kubeconfig), namespace=self.name)
        self.host, self.port = server_of(self.kubeconfig)

    def create(self, *things: Mapping[str, Any]) -> None:
        from lightkube import codecs

        for thing in things:
            self.client.create(codecs.from_dict({**thing, "metadata": dict(thing["metadata"])}))

    def begin(self) -> None:
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}})
        rules = [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ]
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "collector", "namespace": self.name}}
        subject = {"kind": "ServiceAccount", "name": "default", "namespace": self.name}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "collector"}
        self.create({**role, "kind": "Role", "rules": rules})
        self.create({**role, "kind": "RoleBinding", "subjects": [subject], "roleRef": reference})
        eventually(lambda: self._has("ServiceAccount", "default") and self._has("ConfigMap", "kube-root-ca.crt"))

    def end(self) -> None:
        from lightkube.resources.core_v1 import Namespace as Resource
        from lightkube.resources.core_v1 import Pod

        for pod in self.client.list(Pod, namespace=self.name):
            with suppress(Exception):  # it went by itself
                self.client.delete(Pod, str(pod.metadata.name), namespace=self.name, grace_period=0)  # type: ignore[union-attr]
        self.client.delete(Resource, self.name)
        self.client.close()

    def _has(self, kind: str, name: str) -> bool:
        from lightkube import ApiError
        from lightkube.resources import core_v1

        try:
            self.client.get(getattr(core_v1, kind), name, namespace=self.name)
        except ApiError:
            return False
        return True

    def api(self, folder: Path) -> Api:
        """The API as the collector asks it, with a token of the same account; both files are in ``folder``."""
        from lightkube.models.authentication_v1 import TokenRequestSpec
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources import core_v1

        meta = ObjectMeta(name="default", namespace=self.name)
        asked = core_v1.ServiceAccountToken(metadata=meta, spec=TokenRequestSpec(audiences=[]))
        made = self.client.create(asked, "default", namespace=self.name)
        (folder / "token").write_text(str(made.status.token if made.status else ""))
        authority = self.client.get(core_v1.ConfigMap, "kube-root-ca.crt", namespace=self.name)
        (folder / "ca.crt").write_text((authority.data or {})["ca.crt"])
        return Api(self.host, self.port, folder, self.name)

    def pod(self, name: str) -> dict[str, Any]:
        from lightkube.resources.core_v1 import Pod

        return dict(self.client.get(Pod, name, namespace=self.name).to_dict())

    def there(self, name: str) -> bool:
        return self._has("Pod", name)

    def logs(self, name: str, container: str) -> bytes:
        from lightkube.core.exceptions import ApiError

        with suppress(ApiError):  # it has not begun
            return b"".join(
                line.encode("utf-8", "surrogateescape")
                for line in self.client.log(name, namespace=self.name, container=container)
            )
        return b""

    def delete(self, name: str, grace: int) -> None:
        from lightkube.resources.core_v1 import Pod

        self.client.delete(Pod, name, namespace=self.name, grace_period=grace)


@contextmanager
def namespace(kubeconfig: Path) -> Iterator[Namespace]:
    """A fresh namespace with the rights that a collector needs."""
    pytest.importorskip("lightkube")
    made = Namespace(kubeconfig)
    made.begin()
    try:
        yield made
    finally:
        made.end()


def plan_of(store: Mapping[str, Any], **parts: Any) -> Plan:
    """A plan with nothing in it but ``parts``."""
    run = uuid.uuid4().hex
    identity = {
        "uuid": run, "name": "t", "project": "p", "namespace": "team-a", "kind": "job",
        "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    main = {"name": "main", "working_dir": f"{layout.CONTEXT}/work"}
    collect = {"sync_interval": 2, **parts.pop("collect", {})}
    return Plan.model_validate({
        "run": identity, "catalog_digest": "0", "engine": "kubernetes", "layout": layout_of(run).model_dump(),
        "store": {"connection": "store", "access": store, "prefix": f"runs/{run}"}, "main": main, "collect": collect,
        **parts,
    })  # fmt: skip


def volume_store(folder: Path) -> dict[str, Any]:
    """A volume as the artifacts store; the folder is this machine's."""
    return {"type": "volume", "host_path": str(folder), "mount_path": "/store"}


@dataclass
class Trial:
    """One pod: our steps, then main and our collector."""

    space: Namespace
    plan: Plan
    image: str
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    main: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    api: tuple[str, int] | None = None
    steps: Sequence[tuple[int, int]] = ((0, 0),)
    inits: Sequence[Mapping[str, Any]] = ()
    containers: Sequence[Mapping[str, Any]] = ()
    taken: bytes = b""
    again: bool = False
    sources: Mapping[int, Path] = field(default_factory=dict)
    repository: Path | None = None
    ends_sidecars: bool = False
    patience: int | None = None

    @property
    def name(self) -> str:
        return f"tieline-{self.plan.run.uuid}"

    def start(self) -> Trial:
        labels = {"app.kubernetes.io/managed-by": "tieline", "tieline.dev/run": self.plan.run.uuid}
        meta = {"name": self.name, "namespace": self.space.name, "labels": labels}
        data = {"plan.json": self.plan.model_dump_json()}
        binary = {"taken.tgz": base64.b64encode(self.taken).decode()} if self.taken else {}
        maps = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data, "binaryData": binary}
        if not self.again:
            self.space.create(maps)
        for secret, values in self.secrets.items():
            coded = {key: base64.b64encode(value).decode() for key, value in values.items()}
            about = {"name": secret, "namespace": self.space.name}
            self.space.create({"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": coded})
        self.space.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": self._spec()})
        return self

    def user(self, name: str, script: str) -> dict[str, Any]:
        """Another container of the user's."""
        return {"name": name, "image": BUSYBOX, "volumeMounts": self._shared(), **shell(script)}

    def _spec(self) -> dict[str, Any]:
        main = {"name": "main", "image": BUSYBOX, "volumeMounts": self._shared(), **self.main}
        inits = [self._steps(number, *group) for number, group in enumerate(self.steps)]
        return {
            "restartPolicy": "Never", "hostNetwork": True, "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 30, "initContainers": [*inits, *self.inits],
            "containers": [main, *self.containers, self._collector()], "volumes": self._volumes(), **self.pod,
        }  # fmt: skip

    def _steps(self, number: int, begin: int, end: int) -> dict[str, Any]:
        written = [binding.connection for binding in self.plan.bindings]
        args = ["steps", str(begin), str(end), *(["--first", *written] if number == 0 else [])]
        sources = [
            {"name": f"source-{index}", "mountPath": layout.source_path(index), "readOnly": True}
            for index in self.sources
        ]
        if self.repository is not None:
            sources.append({"name": "code", "mountPath": "/run/code", "readOnly": True})
        return self._ours(f"tieline-steps-{number}", args, sources)

    def _collector(self) -> dict[str, Any]:
        host, port = self.api or (self.space.host, self.space.port)
        mounts = [
            {"name": "spool", "mountPath": layout.SPOOL},
            {"name": "token", "mountPath": layout.TOKEN, "readOnly": True},
        ]
        if self.plan.store.access.type == "volume":
            mounts.append({"name": "store", "mountPath": layout.STORE})
        found = self._ours("tieline-collector", ["collect"], mounts)
        for variable, path in (("POD_NAME", "name"), ("POD_UID", "uid"), ("NAMESPACE", "namespace")):
            reference = {"fieldRef": {"fieldPath": f"metadata.{path}"}}
            found["env"].append({"name": f"TIELINE_{variable}", "valueFrom": reference})
        if self.patience is not None:
            found["env"].append({"name": GIVES_UP, "value": str(self.patience)})
        if self.ends_sidecars:
            found["env"].append({"name": ENDS_SIDECARS, "value": "1"})
            found["securityContext"]["capabilities"]["add"] = [*CAPABILITIES, "KILL"]
        for variable, value in (("HOST", host), ("PORT", str(port))):
            found["env"].append({"name": f"TIELINE_KUBERNETES_{variable}", "value": value})
        return found

    def _ours(self, name: str, args: list[str], mounts: list[dict[str, Any]]) -> dict[str, Any]:
        own = [
            {"name": "plan", "mountPath": layout.PLAN, "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp", "subPath": name},
            *({"name": f"secret-{name}", "mountPath": f"{layout.SECRETS}/{name}"} for name in self.secrets),
        ]
        security = {
            "runAsUser": 0, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": CAPABILITIES},
        }  # fmt: skip
        return {
            "name": name, "image": self.image, "imagePullPolicy": "Never", "workingDir": "/tmp",
            "command": ["python", "-m", "tieline.engines.kubernetes.inside", *args],
            "env": [{"name": "HOME", "value": "/tmp"}], "securityContext": security,
            "volumeMounts": [*self._shared(), *own, *mounts],
        }  # fmt: skip

    def _shared(self) -> list[dict[str, Any]]:
        bindings = {"name": "bindings", "mountPath": layout.BINDINGS, "subPath": "bindings"}
        made = {"name": "bindings", "mountPath": layout.MADE_FILES, "subPath": "made"}
        return [{"name": "context", "mountPath": layout.CONTEXT}, bindings, made]

    def _volumes(self) -> list[dict[str, Any]]:
        token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
        authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
        found: list[dict[str, Any]] = [
            {"name": "context", "emptyDir": {}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "spool", "emptyDir": {}},
            {"name": "bindings", "emptyDir": {"medium": "Memory"}},
            {"name": "plan", "configMap": {"name": self.name}},
            {"name": "token", "projected": {"sources": [token, authority]}},
            *({"name": f"secret-{name}", "secret": {"secretName": name}} for name in self.secrets),
            *({"name": f"source-{i}", "hostPath": {"path": str(path)}} for i, path in self.sources.items()),
        ]
        if self.repository is not None:
            found.append({"name": "code", "hostPath": {"path": str(self.repository)}})
        access = self.plan.store.access
        if access.type == "volume":
            found.append({"name": "store", "hostPath": {"path": f"{access.host_path}"}})
        return found

    # --- how it goes

    def state(self, container: str) -> dict[str, Any]:
        status = self.space.pod(self.name).get("status") or {}
        every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return next((dict(one.get("state") or {}) for one in every if one["name"] == container), {})

    def wait(self, container: str = "tieline-collector", state: str = "terminated") -> dict[str, Any]:
        """The container's state once it is as wished for."""
        eventually(lambda: state in self.state(container), self.told)
        return dict(self.state(container)[state])

    def message(self, container: str = "tieline-collector") -> dict[str, Any]:
        """What one of our containers left when it ended."""
        return dict(json.loads(self.wait(container)["message"]))

    def told(self) -> str:
        status = json.dumps(self.space.pod(self.name).get("status"))
        return f"{status}\n{self.space.logs(self.name, 'tieline-collector')[-2000:]!r}"


def eventually(done: Callable[[], bool], told: Callable[[], str] = lambda: "", patience: float = PATIENCE) -> None:
    until = time.monotonic() + patience
    while not done():
        assert time.monotonic() < until, told()
        time.sleep(0.1)


def shell(script: str, **more: Any) -> dict[str, Any]:
    """A busybox shell as main."""
    return {"command": ["sh", "-c", script], **more}
