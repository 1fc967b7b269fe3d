"""What tests of the cache of inputs share: a bucket of a real server behind a forwarder that counts, and fetches as
runs do them, each into a folder of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from servers import buckets
from servers.azurite import ACCOUNT
from servers.azurite import KEY as AZURE_KEY
from servers.counting import Forwarder, forwarding
from tieline.model.access import Credentials, ObjectStore
from tieline.model.plan import FetchItem, FetchStep
from tieline.secrets.secret import Secret
from tieline.steps.copying import Copied
from tieline.steps.fetch import fetch
from tieline.steps.inputs import Cached
from tieline.stores import Store, open_store
from tieline.stores.cache.folder import Cache
from tieline.stores.cache.scope import scope_of

FILES = {
    "data/a.bin": b"first" * 1000,
    "data/deep/er/b.bin": b"second" * 1000,
    "data/deep/empty": b"",
    "data/ünï cödé \udcff": b"a name of any bytes",
    "data/again.bin": b"first" * 1000,
}


@dataclass
class World:
    """A bucket's prefix with :data:`FILES`, and a cache."""

    kind: str
    access: ObjectStore
    secrets: Mapping[str, Secret]
    store: Store
    forwarder: Forwarder
    folder: Path
    root: Path = field(init=False)
    runs: int = 0

    def __post_init__(self) -> None:
        self.root = self.folder / "cache"
        for key, data in FILES.items():
            self.store.save_bytes(data, key)
        tool = self.folder / "tool"
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
        self.store.save_file(tool, "data/tool")
        self.store.make_dir("data/nothing")
        self.forwarder.forget()

    def fetch(
        self,
        source: str = "data",
        *,
        max_size: int | None = None,
        namespace: str = "default",
        root: Path | None = None,
        access: ObjectStore | None = None,
        given: Mapping[str, Secret] | None = None,
    ) -> tuple[Path, Copied]:
        """Fetch as a run does; where it is, and what was said. ``root``: of the cache."""
        self.forwarder.forget()
        access, given = access or self.access, self.secrets if given is None else given
        run = self.next_run()
        run.mkdir(exist_ok=True)
        self.runs += 1
        step = FetchStep(
            name="inputs", connection="inputs", source=access, items=(FetchItem(source=source, target="in"),),
            path=str(run / "inputs"),
        )  # fmt: skip
        cache = Cache.open(root or self.root, max_size)
        try:
            cached = Cached(cache, scope_of(access, given, "inputs", namespace))
            done = fetch(step, open_store(access, {}, given), root=run, cached=cached)
        finally:
            cache.close()
        if cache.trouble:
            done.notes.append(cache.trouble)
        return run / "inputs" / "in", done

    def next_run(self) -> Path:
        """The folder of the next fetch, which need not be there."""
        return self.folder / f"run-{self.runs}"

    def objects(self) -> list[Path]:
        return sorted(path for path in (self.root / "objects").glob("*/*"))


def tree(top: Path) -> dict[str, bytes | None]:
    """Every file's bytes, and None for a folder, by its relative path."""
    found: dict[str, bytes | None] = {}
    for folder, folders, names in os.walk(top):
        for name in folders:
            found[os.path.relpath(os.path.join(folder, name), top)] = None
        for name in names:
            path = Path(folder, name)
            found[os.path.relpath(path, top)] = path.read_bytes()
    return found


def expected() -> dict[str, bytes | None]:
    """What a fetch of ``data`` brings."""
    folders = dict.fromkeys(("deep", "deep/er", "nothing"))
    return {**folders, **{key[5:]: data for key, data in FILES.items()}, "tool": b"#!/bin/sh\n"}


def _through(access: ObjectStore, make: Callable[[int], Forwarder]) -> tuple[ObjectStore, Forwarder]:
    found = urlsplit(access.endpoint or "")
    forwarder = make(found.port or 0)
    return access.model_copy(update={"endpoint": f"{forwarder.endpoint}{found.path}"}), forwarder


@contextmanager
def world_of(kind: str, folder: Path) -> Iterator[World]:
    """A world at ``s3``, ``wasb`` or ``gcs``."""
    prefix = f"cache/{secrets.token_hex(8)}"
    if kind == "s3":
        access, given, store = buckets.s3_access(prefix), buckets.s3_secrets(), buckets.s3(prefix)
    elif kind == "wasb":
        access, given = buckets.azure_access(prefix), {"account-key": Secret(AZURE_KEY)}
        store = buckets.azure(prefix)
        assert access.account == ACCOUNT
    else:
        access, given = buckets.gcs_access(prefix), {"keyfile.json": Secret(buckets.google().key)}
        store = buckets.gcs(prefix)
    with forwarding(urlsplit(access.endpoint or "").port or 0) as forwarder:
        behind, _ = _through(access, lambda _: forwarder)
        yield World(kind, behind, given, store, forwarder, folder)


def anonymous(access: ObjectStore) -> ObjectStore:
    return access.model_copy(update={"credentials": Credentials()})
