"""``python bench/stores/cache.py``: the same files as the input of a second run, unchanged, beside the first: fetches
as a run's step does them, through the cache of inputs; every byte checked. :func:`first_and_second` is for ``run.py``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests")]

from servers.seaweedfs import ADMIN, seaweedfs  # noqa: E402
from tieline.model.access import Credentials, ObjectStore  # noqa: E402
from tieline.model.plan import FetchItem, FetchStep  # noqa: E402
from tieline.secrets.secret import Secret  # noqa: E402
from tieline.steps.fetch import fetch  # noqa: E402
from tieline.steps.inputs import Cached  # noqa: E402
from tieline.stores import open_store  # noqa: E402
from tieline.stores.cache.folder import Cache  # noqa: E402
from tieline.stores.cache.scope import scope_of  # noqa: E402

MUST = 20.0


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of the first fetch, and of the second."""

    first: float
    second: float

    @property
    def times(self) -> float:
        return self.first / self.second


def access_to(endpoint: str, bucket: str = "data", prefix: str = "") -> tuple[ObjectStore, dict[str, Secret]]:
    """A bucket of the server that the benchmark started, and its login."""
    login = Credentials(secret="bench", method="secret")
    access = ObjectStore(
        provider="s3", bucket=bucket, prefix=prefix, endpoint=endpoint, region="us-east-1", credentials=login
    )
    return access, {"access-key-id": Secret(ADMIN[0]), "secret-access-key": Secret(ADMIN[1])}


def filled(access: ObjectStore, secrets: Mapping[str, Secret], folder: str, files: int) -> dict[str, bytes]:
    """Save files of 16 KiB of random bytes; what they are, by name."""
    store = open_store(access, {}, secrets)
    wanted = {f"part-{number:05d}.bin": os.urandom(16 * 1024) for number in range(files)}
    with ThreadPoolExecutor(store.at_once) as pool:
        list(pool.map(lambda name: store.save_bytes(wanted[name], f"{folder}/{name}"), wanted))
    return wanted


def first_and_second(
    access: ObjectStore, secrets: Mapping[str, Secret], folder: str, wanted: Mapping[str, bytes], scratch: Path
) -> Round:
    """Fetch a folder of the bucket into two runs, with a new cache. Raises where a byte is another one."""
    took = []
    home = Path(tempfile.mkdtemp(dir=scratch, prefix="home-"))
    try:
        for run in (home / "first", home / "second"):
            run.mkdir()
            step = FetchStep(
                name="inputs", connection="inputs", source=access, path=str(run / "inputs"),
                items=(FetchItem(source=folder, target="in", what="dir"),),
            )  # fmt: skip
            store = open_store(access, {}, secrets)
            began = time.perf_counter()
            cache = Cache.open(home / "cache")
            done = fetch(step, store, root=run, cached=Cached(cache, scope_of(access, secrets, "inputs", "default")))
            cache.close()
            took.append(time.perf_counter() - began)
            found = {path.name: path.read_bytes() for path in (run / "inputs/in").iterdir()}
            missing, other = wanted.keys() - found.keys(), [name for name in found if found[name] != wanted.get(name)]
            assert found == wanted, f"{run.name}: missing {sorted(missing)[:3]}, not the same {other[:3]}; {done.words}"
            assert done.cached == (done.bytes if took[1:] else 0), f"{run.name}: {done.words}"
    finally:
        shutil.rmtree(home)
    return Round(*took)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=2000, help="files of 16 KiB")
    parser.add_argument("--ram-disk", default="/dev/shm")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.ram_disk, prefix="tieline-bench-") as name:
        place = Path(name, "server")
        place.mkdir()
        with seaweedfs(place) as server:
            access, secrets = access_to(server.endpoint)
            wanted = filled(access, secrets, "inputs", given.files)
            rounds = [first_and_second(access, secrets, "inputs", wanted, Path(name)) for _ in range(given.rounds + 1)]
    for one in rounds[1:]:  # the very first warms up
        print(f"first {one.first:.3f} s, second {one.second:.3f} s: {one.times:.1f} times faster")
    first, second = (statistics.median(getattr(one, name) for one in rounds[1:]) for name in ("first", "second"))
    times = first / second
    print(f"{'reached' if times >= MUST else 'MISSED '}  again, unchanged: {times:.1f} times faster (must: {MUST})")
    return 0 if times >= MUST else 1


if __name__ == "__main__":
    sys.exit(main())
