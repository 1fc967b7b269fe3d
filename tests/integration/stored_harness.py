"""Runs whose outputs are looked at afterwards: in a folder, or in a bucket of SeaweedFS, and a hand to spoil them."""

from __future__ import annotations

import secrets
from pathlib import Path

from run_harness import Ended, Runs

from servers import buckets
from servers.seaweedfs import ADMIN
from servers.wire import Wire
from tieline.app.outputs_verify import Verified, verify
from tieline.app.runs import attempt_prefix, store_of
from tieline.steps.manifest import Manifest, read_manifest
from tieline.stores import Store


class Stored:
    """A place for one test's runs. ``kind``: ``folder`` or ``s3``."""

    def __init__(self, root: Path, kind: str, through: Wire | None = None) -> None:
        self.runs = Runs(root, isolation="none")
        self.kind, self.prefix = kind, f"outputs/{secrets.token_hex(8)}"
        if kind == "s3":
            endpoint = through.endpoint if through else buckets.weed().endpoint
            schema = {"bucket": f"s3://data/{self.prefix}", "endpoint": endpoint, "addressingStyle": "path"}
            login = {"AWS_ACCESS_KEY_ID": ADMIN[0], "AWS_SECRET_ACCESS_KEY": ADMIN[1]}
            self.runs.secret("login", login)
            store = {"name": "store", "kind": "s3", "schema": schema, "secret": {"name": "login"}}
            self.runs.catalog["artifactsStore"] = store

    def job(self, script: str, **more: object) -> dict[str, object]:
        return self.runs.job(container={"command": ["sh", "-c", f"cd $TIELINE_OUTPUTS\n{script}"]}, **more)

    def run(self, script: str, **more: object) -> Ended:
        return self.runs(self.job(script, **more))

    def store(self, ended: Ended) -> Store:
        return store_of(ended.plan)

    def manifest(self, ended: Ended, attempt: int | None = None) -> Manifest:
        prefix = attempt_prefix(ended.plan, attempt or ended.run.attempt)
        found = read_manifest(self.store(ended), prefix)
        assert found is not None
        return found

    def verify(self, ended: Ended, *, quick: bool = False) -> Verified:
        return verify(ended.plan, ended.run, ended.run.attempt, quick=quick)

    def spoil(self, ended: Ended, path: str, data: bytes | None) -> None:
        """Behind Tieline's back: other bytes at a path of the attempt; None: nothing."""
        key = f"{attempt_prefix(ended.plan, ended.run.attempt)}/{path}"
        if self.kind == "folder":
            place = self.runs.store / key
            place.unlink() if data is None else place.write_bytes(data)
        else:
            method = "DELETE" if data is None else "PUT"
            buckets.weed().look(f"data/{self.prefix}/{key}", method, data)
