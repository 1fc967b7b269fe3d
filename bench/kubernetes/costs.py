"""What one run costs the API server: Tieline's own client counts, and the collector's connections are counted on the
way (it opens one for each request). A watch is one request, whatever it tells."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from unittest.mock import patch

from starting import PATIENCE, Missed
from world import FIRST, World

from servers.wire import Wire
from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted, prepare
from tieline.app.submit import accept, carry_out, detach
from tieline.engines.base import Controls, Silent
from tieline.engines.kubernetes.api import PODS, Api
from tieline.model.run import Status

_LINE = re.compile(rf"{FIRST} (\d+\.\d+)".encode())


class CountingWire(Wire):
    """A wire to the API server; ``connections`` that came over it."""

    @property
    def connections(self) -> int:
        return len(self._sockets) // 2


def cost(world: World, name: str) -> tuple[Counter[str], int]:
    """The requests of one run, by what they are, and how many distinct objects it refers to (those that preflight
    looks at: its namespace, its service account, secrets, config maps, claims)."""
    wire = CountingWire(world.space.port)
    try:
        with patch.dict(os.environ, {**world.env, "TIELINE_KUBERNETES_PORT": str(wire.port)}):
            home = HomeFolder.find()
            wanted = Wanted(world.job(name), namespace=world.space.name, engine="kubernetes")
            accepted = accept(prepare(wanted, load_deployment(world.catalog, home), home), home)
            assert accepted.remote is not None
            api = accepted.remote.api
            referred = sum(n for what, n in api.counted.items() if what.startswith("get ") and what != "get version")
            run = carry_out(accepted, Silent(), Controls())
            accepted.record.close()
            if run.status is not Status.SUCCEEDED:
                raise Missed(f"the run {name} is {run.status}: {run.message}")
            return api.counted + Counter({"the collector's own": wire.connections}), referred
    finally:
        wire.close()


def warm(world: World, api: Api, name: str) -> float:
    """A submit by a process that has begun long before, as a server would: from before the file is read to the line."""
    with patch.dict(os.environ, world.env):
        home = HomeFolder.find()
        began = time.time()
        wanted = Wanted(world.job(name), namespace=world.space.name, engine="kubernetes")
        accepted = accept(prepare(wanted, load_deployment(world.catalog, home), home), home)
        detach(accepted)
    until = time.monotonic() + PATIENCE
    labels = {"tieline.dev/run": accepted.plan.run.uuid}
    while time.monotonic() < until:
        pods = api.list(PODS, world.space.name, labels)["items"]
        if pods and pods[0]["status"].get("phase") in ("Succeeded", "Failed"):
            with api.log(world.space.name, pods[0]["metadata"]["name"], "main") as pieces:
                found = _LINE.search(b"".join(pieces))
            if found is None:
                raise Missed(f"the run {name} printed nothing: {pods[0]['status']}")
            return float(found[1]) - began
        time.sleep(0.25)
    raise Missed(f"the run {name} did not end")
