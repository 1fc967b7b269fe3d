"""What a run leaves, in every engine: its outputs and what it printed, while it runs and afterwards, whole and in
order; and what happens where they cannot be saved."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_harness import ENGINES, ProcessEngine, ProcessHandle, component, opened_engine, python

from servers.processes import eventually
from tieline.engines.process.recovery import recover
from tieline.engines.process.tidying import sweep_expired
from tieline.errors import Code, NotFound, RecordError
from tieline.model.run import Outcome, Run, Status
from tieline.steps.retrying import Patience

WAIT = "until [ -e $SHARED/go ]; do sleep 0.02; done"
NOT_SAVED = (Status.FAILED, Code.OUTPUTS_NOT_SAVED)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessEngine]:
    with opened_engine(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a run gives up on its store sooner than it does for people."""
    monkeypatch.setattr("tieline.steps.collector.Patience", lambda: Patience(attempts=2, seconds=0.5))


def go(engine: ProcessEngine) -> None:
    (engine.shared / "go").touch()


def how(run: Run) -> tuple[Status, str]:
    return run.status, run.reason


def ended_well(handle: ProcessHandle) -> None:
    run = handle.wait()
    assert run.status is Status.SUCCEEDED, f"{run.message}: {handle.logs()[-1000:]!r}"


# --- while it runs


def test_outputs_and_logs_are_saved_while_the_job_runs(engine: ProcessEngine) -> None:
    script = f"""
        echo first line; mkdir $TIELINE_OUTPUTS/deep; echo one > $TIELINE_OUTPUTS/deep/a
        {WAIT}
        echo last line; echo two > $TIELINE_OUTPUTS/deep/a
    """
    handle = engine.submit(component(script, plugins={"sidecar": {"syncInterval": 1}}))
    eventually(lambda: handle.logs() == b"first line\n")
    eventually(lambda: handle.outputs() == {"deep/a": b"one\n"})
    eventually(lambda: handle.run().status is Status.RUNNING)
    go(engine)
    ended_well(handle)
    assert handle.logs() == b"first line\nlast line\n"
    assert handle.outputs() == {"deep/a": b"two\n"}


def test_saving_only_at_the_end(engine: ProcessEngine) -> None:
    script = f"echo x > $TIELINE_OUTPUTS/a; echo begun; {WAIT}"
    handle = engine.submit(component(script, plugins={"sidecar": {"syncInterval": -1}}))
    eventually(lambda: handle.logs() == b"begun\n")
    assert handle.outputs() == {}
    go(engine)
    ended_well(handle)
    assert handle.outputs() == {"a": b"x\n"}


def test_collecting_can_be_switched_off(engine: ProcessEngine) -> None:
    script = "echo printed; echo x > $TIELINE_OUTPUTS/a"
    silent = engine.submit(component(script, plugins={"collectLogs": False}))
    empty = engine.submit(component(script, plugins={"collectArtifacts": False}))
    ended_well(silent)
    ended_well(empty)
    assert (silent.logs(), silent.outputs()) == (b"", {"a": b"x\n"})
    assert (empty.logs(), empty.outputs()) == (b"printed\n", {})
    assert silent.told.printed == {"main": b"printed\n"}  # whoever looks on sees it all the same


def test_what_was_saved_goes_with_what_the_job_removes(engine: ProcessEngine) -> None:
    script = f"echo x > $TIELINE_OUTPUTS/a; echo y > $TIELINE_OUTPUTS/b; {WAIT}; rm $TIELINE_OUTPUTS/a"
    handle = engine.submit(component(script, plugins={"sidecar": {"syncInterval": 1}}))
    eventually(lambda: len(handle.outputs()) == 2)
    go(engine)
    ended_well(handle)
    assert handle.outputs() == {"b": b"y\n"}


# --- what jobs print


