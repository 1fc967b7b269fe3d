"""``python bench/kubernetes/run.py``: Tieline's runs on a real cluster, beside Jobs that somebody wrote by hand.

See ../README.md. Prints the table, writes ``bench/results/kubernetes.json``; the exit code is 1 where something that
must be reached is not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent), str(HERE.parent / "control")]

import inputs  # noqa: E402
import peers  # noqa: E402
import pytest  # noqa: E402
from costs import cost, warm  # noqa: E402
from flight import watched  # noqa: E402
from starting import by_hand, ours, settle  # noqa: E402
from world import World, world  # noqa: E402

from tieline.engines.kubernetes.api import Api  # noqa: E402

RESULTS = HERE.parent / "results"
RUNS, IDLE = 500, 20.0
TIMES, MORE, NOTHING_MORE = 1.3, 0.7, 0.5
REQUESTS, FASTER, MEMORY, SHARE = 8, 10, 150, 0.05

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Row:
    """``reached`` None: it is there to be read."""

    what: str
    seen: str
    must: str = ""
    reached: bool | None = None


def starts(samples: Samples) -> list[Row]:
    """How long it takes to main's first line."""
    mid = {name: median(values) for name, values in samples.items()}
    limit, bare = TIMES * mid["by hand"] + MORE, mid["bare"] + NOTHING_MORE
    return [
        Row("a Job by hand: clone and fetch in one init container", f"{mid['by hand']:.2f} s"),
        Row("`tieline run`, one clone and one fetch", f"{mid['inputs']:.2f} s", f"{limit:.2f} s",
            mid["inputs"] <= limit),
        Row("… submitted by a process that was there before", f"{mid['inputs, warm']:.2f} s"),
        Row("a bare Job by hand, its pod without any volume", f"{mid['no volume']:.2f} s"),
        Row("a bare Job by hand", f"{mid['bare']:.2f} s"),
        Row("`tieline run`, no connections", f"{mid['nothing']:.2f} s", f"{bare:.2f} s", mid["nothing"] <= bare),
        Row("… submitted by a process that was there before", f"{mid['nothing, warm']:.2f} s"),
    ]  # fmt: skip


def measure_starts(there: World, api: Api, rounds: int) -> Samples:
    """A warm-up that is thrown away, then rounds; every second one goes backwards."""
    steps: list[tuple[str, Callable[[], float]]] = [
        ("no volume", lambda: by_hand(there, api, with_volume=False)),
        ("bare", lambda: by_hand(there, api)),
        ("nothing", lambda: ours(there, "nothing")),
        ("nothing, warm", lambda: warm(there, api, "nothing")),
        ("by hand", lambda: by_hand(there, api, with_inputs=True)),
        ("inputs", lambda: ours(there, "inputs")),
        ("inputs, warm", lambda: warm(there, api, "inputs")),
    ]
    samples: Samples = defaultdict(list)
    chance = random.Random(rounds)
    for number in range(rounds + 1):
        for name, step in reversed(steps) if number % 2 else steps:
            told(f"round {number} of {rounds}: {name}")
            settle(there, api, chance)
            seconds = step()
            if number:
                samples[name].append(seconds)
    return samples


def requests_row(there: World) -> tuple[list[Row], dict[str, Any]]:
    """The first run of a home (of ten minutes: rights are remembered so long), and those that come after it."""
    told("requests")
    shutil.rmtree(there.root / "home")
    rows, found = list[Row](), dict[str, Any]()
    for which, name in (("the first", "nothing"), ("no connections", "nothing"), ("a clone and a fetch", "inputs")):
        counted, referred = cost(there, name)
        own = counted.total() - referred
        found[which] = {"counted": dict(counted), "referred": referred}
        what = f"API requests of a run beside one for each of {referred} objects: {which}"
        must = {} if which == "the first" else {"must": f"at most {REQUESTS}", "reached": own <= REQUESTS}
        rows.append(Row(what, f"{own}", **must))
    return rows, found


