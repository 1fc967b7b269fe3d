"""``tieline run``: what is shown where, what is exited with, and how it is stopped."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_harness import Cli, said


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    with Cli(tmp_path) as cli:
        yield cli


def test_stdout_has_the_jobs_own_bytes_and_nothing_else(cli: Cli) -> None:
    job = cli.job(r"printf 'first\n'; printf 'error\n' >&2; printf '\377\033[1mno end'")
    done = cli("run", job)
    assert done.raw == b"first\nerror\n\xff\x1b[1mno end"
    assert "succeeded after" in done.err
    assert "\nfirst" not in done.err


def test_the_jobs_exit_code_is_the_commands(cli: Cli) -> None:
    done = cli("run", cli.job("exit 3"), code=3)
    assert "failed after" in done.err
    assert "the job exited with 3 [exit-code]" in done.err
    assert f"tieline runs show {cli.runs()[0]['uuid'][:8]}" in done.err


def test_steps_notices_and_places_are_said(cli: Cli) -> None:
    cli.write(
        "job.yaml",
        "kind: component\n"
        "run:\n"
        "  kind: job\n"
        "  init:\n"
        "    - file: {name: note.txt, content: hello}\n"
        "    - container: {name: prep, command: [sh, -c, echo preparing]}\n"
        "  container: {image: python, command: [sh, -c, 'cp $TIELINE_ARTIFACTS/note.txt $TIELINE_OUTPUTS']}\n",
    )
    done = cli("run", "job.yaml")
    assert done.err.count("run.container.image: has an effect only on Kubernetes") == 1
    assert "✓ file" in done.err
    assert "✓ program prep" in done.err
    assert "[init-prep] preparing\n" in done.err
    run = cli.runs()[0]
    outputs = cli.home / "artifacts" / run["uuid"] / "attempt-1" / "outputs"
    assert f"{outputs} (1 file, 5 B, all checked)" in done.err
    assert f"{outputs.with_name('logs')} (1 line)" in done.err
    assert (outputs / "note.txt").read_text() == "hello"
    assert done.out == ""


def test_params_are_typed_by_their_inputs(cli: Cli) -> None:
    job = cli.job("echo {{ lr * 2 }} {{ name }}", inputs="[{name: lr, type: float}, {name: name, type: str}]")
    assert cli("run", job, "-P", "lr=0.5", "-P", "name=a=b").out == "1.0 a=b\n"
    assert "'lr' has no value; give one: -P lr=…" in cli("run", job, code=65).err
    assert "abc is no number" in cli("run", job, "-P", "lr=abc", "-Pname=x", code=65).err
    assert "'lr' is not name=value" in cli("run", job, "-P", "lr", code=2).err
    assert "'lr' is given twice" in cli("run", job, "-Plr=1", "-Plr=2", code=2).err
    assert len(cli.runs()) == 1


def test_name_project_and_namespace_are_the_ones_that_are_given(cli: Cli) -> None:
    cli("run", cli.job("true", name="a-job.yaml"), "--name", "mine", "-p", "birds", "-n", "lab")
    run = cli.runs()[0]
    assert (run["name"], run["project"], run["namespace"], run["jobFile"]) == ("mine", "birds", "lab", "a-job.yaml")
    cli("run", "a-job.yaml")
    assert cli.runs()[0]["name"] == "a-job"


def test_json_is_one_object_about_the_run(cli: Cli) -> None:
    done = cli("run", cli.job("echo hi; exit 4"), "--output", "json", code=4)
    assert (done.data["status"], done.data["reason"], done.data["exitCode"]) == ("failed", "exit-code", 4)
    assert done.data["outputs"].endswith("attempt-1/outputs")
    assert "hi\n" in done.err


def test_a_detached_run_goes_on_and_can_be_followed(cli: Cli) -> None:
    done = cli("run", cli.job("echo one; sleep 1; echo two; exit 5"), "--detach")
    uuid = done.out.strip()
    assert len(uuid) == 32
    assert f"tieline runs logs -f {uuid[:8]}" in done.err
    assert cli("runs", "logs", "-f", uuid).out == "one\ntwo\n"
    run = cli.wait_for("failed")
    assert (run["uuid"], run["exitCode"]) == (uuid, 5)
    assert cli("run", "job.yaml", "-d", "-o", "json").data["name"] == "job"


def test_what_this_machine_cannot_do_is_refused_and_leaves_no_run(cli: Cli) -> None:
    cli.write("job.yaml", "kind: component\nrun: {kind: job, container: {command: [no-such-program]}}\n")
    assert "there is no program 'no-such-program' on this machine" in cli("run", "job.yaml", code=69).err
    assert cli.runs() == []


def test_a_step_that_fails_has_its_own_code(cli: Cli) -> None:
    cli.write(
        "job.yaml",
        "kind: component\nrun: {kind: job, init: [{git: {url: ./nowhere}}], container: {command: [echo, never]}}\n",
    )
    done = cli("run", "job.yaml", code=74)
    assert "✗ clone" in done.err
    assert done.out == ""


def test_timeout_signal_and_success_after_retries(cli: Cli) -> None:
    assert "ended after its timeout of 1 s" in cli("run", cli.job("sleep 30", termination="{timeout: 1}"), code=124).err
    assert "the job was ended by SIGKILL" in cli("run", cli.job("kill -9 $$$$"), code=137).err
    done = cli("run", cli.job('echo "try $TIELINE_ATTEMPT"; test $TIELINE_ATTEMPT = 2', termination="{maxRetries: 3}"))
    assert done.out == "try 1\ntry 2\n"
    assert "✗ attempt 1 failed: the job exited with 1" in done.err
    assert "attempt 2 of 4" in done.err


def test_ctrl_c_stops_it_properly(cli: Cli) -> None:
    running = cli.start("run", cli.job("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"))
    cli.wait_for("running")
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode in (0, 130)  # a job that ends well when it is told to stop has succeeded
    assert b"stopping" in err
    assert b"Ctrl-C again to kill now" in err
    assert out.endswith(b"bye\n")


def test_a_second_ctrl_c_kills_it(cli: Cli) -> None:
    running = cli.start("run", cli.job("trap '' TERM; echo up; while :; do sleep 0.1; done"))
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    running.send_signal(signal.SIGINT)
    began = time.monotonic()
    heard = said(running, b"Ctrl-C again to kill now")
    time.sleep(0.5)
    assert running.poll() is None, heard
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    assert time.monotonic() - began < 10.0, "it had ten seconds to end by itself"
    run = cli.runs()[0]
    assert (run["status"], run["reason"]) == ("stopped", "stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_as_well(cli: Cli, number: signal.Signals) -> None:
    running = cli.start("run", cli.job("echo up; sleep 60"))
    said(running, b"running sh")
    running.send_signal(number)
    assert running.wait(60) == 143
    assert cli.runs()[0]["status"] == "stopped"


def test_a_reader_that_goes_away_does_not_end_the_run(cli: Cli) -> None:
    job = cli.job("for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.2; done; echo whole > $TIELINE_OUTPUTS/x")
    script = " ".join(cli.argv("run", job)) + " | head -1; exit ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", script], env=cli.env, cwd=cli.root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "line 1\n")
    assert "nobody reads the job's output any more" in done.stderr
    assert cli("runs", "logs", "last").out.splitlines()[-1] == "line 8"


def test_the_next_command_ends_what_a_dead_supervisor_left(cli: Cli) -> None:
    running = cli.start("run", cli.job("echo written; echo kept > $TIELINE_OUTPUTS/x; sleep 60", name="lost.yaml"))
    assert running.stdout is not None
    assert running.stdout.readline() == b"written\n"
    running.kill()
    running.wait()
    done = cli("run", cli.job("true"))
    assert "tieline: ended a run whose tieline process had died: " in done.err
    assert " lost (failed)" in done.err
    lost = next(run for run in cli.runs() if run["name"] == "lost")
    assert lost["reason"] == "supervisor-died"
    assert cli("runs", "logs", "lost").out == "written\n"
    assert [item["path"] for item in cli("runs", "outputs", "list", "lost", "-o", "json").data] == ["x"]


def test_outputs_that_cannot_be_saved_are_kept_and_pushed_later(cli: Cli) -> None:
    store = cli.root / "store"
    cli.write(
        "tieline.yaml", "artifactsStore: {name: s, kind: host_path, schema: {hostPath: ./store, mountPath: /s}}\n"
    )
    job = cli.job(f"echo printed; sleep 1; rm -rf {store}; touch {store}; echo result > $TIELINE_OUTPUTS/r; exit 2")
    done = cli("run", "--isolation", "none", job, code=73)
    assert "[outputs-not-saved]" in done.err
    short = cli.runs()[0]["uuid"][:8]
    assert f"tieline runs outputs push {short}" in done.err
    kept = Path(cli("runs", "outputs", "path", "last").out.strip())
    assert (kept / "r").read_text() == "result\n"
    cli("runs", "outputs", "push", "last", code=73)
    store.unlink()
    store.mkdir()
    assert "failed after" in cli("runs", "outputs", "push", "last").out
    run = cli.runs()[0]
    assert (run["status"], run["reason"], run["exitCode"]) == ("failed", "exit-code", 2)
    assert (store / run["uuid"] / "attempt-1" / "outputs" / "r").read_text() == "result\n"
    assert "has nothing to push" in cli("runs", "outputs", "push", "last", code=70).err


def test_at_a_terminal_the_last_line_of_the_job_is_ended(cli: Cli) -> None:
    shown = cli.on_terminal("run", cli.job("printf 'no end'"))
    assert "no end\r\n" in shown
    assert "succeeded" in shown
    assert "\x1b[" in shown
