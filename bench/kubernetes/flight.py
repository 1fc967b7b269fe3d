"""Many runs in flight: Jobs and pods as Tieline makes them. No scheduler takes the pods; the bench says they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from starting import Missed
from world import World

from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import Prepared, Wanted, prepare
from tieline.engines.kubernetes.api import JOBS, PODS, Api
from tieline.engines.kubernetes.asking import side_by_side
from tieline.engines.kubernetes.manifests import manifests

NOBODY = "nobody"
HERE = Path(__file__).resolve().parent


def watched(world: World, api: Api, runs: int, seconds: float) -> dict[str, Any]:
    """What the process that watches them took."""
    with patch.dict(os.environ, world.env):
        home = HomeFolder.find()
        deployment = load_deployment(world.catalog, home)
        wanted = Wanted(world.job("inputs"), namespace=world.space.name, engine="kubernetes")
        prepared = [prepare(wanted, deployment, home) for _ in range(runs)]
    plans = world.root / "plans.jsonl"
    plans.write_text("".join(f"{one.plan.model_dump_json()}\n" for one in prepared))
    side_by_side(lambda one: _made(world, api, one), prepared)
    argv = [sys.executable, HERE / "watcher.py", world.space.name, plans, str(seconds)]
    done = subprocess.run(argv, env=world.env, capture_output=True, text=True, check=False)
    side_by_side(lambda one: _removed(world, api, one), prepared)
    if done.returncode:
        raise Missed(f"the watcher: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    if found["running"] != runs:
        raise Missed(f"{found['running']} of {runs} runs were seen to run")
    return found


def _made(world: World, api: Api, one: Prepared) -> None:
    """The run's Job, of which the controller makes no pod; and its pod, which says that it runs."""
    assert one.cluster is not None
    job = manifests(one.plan, one.cluster)[1]
    job["spec"]["parallelism"] = 0
    made = api.create(JOBS, world.space.name, job)
    template = job["spec"]["template"]
    meta = {**template["metadata"], "name": made["metadata"]["name"], "namespace": world.space.name}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**template["spec"], "schedulerName": NOBODY}}
    _runs(world, api, api.create(PODS, world.space.name, pod))


def _removed(world: World, api: Api, one: Prepared) -> None:
    name = f"tieline-{one.plan.run.uuid}"
    api.delete(JOBS, world.space.name, name)
    api.delete(PODS, world.space.name, name, grace=0)


def _runs(world: World, api: Api, pod: dict[str, Any]) -> None:
    now, spec = pod["metadata"]["creationTimestamp"], pod["spec"]

    def told(container: dict[str, Any], state: dict[str, Any], *, ready: bool) -> dict[str, Any]:
        return {
            "name": container["name"], "image": container["image"], "imageID": "", "ready": ready, "restartCount": 0,
            "state": state,
        }  # fmt: skip

    ended = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
    status = {
        "phase": "Running", "startTime": now,
        "initContainerStatuses": [told(one, ended, ready=True) for one in spec.get("initContainers", ())],
        "containerStatuses": [told(one, {"running": {"startedAt": now}}, ready=True) for one in spec["containers"]],
    }  # fmt: skip
    api.patch(PODS, world.space.name, pod["metadata"]["name"], {"status": status}, sub="status")
