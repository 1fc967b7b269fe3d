"""What the tests of faults share: a bucket that is reached through the proxy, and beside it; a run's folders; and what
has to hold at the end, whatever the proxy did.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from servers import buckets
from servers.azurite import KEY as AZURE_KEY
from servers.faults import Faults
from tieline.errors import Code, StoreFailed
from tieline.model.access import ObjectStore
from tieline.secrets.secret import Secret
from tieline.steps.collector import Collected, Collector
from tieline.steps.log_reader import read_logs
from tieline.steps.retrying import Patience
from tieline.steps.spools import Spool
from tieline.stores import Store, open_store

SOAK = bool(os.environ.get("TIELINE_SOAK"))
SHORT = Patience(None, 3.0)
LARGE = 9_000_000
"""Goes in two parts."""
SIZES = {"empty": 0, ".dot/small": 10, "deep/er/größe": 200_000, "large": LARGE}
LINES = b"".join(b"line %d\n" % number for number in range(2000))


class Bucket:
    """One provider's bucket. ``port``: where its server listens; ``path``: what its endpoint has after the port."""

    def __init__(self, access: ObjectStore, login: Mapping[str, Secret], port: int, path: str = "") -> None:
        self.access, self.login, self.port, self._path = access, login, port, path
        self.real = open_store(access, {}, login)

    def through(self, proxy: Faults) -> Store:
        """The same, with the proxy in between."""
        access = self.access.model_copy(update={"endpoint": f"{proxy.endpoint}{self._path}"})
        return open_store(access, {}, self.login)


def s3() -> Bucket:
    return Bucket(buckets.s3_access(_prefix()), buckets.s3_secrets(), buckets.weed().port)


def wasb() -> Bucket:
    login = {"account-key": Secret(AZURE_KEY)}
    path = buckets.blobs().endpoint.rpartition("/")[2]
    return Bucket(buckets.azure_access(_prefix()), login, buckets.blobs().port, f"/{path}")


def gcs() -> Bucket:
    login = {"keyfile.json": Secret(buckets.google().key)}
    return Bucket(buckets.gcs_access(_prefix()), login, buckets.google().port)


def _prefix() -> str:
    return f"faults/{secrets.token_hex(8)}"


class Run:
    """A run that has ended: its outputs and its log are on the disk, and are to be in the bucket."""

    def __init__(self, root: Path, bucket: Bucket, proxy: Faults, sizes: Mapping[str, int] = SIZES) -> None:
        self.bucket, self.proxy = bucket, proxy
        self.outputs, self.spool = root / "outputs", root / "main.spool"
        for name, size in sizes.items():
            path = self.outputs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
        self.spool.write_bytes(LINES)
        self.before = self.on_disk()
        self.told: list[str] = []
        self.asked: list[tuple[str, str]] = []
        """What was asked of the server until it was given up."""

    def collector(self, patience: Patience = SHORT) -> Collector:
        store, spools = self.bucket.through(self.proxy), [Spool("main", self.spool)]
        return Collector(store, "run/1", spools=spools, outputs=self.outputs, patience=patience)

    def finish(self, patience: Patience = SHORT, is_hurried: Callable[[], bool] = lambda: False) -> Collected:
        """Save all, as a supervisor does; what it says must be true."""
        collected = self.collector(patience).finish(is_hurried=is_hurried, told=self.told.append)
        self.is_saved()
        assert collected.files == len(self.before)
        return collected

    def fails(self, patience: Patience = SHORT, is_hurried: Callable[[], bool] = lambda: False) -> str:
        """The same where it cannot be done: the reason. Then the proxy behaves, and a push saves the rest."""
        try:
            self.collector(patience).finish(is_hurried=is_hurried, told=self.told.append)
        except StoreFailed as error:
            self.can_be_pushed(error)
            return str(error)
        raise AssertionError("it is said to be saved")

    def arrives_or_says_so(self, patience: Patience = SHORT) -> str:
        """The reason why it could not be saved; empty when it is."""
        try:
            self.finish(patience)
        except StoreFailed as error:
            self.can_be_pushed(error)
            return str(error)
        return ""

    def can_be_pushed(self, error: StoreFailed) -> None:
        self.asked = list(self.proxy.seen)
        assert error.code == Code.OUTPUTS_NOT_SAVED
        assert self.on_disk() == self.before
        assert self.spool.read_bytes() == LINES
        self.proxy.plan()
        self.proxy.let_in()
        self.finish()

    def on_disk(self) -> dict[str, bytes]:
        files = (path for path in self.outputs.rglob("*") if path.is_file())
        return {str(path.relative_to(self.outputs)): path.read_bytes() for path in files}

    def is_saved(self) -> None:
        """Every byte, asked without the proxy."""
        real, top = self.bucket.real, "run/1/outputs/"
        assert {entry.key.removeprefix(top): read(real, entry.key) for entry in real.list(top[:-1])} == self.before
        assert b"".join(read_logs(real, "run/1", "main")) == LINES


def read(store: Store, key: str) -> bytes:
    with store.open(key) as stream:
        return stream.read()
