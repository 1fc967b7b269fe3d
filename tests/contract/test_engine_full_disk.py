"""A home whose disk is full when a run ends: it ends truthfully all the same, now or with a later command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_harness import (
    ENGINES,
    ProcessEngine,
    ProcessHandle,
    component,
    eventually,
    fill_up,
    opened_engine,
    shell,
    small_disk,
)

from tieline.errors import Code, RecordError
from tieline.model.run import Run, Status
from tieline.runs.record import Record

WAIT = "touch $SHARED/begun; until [ -e $SHARED/go ]; do sleep 0.01; done; "
FILL = "cat /dev/zero > big 2> /dev/null; "


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, own_home: Path, tmp_path: Path) -> Iterator[ProcessEngine]:
    """Its home is a disk of four megabytes; the store and what the test shares with the job are elsewhere."""
    with small_disk(own_home, "4m"), opened_engine(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ("process.supervisor", "kubernetes.unrecorded"):
        monkeypatch.setattr(f"tieline.engines.{engine}.PATIENCE", 0.5)


def begun(engine: ProcessEngine, handle: ProcessHandle, status: Status = Status.RUNNING) -> None:
    eventually((engine.shared / "begun").exists)
    eventually(lambda: handle.run().status is status)


def looked_at(engine: ProcessEngine, handle: ProcessHandle) -> None:
    """A command tells how the job ended, once it has."""
    engine.look()
    if handle.carried_out_elsewhere:
        eventually(lambda: engine.look() or handle.run().status.is_final)
        assert handle.leftovers() == 0


def how(run: Run) -> tuple[Status, str, int | None]:
    return run.status, run.reason, run.exit_code


def test_a_job_that_fills_the_disk_makes_room_by_being_saved(engine: ProcessEngine) -> None:
    engine.lacks("what a job writes is on its node's disk, and not on that of the record")
    handle = engine.submit(f"echo on; echo x > $TIELINE_OUTPUTS/a; {WAIT} {FILL} exit 7")
    begun(engine, handle)
    (engine.shared / "go").touch()
    assert how(handle.wait()) == (Status.FAILED, Code.EXIT_CODE, 7)
    assert (handle.logs(), handle.outputs()) == (b"on\n", {"a": b"x\n"})
    assert [event.status for event in handle.events()][-2:] == [Status.SAVING, Status.FAILED]
    assert any("cannot record now that the run is saving" in note for note in handle.told.notes)
    assert not handle.folder.context.exists()
    assert not handle.folder.note.exists()


def test_the_next_attempt_has_room(engine: ProcessEngine) -> None:
    engine.lacks("what a job writes is on its node's disk, and not on that of the record")
    script = f"echo $TIELINE_ATTEMPT > $TIELINE_OUTPUTS/a; [ $TIELINE_ATTEMPT = 1 ] || exit 0; {WAIT} {FILL} exit 7"
    handle = engine.submit(component(script, termination={"maxRetries": 1}))
    begun(engine, handle)
    (engine.shared / "go").touch()
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    assert (handle.outputs(1), handle.outputs(2)) == ({"a": b"1\n"}, {"a": b"2\n"})
    assert not handle.folder.note.exists()


INIT = {"container": shell("touch $SHARED/begun; until [ -e $SHARED/go ]; do sleep 0.01; done; exit 4", name="prep",
                           env=[{"name": "SHARED", "value": "{{ connections['shared'].path }}"}])}  # fmt: skip


@pytest.mark.parametrize(
    ("job", "ends"),
    [
        (component(f"{WAIT} exit 7"), (Status.FAILED, Code.EXIT_CODE, 7)),
        (component(f"{WAIT} exit 0"), (Status.SUCCEEDED, "", 0)),
        (component("true", init=[INIT]), (Status.FAILED, Code.STEP_FAILED, 4)),
        (component(f"{WAIT} sleep 600", termination={"timeout": 4}), (Status.FAILED, Code.TIMEOUT, 124)),
        (component(f"{WAIT} exit 7", termination={"maxRetries": 1}), (Status.FAILED, Code.EXIT_CODE, 7)),
    ],
    ids=["failed", "succeeded", "step", "timeout", "retry"],
)
def test_a_disk_that_stays_full(
    engine: ProcessEngine, impatient: None, job: dict[str, Any], ends: tuple[Status, str, int | None]
) -> None:
    """The command says so, and ends; the first one for which there is room tells how the job ended."""
    if "timeout" in (termination := job.get("termination", {})):
        job = {**job, "termination": {"timeout": max(termination["timeout"], engine.timeout)}}
    handle = engine.submit(job)
    begun(engine, handle, Status.STARTING if "init" in job["run"] else Status.RUNNING)
    fill_up(engine.home.root / "full")
    (engine.shared / "go").touch()
    with pytest.raises(RecordError, match="the record of runs cannot be used"):
        handle.wait()
    assert handle.carried_out_elsewhere or handle.leftovers() == 0
    (engine.home.root / "full").unlink()
    assert not handle.run().status.is_final
    looked_at(engine, handle)
    assert how(handle.run()) == ends
    died = "maxRetries" in str(job) and not handle.carried_out_elsewhere
    assert ("died" in handle.run().message) == died, handle.run().message
    assert not handle.folder.note.exists()
    before = handle.events()
    engine.look()
    assert handle.events() == before


def test_a_stop_by_the_terminal(engine: ProcessEngine, impatient: None) -> None:
    """Nobody has written down that it was asked for."""
    handle = engine.submit(f"{WAIT} exit 0")
    begun(engine, handle)
    fill_up(engine.home.root / "full")
    handle.controls.stop.set()
    with pytest.raises(RecordError):
        handle.wait()
    (engine.home.root / "full").unlink()
    looked_at(engine, handle)
    assert how(handle.run())[:2] == (Status.STOPPED, Code.STOPPED)


def test_a_disk_that_is_full_for_a_moment(engine: ProcessEngine) -> None:
    handle = engine.submit(f"{WAIT} exit 7")
    begun(engine, handle)
    full = engine.home.root / "full"
    fill_up(full)
    threading.Timer(3, full.unlink).start()
    (engine.shared / "go").touch()
    assert how(handle.wait()) == (Status.FAILED, Code.EXIT_CODE, 7)


def test_trash_is_removed_for_the_record(engine: ProcessEngine) -> None:
    """What another, killed, process threw away; also before a command looks."""
    handle = engine.submit(f"{WAIT} exit 7")
    begun(engine, handle)
    trash = engine.home.runs / ".trash"
    trash.mkdir(exist_ok=True)
    fill_up(trash / "other")
    (engine.shared / "go").touch()
    assert how(handle.wait()) == (Status.FAILED, Code.EXIT_CODE, 7)
    fill_up(trash / "other")
    engine.look()
    assert list(trash.iterdir()) == []


def test_a_record_that_was_written_though_the_disk_failed(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    transition = Record.transition

    def failing(record: Record, uuid: str, to: Status, **more: Any) -> Run:
        run = transition(record, uuid, to, **more)
        if to in (Status.SAVING, Status.FAILED):
            raise RecordError.of(Code.HOME_UNUSABLE, "disk I/O error")
        return run

    monkeypatch.setattr(Record, "transition", failing)
    handle = engine.submit("exit 7")
    assert how(handle.wait()) == (Status.FAILED, Code.EXIT_CODE, 7)
    assert handle.told.statuses == [event.status for event in handle.events()][1:]
