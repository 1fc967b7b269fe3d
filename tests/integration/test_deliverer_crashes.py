"""``kill -9`` of the deliverer at any moment: everybody is told at least once, and where there is a key, with the
effect of once; nothing is stuck. 20 seeded moments in CI, 200 in soak mode."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import deliver_harness
from outbox_harness import World

from servers.receiver import Receiver, Step, receiver
from tieline.model.notification import Delivery

SOAK = bool(os.environ.get("TIELINE_SOAK"))
MOMENTS = int(os.environ.get("TIELINE_MOMENTS", "200")) if SOAK else 20
SEED = int(os.environ.get("TIELINE_SEED", "1"))
RUNS = 4
CHANNELS = {"hook": "/hook", "team": "/team", "page": "/v2/enqueue"}


def started(world: World) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-W", "ignore", deliver_harness.__file__, str(world.home.root)])


def filled(folder: Path, there: Receiver) -> World:
    """A home whose outbox has a few runs for each channel, which answers after a few milliseconds."""
    there.clear()
    there.script(Step(seconds=0.01, times=200))
    world = World.at(folder)
    for name, kind in (("hook", "webhook"), ("team", "slack"), ("page", "pagerduty")):
        world.channel(name, kind, url=there.url(CHANNELS[name]))
    for number in range(RUNS):
        world.ended(*CHANNELS, name=f"job-{number}")
    return world


def length(folder: Path, there: Receiver) -> tuple[float, float]:
    """When a deliverer that is left alone begins to send, and when it has ended, in seconds."""
    for number in range(2):  # the first one warms the caches
        world = filled(folder / f"alone-{number}", there)
        began, wall = time.monotonic(), time.time()
        assert started(world).wait(60) == 0
        ended = time.monotonic() - began
        world.record.close()
    return there.requests[0].at - wall, ended


def test_everybody_is_told_whenever_the_deliverer_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    interrupted = again = 0
    with receiver() as there:
        first, last = length(tmp_path, there)
        for moment in range(MOMENTS):
            world = filled(tmp_path / f"home-{moment}", there)
            kills = chance.choice([1, 1, 2])
            for _ in range(kills):
                process = started(world)
                time.sleep(chance.uniform(first * 0.9, last * 1.05))
                process.kill()
                process.wait()
            assert started(world).wait(60) == 0
            told = f"moment {moment}, {kills} kills, seed {SEED}"
            again += check(world, there, kills, told)
            interrupted += sum(
                one.outcome == "interrupted" for row in world.told() for one in world.record.outbox.get(row.id).history
            )
            world.record.close()
    print(f"{MOMENTS} moments: {interrupted} messages were under way when their deliverer was killed;", end=" ")
    print(f"{again} of {MOMENTS * RUNS} messages to a channel without a key arrived twice")


def check(world: World, there: Receiver, kills: int, told: str) -> int:
    """How many messages of the channel without a key arrived more than once."""
    rows = world.told()
    assert {row.state for row in rows} == {Delivery.DELIVERED}, told
    assert len(rows) == RUNS * len(CHANNELS)
    assert set(there.keys) == {f"{row.facts.run}.{row.facts.sequence}.hook" for row in world.told("hook")}, told
    assert there.opened == {f"tieline/default/penguins/job-{number}": 1 for number in range(RUNS)}, told
    arrived = Counter(
        row.facts.run for row in world.told("team") for one in there.taken
        if one.path == "/team" and row.facts.run[:8].encode() in one.body
    )  # fmt: skip
    assert len(arrived) == RUNS, told
    twice = sum(arrived.values()) - RUNS
    assert twice <= kills, f"{told}: at most the message that was under way at each kill"
    return twice
