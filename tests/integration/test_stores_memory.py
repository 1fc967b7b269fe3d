"""How much memory it takes to move files: no more for larger ones, and little for each of many."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from servers import buckets

SOAK = bool(os.environ.get("TIELINE_SOAK"))
MIB = 1024 * 1024
SIZES = (1024, 4096, 16384) if SOAK else (32, 64, 128)  # MiB
COUNTS = (10_000, 100_000) if SOAK else (1_000, 4_000)
LARGE, SLOPE = 384, 48  # MiB: in all, and between the smallest and the largest
EACH = 3  # KiB for one small file
SCRIPT = Path(__file__).with_name("moving.py")


def moved(do: str, prefix: str, folder: Path) -> float:
    """The MiB that moving a folder took at its peak, beyond what an idle process has."""
    env = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    argv = [sys.executable, str(SCRIPT), do, buckets.weed().endpoint, prefix, str(folder)]
    told = subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout.split()
    before, after = map(int, told)
    return (after - before) / 1024


def both_ways(fill: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """MiB of saving a folder, and of fetching it; what came back is what went."""
    source, target = folder / "source", folder / "target"
    source.mkdir()
    target.mkdir()
    fill(source)
    prefix, before = f"memory/{secrets.token_hex(4)}", digest(source)
    up = moved("up", prefix, source)
    shutil.rmtree(source)  # a disk may have room for two of the largest
    down = moved("down", prefix, target)
    assert digest(target) == before
    buckets.s3("memory").delete(prefix.partition("/")[2])
    shutil.rmtree(target)
    return up, down


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        whole.update(path.name.encode())
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def large(size: int) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        block = os.urandom(MIB)
        with (folder / "large").open("wb") as file:
            for number in range(size):
                file.write(number.to_bytes(8, "big") + block[8:])

    return fill


def many(count: int) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        for number in range(count):
            (folder / f"{number:06d}").write_bytes(number.to_bytes(8, "big") * 8)

    return fill


@pytest.mark.timeout(0 if SOAK else 300)
def test_memory_does_not_grow_with_the_size_of_a_file(tmp_path: Path) -> None:
    took = {size: both_ways(large(size), tmp_path) for size in SIZES}
    print(took)
    for way in (0, 1):
        of = [took[size][way] for size in SIZES]
        assert max(of) < LARGE, took
        assert of[-1] - of[0] < SLOPE, took


@pytest.mark.timeout(0 if SOAK else 300)
def test_many_small_files_take_little_memory_each(tmp_path: Path) -> None:
    few, lots = (both_ways(many(count), tmp_path) for count in COUNTS)
    print(few, lots)
    for way in (0, 1):
        assert (lots[way] - few[way]) * 1024 / (COUNTS[1] - COUNTS[0]) < EACH, (few, lots)
