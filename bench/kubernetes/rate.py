"""``python bench/kubernetes/rate.py [RATE…]``: at which rates of log lines every line is got, on a real cluster.

A job prints numbered lines at a stated rate; what is in the store afterwards is counted: lines that are missing, that
came twice, and whether what is missing was told in the log and by the run. See ../README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent / "tests"), str(HERE.parent.parent / "tests" / "integration")]

import yaml  # noqa: E402
from kube_rights import space  # noqa: E402
from kube_runs import There  # noqa: E402

from servers import kube_here  # noqa: E402
from servers.kube import kubeconfig  # noqa: E402
from tieline.engines.kubernetes.api import PODS  # noqa: E402
from tieline.engines.kubernetes.names import COLLECTOR, RUN  # noqa: E402

RESULTS = HERE.parent / "results" / "kubernetes-rate.json"
MEGABYTE = 1_000_000
WIDTH = 100
HEADER = "| asked, MB/s | printed, MB/s | lines | lost | twice | cut in two | told | until saved | load |"
PRINTER = """\
import os, sys, time
rate, seconds, width = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
number, began, pad = 0, time.monotonic(), b"x" * (width - 12) + b"\\n"
while (now := time.monotonic() - began) < seconds:
    due = min(int(now * rate / width), number + 5000)
    rest = memoryview(b"".join(b"%010d %b" % (n, pad) for n in range(number, due)))
    number = due
    while rest:
        rest = rest[os.write(1, rest):]
    time.sleep(0.005)
spent = time.monotonic() - began
time.sleep(2)
os.write(1, b"end %d %.2f\\n" % (number, spent))
time.sleep(1)
"""
"""Lines of ``width`` bytes; the last one says how many there were. (containerd loses what a program prints in the
moment in which it ends, so it waits a little.)"""


@dataclass(slots=True)
class Row:
    """One run. ``holes``: the stretches of numbers that are missing; ``marks``: what the log itself tells of them;
    ``notes``: what the collector said; ``told``: what ``runs show`` says; ``halves``: pieces of lines that containerd
    cut where it began a new file; ``load``: of the machine, by how many processes want to run."""

    asked: float
    printed: float = 0.0
    lines: int = 0
    lost: int = 0
    holes: list[tuple[int, int]] = field(default_factory=list)
    doubled: int = 0
    marks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    halves: int = 0
    told: str = ""
    load: float = 0.0
    seconds: float = 0.0

    @property
    def words(self) -> str:
        told = f"{len(self.marks)} marks{', with the end' if self.told else ''}"
        return (
            f"| {self.asked:g} | {self.printed:.1f} | {self.lines:,} | {self.lost:,} in {len(self.holes)} "
            f"| {self.doubled:,} | {self.halves} | {told} | {self.seconds:.0f} s | {self.load:.0f} |"
        )


def measured(there: There, rate: float, seconds: float) -> Row:
    """One run at ``rate`` megabytes a second."""
    (there.root / "printer.py").write_text(PRINTER)
    script = f"exec python /code/printer.py {rate * MEGABYTE} {seconds} {WIDTH}"
    mounts = [{"name": "code", "mountPath": "/code"}]
    volumes = [{"name": "code", "hostPath": {"path": str(there.root)}}]
    began = time.monotonic()
    run = there.begin(there.job(script, container={"volumeMounts": mounts}, volumes=volumes))
    shown = there.show(run)
    while shown["status"] not in ("succeeded", "failed", "stopped"):
        time.sleep(1)
        shown = there.show(run)
    row = Row(rate, seconds=time.monotonic() - began, told=shown["message"])
    row.notes, row.load = _notes(there, run), os.getloadavg()[0]
    count(next(there.store.rglob(f"*{run}*/**/main.log")), row)
    there("runs", "rm", run)
    return row


def _notes(there: There, run: str) -> list[str]:
    """What the collector said when it ended."""
    pods = there.ns.admin.list(PODS, there.ns.name, {RUN: run})["items"]
    states = [one["state"] for pod in pods for one in pod["status"]["containerStatuses"] if one["name"] == COLLECTOR]
    return [note for state in states for note in json.loads(state["terminated"]["message"])["notes"]]


def count(log: Path, row: Row) -> None:
    """What is in the log, and what is not."""
    wanted, seen = 0, bytearray()
    with log.open("rb") as stream:
        for line in stream:
            if line[:10].isdigit():
                number = int(line[:10])
                if number >= len(seen):
                    seen.extend(bytes(number + 1 - len(seen)))
                row.doubled += seen[number]
                seen[number] = 1
            elif line.startswith(b"end "):
                wanted = int(line.split()[1])
                row.printed = wanted * WIDTH / float(line.split()[2]) / MEGABYTE
            elif not line.startswith(b"[tieline: "):
                row.halves += 1
            else:
                row.marks.append(line.decode(errors="replace").strip())
    row.lines = wanted or len(seen)
    seen.extend(bytes(max(0, row.lines - len(seen))))
    row.lost = seen.count(0)
    row.holes = [found.span() for found in re.finditer(rb"\0+", bytes(seen))]


@contextmanager
def world() -> Iterator[There]:
    """Where runs are submitted."""
    with TemporaryDirectory(prefix="tieline-rate-") as name, space(kubeconfig(), Path(name)) as found:
        found.apply("collector.yaml")
        found.bind("default", "tieline-collector")
        root = Path(name, "there")
        root.mkdir()
        there = There(found, root)
        catalog = yaml.safe_load((root / "tieline.yaml").read_text())
        catalog["clusters"]["node"]["podPatch"] = kube_here.pod_patch("*", inits=True, hostNetwork=True)
        (root / "tieline.yaml").write_text(json.dumps(catalog))
        yield there


def main() -> int:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rates", nargs="*", type=float, default=[1, 2, 4, 8, 16], help="megabytes a second")
    parser.add_argument("--seconds", type=float, default=30)
    wanted = parser.parse_args()
    rows = []
    print(HEADER + "\n" + "| --- " * 9 + "|")
    with world() as there:
        for rate in wanted.rates:
            rows.append(measured(there, rate, wanted.seconds))
            print(rows[-1].words, flush=True)
            print(*rows[-1].marks, *rows[-1].notes, sep="\n", file=sys.stderr, flush=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
