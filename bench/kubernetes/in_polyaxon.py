"""Runs inside the peer's environment: ``Executor.make_and_convert``, as its agent calls it (see ``../control``).

``in_polyaxon.py CATALOG OPERATION``; prints seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from statistics import median

from polyaxon import settings
from polyaxon._k8s.executor.executor import Executor
from polyaxon._polyaxonfile import OperationSpecification
from polyaxon._schemas.agent import AgentConfig

WARM_UPS, TIMES = 5, 40


def main(catalog: str, operation: str) -> None:
    config = AgentConfig.read([catalog])
    config.namespace = "default"
    settings.set_agent_config(config)
    parsed = OperationSpecification.read(operation)
    walls, cpu = [], 0.0
    for number in range(WARM_UPS + TIMES):
        if number == WARM_UPS:
            cpu = time.process_time()
        start = time.perf_counter()
        made = Executor.make_and_convert(
            owner_name="owner", project_name="project", run_uuid=uuid.uuid4().hex, run_name="train", content=parsed,
            default_auth=False,
        )  # fmt: skip
        assert made
        walls.append(time.perf_counter() - start)
    print(json.dumps({"whole": median(walls[WARM_UPS:]), "whole_cpu": (time.process_time() - cpu) / TIMES}))


if __name__ == "__main__":
    main(*sys.argv[1:])
