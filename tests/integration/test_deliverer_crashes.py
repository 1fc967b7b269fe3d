"""``kill -9`` of the deliverer at any moment: everybody is told at least once, and where there is a key, with the
effect of once; nothing is stuck. 20 seeded moments in CI, 200 in soak mode."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
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
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload([*deliver_harness.NEEDS])
"""What deliverers are forked from: it has imported everything, so that fifty of them do not take minutes."""


def started(world: World) -> BaseProcess:
    process = FORKED.Process(target=deliver_harness.main, args=(world.home,))
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    process.join(60)
    return process.exitcode


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


def killed(world: World, there: Receiver, chance: random.Random) -> None:
    """A deliverer that is killed when it has begun so many of its messages, and a moment later: mostly in the middle
    of one, which takes ten milliseconds, however busy the machine is."""
    begun = len(there.requests) + chance.randrange(RUNS * len(CHANNELS))
    process = started(world)
    while len(there.requests) < begun and process.is_alive():
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.015))
    process.kill()
    process.join()


def test_everybody_is_told_whenever_the_deliverer_is_killed(tmp_path: Path, figure: Callable[[str], None]) -> None:
    chance = random.Random(SEED)
    interrupted = again = 0
    with receiver() as there:
        for moment in range(MOMENTS):
            world = filled(tmp_path / f"home-{moment}", there)
            kills = chance.choice([1, 1, 2])
            for _ in range(kills):
                killed(world, there, chance)
            assert ended(started(world)) == 0
            told = f"moment {moment}, {kills} kills, seed {SEED}"
            again += check(world, there, kills, told)
            interrupted += sum(
                one.outcome == "interrupted" for row in world.told() for one in world.record.outbox.get(row.id).history
            )
            world.record.close()
    figure(
        f"{MOMENTS} moments: {interrupted} messages were under way when their deliverer was killed; "
        f"{again} of {MOMENTS * RUNS} messages to a channel without a key arrived twice"
    )


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