def test_fifty_megabytes_in_order(engine: ProcessEngine) -> None:
    count = engine.lines_at_once
    script = f"for n in range({count}): print('%08d' % n, 'x' * 63)"
    handle = engine.submit(component(python(script, env=[{"name": "PYTHONUNBUFFERED", "value": ""}])))
    ended_well(handle)
    expected = b"".join(b"%08d %s\n" % (n, b"x" * 63) for n in range(count))
    printed = handle.told.printed["main"]
    seen = (handle.logs() == expected, printed == expected, expected.startswith(printed), len(printed))
    assert seen == (True, True, True, len(expected)), handle.told.notes  # nobody needs to see how megabytes differ


def test_bytes_that_are_no_text(engine: ProcessEngine) -> None:
    every = bytes(range(256)) * 100
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100); sys.stdout.flush()"
    handle = engine.submit(component(python(script)))
    ended_well(handle)
    assert handle.logs() == every
    assert handle.told.printed["main"] == every


def test_stdout_and_stderr_keep_their_order(engine: ProcessEngine) -> None:
    engine.lacks("a container's two streams are two pipes, which the node's runtime reads one beside the other")
    handle = engine.submit("for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done; printf 'no end'")
    ended_well(handle)
    assert handle.logs() == b"".join(b"out %d\nerr %d\n" % (n, n) for n in range(1, 6)) + b"no end"


def test_a_job_that_closes_its_output(engine: ProcessEngine) -> None:
    handle = engine.submit("echo before; exec >&- 2>&-; sleep 0.2; echo x > $TIELINE_OUTPUTS/a; exit 6")
    run = handle.wait()
    assert (run.reason, run.exit_code) == (Code.EXIT_CODE, 6)
    assert handle.logs() == b"before\n"
    assert handle.outputs() == {"a": b"x\n"}


def test_a_job_that_prints_nothing_has_a_log(engine: ProcessEngine) -> None:
    handle = engine.submit("true")
    ended_well(handle)
    assert handle.logs() == b""


# --- what jobs do to their outputs


def test_outputs_of_all_sorts(engine: ProcessEngine) -> None:
    script = """
        cd $TIELINE_OUTPUTS; echo a > 'name with spaces'; echo b > .hidden; mkdir -p empty/deeper; ln -s .hidden link
        head -c 3000000 /dev/zero > zeros; printf '' > nothing; ln -s /etc/hostname foreign; mkfifo pipe
    """
    handle = engine.submit(script)
    ended_well(handle)
    found = handle.outputs()
    assert found.pop("zeros") == bytes(3_000_000)
    assert found == {
        "name with spaces": b"a\n",
        ".hidden": b"b\n",
        "link": b"b\n",
        "nothing": b"",
        "empty/deeper/": b"",
    }
    assert sorted(note.split(": ")[1] for note in handle.told.notes) == ["foreign", "pipe"]


def test_a_job_that_removes_its_outputs_folder(engine: ProcessEngine) -> None:
    script = f"echo x > $TIELINE_OUTPUTS/a; {WAIT}; rm -r $TIELINE_OUTPUTS"
    handle = engine.submit(component(script, plugins={"sidecar": {"syncInterval": 1}}))
    eventually(lambda: handle.outputs() == {"a": b"x\n"})
    go(engine)
    ended_well(handle)
    assert handle.outputs() == {"a": b"x\n"}, "what was saved stays: no folder is not an empty folder"


def test_a_job_that_takes_its_own_rights_away(engine: ProcessEngine) -> None:
    script = """
        cd $TIELINE_OUTPUTS; mkdir -p deep/er; echo x > deep/er/a; echo y > b
        chmod 0 b deep/er deep . && cd / && chmod 0 "$TIELINE_ARTIFACTS" && chmod 0 "{{ globals.context_path }}"
    """
    handle = engine.submit(script)
    ended_well(handle)
    assert handle.outputs() == {"deep/er/a": b"x\n", "b": b"y\n"}
    assert not handle.folder.context.exists()


