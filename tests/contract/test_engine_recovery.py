"""After the death of a supervisor: what the next command finds, saves and says, and what never keeps it from going on.

The moments are chosen here; ``tests/integration/test_crashes.py`` has random ones.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_harness import ENGINES, ProcessEngine, component, opened_engine

from servers.processes import eventually
from tieline.app import kube_launching, submit
from tieline.app import runs as app_runs
from tieline.engines.process import recovery
from tieline.errors import Code, RecordError, TielineError
from tieline.model.run import Run, Status
from tieline.runs.record import Record
from tieline.steps.retrying import Patience

DIED = (Status.FAILED, Code.SUPERVISOR_DIED)
BEGUN = "echo on; echo x > $TIELINE_OUTPUTS/a; touch $SHARED/begun; "


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessEngine]:
    with opened_engine(request.param, tmp_path) as made:
        yield made


def how(run: Run) -> tuple[Status, str]:
    return run.status, run.reason


def begun(engine: ProcessEngine) -> None:
    eventually((engine.shared / "begun").exists)


def test_a_supervisor_of_its_own_carries_a_run_out(engine: ProcessEngine) -> None:
    handle = engine.submit_apart("echo on; echo x > $TIELINE_OUTPUTS/a; exit 3")
    run = handle.wait()
    assert (*how(run), run.exit_code) == (Status.FAILED, Code.EXIT_CODE, 3)
    assert (handle.logs(), handle.outputs()) == (b"on\n", {"a": b"x\n"})
    assert handle.folder.log.read_text() == ""


def test_signals_to_it_stop_the_run(engine: ProcessEngine) -> None:
    """Two at once, as a system that shuts down sends them."""
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        os.kill(handle.supervisor, number)
    assert how(handle.wait()) == (Status.STOPPED, Code.STOPPED)
    assert handle.outputs() == {"a": b"x\n"}


def test_the_job_dies_with_its_supervisor_and_says_so(engine: ProcessEngine) -> None:
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    handle.die()
    run = handle.wait()
    assert how(run) == DIED
    assert run.message == "the tieline process that ran it died; the program was killed with it"
    assert (handle.logs(), handle.outputs()) == (b"on\n", {"a": b"x\n"})
    assert not handle.folder.context.exists()


@pytest.mark.parametrize("code", [0, 3])
def test_a_job_that_had_ended_has_ended_so(engine: ProcessEngine, code: int) -> None:
    """Though nobody was left to see it."""
    handle = engine.submit_apart(
        f"touch $SHARED/begun; until [ -e $SHARED/go ]; do sleep 0.01; done; echo y; exit {code}"
    )
    begun(engine)
    eventually(lambda: handle.run().status is Status.RUNNING)
    os.kill(handle.supervisor, signal.SIGSTOP)
    (engine.shared / "go").touch()
    eventually(handle.folder.attempt(1).exit("main").exists)
    handle.die()
    run = handle.wait()
    expected = (Status.FAILED, Code.EXIT_CODE, 3) if code else (Status.SUCCEEDED, "", 0)
    assert (*how(run), run.exit_code) == expected
    assert handle.logs() == b"y\n"


def test_a_retry_that_nobody_made_is_told(engine: ProcessEngine) -> None:
    script = "touch $SHARED/begun; until [ -e $SHARED/go ]; do sleep 0.01; done; exit 3"
    handle = engine.submit_apart(component(script, termination={"maxRetries": 2}))
    begun(engine)
    eventually(lambda: handle.run().status is Status.RUNNING)
    os.kill(handle.supervisor, signal.SIGSTOP)
    (engine.shared / "go").touch()
    eventually(handle.folder.attempt(1).exit("main").exists)
    handle.die()
    assert handle.wait().message == "the job exited with 3; the tieline process died before it could try again"


def test_a_stop_of_a_run_that_nobody_carries_on(engine: ProcessEngine) -> None:
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    handle.die()
    with engine.record() as record:
        assert app_runs.stop(engine.home, record, handle.run(), 10)
    run = handle.wait()
    assert how(run) == (Status.STOPPED, Code.STOPPED)
    assert handle.outputs() == {"a": b"x\n"}


def test_a_clone_that_goes_on_alone_is_ended(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", str(engine.folder / "wait"))
    engine.write("wait", f"#!/bin/sh\ntouch {engine.shared}/begun\nsleep 600\n").chmod(0o755)
    handle = engine.submit_apart(component("echo never", init=[{"git": {"url": "ssh://nowhere.invalid/x.git"}}]))
    begun(engine)
    handle.die()
    assert handle.leftovers() > 0, "git does not know that its master is gone"
    run = handle.wait()
    assert how(run) == DIED
    assert "the steps before the main program were not finished" in run.message


def test_what_does_not_react_is_ended(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "PATIENCE", 0.2)
    handle = engine.submit_apart(BEGUN + "setsid sleep 600 & setsid sh -c 'kill -STOP $$' & sleep 600")
    begun(engine)
    for pid in handle.watchers():
        os.kill(pid, signal.SIGSTOP)
    handle.die()
    assert how(handle.wait()) == DIED
    assert handle.outputs() == {"a": b"x\n"}


def test_a_supervisor_that_cannot_even_begin(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit.sys, "executable", shutil.which("false"))
    handle = engine.submit_apart("echo never")
    run = handle.wait()
    assert how(run) == DIED
    assert run.message == "the tieline process that ran it died; nothing was started"


def test_a_killed_run_frees_its_place_in_the_queue(engine: ProcessEngine) -> None:
    queues = {"queues": {"one": {"concurrency": 1}}}
    first = engine.submit_apart(component(BEGUN + "sleep 600", queue="one"), catalog=queues)
    begun(engine)
    second = engine.submit(component("echo mine", queue="one"), catalog=queues)
    eventually(lambda: second.run().status is Status.QUEUED)
    third = engine.submit_apart(component("echo never", queue="one"), catalog=queues)
    eventually(lambda: third.run().status is Status.QUEUED)
    third.die()
    run = third.wait()
    assert how(run) == DIED
    assert "it was waiting in its queue" in run.message
    first.die()
    assert second.wait().status is Status.SUCCEEDED
    assert how(first.wait()) == DIED


def test_one_of_many_recovers(engine: ProcessEngine) -> None:
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    handle.die()
    threads = [threading.Thread(target=engine.look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handle.wait()
    with engine.record() as record:
        statuses = [event.status for event in record.events(handle.uuid)]
    assert statuses == [Status.CREATED, Status.STARTING, Status.RUNNING, Status.SAVING, Status.FAILED]


def test_a_run_that_is_being_recovered_is_not_removed_meanwhile(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    handle.die()
    tidying, go = threading.Event(), threading.Event()

    def slowly(_: Path | None) -> None:
        tidying.set()
        go.wait()

    monkeypatch.setattr(recovery, "remove_tree", slowly)
    thread = threading.Thread(target=engine.look)
    thread.start()
    tidying.wait()
    removing = threading.Thread(target=remove, args=(engine, handle.run()))
    removing.start()
    removing.join(0.3)
    assert removing.is_alive(), "it waits until whoever ended the run has let go"
    go.set()
    thread.join()
    removing.join()
    with engine.record() as record:
        assert record.list() == []
    assert not handle.folder.root.exists()
    assert list(engine.store.iterdir()) == []


def remove(engine: ProcessEngine, run: Run) -> None:
    with engine.record() as record:
        app_runs.remove(engine.home, record, run)


def test_a_run_that_has_not_ended_is_not_removed(engine: ProcessEngine) -> None:
    handle = engine.submit(BEGUN + "sleep 600")
    begun(engine)
    with pytest.raises(RecordError, match="stop it first"):
        remove(engine, handle.run())
    handle.stop(0)
    handle.wait()
    remove(engine, handle.run())
    assert not handle.folder.root.exists()


# --- what keeps one run from being ended keeps no command from going on


def test_a_store_that_is_gone_at_recovery(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.steps.collector.Patience", lambda: Patience(attempts=2, seconds=0.5))
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    engine.store.rename(engine.store.with_name("away"))
    handle.die()
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.OUTPUTS_NOT_SAVED)
    engine.store.with_name("away").rename(engine.store)
    run = handle.push()
    assert how(run) == DIED
    assert (handle.logs(), handle.outputs()) == (b"on\n", {"a": b"x\n"})


def test_a_plan_that_cannot_be_read(engine: ProcessEngine) -> None:
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    handle.die()
    with sqlite3.connect(engine.home.database) as database:
        database.execute("UPDATE runs SET plan = ?", (json.dumps({"version": 99}),))
    database.close()
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.INTERNAL)
    assert str(handle.folder.root) in run.message
    assert Path(handle.plan.layout.outputs_path, "a").read_text() == "x\n"


def test_a_run_whose_folder_is_gone(engine: ProcessEngine) -> None:
    handle = engine.submit_apart(BEGUN + "sleep 600")
    begun(engine)
    eventually(lambda: handle.outputs())
    handle.die()
    eventually(lambda: not handle.leftovers())
    shutil.rmtree(handle.folder.root)
    assert how(handle.wait()) == DIED
    assert handle.outputs() == {"a": b"x\n"}, "what was saved stays"


def test_a_run_that_cannot_be_ended_now_is_told_and_left_alone(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = engine.submit_apart(BEGUN + "sleep 600"), engine.submit_apart(BEGUN + "sleep 600")
    eventually(lambda: {bad.run().status, good.run().status} == {Status.RUNNING})
    bad.die()
    good.die()
    shutil.rmtree(eventually(lambda: bad.folder.root if not bad.leftovers() else None))
    bad.folder.root.write_text("in the way")
    engine.look()
    assert how(good.run()) == DIED
    assert bad.run().status is Status.RUNNING
    bad.folder.root.unlink()
    engine.look()
    assert how(bad.run()) == DIED


def test_what_killed_processes_threw_away_is_removed(engine: ProcessEngine) -> None:
    trash = engine.home.runs / ".trash" / "x-1234"
    (trash / "deep").mkdir(parents=True)
    (trash / "deep" / "file").write_text("x")
    engine.look()
    assert list(trash.parent.iterdir()) == []


# --- a home that cannot be written


READ_ONLY = """
import os, sys
from pathlib import Path
from tieline.app import preparing, runs, submit
from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.errors import TielineError
home = HomeFolder.find()
job = preparing.prepare(preparing.Wanted(Path(sys.argv[1])), load_deployment(Path(sys.argv[2]), home), home)
for action in (lambda: runs.opened(home).__enter__(), lambda: submit.accept(job, home)):
    try:
        action()
    except TielineError as error:
        print(error.code)