def compile_rows(there: World, rounds: int) -> tuple[list[Row], dict[str, Any]]:
    """Plan to manifests, and the peer's conversion, in processes of their own, in turn."""
    catalog = inputs.write_catalog(there.root / "five" / "tieline.yaml", 10)
    operation = there.root / "five" / "op.yaml"
    operation.write_text(inputs.operation(0))
    peer = peers.environment("control") / "python"
    env = {"PATH": os.environ["PATH"], "HOME": str(there.root), "TIELINE_HOME": str(there.root / "five" / "home")}
    mine, other = Samples(), Samples()
    for number in range(rounds):
        told(f"manifests, round {number + 1} of {rounds}")
        for samples, program, script in ((mine, sys.executable, "compiling.py"), (other, peer, "in_polyaxon.py")):
            argv = [program, HERE / script, catalog, operation]
            done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
            for name, value in json.loads(done.stdout.splitlines()[-1]).items():
                samples.setdefault(name, []).append(value)
    own = {name: median(values) * 1000 for name, values in mine.items()}
    theirs = {name: median(values) * 1000 for name, values in other.items()}
    ratio = theirs["whole"] / own["manifests"]
    cpu = theirs["whole_cpu"] / own["manifests_cpu"]
    rows = [
        Row(f"plan to manifests, 5 connections; polyaxon: {theirs['whole']:.1f} ms",
            f"{own['manifests']:.2f} ms ({ratio:.1f} times; {cpu:.1f} in CPU seconds)", f"{FASTER} times",
            ratio >= FASTER),
        Row("… from the parsed operation, the plan made too",
            f"{own['whole']:.2f} ms ({theirs['whole'] / own['whole']:.1f} times)"),
    ]  # fmt: skip
    return rows, {"tieline": dict(mine), "polyaxon": dict(other)}


def flight_rows(there: World, api: Api) -> tuple[list[Row], dict[str, Any]]:
    """Many runs, one watch."""
    told(f"{RUNS} runs in flight")
    found = watched(there, api, RUNS, IDLE)
    rows = [
        Row(f"{RUNS} runs watched by one process: watch streams", f"{found['streams']}", "1", found["streams"] == 1),
        Row("… peak memory", f"{found['peak_mb']:.0f} MB", f"under {MEMORY} MB", found["peak_mb"] < MEMORY),
        Row("… of a core, when idle", f"{found['share']:.2%}", f"under {SHARE:.0%}", found["share"] < SHARE),
    ]
    return rows, found


def table(rows: list[Row]) -> str:
    lines = [("what", "seen", "must reach", "reached")]
    words = {True: "yes", False: "NO", None: "–"}
    lines += [(row.what, row.seen, row.must or "–", words[row.reached]) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    shown = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([shown[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *shown[1:]])


def told(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()
    with world() as there:
        os.environ["KUBECONFIG"] = str(there.kubeconfig)
        with Api.open() as api:
            samples = measure_starts(there, api, rounds)
            requests, counted = requests_row(there)
            manifests, compiled = compile_rows(there, rounds)
            flight, watching = flight_rows(there, api)
    rows = [*starts(samples), *requests, *manifests, *flight]
    told("")
    print(table(rows))
    RESULTS.mkdir(exist_ok=True)
    found = {
        "rows": [{"what": row.what, "seen": row.seen, "must": row.must, "reached": row.reached} for row in rows],
        "seconds": dict(samples), "requests": counted, "manifests": compiled, "flight": watching,
        "load": {"before": load, "after": os.getloadavg()}, "cpus": os.cpu_count(),
    }  # fmt: skip
    (RESULTS / "kubernetes.json").write_text(json.dumps(found, indent=2))
    return int(any(row.reached is False for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except pytest.skip.Exception as absent:  # there is no cluster here: nothing was measured, and nothing was missed
        print(f"bench/kubernetes: not measured: {absent}", file=sys.stderr)