def test_folders_deeper_than_a_programs_stack(engine: ProcessEngine) -> None:
    script = "import os\nfor n in range(1500):\n os.mkdir('d'); os.chdir('d')\nopen('bottom', 'w').write('here')"
    handle = engine.submit(component(python(script)))
    ended_well(handle)
    assert not handle.folder.context.exists()
    assert not trash(engine)


def trash(engine: ProcessEngine) -> list[Path]:
    """What is still to be removed; not every engine needs the folder."""
    return list((engine.home.runs / ".trash").glob("*"))


# --- the work folder


def test_the_work_folder_goes_with_the_run(engine: ProcessEngine) -> None:
    handle = engine.submit("echo x > here")
    ended_well(handle)
    assert not handle.folder.context.exists()
    assert not handle.folder.attempt(1).spools.exists()


def test_ttl_keeps_the_work_folder_for_a_while(engine: ProcessEngine) -> None:
    engine.lacks("a pod's folders go with its pod")
    handle = engine.submit(component("echo x > here; exit 1", termination={"ttl": 3600}))
    assert handle.wait().reason == Code.EXIT_CODE
    work = Path(handle.plan.layout.work_path)
    engine.look()
    assert (work / "here").read_text() == "x\n"
    kept_until = float(handle.folder.expires.read_text())
    assert sweep_expired(engine.home.runs, kept_until - 1) == 0
    assert sweep_expired(engine.home.runs, kept_until + 1) == 1
    assert not handle.folder.context.exists()
    assert sweep_expired(engine.home.runs, kept_until + 1) == 0
    assert handle.run().reason == Code.EXIT_CODE


# --- a store that cannot be written


def break_store(engine: ProcessEngine) -> None:
    """A file is where the store's folder was."""
    engine.store.rename(engine.store.with_name("away"))
    engine.store.write_text("in the way")


def mend_store(engine: ProcessEngine) -> None:
    engine.store.unlink()
    engine.store.with_name("away").rename(engine.store)


@pytest.mark.parametrize("code", [0, 7])
def test_a_store_that_breaks_fails_the_run_and_loses_nothing(engine: ProcessEngine, impatient: None, code: int) -> None:
    engine.lacks("a folder that is mounted stays so under another name: a store that is a volume does not break")
    script = f"echo first; echo x > $TIELINE_OUTPUTS/a; {WAIT}; echo last; echo y > $TIELINE_OUTPUTS/b; exit {code}"
    handle = engine.submit(component(script, termination={"maxRetries": 3}))
    eventually(lambda: handle.logs() == b"first\n")
    break_store(engine)
    go(engine)
    run = handle.wait()
    assert how(run) == NOT_SAVED
    assert run.attempt == 1, "another attempt would have written over what is not saved"
    assert run.exit_code == code
    assert "tieline runs outputs push" in run.message
    assert Path(handle.plan.layout.outputs_path, "b").read_text() == "y\n"
    assert handle.folder.attempt(1).spool("main").read_bytes() == b"first\nlast\n"

    again = handle.push()
    assert how(again) == NOT_SAVED, "the store is still broken"
    engine.look()
    assert how(handle.run()) == NOT_SAVED

    mend_store(engine)
    ended = handle.push()
    expected = Outcome(Status.SUCCEEDED, "", "", 0) if not code else (
        Outcome(Status.FAILED, Code.EXIT_CODE, "the job exited with 7", 7)
    )  # fmt: skip
    assert Outcome(ended.status, ended.reason, ended.message, ended.exit_code) == expected
    assert handle.outputs() == {"a": b"x\n", "b": b"y\n"}
    assert handle.logs() == b"first\nlast\n"
    assert not handle.folder.context.exists()
    assert [event.status for event in handle.events()][-4:] == [
        Status.SAVING, Status.FAILED, Status.SAVING, ended.status,
    ]  # fmt: skip
    with pytest.raises(RecordError, match="has nothing to push"):
        handle.push()


