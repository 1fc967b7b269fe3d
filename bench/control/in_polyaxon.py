"""Runs inside the peer's environment: the peer's way to do what ``in_tieline.py`` does, and printed the same way.

``in_polyaxon.py SMALL CATALOG OPERATION``, or ``in_polyaxon.py --from-environment``: how many connections an agent
finds in the environment variable in which its deployment hands the catalog over.
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

LOADS, WARM_UPS, COMPILES = 3, 3, 20


def load(catalog: str) -> tuple[AgentConfig, float]:
    """The agent's own reader: the YAML file, then every connection as a V1Connection."""
    start = time.perf_counter()
    config = AgentConfig.read([catalog])
    return config, time.perf_counter() - start


def compile_times(operation: str) -> list[float]:
    """What an agent does with a queued run (``BaseAgent.make_run_resource``), given the operation already parsed."""
    parsed = OperationSpecification.read(operation)
    times = []
    for _ in range(WARM_UPS + COMPILES):
        start = time.perf_counter()
        resource = Executor.make_and_convert(
            owner_name="owner",
            project_name="project",
            run_uuid=uuid.uuid4().hex,
            run_name="train",
            content=parsed,
            default_auth=False,
        )
        times.append(time.perf_counter() - start)
    assert resource
    return times[WARM_UPS:]


def main(small: str, catalog: str, operation: str) -> None:
    load(small)
    loads = []
    for _ in range(LOADS):
        config, seconds = load(catalog)
        loads.append(seconds)
    config.namespace = "default"
    settings.set_agent_config(config)
    compiles = median(compile_times(operation))
    figures = {
        "load": median(loads),
        "compile": compiles,
        "compile_new": compiles,  # it keeps nothing from one operation to the next
        "connections": len(config.connections or []),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1:] == ["--from-environment"]:
        settings.set_agent_config()
        print(json.dumps({"connections": len(settings.AGENT_CONFIG.connections or [])}))
    else:
        main(*sys.argv[1:])
