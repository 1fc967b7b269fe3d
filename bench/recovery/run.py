"""``python bench/recovery/run.py``: what ``kill -9`` costs, by the tests' own crash moments: the bytes that a job had
flushed and that are not in the store afterwards, and how long the next command takes to end the run. For a folder, and
for a bucket of SeaweedFS. Ends with 1 where a byte is lost."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VICTIMS = ("supervisor", "job", "supervisor+job")
STORES = {"folder": "none", "bucket": "bucket"}


def struck(store: str, moments: int, seed: int, folder: Path) -> list[dict]:
    """What became of each run that was struck."""
    report = folder / f"{store}.json"
    asked = {
        "TIELINE_SOAK": "1", "TIELINE_MOMENTS": str(moments), "TIELINE_SEED": str(seed),
        "TIELINE_VICTIMS": ",".join(VICTIMS), "TIELINE_REPORT": str(report),
    }  # fmt: skip
    argv = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--timeout", "0",
        "tests/integration/test_crashes.py", "-k", f"nothing_is_lost and {STORES[store]}",
    ]  # fmt: skip
    subprocess.run(argv, cwd=CHECKOUT, env={**os.environ, **asked}, check=True, stdout=sys.stderr)
    return json.loads(report.read_text())


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    results, lost = {}, 0
    with tempfile.TemporaryDirectory() as name:
        for store in STORES:
            results[store] = found = struck(store, given.moments, given.seed, Path(name))
            lost += sum(one["lost"]["bytes"] for one in found)
    print("| store | killed | runs | bytes lost | to recover: median | most |")
    print("| --- | --- | --- | --- | --- | --- |")
    for store, found in results.items():
        for victims in VICTIMS:
            of = [one for one in found if one["victims"] == victims]
            took = [one["recovered"] for one in of if one["recovered"] is not None]
            gone = sum(one["lost"]["bytes"] for one in of)
            print(f"| {store} | {victims} | {len(of)} | {gone} | {statistics.median(took):.2f} s | {max(took):.2f} s |")
    place = CHECKOUT / "bench" / "results"
    place.mkdir(exist_ok=True)
    (place / "recovery.json").write_text(json.dumps(results, indent=2) + "\n")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
