"""``python bench/stores/run.py``: files to and from one S3 server, by Tieline and by its peers, interleaved, every byte
checked. Prints a table, writes ``results/stores.json`` and ``results/stores.svg``; ends with 1 where something that
must be reached is not. Needs 3 GiB of RAM disk."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "tests")]

from plot import bars  # noqa: E402
from tools import Program, Took, Tool, Worker  # noqa: E402

from servers.seaweedfs import ADMIN, seaweedfs  # noqa: E402

PEERS = ("obstore", "s5cmd", "rclone", "boto3", "s3fs", "polyaxon")
PROGRAMS = ("s5cmd", "rclone")
WORKS = ("large up", "large down", "small up", "small down")
MIB = 1024 * 1024
Samples = dict[str, dict[str, list[Took]]]


def sources(folder: Path, large: int, files: int) -> dict[str, Path]:
    """What is moved: one large file, and many of 16 KiB; of random bytes."""
    places = {"large": folder / "large", "small": folder / "small"}
    for place in places.values():
        place.mkdir()
    with (places["large"] / "model.bin").open("wb") as file:
        for _ in range(large):
            file.write(os.urandom(MIB))
    for number in range(files):
        (places["small"] / f"part-{number:05d}.bin").write_bytes(os.urandom(16 * 1024))
    return places


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder, by its name."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


@contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """A fresh SeaweedFS, and the environment that its clients need."""
    place = folder / "server"
    place.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_", "RCLONE_"))}
    try:
        with seaweedfs(place) as running:
            yield kept | {
                "S3_ENDPOINT_URL": running.endpoint, "AWS_ACCESS_KEY_ID": ADMIN[0], "AWS_SECRET_ACCESS_KEY": ADMIN[1],
                "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1",
            }  # fmt: skip
    finally:
        shutil.rmtree(place)


def one_round(folder: Path, places: dict[str, Path], names: list[str], samples: Samples | None) -> None:
    """Every tool does every work once. ``samples``: None for a warm-up."""
    wanted = {what: digests(place) for what, place in places.items()}
    target = folder / "target"
    with server(folder) as env:
        tools: list[Tool] = [(Program if name in PROGRAMS else Worker)(name, env) for name in names]
        reader = Worker("obstore", env)
        for work in WORKS:
            what, do = work.split()
            for tool in tools:
                prefix = f"{tool.name}/{what}"
                target.mkdir()
                took = tool.move(do, places[what] if do == "up" else target, prefix)
                if do == "up":  # another reads what is there now
                    reader.move("down", target, prefix)
                assert digests(target) == wanted[what], f"{tool.name} {work}: not what was moved"
                shutil.rmtree(target)
                if samples is not None:
                    samples[work][tool.name].append(took)
        for tool in (*tools, reader):
            tool.close()


def medians(samples: Samples, of: Callable[[Took], float]) -> dict[str, dict[str, float]]:
    """The middle of each tool's samples for each work."""
    return {work: {name: statistics.median(map(of, took)) for name, took in by.items()} for work, by in samples.items()}


def judged(wall: dict[str, dict[str, float]], cpu: dict[str, dict[str, float]]) -> list[tuple[str, float, float, bool]]:
    """What must be reached: its words, the figure, the limit, whether it is reached."""
    rows = []
    for work in WORKS:
        programs = [(wall[work][name], name) for name in PROGRAMS if name in wall[work]]
        if not programs:
            continue
        fastest = min(programs)
        ratio = fastest[0] / wall[work]["tieline"]
        rows.append((f"{work}: throughput, of the fastest peer's ({fastest[1]})", ratio, 0.9, ratio >= 0.9))
    for work in WORKS[2:]:
        if "polyaxon" in wall[work]:
            ratio = wall[work]["polyaxon"] / wall[work]["tieline"]
            rows.append((f"{work}: throughput, of polyaxon's", ratio, 2.5, ratio >= 2.5))
    if "obstore" in cpu[WORKS[0]]:
        total = {name: sum(cpu[work][name] for work in WORKS) for name in ("tieline", "obstore")}
        ratio = total["tieline"] / total["obstore"]
        rows.append(("CPU seconds of the four, of plain obstore's (at most)", ratio, 1.3, ratio <= 1.3))
    return rows


def table(wall: dict[str, dict[str, float]], cpu: dict[str, dict[str, float]]) -> None:
    """Print the medians: seconds (CPU seconds)."""
    names = list(wall[WORKS[0]])
    print("| work | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(names))
    for work in WORKS:
        print(f"| {work} | " + " | ".join(f"{wall[work][n]:.2f} ({cpu[work][n]:.2f})" for n in names) + " |")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=512, help="MiB of the large file")
    parser.add_argument("--files", type=int, default=2000, help="files of 16 KiB")
    parser.add_argument("--ram-disk", default="/dev/shm")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    given = parser.parse_args()
    samples: Samples = {work: {name: [] for name in ("tieline", *given.peers)} for work in WORKS}
    with tempfile.TemporaryDirectory(dir=given.ram_disk, prefix="tieline-bench-") as name:
        folder = Path(name)
        places = sources(folder, given.large, given.files)
        for number in range(given.rounds + 1):
            names = ["tieline", *given.peers]
            names = names[number % len(names) :] + names[: number % len(names)]
            one_round(folder, places, names if number % 2 else names[::-1], samples if number else None)
            print(f"round {number} of {given.rounds}" if number else "warmed up", file=sys.stderr)
    wall, cpu = medians(samples, lambda took: took.wall), medians(samples, lambda took: took.cpu)
    rows = judged(wall, cpu)
    table(wall, cpu)
    for words, figure, limit, reached in rows:
        print(f"{'reached' if reached else 'MISSED '}  {words}: {figure:.2f} (must: {limit})")
    results = HERE.parent / "results"
    results.mkdir(exist_ok=True)
    every = {work: {name: [asdict(one) for one in took] for name, took in of.items()} for work, of in samples.items()}
    told = {"machine": platform.platform(), "cores": os.cpu_count(), "samples": every, "judged": rows}
    (results / "stores.json").write_text(json.dumps(told, indent=2) + "\n")
    (results / "stores.svg").write_text(bars(wall, "seconds (medians), lower is better"))
    return 0 if all(row[3] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
