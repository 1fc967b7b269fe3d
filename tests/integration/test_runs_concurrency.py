"""Many processes on one record: none fails, nothing is lost, whenever one of them is killed.

The processes are forked by a small program with a single thread (:data:`PROGRAM`), so that fifty of them start at
the same moment and cost no fifty imports. ``TIELINE_SOAK=1`` kills many more.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tieline.model.run import Status
from tieline.runs.record import Record

SOAK = bool(os.environ.get("TIELINE_SOAK"))
WRITERS = 50
KILLS = 200 if SOAK else 6

PROGRAM = """
import os, sys, traceback
from itertools import count
from tieline.model.run import NewRun, Status
from tieline.runs.record import Record

WALK = "queued starting running saving retrying starting running stopping saving failed saving stopped".split()

def drive(record, uuid):
    record.accept(NewRun(uuid, "train", "p", "ns", "job", "process", {"uuid": uuid}, "d", "s", "x", connections=("a",)))
    print(uuid, "created", flush=True)
    for status in WALK:
        record.transition(uuid, Status(status), reason="outputs-not-saved" if status == "failed" else "")
        print(uuid, status, flush=True)
        if status == "running":
            assert record.request_stop(uuid)
            record.set_code(uuid, [{"commit": uuid}])
    assert record.get(uuid).status is Status.STOPPED

def once(path, writer):
    with Record.open(path) as record:
        drive(record, f"{writer:032}")

def endless(path, writer):
    with Record.open(path) as record:
        for number in count():
            drive(record, f"{writer:016}{number:016}")

def create(path, writer):
    Record.open(path).close()

if sys.argv[1] == "create":
    import tieline.runs.upgrade  # so that a kill meets the migration and not this import
work, path, writers = globals()[sys.argv[1]], sys.argv[2], int(sys.argv[3])
gate, opened = os.pipe()
children = []
for writer in range(writers):
    if (child := os.fork()) == 0:
        os.close(opened)
        os.read(gate, 1)
        try:
            work(path, writer)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(child)
print("ready", flush=True)
os.close(opened)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""
WALKED = ["created", *PROGRAM.split('WALK = "')[1].split('"')[0].split()]


def run_program(work: str, path: Path, writers: int) -> None:
    argv = [sys.executable, "-W", "error", "-c", PROGRAM, work, str(path), str(writers)]
    result = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def check_integrity(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_fifty_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "home" / "runs.db"
    run_program("once", path, WRITERS)
    check_integrity(path)
    with Record.open(path) as record:
        runs = record.list()
        assert sorted(run.uuid for run in runs) == [f"{writer:032}" for writer in range(WRITERS)]
        for run in runs:
            assert (run.status, run.attempt, run.stop_requested) == (Status.STOPPED, 2, True)
            assert run.code == ({"commit": run.uuid},)
            assert record.plan(run.uuid) == {"uuid": run.uuid}
            events = record.events(run.uuid)
            assert [event.status for event in events] == WALKED
            assert [event.sequence for event in events] == list(range(1, len(WALKED) + 1))
        assert len(record.usage("a", "ns")) == WRITERS


@pytest.mark.parametrize("processes", [2, 30])
def test_processes_create_the_record_at_once(tmp_path: Path, processes: int) -> None:
    for number in range(20 if SOAK else 3):
        path = tmp_path / f"home{number}" / "runs.db"
        run_program("create", path, processes)
        check_integrity(path)
        assert [file.name for file in path.parent.iterdir() if "-" in file.name] == []


@pytest.mark.timeout(3600)
def test_a_kill_loses_nothing_that_was_told(tmp_path: Path) -> None:
    """Three writers print what was committed; all are killed at a random moment, on the same file again and again."""
    path = tmp_path / "runs.db"
    Record.open(path).close()
    moments = random.Random(20)
    for _ in range(KILLS):
        printed = kill_writers("endless", path, lambda: time.sleep(moments.uniform(0.05, 0.5)))
        check_integrity(path)
        check_against(path, printed)


@pytest.mark.timeout(3600)
def test_a_kill_while_the_record_is_made_leaves_one_that_works(tmp_path: Path) -> None:
    moments = random.Random(20)
    for number in range(KILLS):
        path = tmp_path / str(number) / "runs.db"
        kill_writers("create", path, lambda: time.sleep(moments.uniform(0, 0.12)))
        with Record.open(path) as record:
            assert record.list() == []
        check_integrity(path)


def kill_writers(work: str, path: Path, wait: Callable[[], None]) -> str:
    """Start three writers in a process group, wait, kill them all, and return what they printed."""
    argv = [sys.executable, "-c", PROGRAM, work, str(path), "3"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as group:
        assert group.stdout is not None
        assert group.stdout.readline() == "ready\n"
        wait()
        os.killpg(group.pid, signal.SIGKILL)
        return group.stdout.read()


def check_against(path: Path, printed: str) -> None:
    """Every run tells one story, and stands where its writer said, or at the one step that it could not tell."""
    told: dict[str, list[str]] = {}
    for uuid, status in map(str.split, printed.splitlines()):
        told.setdefault(uuid, []).append(status)
    with Record.open(path) as record:
        for run in record.list():
            events = record.events(run.uuid)
            statuses = [event.status for event in events]
            assert statuses == WALKED[: len(statuses)]
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert (run.status, run.attempt) == (events[-1].status, events[-1].attempt)
            if (before := told.pop(run.uuid, None)) is not None:
                assert statuses[: len(before)] == before
                assert len(statuses) - len(before) <= 1
        assert told == {}, "a run that was told is not in the record"
