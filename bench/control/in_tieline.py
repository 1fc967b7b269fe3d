"""Runs inside Tieline's environment: ``in_tieline.py SMALL CATALOG OPERATION`` loads, compiles, prints seconds as JSON.

The small catalog of all kinds is read first, so that imports are no part of either figure; the peer's twin does the
same.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

from tieline.app.deployment import Deployment, load_deployment
from tieline.app.home import HomeFolder
from tieline.app.jobs import load_job
from tieline.app.submit import Wanted, request_for
from tieline.compile.planner import compile_job

LOADS, WARM_UPS, COMPILES = 3, 20, 300


def load(catalog: Path, home: HomeFolder) -> tuple[Deployment, float]:
    """Read the file, type every connection by its kind, make the views."""
    start = time.perf_counter()
    deployment = load_deployment(catalog, home)
    return deployment, time.perf_counter() - start


def compile_times(operation: Path, deployment: Deployment, home: HomeFolder) -> list[float]:
    """From the parsed job to the plan, as a new run each time."""
    job, known = load_job(operation, deployment.catalog)
    wanted = Wanted(operation)
    times = []
    for _ in range(WARM_UPS + COMPILES):
        start = time.perf_counter()
        plan, _ = compile_job(job, deployment.catalog, request_for(job, wanted, deployment, home), known)
        times.append(time.perf_counter() - start)
    assert len(plan.bindings) == 5
    return times[WARM_UPS:]


def main(small: Path, catalog: Path, operation: Path) -> None:
    home = HomeFolder.find()
    load(small, home)
    loads = []
    for _ in range(LOADS):
        deployment, seconds = load(catalog, home)
        loads.append(seconds)
    compiles = compile_times(operation, deployment, home)
    count = len(deployment.catalog.views["default"].connections)
    print(json.dumps({"load": median(loads), "compile": median(compiles), "connections": count - 1}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
