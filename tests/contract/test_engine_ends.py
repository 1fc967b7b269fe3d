"""How a run ends, in every engine: by its exit code, by a signal, by a step that failed, and tried again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_harness import ENGINES, ProcessEngine, component, opened_engine, shell

from servers.processes import eventually
from tieline.errors import Code, Refused
from tieline.model.run import Run, Status


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessEngine]:
    with opened_engine(request.param, tmp_path) as made:
        yield made


COUNTED = "echo >> $SHARED/attempts; ATTEMPT=$(($(wc -l < $SHARED/attempts)))\n"
"""The attempt's number by what they have in common: not every engine can tell a program that may be tried again."""
SHARED = {"name": "SHARED", "value": "{{ connections['shared'].path }}"}


def how(run: Run) -> tuple[Status, str, int | None]:
    return run.status, run.reason, run.exit_code


def test_a_job_that_succeeds(engine: ProcessEngine) -> None:
    handle = engine.submit("echo fine; echo out > $TIELINE_OUTPUTS/a")
    run = handle.wait()
    assert how(run) == (Status.SUCCEEDED, "", 0)
    assert handle.logs() == b"fine\n"
    assert handle.outputs() == {"a": b"out\n"}
    assert [event.status for event in handle.events()] == [
        Status.CREATED, Status.STARTING, Status.RUNNING, Status.SAVING, Status.SUCCEEDED,
    ]  # fmt: skip
    assert handle.told.statuses == [event.status for event in handle.events()][1:]
    assert handle.told.printed == {"main": b"fine\n"}
    assert run.started_at is not None
    assert run.finished_at is not None


@pytest.mark.parametrize("code", [1, 7, 255])
def test_the_exit_code_is_the_jobs_own(engine: ProcessEngine, code: int) -> None:
    handle = engine.submit(f"echo before; echo x > $TIELINE_OUTPUTS/kept; exit {code}")
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.EXIT_CODE, code)
    assert run.message == f"the job exited with {code}"
    assert handle.logs() == b"before\n"
    assert handle.outputs() == {"kept": b"x\n"}


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "XFSZ", "RTMIN"])
def test_a_job_that_ends_by_a_signal(engine: ProcessEngine, name: str) -> None:
    engine.lacks("a job is the first process of its namespace: a signal that it sends to itself is not delivered")
    number = signal.SIGRTMIN if name == "RTMIN" else getattr(signal, f"SIG{name}")
    handle = engine.submit(f"ulimit -c 0; echo before; kill -{int(number)} $$; sleep 60")
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.SIGNALLED, 128 + number)
    assert f"SIG{name}" in run.message
    assert ("out of memory?" in run.message) == (name == "KILL")
    assert handle.logs() == b"before\n"


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_a_job_that_exits_as_a_shell_does_after_a_signal(engine: ProcessEngine, name: str) -> None:
    """Of a container that a signal has ended, a cluster says no more than this exit code."""
    engine.lacks("a process that a signal ends is told from one that exits", "process", "isolated")
    number = getattr(signal, f"SIG{name}")
    handle = engine.submit(f"ulimit -c 0; echo before; sh -c 'kill -{int(number)} $$'; exit $?")
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.SIGNALLED, 128 + number)
    assert run.message == f"the job was ended by SIG{name}"
    assert b"before\n" in handle.logs()


def test_a_program_that_is_not_there_is_refused_before_a_run_is_accepted(engine: ProcessEngine) -> None:
    engine.lacks("which programs an image has is not known before it is there")
    with pytest.raises(Refused, match="there is no program 'no-such-program'"):
        engine.submit(component({"command": ["no-such-program"]}))
    with engine.record() as record:
        assert record.list() == []


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("/missing", 127, "No such file or directory"),
        ("/plain", 126, "Permission denied"),
        ("/no-interpreter", 127, "the interpreter that its first line names is not there"),
        ("", 126, "Permission denied"),
    ],
)
def test_a_program_that_cannot_be_started(engine: ProcessEngine, command: str, code: int, told: str) -> None:
    if command == "/no-interpreter":
        engine.lacks("the runtime says this in the job's log alone, with the exit code of a job that has run")
    (engine.shared / "plain").write_text("echo never")
    (engine.shared / "no-interpreter").write_text("#!/no/such/interpreter\n")
    (engine.shared / "no-interpreter").chmod(0o755)
    handle = engine.submit(component({"command": ["{{ connections['shared'].path }}" + command]}))
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.STEP_FAILED, code)
    assert run.message.startswith("the job could not be started: /")
    assert told in run.message


