"""Runs inside Tieline's environment: ``in_tieline.py SMALL CATALOG OPERATION`` loads, compiles, prints seconds as JSON.

The small catalog of all kinds is read first, so that imports are no part of any figure; the peer's twin does the same.
``compile_new`` are jobs whose connections no job has used before: what Tieline keeps of a connection is made then.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

import inputs

from tieline.app.deployment import Deployment, load_deployment
from tieline.app.home import HomeFolder
from tieline.app.jobs import load_job
from tieline.app.preparing import Wanted, request_for
from tieline.compile.jobs import Job, read_job
from tieline.compile.planner import compile_job
from tieline.documents.document import Document, parse_document

LOADS, WARM_UPS, COMPILES = 3, 20, 300
NEW = range(0, 900, len(inputs.KINDS))  # the first connections of jobs that share none (the operation's are beyond)


def load(catalog: Path, home: HomeFolder) -> tuple[Deployment, float]:
    """Read the file, type every connection by its kind, make the views."""
    start = time.perf_counter()
    deployment = load_deployment(catalog, home)
    return deployment, time.perf_counter() - start


def compile_time(job: Job, operation: Path, deployment: Deployment, home: HomeFolder) -> float:
    """From the parsed job to the plan, as a new run."""
    wanted = Wanted(operation)
    start = time.perf_counter()
    plan, _ = compile_job(job, deployment.catalog, request_for(job, wanted, deployment, home))
    seconds = time.perf_counter() - start
    assert len(plan.bindings) == len(inputs.USED)
    return seconds


def nothing(name: str) -> Document:
    raise AssertionError(f"the operation refers to no other file, and not to {name}")


def main(small: Path, catalog: Path, operation: Path) -> None:
    home = HomeFolder.find()
    load(small, home)
    loads = []
    for _ in range(LOADS):
        deployment, seconds = load(catalog, home)
        loads.append(seconds)
    job, _ = load_job(operation, deployment.catalog)
    same = [compile_time(job, operation, deployment, home) for _ in range(WARM_UPS + COMPILES)][WARM_UPS:]
    jobs = [read_job(parse_document(inputs.operation(first), "op.yaml"), nothing, nothing)[0] for first in NEW]
    new = [compile_time(job, operation, deployment, home) for job in jobs]
    figures = {
        "load": median(loads),
        "compile": median(same),
        "compile_new": median(new),
        "connections": len(deployment.catalog.views["default"].connections) - 1,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
