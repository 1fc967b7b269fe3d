"""Runs inside Tieline's environment: from a plan with five connections to its manifests; prints seconds as JSON.

``compiling.py CATALOG OPERATION``. ``whole`` is from the parsed operation: a new plan, and its manifests: what the
peer's ``make_and_convert`` does in one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.jobs import load_job
from tieline.app.preparing import Wanted, request_for
from tieline.compile.planner import compile_job
from tieline.engines.kubernetes.manifests import manifests
from tieline.engines.kubernetes.settings import cluster_of

WARM_UPS, TIMES = 20, 300


def times(work: Callable[[], object]) -> tuple[float, float]:
    """The median seconds of one time, by the clock, and the mean CPU seconds."""
    for _ in range(WARM_UPS):
        work()
    walls, cpu = [], time.process_time()
    for _ in range(TIMES):
        start = time.perf_counter()
        work()
        walls.append(time.perf_counter() - start)
    return median(walls), (time.process_time() - cpu) / TIMES


def main(catalog: Path, operation: Path) -> None:
    home = HomeFolder.find()
    deployment = load_deployment(catalog, home)
    job, _ = load_job(operation, deployment.catalog)
    wanted = Wanted(operation, engine="kubernetes")
    cluster = cluster_of(None, "", "default", os.environ)

    def plan() -> object:
        return compile_job(job, deployment.catalog, request_for(job, wanted, deployment, home))[0]

    one = plan()
    assert len(one.bindings) == 5
    wall, cpu = times(lambda: manifests(one, cluster))
    whole, whole_cpu = times(lambda: manifests(plan(), cluster))
    print(json.dumps({"manifests": wall, "manifests_cpu": cpu, "whole": whole, "whole_cpu": whole_cpu}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
