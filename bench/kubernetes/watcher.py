"""Runs in a process of its own: watches all runs of a namespace by one watch, and knows how each of them stands.

``watcher.py NAMESPACE PLANS SECONDS``: PLANS has a plan in each line. When all runs are seen to run, it is idle for so
many seconds; then it prints what it took as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path

from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.reconcile import MINE
from tieline.engines.kubernetes.seen import seen
from tieline.engines.kubernetes.watch import PodWatch
from tieline.model.plan import Plan
from tieline.model.run import Status

PATIENCE = 120.0


class Watcher:
    """The plans, and how each run was seen at last."""

    def __init__(self, api: Api, namespace: str, plans: list[Plan]) -> None:
        self.plans = {plan.run.uuid: plan for plan in plans}
        self.statuses: dict[str, Status] = {}
        self.watch = PodWatch(api, namespace, MINE, self.changed)

    def changed(self, uuid: str) -> None:
        if uuid not in self.plans:  # of a row before this one
            self.watch.forget(uuid)
            return
        pods = self.watch.pods(uuid)
        found = seen(self.plans[uuid], None, pods)
        self.statuses[uuid] = found.status

    @property
    def running(self) -> int:
        return sum(status is Status.RUNNING for status in self.statuses.values())


def main(namespace: str, plans: Path, seconds: float) -> None:
    listed = [Plan.model_validate_json(line) for line in plans.read_text().splitlines()]
    api = Api.open()
    watcher = Watcher(api, namespace, listed)
    threading.Thread(target=watcher.watch.run, daemon=True).start()
    until = time.monotonic() + PATIENCE
    while watcher.running < len(listed) and time.monotonic() < until:
        time.sleep(0.1)
    began, cpu = time.monotonic(), time.process_time()
    time.sleep(seconds)
    share = (time.process_time() - cpu) / (time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({
        "running": watcher.running, "peak_mb": peak, "share": share, "streams": api.counted["watch pods"],
        "requests": api.requests,
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
