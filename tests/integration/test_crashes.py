"""``kill -9`` at any moment: of the supervisor, the guards, the job, or all at once; and of a recovery itself.

A job prints numbered lines and writes numbered files; after each it notes in a file of its own, which no part of
Tieline ever touches, that this much had been flushed. Whatever is killed then, the store has all of that afterwards,
once and in order, and the record says what happened.

The one exception: what a program prints is in a pipe until its guard, a moment later, has moved it on into the spool.
Where the supervisor *and* the guard are killed in that moment, nobody is left who has the pipe, and its bytes (64 KiB
at the most) are gone. Files never are: they are on the disk. Soak mode prints how much that was.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import crash_harness
import pytest
from crash_harness import LINES, Job, World, is_alive, is_guard, kill, line, with_environment

from servers.processes import absent, eventually
from tieline.app import runs as app_runs
from tieline.app.outputs import stored
from tieline.engines.process.isolation import unusable
from tieline.engines.process.leftovers import processes_of
from tieline.errors import Code
from tieline.model.plan import Plan
from tieline.model.run import Run, Status
from tieline.runs.locks import RunLock
from tieline.steps.log_reader import read_logs

SOAK = bool(os.environ.get("TIELINE_SOAK"))
MOMENTS = int(os.environ.get("TIELINE_MOMENTS", "1000")) if SOAK else 20
SEED = int(os.environ.get("TIELINE_SEED", "1"))
PATIENCE = 60.0
VICTIMS = ("supervisor", "guard", "job", "supervisor+job", "supervisor+guard", "everything")
CHOSEN = tuple(filter(None, os.environ.get("TIELINE_VICTIMS", "").split(","))) or VICTIMS
BOTH = ("supervisor+guard", "everything")
PIPE = 64 * 1024


@pytest.fixture(scope="module", params=["none", "bubblewrap", "bucket"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    isolated = request.param == "bubblewrap"
    if isolated and (reason := unusable()):
        absent(reason)
    folder = tmp_path_factory.mktemp("crashes")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", crash_harness.__file__],
        env={**os.environ, "PYTHONPATH": str(Path(crash_harness.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield World(folder, process, random.Random(SEED), isolated, request.param == "bucket")
        assert process.stdin is not None
        process.stdin.close()
    if SOAK:
        print(report())


# --- what must hold afterwards


class Lost(NamedTuple):
    """What was flushed and is not in the store."""

    lines: int = 0
    bytes: int = 0

    def and_(self, other: Lost) -> Lost:
        return Lost(self.lines + other.lines, self.bytes + other.bytes)


@dataclass
class Look:
    """One run after everything is over."""

    world: World
    job: Job
    uuid: str

    def __post_init__(self) -> None:
        with app_runs.opened(self.world.home) as record:
            self.run: Run = record.get(self.uuid)
            self.events = record.events(self.uuid)
            self.plan = Plan.model_validate(record.plan(self.uuid))
        self.store = app_runs.store_of(self.plan)

    def log(self, program: str, attempt: int) -> bytes:
        return b"".join(read_logs(self.store, app_runs.attempt_prefix(self.plan, attempt), program))

    def outputs(self, attempt: int) -> dict[str, bytes]:
        found = {}
        for item in stored(self.plan, attempt):
            if item.what == "file":
                key = f"{app_runs.attempt_prefix(self.plan, attempt)}/outputs/{item.key}"
                with self.store.open(key) as stream:
                    found[item.key] = stream.read()
        return found

    def everything(self) -> list[tuple[str, int, int]]:
        """What is in the store, with sizes and times."""
        return [(item.key, item.size, item.mtime_ns) for item in self.store.walk(self.plan.store.prefix)]

    def check(self, victims: str) -> Lost:
        """What is lost, where that may be."""
        lost = Lost()
        assert self.run.status.is_final
        assert self.run.reason != Code.OUTPUTS_NOT_SAVED, self.run.message
        assert processes_of(self.uuid) == set()
        for attempt in range(1, self.run.attempt + 1):
            lost = lost.and_(self.check_log(attempt, victims))
            self.check_outputs(attempt)
            prepared = b"".join(b"prepared %d\n" % n for n in range(10))
            count, _ = self.job.told("init", attempt)
            log = self.log("init-prep", attempt)
            assert prepared.startswith(log)
            assert log.count(b"\n") >= count or victims in BOTH
        self.check_reason(victims)
        folder = self.world.home.runs / self.uuid
        assert not (folder / "context").exists()
        assert list(folder.glob("attempt-*/spool")) == []
        assert os.listdir(self.world.home.runs / ".trash") == []
        return lost

    def check_log(self, attempt: int, victims: str) -> Lost:
        count, ended = self.job.told("main", attempt)
        log = self.log("main", attempt).decode()
        *whole, rest = log.split("\n")
        assert [text + "\n" for text in whole] == [line(n) for n in range(len(whole))], "once, and in order"
        assert line(len(whole)).startswith(rest), "only a last line may be cut"
        lost = max(0, count - len(whole))
        assert not lost or victims in BOTH, f"{count} lines were flushed, {len(whole)} are saved"
        size = max(0, sum(len(line(n)) for n in range(len(whole), count)) - len(rest))
        assert size <= PIPE
        assert not ended or lost or (len(whole) == LINES and not rest)
        return Lost(lost, size)

    def check_outputs(self, attempt: int) -> None:
        count, _ = self.job.told("main", attempt)
        found = self.outputs(attempt)
        latest = int(found.pop("latest", b"-1") or -1)
        found.pop(".next", None)
        assert latest >= (count - 1) // 10 * 10 if count else True
        wanted = {f"{n:06d}": line(n).encode() for n in range(0, count, 3)}
        assert {name: found.pop(name, None) for name in wanted} == wanted
        assert all(line(int(name)).encode().startswith(data) for name, data in found.items()), found

    def check_reason(self, victims: str) -> None:
        """It says what happened, and nothing that did not happen."""
        run, attempt = self.run, self.run.attempt
        count, ended = self.job.told("main", attempt)
        own = self.job.code if attempt == 1 else 0
        match run.status, run.reason:
            case Status.SUCCEEDED, _:
                assert ended
                assert own == 0
            case Status.FAILED, Code.EXIT_CODE:
                assert ended
                assert (own, run.exit_code) == (3, 3)
                assert run.attempt > self.job.retries or "before it could try again" in run.message
            case Status.FAILED, Code.SUPERVISOR_DIED:
                assert "supervisor" in victims or victims == "everything"
                assert not ended or "had not begun" in run.message or "killed with it" in run.message
                assert "nothing was started" not in run.message or not count
            case Status.FAILED, Code.SIGNALLED:
                assert victims != "supervisor"
                assert run.exit_code == 137
            case Status.FAILED, (Code.STEP_FAILED | Code.CLONE_FAILED):
                assert victims != "supervisor"
                assert "SIGKILL" in run.message or run.reason == Code.CLONE_FAILED
                assert not count
            case other:
                pytest.fail(f"{other}: {run.message}")


def strike(world: World, victims: str, leader: int, uuid: str) -> None:
    """Kill what was chosen, as far as it is there now."""
    marked = with_environment(f"TIELINE_RUN_UUID={uuid}") if uuid else set()
    guards = {pid for pid in marked if is_guard(pid)}
    supervisors = {leader, *with_environment(f"TIELINE_HOME={world.home.root}")}
    chosen = {
        "supervisor": supervisors, "guard": guards, "job": marked - guards,
        "supervisor+job": supervisors | (marked - guards), "supervisor+guard": supervisors | guards,
        "everything": supervisors | marked,
    }[victims]  # fmt: skip
    kill(chosen)


def until_quiet(world: World, leader: int) -> None:
    """Until no supervisor is left; where none was killed, the run comes to its own end."""
    until = time.monotonic() + PATIENCE
    while is_alive(leader) or any(map(is_alive, with_environment(f"TIELINE_HOME={world.home.root}"))):
        assert time.monotonic() < until, "a supervisor does not end"
        time.sleep(0.01)


def length_of(world: World, style: str) -> float:
    """How long a run takes when nothing is killed, in seconds (the second one: the first warms the caches)."""
    for number in range(0 if style in world.lengths else 2):
        began = time.monotonic()
        leader = world.fork(style, str(world.job(-1 - number - 10 * len(world.lengths)).file))
        until_quiet(world, leader)
        world.lengths[style] = time.monotonic() - began
        world.seen.add(world.new_run())
    return world.lengths[style]


def is_intact(world: World) -> bool:
    with sqlite3.connect(world.home.database) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return found == [("ok",)]


def crash(world: World, number: int, style: str, victims: str) -> tuple[Job, str, float]:
    """Begin a run, wait for a random moment, strike."""
    job = world.job(number)
    moment = world.chance.uniform(0, 1.15) * length_of(world, style)
    leader = world.fork(style, str(job.file))
    time.sleep(moment)
    strike(world, victims, leader, world.new_run())
    until_quiet(world, leader)
    uuid = world.new_run()
    if uuid and (lock := world.home.runs / uuid / "lock").exists():  # threads of what was killed may need a moment more
        eventually(lambda: RunLock.try_acquire(lock)).release()
    return job, uuid, moment


@pytest.mark.parametrize("style", ["submit", "detach"])
def test_nothing_is_lost_whatever_is_killed(world: World, style: str) -> None:
    moments = MOMENTS if SOAK or not world.bucket else MOMENTS // 2
    count = moments * 3 // 4 if style == "submit" else moments - moments * 3 // 4
    for number in range(count):
        victims = CHOSEN[number % len(CHOSEN)]
        job, uuid, moment = crash(world, (0 if style == "submit" else 1_000_000) + number, style, victims)
        began = time.monotonic()
        world.recover()
        RECOVERED[uuid] = time.monotonic() - began
        look_again(world, job, uuid, victims, f"{style} {number}: {victims} at {moment:.3f} s")


def look_again(world: World, job: Job, uuid: str, victims: str, told: str) -> None:
    world.seen.add(uuid)
    if not uuid or not is_recorded(world, uuid):
        assert not uuid or processes_of(uuid) == set(), told
        return
    try:
        first = Look(world, job, uuid)
        lost = first.check(victims)
        before = first.everything()
        second = Look(world, job, uuid)
        assert (second.run, second.events) == (first.run, first.events)
        assert second.everything() == before
        assert is_intact(world)
    except Exception as error:
        raise AssertionError(f"{told} (run {uuid}, seed {SEED})") from error
    REPORT.append(Struck(told, victims, f"{first.run.status} {first.run.reason}", lost, RECOVERED.get(uuid)))


class Struck(NamedTuple):
    """One run that was struck. ``recovered``: seconds that the next command took to end it."""

    told: str
    victims: str
    end: str
    lost: Lost
    recovered: float | None


REPORT: list[Struck] = []
RECOVERED: dict[str, float] = {}


def report() -> str:
    """What the moments were like, in a few lines; as JSON where somebody asked for it."""
    if place := os.environ.get("TIELINE_REPORT"):
        Path(place).write_text(json.dumps([{**one._asdict(), "lost": one.lost._asdict()} for one in REPORT]))
    with_loss = [one for one in REPORT if one.lost.lines]
    lines = [f"{len(REPORT)} runs were struck after they were recorded: {dict(Counter(one.end for one in REPORT))}"]
    lost = sum(one.lost.lines for one in with_loss)
    lines.append(f"lines lost in the pipe of a guard that died with its supervisor: {lost}")
    return "\n".join([*lines, *(f"  {one.lost.lines} in {one.told}" for one in with_loss)])


def is_recorded(world: World, uuid: str) -> bool:
    with app_runs.opened(world.home) as record:
        return uuid in {run.uuid for run in record.list()}


def test_a_recovery_may_be_killed_too(world: World) -> None:
    for number in range(MOMENTS // 3):
        victims = world.chance.choice(["supervisor", "supervisor+job", "everything"])
        job, uuid, moment = crash(world, 2_000_000 + number, "submit", victims)
        kills = world.chance.randrange(1, 4)
        for _ in range(kills):
            pid = world.fork("recover")
            time.sleep(world.chance.uniform(0, 0.12))
            kill({pid})
        world.recover()
        told = f"recovery {number}: {victims} at {moment:.3f} s, and {kills} recoveries"
        look_again(world, job, uuid, victims, told)
