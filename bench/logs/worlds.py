"""A home, a catalog and a store for runs of the bench: a folder on a RAM disk, or a bucket of a real server there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from inputs import values

from tieline.model.access import Credentials, ObjectStore
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret
from tieline.stores import FolderStore, Store, open_store

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent.parent / "tests"
MEMORY = Path("/dev/shm")
SECRETS = 100


@dataclass(frozen=True, slots=True)
class World:
    """``name``: of the kind of store."""

    name: str
    root: Path
    store: Store

    @property
    def env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.root), "TIELINE_HOME": str(self.root / "home")}

    def job(self, *argv: str) -> None:
        """Write the job that runs this program; the secret with the values is its connection's."""
        run = {"kind": "job", "connections": ["db"], "container": {"command": [sys.executable, *argv]}}
        data = {"version": 1.1, "kind": "component", "run": run}
        (self.root / "job.yaml").write_text(json.dumps(data))

    def log(self) -> bytes:
        """The stored log of the one run that there is; it is removed."""
        (entry,) = [entry for entry in self.store.list() if entry.key.endswith("/logs/main.log")]
        with self.store.open(entry.key) as stream:
            data = stream.read()
        self.store.delete(entry.key.split("/")[0])
        return data


@contextmanager
def world(kind: str) -> Iterator[World]:
    """``kind``: folder or s3."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tieline-bench-") as name:
        root = Path(name)
        if kind == "folder":
            (root / "store").mkdir()
            schema = {"hostPath": str(root / "store"), "mountPath": "/store"}
            yield _made(World(kind, root, FolderStore(root / "store")), {"kind": "host_path", "schema": schema})
            return
        sys.path.insert(0, str(TESTS))
        from servers.seaweedfs import ADMIN, seaweedfs

        (root / "weed").mkdir()
        login = {"access-key-id": Secret(ADMIN[0]), "secret-access-key": Secret(ADMIN[1])}
        with seaweedfs(root / "weed") as server:
            asked = {"endpoint": server.endpoint, "region": "us-east-1"}
            access = ObjectStore(
                provider="s3", bucket="data", prefix="bench",
                credentials=Credentials(secret="s3-login", method="secret"), **asked,
            )  # fmt: skip
            schema = {"bucket": "s3://data/bench", "addressingStyle": "path", **asked}
            store = {"kind": "s3", "schema": schema, "secret": {"name": "s3-login"}}
            made = World(kind, root, open_store(access, {}, login))
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            keep = {name: Secret(value) for name, value in zip(names, ADMIN, strict=True)}
            Keeper(root / "home", "secret").set("default", "s3-login", keep)
            yield _made(made, store)


def _made(made: World, store: dict) -> World:
    kept = {f"key{number}": Secret(value) for number, value in enumerate(values(SECRETS - 2))}
    kept |= {"username": Secret("ann-of-the-bench"), "password": Secret("c0rrect-horse+battery/staple")}
    Keeper(made.root / "home", "secret").set("default", "login", kept)
    db = {"name": "db", "kind": "postgres", "schema": {"host": "h", "database": "d"}, "secret": {"name": "login"}}
    catalog = {"artifactsStore": {"name": "store", **store}, "connections": [db]}
    (made.root / "tieline.yaml").write_text(json.dumps(catalog))
    return made
