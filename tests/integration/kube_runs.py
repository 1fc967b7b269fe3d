"""Runs of a real cluster, as a user types them: a namespace, a catalog, and the command line in processes of its own.

The cluster's node is this machine: a folder here is the artifacts store there, and Tieline's own containers run the
code that is tested (:mod:`servers.kube_here`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_pods import server_of
from kube_rights import Space, space

from servers import kube_here
from servers.processes import A_COMMAND, eventually
from tieline.engines.kubernetes.api import CONFIG_MAPS, JOBS, PODS, Kind

PATIENCE = 120.0
KINDS: dict[str, Kind] = {"jobs": JOBS, "pods": PODS, "config maps": CONFIG_MAPS}
KILLER = """\
import os, signal, sys
from tieline.engines.kubernetes.api import Api

number, when, asked, changes = int(sys.argv.pop(1)), sys.argv.pop(1), Api._asked, []

def asked_or_killed(self, method, verb, kind, *args, **more):
    is_it = method in ("POST", "PATCH") and kind.plural in ("jobs", "deployments", "services", "configmaps")
    changes.extend([verb] * is_it)
    if is_it and len(changes) == number and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    found = asked(self, method, verb, kind, *args, **more)
    if is_it and len(changes) == number and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return found

Api._asked = asked_or_killed
from tieline.__main__ import main
main()
"""
"""The command line, killed before or after it has asked the cluster for its so-manieth change."""


@pytest.fixture(scope="module")
def ns(kube: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A namespace in which runs may be submitted."""
    pytest.importorskip("lightkube")
    with space(kube, tmp_path_factory.mktemp("kube")) as found:
        found.apply("collector.yaml")
        found.bind("default", "tieline-collector")
        yield found


@pytest.fixture
def there(ns: Space, tmp_path: Path) -> There:
    """Where its user types."""
    return There(ns, tmp_path)


def shell(script: str, **more: Any) -> dict[str, Any]:
    """A container that runs a script. (Kubernetes, and so we, read ``$$`` as an escaped ``$``.)"""
    return {"image": kube_here.IMAGE, "command": ["sh", "-c", script.replace("$$", "$$$$")], **more}


class There:
    """A folder with a catalog, and commands that are typed in it."""

    def __init__(self, ns: Space, root: Path) -> None:
        self.ns, self.root, self.store = ns, root, root / "store"
        host, port = server_of(ns.config)
        self.store.mkdir()
        patch = kube_here.pod_patch("tieline-*", inits=True, hostNetwork=True)
        catalog = {
            "clusters": {"node": {"podPatch": patch, "image": kube_here.IMAGE}},
            "namespaces": {ns.name: {"cluster": "node", "inherit": "all"}},
            "artifactsStore": {
                "name": "store", "kind": "host_path", "schema": {"hostPath": str(self.store), "mountPath": "/store"},
            },
        }  # fmt: skip
        (root / "tieline.yaml").write_text(yaml.safe_dump(catalog))
        self.env = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
        self.env |= {
            "HOME": str(root), "TIELINE_HOME": str(root / "home"), "KUBECONFIG": str(ns.config),
            "TIELINE_KUBERNETES_HOST": host, "TIELINE_KUBERNETES_PORT": str(port),
        }  # fmt: skip

    def elsewhere(self) -> dict[str, str]:
        """Another machine: a home that knows nothing."""
        return {"TIELINE_HOME": str(self.root / "elsewhere"), "TIELINE_ENGINE": "kubernetes"}

    def job(self, script: str, *, name: str = "job", container: Mapping[str, Any] | None = None, **run: Any) -> str:
        """A job's file."""
        top = {key: run.pop(key) for key in ("termination", "plugins") if key in run}
        part = shell(script, **(container or {}))
        form = {"kind": "component", "name": name, **top, "run": {"container": part, **({"kind": "job"} | run)}}
        (self.root / f"{name}.yaml").write_text(yaml.safe_dump(form))
        return f"{name}.yaml"

    def start(self, *words: str, code: str = "", env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        program = ["-c", code] if code else ["-m", "tieline"]
        return subprocess.Popen(
            [sys.executable, *program, *words], cwd=self.root, env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def __call__(self, *words: str, code: int = 0, env: Mapping[str, str] | None = None) -> tuple[str, str]:
        return self.ended(self.start(*words, env=env), code)

    def ended(self, process: subprocess.Popen[bytes], code: int = 0) -> tuple[str, str]:
        out, err = (part.decode() for part in process.communicate(timeout=PATIENCE))
        assert process.returncode == code, f"exit {process.returncode}\n{out}{err}"
        return out, err

    def run(self, file: str, *words: str, code: int = 0) -> tuple[str, str]:
        """``tieline run``, in the foreground."""
        return self("run", file, "--engine", "kubernetes", "-n", self.ns.name, *words, code=code)

    def begin(self, file: str) -> str:
        """A detached run; its uuid."""
        return self.run(file, "--detach")[0].strip()

    def show(self, ref: str = "last", env: Mapping[str, str] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("runs", "show", ref, "--output", "json", env=env)[0])
        return found

    def until(self, status: str, ref: str = "last") -> dict[str, Any]:
        """The run, once it is so."""
        return self.shown(lambda run: run["status"] == status, ref)

    def shown(self, is_so: Callable[[dict[str, Any]], object], ref: str = "last") -> dict[str, Any]:
        """The run, once this is true of it."""
        return eventually(lambda: found if is_so(found := self.show(ref)) else None, PATIENCE, A_COMMAND)

    def there(self, kinds: Mapping[str, Kind] = KINDS) -> dict[str, list[str]]:
        """What there is in the namespace."""
        return {
            what: sorted(item["metadata"]["name"] for item in self.ns.admin.list(kind, self.ns.name)["items"])
            for what, kind in kinds.items()
        }

    def becomes(self, before: Mapping[str, list[str]], kinds: Mapping[str, Kind] = KINDS) -> bool:
        """Whether the namespace comes to be as it was."""
        return bool(eventually(lambda: self.is_as(before, kinds), every=0.3))

    def is_as(self, before: Mapping[str, list[str]], kinds: Mapping[str, Kind] = KINDS) -> bool:
        """Whether nothing is there that was not. (What another test left may go meanwhile.)"""
        return all(set(names) <= set(before[what]) for what, names in self.there(kinds).items())