def test_a_working_folder_that_is_not_there(engine: ProcessEngine) -> None:
    engine.lacks("a working folder that an image has not is made by the cluster")
    run = engine.submit(component({**shell("true"), "workingDir": "/no/such/folder"})).wait()
    assert how(run) == (Status.FAILED, Code.STEP_FAILED, 127)
    assert run.message == "the job could not be started: /no/such/folder: No such file or directory"


def test_each_attempt_has_its_own_outputs_and_logs(engine: ProcessEngine) -> None:
    script = f"""{COUNTED}
        echo attempt $ATTEMPT; echo $ATTEMPT > $TIELINE_OUTPUTS/number
        ls $TIELINE_OUTPUTS; touch $TIELINE_OUTPUTS/only-$ATTEMPT; [ $ATTEMPT = 2 ] || exit 5
    """
    handle = engine.submit(component(script, termination={"maxRetries": 3}))
    run = handle.wait()
    assert how(run) == (Status.SUCCEEDED, "", 0)
    assert run.attempt == 2
    assert handle.logs(attempt=1) == b"attempt 1\nnumber\n"
    assert handle.logs(attempt=2) == b"attempt 2\nnumber\n"
    assert handle.outputs(1) == {"number": b"1\n", "only-1": b""}
    assert handle.outputs(2) == {"number": b"2\n", "only-2": b""}
    retrying = next(event for event in handle.events() if event.status is Status.RETRYING)
    assert (retrying.attempt, retrying.reason, retrying.message) == (1, Code.EXIT_CODE, "the job exited with 5")


def test_retries_come_to_an_end(engine: ProcessEngine) -> None:
    handle = engine.submit(component(f"{COUNTED} echo $ATTEMPT; exit 9", termination={"maxRetries": 1}))
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.EXIT_CODE, 9)
    assert run.attempt == 2
    assert (handle.logs(attempt=1), handle.logs(attempt=2)) == (b"1\n", b"2\n")


def test_a_failed_step_is_tried_again_too(engine: ProcessEngine) -> None:
    step = {"container": {"name": "prep", **shell(f"{COUNTED} [ $ATTEMPT = 2 ]", env=[SHARED])}}
    handle = engine.submit(component("true", init=[step], termination={"maxRetries": 1}))
    run = handle.wait()
    assert how(run) == (Status.SUCCEEDED, "", 0)
    assert run.attempt == 2


def test_the_attempts_number_is_a_variable(engine: ProcessEngine) -> None:
    job = component("echo $TIELINE_ATTEMPT; [ $TIELINE_ATTEMPT = 2 ]", termination={"maxRetries": 1})
    engine.lacks("all pods of a Job are made alike")
    handle = engine.submit(job)
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    assert (handle.logs(attempt=1), handle.logs(attempt=2)) == (b"1\n", b"2\n")


def test_what_a_job_left_running_ends_with_it(engine: ProcessEngine) -> None:
    """In its group or a session of its own, with its environment or without, ignoring signals or not."""
    beat = "while :; do echo $$ > {name}; sleep 0.05; done"
    daemon = "import os, time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
    daemon += "while True:\n  open('daemon', 'w').write(str(os.getpid())); time.sleep(0.05)"
    script = f"""
        cd $SHARED
        sh -c '{beat.format(name="plain")}' &
        setsid sh -c '{beat.format(name="session")}' &
        nohup sh -c '{beat.format(name="nohup")}' > /dev/null 2>&1 &
        env -i setsid sh -c 'PATH=/usr/bin:/bin; {beat.format(name="bare")}' &
        sh -c 'trap "" TERM HUP INT; {beat.format(name="deaf")}' &
        python3 -c "{daemon}" &
        for name in plain session nohup bare deaf daemon; do until [ -s $name ]; do sleep 0.02; done; done
        echo all begun
    """
    handle = engine.submit(script)
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    assert handle.logs().startswith(b"all begun\n")
    assert handle.leftovers() == 0
    times = {path: path.stat().st_mtime_ns for path in engine.shared.iterdir()}
    assert len(times) == 6
    time.sleep(0.3)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_what_is_left_does_not_keep_a_job_from_ending(engine: ProcessEngine) -> None:
    """It holds the job's own output open, as a daemon does that was not careful."""
    handle = engine.submit("setsid sh -c 'while :; do touch $SHARED/beat; sleep 0.05; done' & echo done")
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    (engine.shared / "beat").unlink(missing_ok=True)
    time.sleep(0.3)
    assert not (engine.shared / "beat").exists()


