"""What the rows need of the world: a namespace of a cluster with the roles that ship, a git server, a bucket, a home.

The cluster's only node is this machine (as in the tests): pods are in its network, so they reach the servers here.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests"))

from integration.kube_pods import Namespace  # noqa: E402
from servers.git_http import git_http, make_repository  # noqa: E402
from servers.kube import kubeconfig  # noqa: E402
from servers.kube_image import image_of  # noqa: E402
from servers.seaweedfs import ADMIN, Seaweed, seaweedfs  # noqa: E402

MEMORY = Path("/dev/shm")
FILES, SIZE = 20, 64 * 1024
FIRST = "first line at"
PRINT = f"echo {FIRST} $(date +%s.%N)"
"""What every main container runs: the line says itself when it was printed."""
LOGIN = "bench-s3"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass
class World:
    """``kubeconfig``: of an admin; ``data``, ``code``: where the jobs' inputs are."""

    root: Path
    kubeconfig: Path
    space: Namespace
    image: str
    server: Seaweed
    code: str
    also: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """Of a command of ours, and of this process when it does what that would do."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept, "HOME": str(self.root), "TIELINE_HOME": str(self.root / "home"),
            "KUBECONFIG": str(self.kubeconfig), "TIELINE_STEPS_IMAGE": self.image,
            "TIELINE_KUBERNETES_HOST": self.space.host, "TIELINE_KUBERNETES_PORT": str(self.space.port), **self.also,
        }  # fmt: skip

    @property
    def catalog(self) -> Path:
        return self.root / "tieline.yaml"

    def job(self, name: str) -> Path:
        return self.root / f"{name}.json"


@contextmanager
def world() -> Iterator[World]:
    """All of it; removed at the end."""
    config = kubeconfig()
    image = image_of(config)
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tieline-bench-") as name:
        root = Path(name)
        for folder in ("weed", "git", "store"):
            (root / folder).mkdir()
        make_repository(root / "git" / "code.git", {f"src/module_{n}.py": f"VALUE = {n}\n" * 50 for n in range(20)})
        with git_http(root / "git", user=None) as git, seaweedfs(root / "weed") as server, _space(config) as space:
            made = World(root, config, space, image, server, git.repository("code.git"))
            for number in range(FILES):
                server.look(f"data/in/part-{number:03}", "PUT", os.urandom(SIZE))
            _login(space)
            _write(made)
            yield made


@contextmanager
def _space(config: Path) -> Iterator[Namespace]:
    """A namespace with the service account and the role that the project ships."""
    from lightkube import codecs

    space = Namespace(config)
    space.begin()
    try:
        rules = resources.files("tieline.engines.kubernetes").joinpath("rbac", "collector.yaml")
        for thing in codecs.load_all_yaml(rules.read_text(encoding="utf-8")):
            space.client.create(thing, namespace=space.name)
        yield space
    finally:
        space.end()


def _login(space: Namespace) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in zip(KEYS, ADMIN, strict=True)}
    meta = {"name": LOGIN, "namespace": space.name}
    space.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


def _write(world: World) -> None:
    """The deployment file, and both jobs: one without connections, one with a clone and a fetch."""
    bucket = {"endpoint": world.server.endpoint, "region": "us-east-1", "addressingStyle": "path"}
    secret = {"secret": {"name": LOGIN}}
    connections = [
        {"name": "code", "kind": "git", "schema": {"url": world.code, "revision": "main"}},
        {"name": "data", "kind": "s3", "schema": {"bucket": "s3://data", **bucket}, **secret},
    ]
    store = {"name": "store", "kind": "s3", "schema": {"bucket": "s3://data/runs", **bucket}, **secret}
    patch = {"spec": {"hostNetwork": True}}
    whole = {
        "artifactsStore": store, "connections": connections,
        "clusters": {"kit": {"serviceAccount": "tieline", "podPatch": patch}},
        "namespaces": {world.space.name: {"cluster": "kit", "inherit": "all"}},
    }  # fmt: skip
    world.catalog.write_text(json.dumps(whole))
    _job(world, "nothing", {})
    steps = [{"connection": "code", "git": {}}, {"connection": "data", "artifacts": {"dirs": ["in"]}}]
    _job(world, "inputs", {"connections": ["code", "data"], "init": steps})


def _job(world: World, name: str, parts: Mapping[str, Any]) -> None:
    container = {"image": world.image, "command": ["sh", "-c"], "args": [PRINT.replace("$(", "$$(")]}
    run = {"kind": "job", "container": container, **parts}
    data = {"version": 1.1, "kind": "component", "name": name, "run": run}
    world.job(name).write_text(json.dumps(data))
