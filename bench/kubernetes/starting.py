"""From submit to main's first line: ours, by the command line, beside Jobs that somebody wrote by hand."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from world import FIRST, KEYS, LOGIN, PRINT, World

from tieline.engines.kubernetes.api import JOBS, PODS, Api

PATIENCE = 120.0
QUIET = 3.0
"""Seconds between two measures."""
_LINE = re.compile(rf"{FIRST} (\d+\.\d+)".encode())
FETCH = """\
import obstore, os, sys
from obstore.store import S3Store
store = S3Store("data", endpoint=sys.argv[1], region="us-east-1", virtual_hosted_style_request=False,
                client_options={"allow_http": True})
for page in obstore.list(store, "in"):
    for entry in page:
        path = os.path.join(sys.argv[2], entry["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            for piece in obstore.get(store, entry["path"]).stream():
                file.write(piece)
"""


class Missed(RuntimeError):
    """A job did not do what it is measured for."""


def ours(world: World, name: str) -> float:
    """``tieline run``: seconds from the start of the command to the line."""
    began = time.time()
    own = Path(sys.executable).with_name("tieline")
    argv = [own, "run", world.job(name), "-c", world.catalog, "--engine", "kubernetes", "-n", world.space.name]
    done = subprocess.run(argv, cwd=world.root, env=world.env, capture_output=True, check=False)
    found = _LINE.search(done.stdout)
    if done.returncode or found is None:
        raise Missed(f"tieline run {name}: exit code {done.returncode}\n{(done.stdout + done.stderr).decode()[-3000:]}")
    return float(found[1]) - began


def by_hand(world: World, api: Api, *, with_inputs: bool = False, with_volume: bool = True) -> float:
    """A Job, made by a client whose connection is open already: seconds from its request to the line.

    ``with_volume``: with its service account's token, as every pod that does not refuse it.
    """
    name = f"hand-{uuid.uuid4().hex[:10]}"
    job = _written(world, name, with_inputs=with_inputs, with_volume=with_volume)
    began = time.time()
    api.create(JOBS, world.space.name, job)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        pods = api.list(PODS, world.space.name, {"job-name": name})["items"]
        if pods and pods[0]["status"].get("phase") in ("Succeeded", "Failed"):
            with api.log(world.space.name, pods[0]["metadata"]["name"], "main") as pieces:
                found = _LINE.search(b"".join(pieces))
            api.delete(JOBS, world.space.name, name)
            if found is None:
                raise Missed(f"the Job {name} printed nothing: {pods[0]['status']}")
            return float(found[1]) - began
        time.sleep(0.25)
    raise Missed(f"the Job {name} did not end")


def settle(world: World, api: Api, chance: random.Random) -> None:
    """Wait until the node is done with what was measured before: no pod that runs or is being removed.

    Then for some seconds: a kubelet of 1.20 asks the API server five times a second, and ten times at once, so each pod
    delays the next. They differ: it looks once a second whether an init container has ended, so who would begin at
    always the same point of its second would measure that.
    """
    until = time.monotonic() + PATIENCE
    while any(map(_is_busy, api.list(PODS, world.space.name)["items"])):
        if time.monotonic() > until:
            raise Missed("the node is not done with the pods that were measured before")
        time.sleep(0.25)
    time.sleep(QUIET + chance.random())


def _is_busy(pod: dict[str, Any]) -> bool:
    ended = pod["status"].get("phase") in ("Succeeded", "Failed")
    return not ended or "deletionTimestamp" in pod["metadata"]


def _written(world: World, name: str, *, with_inputs: bool, with_volume: bool) -> dict[str, Any]:
    main = _container(world, "main", PRINT)
    spec: dict[str, Any] = {
        "restartPolicy": "Never", "hostNetwork": True, "automountServiceAccountToken": with_volume,
        "containers": [main],
    }  # fmt: skip
    if with_inputs:
        script = f"git clone -q --depth 1 {world.code} /in/code && python -c '{FETCH}' {world.server.endpoint} /in"
        env = [{"name": key, "valueFrom": {"secretKeyRef": {"name": LOGIN, "key": key}}} for key in KEYS]
        spec["initContainers"] = [{**_container(world, "inputs", script.replace("'in'", '"in"')), "env": env}]
        spec["volumes"] = [{"name": "in", "emptyDir": {}}]
        for container in (main, *spec["initContainers"]):
            container["volumeMounts"] = [{"name": "in", "mountPath": "/in"}]
    template = {"metadata": {"labels": {"job-name": name}}, "spec": spec}
    meta = {"name": name, "namespace": world.space.name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {"backoffLimit": 0, "template": template},
    }


def _container(world: World, name: str, script: str) -> dict[str, Any]:
    return {
        "name": name, "image": world.image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script],
        "securityContext": {"runAsUser": 0},
    }  # fmt: skip
