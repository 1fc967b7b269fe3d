"""``make bench``: Tieline beside polyaxon, in the same run, turn by turn. See ../README.md.

Prints the table of ``rows``, writes ``bench/results/control.json`` and ``growth.svg``; the exit code is 1 where
something that must be reached is not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

import inputs  # noqa: E402
import peers  # noqa: E402
from growth_plot import growth_plot  # noqa: E402
from measuring import Taken, starts, take  # noqa: E402
from rows import PEER, ROWS, TIELINE, Result, result, table  # noqa: E402

RESULTS = HERE.parent / "results"
OWN_BIN = Path(sys.executable).parent
SIZES = (1_000, 10_000, 30_000, 100_000)
SMALL = 10
CATALOG_VARIABLE = "POLYAXON_AGENT_CONNECTIONS"
MILLI = 1000

Step = tuple[str, Callable[[], None]]  # what it measures, in words
Samples = dict[str, dict[str, list[float]]]


class Bench:
    """One run: its folder, both tools, and all samples."""

    def __init__(self, folder: Path, own: Path, other: Path) -> None:
        self.folder, self.own, self.other = folder, own, other
        self.samples: Samples = defaultdict(lambda: defaultdict(list))
        self.cpu: Samples = defaultdict(lambda: defaultdict(list))
        self.peaks: dict[int, list[float]] = defaultdict(list)
        self.seconds: dict[int, list[float]] = defaultdict(list)
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder / "home"),
            "TIELINE_HOME": str(folder / "home" / "tieline"),
            "LANG": "C.UTF-8",
        }
        (folder / "home").mkdir()
        (folder / "empty").mkdir()

    def make_inputs(self) -> None:
        """Each catalog is the ``tieline.yaml`` of a folder of its own, with an operation for it beside it."""
        for size in (SMALL, *SIZES):
            inputs.write_catalog(self.catalog(size), size)
            self.catalog(size).with_name("op.yaml").write_text(inputs.operation(size - SMALL))
        (self.folder / "empty" / "job.yaml").write_text(inputs.JOB_TRUE)

    def catalog(self, size: int) -> Path:
        return self.folder / f"catalog-{size}" / "tieline.yaml"

    def command(self, argv: list[str | Path], cwd: Path) -> Taken:
        return take(argv, cwd, self.env)

    def add(self, key: str, tool: str, value: float, cpu: float | None = None) -> None:
        self.samples[key][tool].append(value)
        if cpu is not None:
            self.cpu[key][tool].append(cpu)

    def steps(self) -> list[Step]:
        """What one round is made of: each thing by Tieline and by the peer, one right after the other."""
        return [
            ("version", partial(self.version, TIELINE, [self.own / "tieline", "--version"])),
            ("version", partial(self.version, PEER, [self.other / "polyaxon", "version"])),
            ("check", partial(self.check, TIELINE, [self.own / "tieline", "check", "op.yaml"])),
            ("check", partial(self.check, PEER, [self.other / "polyaxon", "check", "-f", "op.yaml"])),
            ("check with 1,000 connections", self.check_1000),
            ("load and compile", partial(self.inside, TIELINE, self.own, "in_tieline.py")),
            ("load and compile", partial(self.inside, PEER, self.other, "in_polyaxon.py")),
            ("run", self.runs),
        ]

    def growth_steps(self) -> list[Step]:
        return [(f"{size:,} connections", partial(self.growth, size)) for size in SIZES]

    def version(self, tool: str, argv: list[str | Path]) -> None:
        taken = self.command(argv, self.folder / "empty")
        self.add("version", tool, taken.wall, taken.cpu)

    def check(self, tool: str, argv: list[str | Path]) -> None:
        taken = self.command(argv, self.catalog(SMALL).parent)
        self.add("check", tool, taken.wall, taken.cpu)
        self.add("check_peak", tool, taken.peak)

    def check_1000(self) -> None:
        taken = self.command([self.own / "tieline", "check", "op.yaml"], self.catalog(1_000).parent)
        self.add("check_1000", TIELINE, taken.wall, taken.cpu)

    def inside(self, tool: str, bin_folder: Path, script: str) -> None:
        """Both in-process figures, from one process of the tool's own environment."""
        files = (self.catalog(SMALL), self.catalog(1_000), self.catalog(1_000).with_name("op.yaml"))
        taken = self.command([bin_folder / "python", HERE / script, *files], self.folder / "empty")
        figures = json.loads(taken.output.splitlines()[-1])
        assert figures["connections"] == 1_000, figures
        self.add("load", tool, figures["load"])
        for key in ("compile", "compile_new"):
            self.add(key, tool, figures[key] * MILLI)

    def growth(self, size: int) -> None:
        taken = self.command([self.own / "tieline", "check", "tieline.yaml"], self.catalog(size).parent)
        self.seconds[size].append(taken.wall)
        self.peaks[size].append(taken.peak)
        if size == max(SIZES):
            self.add("huge", TIELINE, taken.wall, taken.cpu)
            self.add("huge_peak", TIELINE, taken.peak)

    def runs(self) -> None:
        shutil.rmtree(self.env["TIELINE_HOME"], ignore_errors=True)
        for key in ("first_run", "run"):
            taken = self.command([self.own / "tieline", "run", "job.yaml"], self.folder / "empty")
            self.add(key, TIELINE, taken.wall, taken.cpu)

    def add_growth(self) -> None:
        """What a connection costs in the largest catalog, by what it costs in one of 10,000."""
        for key, taken in (("growth_seconds", self.seconds), ("growth_peak", self.peaks)):
            values = {size: median(samples) for size, samples in taken.items()}
            each = {size: (values[size] - values[1_000]) / (size - 1_000) for size in SIZES if size > 1_000}
            self.add(key, TIELINE, each[100_000] / each[10_000])

    def peer_limit(self) -> int:
        """The largest catalog with which the peer's agent starts: its deployment hands it over in one variable."""
        low, high = 0, 10_000
        while high - low > 1:
            middle = (low + high) // 2
            env = {**self.env, CATALOG_VARIABLE: inputs.as_json(middle)}
            low, high = (middle, high) if starts(["true"], env) else (low, middle)
        env = {
            **self.env,
            CATALOG_VARIABLE: inputs.as_json(low),
            "POLYAXON_AGENT_ARTIFACTS_STORE": json.dumps(inputs.STORE),
        }
        taken = take([self.other / "python", HERE / "in_polyaxon.py", "--from-environment"], self.folder, env)
        assert json.loads(taken.output.splitlines()[-1]) == {"connections": low}, taken.output
        return low


