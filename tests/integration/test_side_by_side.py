"""Fifty runs at once, on one store and one record: each a ``tieline run`` of its own, as fifty people would type it.

They really are at once: no job goes on before all of them have begun.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.app import runs as app_runs
from tieline.app.home import HomeFolder
from tieline.app.outputs import stored
from tieline.engines.process.leftovers import processes_of
from tieline.model.run import Status
from tieline.steps.log_reader import read_logs

RUNS = 50
PATIENCE = 240.0
LINES = 30
SCRIPT = """
cd "{shared}"
echo "{number} begins"
touch arrived/{number}
until [ -e go ]; do sleep 0.5; done
for n in $(seq {lines}); do echo "{number} prints line $n"; done
echo {number} > "$TIELINE_OUTPUTS/number"
mkdir "$TIELINE_OUTPUTS/of-{number}"
echo $TIELINE_RUN_UUID > "$TIELINE_OUTPUTS/of-{number}/uuid"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "arrived").mkdir()
    (tmp_path / "store").mkdir()
    store = {"name": "store", "kind": "host_path", "schema": {"hostPath": "./store", "mountPath": "/store"}}
    shared = {"name": "shared", "kind": "host_path", "schema": {"hostPath": ".", "mountPath": str(tmp_path)}}
    (tmp_path / "tieline.yaml").write_text(json.dumps({"artifactsStore": store, "connections": [shared]}))
    yield tmp_path
    (tmp_path / "go").touch()


def started(folder: Path, number: int) -> subprocess.Popen[bytes]:
    script = SCRIPT.format(shared=folder, number=number, lines=LINES).replace("$(", "$$(")
    run = {"kind": "job", "connections": ["shared"], "container": {"command": ["sh", "-c", script]}}
    job = folder / f"job-{number}.yaml"
    job.write_text(json.dumps({"kind": "component", "name": f"run-{number}", "run": run}))
    with (folder / f"out-{number}").open("wb") as out, (folder / f"err-{number}").open("wb") as err:
        argv = [sys.executable, "-m", "tieline", "run", str(job)]
        return subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def expected(number: int) -> str:
    printed = [f"{number} prints line {n}" for n in range(1, LINES + 1)]
    return "\n".join([f"{number} begins", *printed, ""])


def test_fifty_runs_at_once_do_not_disturb_each_other(folder: Path) -> None:
    processes = [started(folder, number) for number in range(RUNS)]
    try:
        until = time.monotonic() + PATIENCE
        while len(os.listdir(folder / "arrived")) < RUNS:
            assert all(process.poll() is None for process in processes), errors(folder)
            assert time.monotonic() < until
            time.sleep(0.1)
        (folder / "go").touch()
        codes = [process.wait(max(0.0, until - time.monotonic())) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    told = errors(folder)
    assert codes == [0] * RUNS, told
    assert "locked" not in told
    assert "Traceback" not in told
    for number in range(RUNS):
        assert (folder / f"out-{number}").read_text() == expected(number)
    check_record(HomeFolder.find())


def errors(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("err-*")))


def check_record(home: HomeFolder) -> None:
    with app_runs.opened(home) as record:
        runs = record.list()
        assert sorted(run.name for run in runs) == sorted(f"run-{number}" for number in range(RUNS))
        for run in runs:
            number = int(run.name.removeprefix("run-"))
            assert run.status is Status.SUCCEEDED
            assert [event.status for event in record.events(run.uuid)] == [
                Status.CREATED, Status.STARTING, Status.RUNNING, Status.SAVING, Status.SUCCEEDED,
            ]  # fmt: skip
            plan = app_runs.plan_of(record, run)
            store, prefix = app_runs.store_of(plan), app_runs.attempt_prefix(plan, 1)
            assert b"".join(read_logs(store, prefix, "main")).decode() == expected(number)
            files = sorted(item.key for item in stored(plan, 1) if item.what == "file")
            assert files == ["number", f"of-{number}/uuid"]
            with store.open(f"{prefix}/outputs/of-{number}/uuid") as stream:
                assert stream.read().decode().strip() == run.uuid
            assert processes_of(run.uuid) == set()
    with sqlite3.connect(home.database) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