"""


@pytest.mark.parametrize("used_before", [True, False])
def test_a_home_on_a_read_only_disk(engine: ProcessEngine, used_before: bool) -> None:
    if used_before:
        engine.submit("true").wait()
    job = engine.write(
        "job.yaml", json.dumps({"kind": "component", "run": {"kind": "job", "container": {"command": ["true"]}}})
    )
    config = engine.write("tieline.yaml", json.dumps({"artifactsStore": {
        "name": "s", "kind": "host_path", "schema": {"hostPath": str(engine.store), "mountPath": "/s"}}}))  # fmt: skip
    home = engine.home.root
    inside = f'mount --bind "{home}" "{home}" && mount -o remount,bind,ro "{home}" && exec "$@"'
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a mount of their own")
    argv = [*unshare, sys.executable, "-c", READ_ONLY, str(job), str(config)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.stderr == ""
    assert set(done.stdout.split()) == {Code.HOME_UNUSABLE}


def test_a_refused_acceptance_leaves_nothing(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RecordError.of(Code.HOME_UNUSABLE, "the disk is full")

    engine.look()
    monkeypatch.setattr(Record, "accept", full)
    monkeypatch.setattr(kube_launching, "accept_quickly", lambda *_: False)  # what it says of a full disk
    with pytest.raises(TielineError, match="the disk is full"):
        engine.submit("true")
    assert [path for path in engine.home.runs.iterdir() if not path.name.startswith(".")] == []


def test_a_record_that_cannot_be_written_any_more_ends_the_job_and_gives_the_run_away(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    transition = Record.transition

    def full_after_start(record: Record, uuid: str, to: Status, **more: object) -> Run:
        if to in (Status.STOPPING, Status.SAVING):
            raise RecordError.of(Code.HOME_UNUSABLE, "the disk is full")
        return transition(record, uuid, to, **more)  # type: ignore[arg-type]

    handle = engine.submit(BEGUN + "sleep 600")
    begun(engine)
    eventually(lambda: handle.run().status is Status.RUNNING)
    monkeypatch.setattr(Record, "transition", full_after_start)
    for name in ("process.supervisor", "kubernetes.unrecorded"):
        monkeypatch.setattr(f"tieline.engines.{name}.PATIENCE", 0)
    handle.stop(0)
    with pytest.raises(RecordError, match="the disk is full"):
        handle.wait()
    monkeypatch.undo()
    assert handle.carried_out_elsewhere or handle.leftovers() == 0
    assert handle.run().status is Status.RUNNING
    eventually(lambda: engine.look() or handle.run().status.is_final)
    assert handle.leftovers() == 0
    assert how(handle.run()) == (Status.STOPPED, Code.STOPPED)
    assert handle.outputs() == {"a": b"x\n"}
