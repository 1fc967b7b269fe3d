"""Ending a run from outside, in every engine and at every moment: a stop, a second stop, the deadline, the queue."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_harness import ENGINES, ProcessEngine, ProcessHandle, component, opened_engine, python, shell

from servers.processes import eventually
from tieline.errors import Code
from tieline.model.run import Run, Status

SHARED = {"name": "SHARED", "value": "{{ connections['shared'].path }}"}
SLEEP = "touch $SHARED/begun; sleep 600"
DEAF = "trap '' TERM; echo deaf; touch $SHARED/begun; while :; do sleep 0.05; done"
FOREVER = 3600.0


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessEngine]:
    with opened_engine(request.param, tmp_path) as made:
        yield made


def how(run: Run) -> tuple[Status, str]:
    return run.status, run.reason


STOPPED = (Status.STOPPED, Code.STOPPED)
TIMED_OUT = (Status.FAILED, Code.TIMEOUT)


def begun(engine: ProcessEngine, handle: ProcessHandle, status: Status = Status.RUNNING) -> None:
    """Until the job has begun, and is known to have: a kubelet before 1.22 asks nobody to end of whom it has not told
    yet that he runs, and kills all of the pod instead."""
    eventually((engine.shared / "begun").exists)
    eventually(lambda: handle.run().status is status)


def statuses(handle: ProcessHandle) -> list[Status]:
    return [event.status for event in handle.events()]


def test_a_stop_is_a_term_first(engine: ProcessEngine) -> None:
    script = "trap 'echo asked; echo kept > $TIELINE_OUTPUTS/a; exit 3' TERM; touch $SHARED/begun; sleep 600 & wait"
    handle = engine.submit(script)
    begun(engine, handle)
    assert handle.stop(FOREVER)
    run = handle.wait()
    assert how(run) == STOPPED
    assert run.exit_code in (3, *engine.untold)
    assert b"asked\n" in handle.logs()
    assert handle.outputs() == {"a": b"kept\n"}
    assert statuses(handle)[-3:] == [Status.STOPPING, Status.SAVING, Status.STOPPED]


def test_a_job_that_ends_well_on_term_was_stopped_all_the_same(engine: ProcessEngine) -> None:
    handle = engine.submit("trap 'exit 0' TERM; touch $SHARED/begun; sleep 600 & wait")
    begun(engine, handle)
    handle.stop(FOREVER)
    assert how(handle.wait()) == STOPPED


def test_a_job_that_ignores_term_is_killed_after_the_grace(engine: ProcessEngine) -> None:
    handle = engine.submit(DEAF)
    begun(engine, handle)
    began = time.monotonic()
    handle.stop(0.7)
    run = handle.wait()
    assert how(run) == STOPPED
    assert run.exit_code in (137, *engine.untold)
    assert time.monotonic() - began >= 0.7
    assert handle.logs() == b"deaf\n"


def test_a_second_stop_may_want_it_at_once(engine: ProcessEngine) -> None:
    handle = engine.submit(DEAF)
    begun(engine, handle)
    handle.stop(FOREVER)
    eventually(lambda: handle.run().status is Status.STOPPING)
    assert handle.is_under_way()
    assert handle.stop(0)
    assert how(handle.wait()) == STOPPED


def test_two_interrupts_kill(engine: ProcessEngine) -> None:
    """Ctrl-C twice, as the command line has it."""
    handle = engine.submit(DEAF)
    handle.controls.grace = FOREVER
    begun(engine, handle)
    handle.controls.stop.set()
    eventually(lambda: handle.run().status is Status.STOPPING)
    handle.controls.now.set()
    assert how(handle.wait()) == STOPPED


def test_a_stopped_program_is_ended_too(engine: ProcessEngine) -> None:
    """One that was suspended (SIGSTOP) gets its TERM only when it is continued."""
    engine.lacks("a job is the first process of its namespace: a signal that it sends to itself is not delivered")
    handle = engine.submit("touch $SHARED/begun; kill -STOP $$; echo never")
    begun(engine, handle)
    handle.stop(0.2)
    assert how(handle.wait()) == STOPPED
    assert handle.logs() == b""


def test_a_stop_before_anything_is_started(engine: ProcessEngine) -> None:
    handle = engine.submit("echo never", before=lambda handle: handle.stop())
    assert how(handle.wait()) == STOPPED
    assert statuses(handle) == [Status.CREATED, Status.SAVING, Status.STOPPED]
    assert handle.logs() == b""


def test_a_stop_after_the_end_changes_nothing(engine: ProcessEngine) -> None:
    handle = engine.submit("true")
    handle.wait()
    assert not handle.stop()
    assert handle.run().status is Status.SUCCEEDED


def test_a_stop_during_a_clone(engine: ProcessEngine) -> None:
    """The remote stands still: a git daemon would; here it is a program that git is told to speak through."""
    engine.lacks("the remote that stands still is a program of this machine, named by a variable of its user")
    engine.write("wait", f"#!/bin/sh\ntouch {engine.shared}/begun\nsleep 600\n").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_SSH_COMMAND", str(engine.folder / "wait"))
        handle = engine.submit(component("echo never", init=[{"git": {"url": "ssh://nowhere.invalid/x.git"}}]))
        begun(engine, handle, Status.STARTING)
        assert handle.run().status is Status.STARTING
        handle.stop()
        assert how(handle.wait()) == STOPPED
    assert Status.RUNNING not in statuses(handle)


def test_the_timeout_ends_a_clone(engine: ProcessEngine) -> None:
    engine.lacks("the remote that stands still is a program of this machine, named by a variable of its user")
    engine.write("wait", "#!/bin/sh\nsleep 600\n").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_SSH_COMMAND", str(engine.folder / "wait"))
        init = [{"git": {"url": "ssh://nowhere.invalid/x.git"}}]
        handle = engine.submit(component("echo never", init=init, termination={"timeout": 1, "maxRetries": 3}))
        assert how(handle.wait()) == TIMED_OUT
    assert handle.run().attempt == 1


def test_a_stop_during_an_init_step_of_the_users(engine: ProcessEngine) -> None:
    step = {"container": shell("echo preparing; touch $SHARED/begun; sleep 600", name="prep", env=[SHARED])}
    handle = engine.submit(component("echo never", init=[step]))
    begun(engine, handle, Status.STARTING)
    handle.stop()
    assert how(handle.wait()) == STOPPED
    assert handle.logs() == b""
    assert Status.RUNNING not in statuses(handle)
    engine.lacks("a cluster before 1.29, as that of the tests, starts the collector only after all steps")
    assert handle.logs("init-prep").startswith(b"preparing\n")


def test_a_stop_between_two_attempts(engine: ProcessEngine) -> None:
    handle = engine.submit(component("exit 1", termination={"maxRetries": 1000}))
    eventually(lambda: handle.run().attempt >= 2)
    eventually(lambda: handle.run().status is Status.RETRYING)
    handle.stop()
    run = handle.wait()
    assert run.status is Status.STOPPED
    assert run.attempt < 10


def test_a_stop_is_not_tried_again(engine: ProcessEngine) -> None:
    handle = engine.submit(component(SLEEP, termination={"maxRetries": 5}))
    begun(engine, handle)
    handle.stop()
    run = handle.wait()
    assert (how(run), run.attempt) == (STOPPED, 1)


def test_the_timeout_ends_the_job(engine: ProcessEngine) -> None:
    job = component("echo on; sleep 600", termination={"timeout": engine.timeout, "maxRetries": 5})
    handle = engine.submit(job)
    run = handle.wait()
    assert how(run) == TIMED_OUT
    assert (run.exit_code, run.attempt, run.message) == (124, 1, f"ended after its timeout of {engine.timeout} s")
    assert handle.logs().startswith(b"on\n")
    assert run.finished_at is not None
    assert run.started_at is not None
    stopping = next(event for event in handle.events() if event.status is Status.STOPPING)
    assert stopping.reason == Code.TIMEOUT


def test_ending_well_after_the_timeout_is_a_timeout(engine: ProcessEngine) -> None:
    handle = engine.submit(component("trap 'exit 0' TERM; sleep 600 & wait", termination={"timeout": 1}))
    assert how(handle.wait()) == TIMED_OUT


def test_the_timeout_ends_an_init_step(engine: ProcessEngine) -> None:
    step = {"container": shell("sleep 600", name="prep")}
    handle = engine.submit(component("echo never", init=[step], termination={"timeout": 1}))
    assert how(handle.wait()) == TIMED_OUT
    assert Status.RUNNING not in statuses(handle)


def test_the_timeout_is_for_all_attempts(engine: ProcessEngine) -> None:
    handle = engine.submit(component("sleep 0.4; exit 1", termination={"timeout": 2, "maxRetries": 1000}))
    run = handle.wait()
    assert run.status is Status.FAILED
    assert 1 <= run.attempt < 10
    assert run.reason in (Code.TIMEOUT, Code.EXIT_CODE)  # its time was over while it ran, or just after


def test_a_service_runs_until_it_is_stopped(engine: ProcessEngine) -> None:
    serve = python(
        "import http.server, os, pathlib\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "pathlib.Path(os.environ['SHARED'], 'port').write_text(str(server.server_port))\n"
        "pathlib.Path(os.environ['SHARED'], 'begun').touch()\n"
        "server.serve_forever()"
    )
    handle = engine.submit(component(serve, kind="service", ports=[8080]))
    begun(engine, handle)
    assert handle.run().kind == "service"
    handle.stop()
    assert how(handle.wait()) == STOPPED


HOLDS = "trap 'exit 0' TERM; touch $SHARED/begun; sleep 600 & wait"
"""A job that has a place in a queue, and ends as soon as it is asked to."""


def test_runs_of_a_queue_wait_for_each_other(engine: ProcessEngine) -> None:
    script = """
        mkdir $SHARED/inside || { echo two at once; exit 1; }
        sleep 0.1; rmdir $SHARED/inside
    """
    queues = {"queues": {"one": {"concurrency": 1}}}
    handles = [engine.submit(component(script, queue="one"), catalog=queues) for _ in range(3)]
    assert [handle.wait().status for handle in handles] == [Status.SUCCEEDED] * 3
    assert sum(Status.QUEUED in statuses(handle) for handle in handles) >= 1


def test_a_stop_while_it_waits_in_its_queue(engine: ProcessEngine) -> None:
    queues = {"queues": {"one": {"concurrency": 1}}}
    first = engine.submit(component(HOLDS, queue="one"), catalog=queues)
    begun(engine, first)
    second = engine.submit(component("echo never", queue="one"), catalog=queues)
    eventually(lambda: second.run().status is Status.QUEUED)
    second.stop()
    assert how(second.wait()) == STOPPED
    eventually(lambda: first.run().status is Status.RUNNING)
    first.stop()
    assert how(first.wait()) == STOPPED


def test_the_timeout_does_not_count_while_it_waits_in_its_queue(engine: ProcessEngine) -> None:
    queues = {"queues": {"one": {"concurrency": 1}}}
    first = engine.submit(component(HOLDS, queue="one"), catalog=queues)
    begun(engine, first)
    job = component("sleep 0.3; echo in time", queue="one", termination={"timeout": engine.a_while})
    second = engine.submit(job, catalog=queues)
    eventually(lambda: second.run().status is Status.QUEUED)
    time.sleep(engine.a_while + 0.2)
    first.stop()
    first.wait()
    assert second.wait().status is Status.SUCCEEDED