def test_a_store_that_is_gone_before_the_job_begins(engine: ProcessEngine, impatient: None) -> None:
    engine.lacks("a folder of a node that is not there is made by the node")
    handle = engine.submit("echo out", before=lambda _: shutil.rmtree(engine.store))
    assert how(handle.wait()) == NOT_SAVED
    engine.store.mkdir()
    assert handle.push().status is Status.SUCCEEDED
    assert handle.logs() == b"out\n"


def test_a_store_that_comes_back_in_time_is_waited_for(engine: ProcessEngine) -> None:
    engine.lacks("a folder that is mounted stays so under another name: a store that is a volume does not break")
    handle = engine.submit(f"echo x > $TIELINE_OUTPUTS/a; {WAIT}; echo y > $TIELINE_OUTPUTS/b")
    eventually(lambda: handle.outputs())
    break_store(engine)
    (engine.shared / "go").touch()
    eventually(lambda: handle.run().status is Status.SAVING)
    mend_store(engine)
    ended_well(handle)
    assert handle.outputs() == {"a": b"x\n", "b": b"y\n"}


def test_trouble_with_saving_is_told_while_the_job_runs(engine: ProcessEngine) -> None:
    engine.lacks("a folder that is mounted stays so under another name: a store that is a volume does not break")
    handle = engine.submit(f"echo begun; {WAIT}")
    eventually(lambda: handle.logs() == b"begun\n")
    break_store(engine)
    spool = handle.folder.attempt(1).spool("main")
    with spool.open("ab") as stream:
        stream.write(b"more\n")
    eventually(lambda: any("cannot save now, and will try again" in note for note in handle.told.notes))
    mend_store(engine)
    go(engine)
    ended_well(handle)
    assert handle.logs() == b"begun\nmore\n"


def test_a_disk_that_is_full(engine: ProcessEngine, impatient: None) -> None:
    """A disk of one megabyte for the store; in a mount of its own, where this user may make one."""
    engine.lacks("what a pod could not save goes with the pod: there is nothing to push")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(engine.store)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount")
    try:
        handle = engine.submit(
            "echo on; echo small > $TIELINE_OUTPUTS/a; head -c 3000000 /dev/zero > $TIELINE_OUTPUTS/b"
        )
        run = handle.wait()
        assert how(run) == NOT_SAVED
        assert "no space is left" in run.message
        assert handle.outputs()["a"] == b"small\n", "what fits is saved"
        subprocess.run(["mount", "-o", "remount,size=10m", str(engine.store)], check=True)
        assert handle.push().status is Status.SUCCEEDED
        assert handle.outputs() == {"a": b"small\n", "b": bytes(3_000_000)}
    finally:
        subprocess.run(["umount", "--lazy", str(engine.store)], check=True)


def test_a_push_without_the_work_folder_says_so(engine: ProcessEngine, impatient: None) -> None:
    engine.lacks("what a pod could not save goes with the pod: there is nothing to push")
    handle = engine.submit(f"echo x > $TIELINE_OUTPUTS/a; {WAIT}")
    eventually(lambda: handle.run().status is Status.RUNNING)
    break_store(engine)
    go(engine)
    assert how(handle.wait()) == NOT_SAVED
    mend_store(engine)
    handle.folder.context.rename(engine.shared / "elsewhere")
    with pytest.raises(NotFound, match=r"the work folder of run .* is gone"):
        handle.push()
    (engine.shared / "elsewhere").rename(handle.folder.context)
    assert handle.push().status is Status.SUCCEEDED


def test_nothing_to_do_changes_nothing(engine: ProcessEngine) -> None:
    handle = engine.submit("true")
    ended_well(handle)
    before = handle.events()
    with engine.record() as record:
        assert recover(record, engine.home.runs) == []
    assert handle.events() == before
    assert not trash(engine)
