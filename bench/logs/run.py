"""``python bench/logs/run.py``: how fast a job's lines are captured, redacted and saved; how soon they can be seen.

Ends with 1 where something that must be reached is not.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from inputs import LINE, lines, values
from peers import environment
from worlds import HERE, MEMORY, SECRETS, World, world

RESULTS = HERE.parent / "results"
PR_SET_CHILD_SUBREAPER = 36
TIELINE = [sys.executable, "-m", "tieline"]
PEER_LINES = {100: 40_000, 1000: 5_000}
PEER_ROUNDS = {100: 3, 1000: 1}  # to register a thousand takes the peer most of a minute
OWN_LINES = 400_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One run. ``cpu``: the seconds of all processes but the job's own program and the store's server."""

    wall: float
    cpu: float


# --- a million lines


def carried_out(made: World, *, detached: bool) -> Sample:
    """Run the job to its end. Its program has written down what it used itself."""
    used = made.root / "used"
    used.unlink(missing_ok=True)
    began = time.perf_counter()
    command = [*TIELINE, "run", "--isolation", "none", "job.yaml", *(["--detach"] if detached else [])]
    with (made.root / "said").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=made.root, env=made.env, stdout=subprocess.DEVNULL, stderr=said, stdin=subprocess.DEVNULL
        )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (made.root / "said").read_text()
    cpu = usage.ru_utime + usage.ru_stime
    for pid in children(b"tieline.app.detached"):  # the supervisor outlived the command: it is this process's child now
        _, _, usage = os.wait4(pid, 0)
        cpu += usage.ru_utime + usage.ru_stime
    return Sample(time.perf_counter() - began, cpu - float(used.read_text()))


def children(what: bytes) -> list[int]:
    """This process's children that run this module."""
    mine = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in mine if what in Path(f"/proc/{pid}/cmdline").read_bytes()]


def printing(made: World, source: Path, expected: bytes, rounds: int) -> dict:
    """Medians of a job that prints the file, on the console's way and detached; what is saved is compared."""
    empty = made.root / "empty"
    empty.write_bytes(b"")
    found: dict[str, list[Sample]] = {}
    for _ in range(rounds + 1):  # the first is a warm-up
        for name, file, detached in (
            ("nothing", empty, False), ("console", source, False),
            ("nothing detached", empty, True), ("detached", source, True),
        ):  # fmt: skip
            made.job(str(HERE / "printer.py"), str(file), str(made.root / "used"))
            found.setdefault(name, []).append(carried_out(made, detached=detached))
            assert made.log() == (b"" if file is empty else expected), f"the stored log of {name} is another"
    size = source.stat().st_size / 1e6
    told = {}
    for name, samples in found.items():
        wall = statistics.median(sample.wall for sample in samples[1:])
        cpu = statistics.median(sample.cpu for sample in samples[1:])
        told[name] = {"wall_s": wall, "cpu_s": cpu, "samples": [[s.wall, s.cpu] for s in samples[1:]]}
    for name, nothing in (("console", "nothing"), ("detached", "nothing detached")):
        pairs = zip(found[name][1:], found[nothing][1:], strict=True)
        own = statistics.median(sample.cpu - empty.cpu for sample, empty in pairs)
        wall, cpu = told[name]["wall_s"], told[name]["cpu_s"]
        told[name] |= {"own_cpu_s": own, "wall_mb_s": size / wall, "cpu_mb_s": size / own, "whole_cpu_mb_s": size / cpu}
    return told


# --- the redactor alone


def redacting(folder: Path, secrets: int) -> dict:
    """Tieline's redactor and Airflow's masker on the same lines, with the same values, one right after the other."""
    told = folder / "values"
    told.write_text("".join(f"{value}\n" for value in values(secrets)))
    own, peer = folder / "own", folder / "peer"
    raw = [line for line, _ in lines(OWN_LINES, values(secrets))]
    own.write_bytes(b"".join(raw))
    peer.write_bytes(b"".join(raw[: PEER_LINES[secrets]]))
    result = {"secrets": secrets, "tieline": [], "airflow": []}
    for _ in range(PEER_ROUNDS[secrets]):
        result["tieline"].append(output_of(sys.executable, HERE / "in_tieline.py", own, told))
        result["airflow"].append(
            output_of(environment("airflow") / "python", HERE / "in_airflow.py", peer, told, cwd=folder)
        )
    own_rate = statistics.median(sample["mb_s"] for sample in result["tieline"])
    peer_rate = statistics.median(max(sample["lines_mb_s"], sample["text_mb_s"]) for sample in result["airflow"])
    register = {name: statistics.median(s["register_s"] for s in result[name]) for name in ("tieline", "airflow")}
    return {**result, "mb_s": own_rate, "peer_mb_s": peer_rate, "ratio": own_rate / peer_rate, "register_s": register}


def output_of(*argv: object, cwd: Path | None = None) -> dict:
    env = {**os.environ, "AIRFLOW_HOME": str(cwd)} if cwd else None
    done = subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.PIPE, cwd=cwd, env=env)
    return json.loads(done.stdout)


# --- how soon a line can be seen