@pytest.mark.parametrize("which", [0, -1])
def test_the_process_that_watches_the_job_is_killed(engine: ProcessEngine, which: int) -> None:
    """It may be several: the outermost and the innermost."""
    engine.lacks("nothing of Tieline's watches a container's process: the node's runtime does")
    handle = engine.submit("setsid sleep 600 & echo before; touch $SHARED/begun; sleep 600")
    eventually((engine.shared / "begun").exists)
    os.kill(handle.watchers()[which], signal.SIGKILL)
    run = handle.wait()
    assert how(run) == (Status.FAILED, Code.SIGNALLED, 137)
    assert "the process that watches it was killed" in run.message
    assert handle.logs() == b"before\n"


def test_sidecars_begin_with_the_job_and_end_after_it(engine: ProcessEngine) -> None:
    main = "echo main >> $SHARED/order; until [ -e $SHARED/beat ]; do sleep 0.02; done; echo end >> $SHARED/order"
    beat = shell(
        "trap 'echo sidecar ends >> $SHARED/order; exit' TERM; echo hello; echo $SHARED\n"
        "while :; do touch $SHARED/beat; sleep 0.05; done",
        name="beat", env=[SHARED],
    )  # fmt: skip
    stubborn = shell("trap '' TERM; while :; do sleep 0.1; done", name="stubborn")
    short = shell("exit 3", name="short")
    handle = engine.submit(component(main, sidecars=[beat, stubborn, short]))
    handle.controls.grace = 0.3
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    assert handle.logs("sidecar-beat").startswith(f"hello\n{engine.seen(engine.shared)}\n".encode())
    assert (engine.shared / "order").read_text() == "main\nend\nsidecar ends\n"


def test_a_sidecar_that_ends_early_is_told_and_harms_nobody(engine: ProcessEngine) -> None:
    handle = engine.submit(
        component(
            "until [ -e $SHARED/go ]; do sleep 0.02; done",
            sidecars=[shell("exit 3", name="short"), {"name": "none", "command": ["/no/such"]}],
        )
    )
    eventually(lambda: len(handle.told.notes) >= 2)
    (engine.shared / "go").touch()
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    assert sorted(handle.told.notes) == [
        "sidecar-none ended before the main program (/no/such: No such file or directory)",
        "sidecar-short ended before the main program (exit code 3)",
    ]


def test_a_job_cannot_look_into_what_saves_its_outputs(engine: ProcessEngine) -> None:
    """A pod with sidecars shares its processes where the cluster does not end them itself."""
    engine.lacks("the saving process is the user's own, and so is the job", "process", "isolated")
    script = """
        found=; until [ "$found" ]; do
            for one in /proc/[0-9]*; do
                tr '\\0' ' ' < $one/cmdline 2>/dev/null | grep -q 'kubernetes[.]inside collect' && found=$one
            done
        done
        sleep 1
        for what in environ root/run/tieline/token/token maps; do
            if head -c 1 $found/$what > /dev/null 2>&1; then echo $what can be read; fi
        done
        head -c 1 /proc/self/environ > /dev/null && echo looked
    """
    security = {"runAsUser": 0, "capabilities": {"add": ["DAC_READ_SEARCH"]}}  # all that the collector has, too
    main = shell(script, securityContext=security)
    handle = engine.submit(component(main, sidecars=[shell("sleep 600", name="beside")]))
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    assert handle.logs() == b"looked\n"


def test_a_run_does_not_wait_for_its_terminal(engine: ProcessEngine) -> None:
    """It has no terminal, and nothing to read."""
    script = "import sys, os; print(repr(sys.stdin.read()), os.getpid() == os.getsid(0))"
    handle = engine.submit(component({"command": ["python3", "-c", script]}))
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    assert handle.logs() == b"'' True\n"


def test_signals_are_as_a_program_expects_them(engine: ProcessEngine) -> None:
    """What the supervisor (or nohup) ignores or blocks is not handed on."""
    handle = engine.submit("grep -E '^Sig(Blk|Ign)' /proc/self/status")
    assert how(handle.wait()) == (Status.SUCCEEDED, "", 0)
    blocked, ignored = (int(word, 16) for word in handle.logs().split()[1::2])
    libc_own = 1 << 31 | 1 << 32  # signals 32 and 33, which no program can set
    assert (blocked & ~libc_own, ignored & ~libc_own) == (0, 0)