def machine() -> dict[str, Any]:
    """Where this was measured."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
    }


def measure(bench: Bench, rounds: int) -> None:
    """A warm-up that is thrown away (it fills caches), then the rounds; who comes first changes with each."""
    for name, step in bench.steps():
        told(f"warming up: {name}")
        step()
    bench.samples.clear()
    bench.cpu.clear()
    for number in range(rounds):
        steps = [*bench.steps(), *bench.growth_steps()]
        for name, step in reversed(steps) if number % 2 else steps:
            told(f"round {number + 1} of {rounds}: {name}")
            step()
    told("")


def told(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def cpu_line(cpu: Samples) -> str:
    """What a busy machine distorts least, for a look beside the table."""
    parts = []
    for key, tools in cpu.items():
        medians = {tool: median(values) for tool, values in tools.items()}
        peer_part = f" / {medians[PEER]:.2f} ({medians[PEER] / medians[TIELINE]:.1f} times)" if PEER in medians else ""
        parts.append(f"{key} {medians[TIELINE]:.2f}{peer_part}")
    return ", ".join(parts)


def report(bench: Bench, results: list[Result], about: Mapping[str, Any]) -> None:
    """Writes the results, with every sample."""
    RESULTS.mkdir(exist_ok=True)
    growth = [
        {"connections": size, "seconds": median(bench.seconds[size]), "peak_mib": median(bench.peaks[size])}
        for size in SIZES
    ]
    content = {
        **about,
        "rows": {item.row.key: item.as_json() for item in results},
        "growth": growth,
        "samples": bench.samples,
        "cpu_seconds": bench.cpu,
    }
    (RESULTS / "control.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    points = [(item["connections"], item["seconds"], item["peak_mib"]) for item in growth]
    plot = growth_plot([(count, seconds) for count, seconds, _ in points], [(count, mib) for count, _, mib in points])
    (RESULTS / "growth.svg").write_text(plot)


def main(rounds: int) -> int:
    started = datetime.now(UTC)
    load_before = os.getloadavg()[0]
    other = peers.environment("control")
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as temporary:
        bench = Bench(Path(temporary), OWN_BIN, other)
        bench.make_inputs()
        floor = bench.command(["true"], bench.folder).peak
        measure(bench, rounds)
        bench.add_growth()
        limit = bench.peer_limit()
    results = [result(row, bench.samples) for row in ROWS]
    versions = {
        TIELINE: subprocess.check_output([OWN_BIN / "tieline", "--version"], text=True).split()[-1],
        PEER: peers.POLYAXON,
    }
    where = machine()
    about = {
        "started": started.isoformat(timespec="seconds"),
        "took_seconds": round((datetime.now(UTC) - started).total_seconds()),
        "rounds": rounds,
        "machine": where,
        "load_average": {"before": load_before, "after": os.getloadavg()[0]},
        "versions": versions,
        "memory_floor_mib": floor,
        "peer_starts_with_at_most": limit,
    }
    report(bench, results, about)
    print(f"tieline {versions[TIELINE]}, polyaxon {versions[PEER]}; medians of {rounds} rounds")
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    print(f"other work on the machine: load average {load_before:.1f} before\n")
    print(table(results, {"huge": f"starts with at most {limit:,}"}))
    print(f"\nCPU seconds of whole commands: {cpu_line(bench.cpu)}")
    print(f"written: {RESULTS.name}/control.json, {RESULTS.name}/growth.svg (in bench/)")
    return int(any(item.reached is False for item in results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tieline beside polyaxon: times, memory, ratios.")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (default: 5)")
    sys.exit(main(parser.parse_args().rounds))