def seeing(made: World, count: int, before: float) -> dict:
    """Seconds from a line's printing to the moment at which it is read from ``tieline run`` and ``runs logs -f``."""
    made.job(str(HERE / "talker.py"), str(before), str(count))
    console = Reading(made, "run", "--isolation", "none", "job.yaml")
    while not (found := console.first_line()):
        time.sleep(0.1)
    assert found
    follower = Reading(made, "runs", "logs", "-f", "last")
    delays = {"console": console.delays(count), "follow": follower.delays(count)}
    assert follower.data == made.log() == console.data, "not what is stored was shown"
    return {name: told_delays(found) for name, found in delays.items()}


def told_delays(found: list[float]) -> dict:
    found = sorted(found)
    return {"lines": len(found), "p50_s": statistics.median(found), "p95_s": found[int(len(found) * 0.95)],
            "most_s": found[-1]}  # fmt: skip


class Reading(threading.Thread):
    """A command whose lines are read as they come."""

    def __init__(self, made: World, *words: str) -> None:
        super().__init__(daemon=True)
        self.said = made.root / f"{words[0]}.said"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [*TIELINE, *words], cwd=made.root, env=made.env, stdout=subprocess.PIPE, stderr=said
            )
        self.data, self._delays = b"", []
        self.start()

    def run(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            now = time.time()
            self.data += line
            if line.startswith(b"at "):
                self._delays.append(now - float(line.split()[2]))

    def first_line(self) -> bytes:
        if self.process.poll() is not None:
            raise RuntimeError(f"it ended with {self.process.returncode}: {self.said.read_text()}")
        return self.data

    def delays(self, count: int) -> list[float]:
        self.join()
        assert self.process.wait() == 0
        assert len(self._delays) == count, (len(self._delays), count)
        return self._delays


# --- all of it


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seen", type=int, default=200, help="lines of the latency row")
    parser.add_argument("--before", type=float, default=60.0, help="seconds that the run lasts before them")
    parser.add_argument("--only", choices=["redactor", "printing", "seeing"])
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    result: dict = {"lines": given.lines, "line_bytes": LINE, "secrets": SECRETS, "load": os.getloadavg()}
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        if given.only in (None, "redactor"):
            result["redactor"] = [redacting(folder, count) for count in PEER_LINES]
        source, expected = folder / "lines", b""
        if given.only in (None, "printing"):
            pairs = list(lines(given.lines, values(SECRETS - 2)))
            source.write_bytes(b"".join(raw for raw, _ in pairs))
            expected = b"".join(saved for _, saved in pairs)
            del pairs
        for kind in ("folder", "s3"):
            if given.only in (None, "printing"):
                with world(kind) as made:
                    result.setdefault("printing", {})[kind] = printing(made, source, expected, given.rounds)
            if given.only in (None, "seeing"):
                with world(kind) as made:
                    result.setdefault("seeing", {})[kind] = seeing(made, given.seen, given.before)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "logs.json").write_text(json.dumps(result, indent=2) + "\n")
    reached = [told(line, is_reached) for line, is_reached in report(result)]
    sys.exit(0 if all(reached) else 1)


def told(line: str, reached: bool | None) -> bool:
    print(f"{line}{'' if reached is None else ' (reached)' if reached else ' (NOT REACHED)'}")
    return reached is not False


def report(result: dict) -> Iterator[tuple[str, bool | None]]:
    """What was found, a line each, and whether it is as it must be."""
    for kind, found in result.get("printing", {}).items():
        yield (
            f"{result['lines']} lines into a {kind} store, each byte compared; MB/s by CPU seconds / by wall time:",
            None,
        )
        for name in ("console", "detached"):
            rate, wall = found[name]["cpu_mb_s"], found[name]["wall_mb_s"]
            yield f"  {name}: {rate:.0f} / {wall:.0f}; must reach 60 / -", rate >= 60
            yield f"    with what a run takes that prints nothing: {found[name]['whole_cpu_mb_s']:.0f}", None
        for name in ("nothing", "nothing detached"):
            yield f"  {name}: {found[name]['cpu_s']:.2f} CPU s, {found[name]['wall_s']:.2f} s", None
    rates = []
    for found in result.get("redactor", ()):
        rates.append(found["mb_s"])
        own, peer = found["register_s"]["tieline"], found["register_s"]["airflow"]
        yield (
            f"redactor, {found['secrets']} secrets: {found['mb_s']:.0f} MB/s, Airflow {found['peer_mb_s']:.2f}, "
            f"ratio {found['ratio']:.0f}, must reach 30", found["ratio"] >= 30,
        )  # fmt: skip
        yield f"  to register them: {own:.3f} s, Airflow {peer:.2f} s", None
    if rates:
        yield f"  with 1,000 / with 100: {rates[1] / rates[0]:.2f}, no slower (0.95)", rates[1] >= 0.95 * rates[0]
    for kind, found in result.get("seeing", {}).items():
        for name, delay in found.items():
            line = f"a line is seen, {kind} store, {name}: p50 {delay['p50_s']:.2f} s, p95 {delay['p95_s']:.2f} s, "
            yield f"{line}at most {delay['most_s']:.2f} s of {delay['lines']}; under 0.5 s", delay["p95_s"] < 0.5


if __name__ == "__main__":
    main()
