"""``verify``: what somebody does to a run's store behind Tieline's back is found, each kind of it, and nothing else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from run_harness import Ended, Told, kill
from stored_harness import Stored

from servers.processes import eventually
from tieline.app.logs import RunLogs
from tieline.app.outputs import push
from tieline.app.outputs_get import fetch
from tieline.app.outputs_verify import What, verify
from tieline.app.runs import attempt_prefix
from tieline.app.submit import carry_out
from tieline.engines.base import Controls
from tieline.errors import Code, Damaged, NotFound, StepFailed
from tieline.model.run import Run
from tieline.runs.record import Record
from tieline.steps.manifest import key_of, parsed
from tieline.steps.retrying import Patience
from tieline.stores import FolderStore, Saved, StoreTrouble, Why

FILES = """\
mkdir -p deep/er; echo one > a; echo two > deep/er/b; : > nothing; printf 'c' > "$(printf 'caf\\351')"; echo said
"""
LARGE = "head -c 20000000 /dev/urandom > large"


@pytest.fixture(params=["folder", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    return Stored(tmp_path / "here", request.param)


def told(stored: Stored, ended: Ended, *, quick: bool = False) -> dict[str, What]:
    return {finding.path: finding.what for finding in stored.verify(ended, quick=quick).findings}


def test_what_was_saved_is_there(stored: Stored) -> None:
    ended = stored.run(FILES + LARGE)
    found = stored.verify(ended)
    assert (found.complete, found.findings, found.files, found.undigested, found.newer) == (True, (), 6, 0, 0)
    assert found.bytes == 20_000_000 + 4 + 4 + 1 + 5
    assert stored.verify(ended, quick=True).findings == ()
    assert (ended.told.collected.files, ended.told.collected.log_lines) == (5, 1)


def test_every_kind_of_damage_is_found(stored: Stored) -> None:
    ended = stored.run(FILES + LARGE)
    with stored.store(ended).open(f"{attempt_prefix(ended.plan, 1)}/outputs/large") as stream:
        large = bytearray(stream.read())
    large[15_000_000] ^= 1
    stored.spoil(ended, "outputs/large", bytes(large))
    stored.spoil(ended, "outputs/a", b"0ne\n")
    stored.spoil(ended, "outputs/deep/er/b", None)
    stored.spoil(ended, "outputs/nothing", b"something")
    stored.spoil(ended, "outputs/deep/more", b"")
    stored.spoil(ended, "logs/main.log", b"sa1d\n")
    whole = {
        "logs/main.log": What.DIGEST, "outputs/a": What.DIGEST, "outputs/deep/er/b": What.MISSING,
        "outputs/deep/more": What.EXTRA, "outputs/large": What.DIGEST, "outputs/nothing": What.SIZE,
    }  # fmt: skip
    assert told(stored, ended) == whole
    assert told(stored, ended, quick=True) == {path: what for path, what in whole.items() if what is not What.DIGEST}, (
        "sizes only"
    )


def test_a_failure_and_each_attempt_have_their_own(stored: Stored) -> None:
    ended = stored.run("echo $TIELINE_ATTEMPT > which; exit 3", termination={"maxRetries": 1})
    assert (ended.run.status.value, ended.run.attempt) == ("failed", 2)
    for attempt in (1, 2):
        assert verify(ended.plan, ended.run, attempt).findings == ()
        assert stored.manifest(ended, attempt).complete
    assert stored.manifest(ended, 1).entries["outputs/which"].sha256 != (
        stored.manifest(ended, 2).entries["outputs/which"].sha256
    )


def test_a_run_of_before_manifests_says_so(stored: Stored) -> None:
    ended = stored.run(FILES)
    stored.spoil(ended, "manifest.jsonl", None)
    with pytest.raises(NotFound, match="has no manifest; it was saved by a Tieline that kept none"):
        stored.verify(ended)
    got = fetch(ended.plan, ended.run, 1, (), stored.runs.root / "got")
    assert (got.has_manifest, got.unchecked, got.copied.files) == (False, 4, 4)


def test_a_manifest_that_is_spoiled_is_told(stored: Stored) -> None:
    ended = stored.run(FILES)
    stored.spoil(ended, "manifest.jsonl", b'{"tielineManifest":7}\n')
    with pytest.raises(Damaged, match="cannot be understood: it has not the form 1"):
        stored.verify(ended)


def test_after_kill_dash_nine_the_next_command_completes_it(stored: Stored) -> None:
    accepted, pid = stored.runs.apart(stored.job(f"{FILES}sleep 1.5; echo late > late; sleep 600"))
    prefix = f"{accepted.plan.store.prefix}/attempt-1/outputs"
    ended = Ended(record_of(stored, accepted.plan.run.uuid), accepted.plan, Told())
    eventually(lambda: stored.store(ended).stat(f"{prefix}/late"))
    kill(pid)
    stored.runs.recover()
    run = stored.runs.wait(accepted.plan.run.uuid)
    assert run.reason == Code.SUPERVISOR_DIED
    ended.run = run
    found = stored.verify(ended)
    assert (found.complete, found.findings, found.files, found.undigested) == (True, (), 6, 0)


def test_push_completes_what_a_broken_store_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = Stored(tmp_path / "here", "folder")
    save = FolderStore.save_file

    def picky(self: FolderStore, local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        if key.endswith("/a"):
            raise StoreTrouble(Why.FULL, "no space is left")
        return save(self, local, key, digest=digest, settled=settled)

    monkeypatch.setattr(FolderStore, "save_file", picky)
    monkeypatch.setattr("tieline.steps.collector.Patience", lambda: Patience(attempts=2, seconds=0.5))
    ended = stored.run(FILES)
    assert ended.run.reason == Code.OUTPUTS_NOT_SAVED
    with pytest.raises(NotFound, match="tieline runs outputs push"):
        stored.verify(ended)
    sent = list[str]()

    def counted(self: FolderStore, local: Path, key: str, *, digest: bool = False, settled: bool = False) -> Saved:
        sent.append(key.rpartition("/")[2])
        return save(self, local, key, digest=digest, settled=settled)

    monkeypatch.setattr(FolderStore, "save_file", counted)
    with Record.open(stored.runs.home.database) as record:
        ended.run = push(stored.runs.home, record, record.get(ended.run.uuid))
    assert ended.run.status.value == "succeeded"
    assert sent == ["a"], "what was saved before is not sent again"
    found = stored.verify(ended)
    assert (found.complete, found.findings, found.undigested) == (True, (), 0)


def test_two_runs_of_one_job_at_the_same_time(stored: Stored) -> None:
    """Each has its own place; neither sees a byte of the other."""
    script = "for n in $(seq 40); do echo $TIELINE_RUN_UUID $n > f$n; echo $TIELINE_RUN_UUID > same; sleep 0.02; done"
    job = stored.job(f"{script}; echo $TIELINE_RUN_UUID", plugins={"sidecar": {"syncInterval": 1}})
    both = [stored.runs.apart(job)[0] for _ in range(2)]
    for accepted in both:
        run = stored.runs.wait(accepted.plan.run.uuid)
        ended = Ended(run, accepted.plan, Told())
        assert run.status.value == "succeeded", run
        found = stored.verify(ended)
        assert (found.complete, found.findings, found.files) == (True, (), 42)
        to = stored.runs.root / run.uuid
        fetch(accepted.plan, run, 1, (), to)
        assert (to / "same").read_text() == f"{run.uuid}\n"
        assert [(to / f"f{n}").read_text() for n in range(1, 41)] == [f"{run.uuid} {n}\n" for n in range(1, 41)]


WRITER = """
import os, random, sys, time
out, chance, until, number = os.environ["TIELINE_OUTPUTS"], random.Random(5), time.monotonic() + 6, 0
while time.monotonic() < until:
    number += 1
    print("line %06d" % number, flush=True)
    path = os.path.join(out, "f%d" % chance.randrange(12))
    if chance.random() < 0.3 and os.path.exists(path):
        os.unlink(path)
    else:
        with open(path + ".new", "w") as file:
            file.write(("%06d\\n" % number) * chance.randrange(1, 3000))
        os.rename(path + ".new", path)
    time.sleep(0.003)
"""


def test_a_run_under_way_is_read_in_one_piece(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that rewrites, adds and removes; a reader that lists, fetches, verifies and reads the log."""
    monkeypatch.setattr("tieline.steps.manifest.EVERY", 0.3)
    (stored.runs.shared / "writer.py").write_text(WRITER)
    job = stored.job(f"exec python3 {stored.runs.shared}/writer.py", plugins={"sidecar": {"syncInterval": 1}})
    accepted, told = stored.runs.accepted(job), Told()
    thread = threading.Thread(target=lambda: carry_out(accepted, told, Controls()))
    thread.start()
    looks = files = 0
    try:
        with Record.open(stored.runs.home.database) as record:
            while not (run := record.get(accepted.plan.run.uuid)).status.is_final:
                files += _look(stored, Ended(run, accepted.plan, told), record, looks)
                looks += 1
    finally:
        thread.join()
    ended = Ended(record_of(stored, accepted.plan.run.uuid), accepted.plan, told)
    assert ended.run.status.value == "succeeded", ended.run
    assert files > 0
    assert looks > 3
    assert stored.verify(ended).findings == ()


def record_of(stored: Stored, uuid: str) -> Run:
    with Record.open(stored.runs.home.database) as record:
        return record.get(uuid)


def _look(stored: Stored, ended: Ended, record: Record, number: int) -> int:
    to = stored.runs.root / f"look-{number}"
    try:
        got = fetch(ended.plan, ended.run, 1, (), to)
    except NotFound as error:
        assert "has no outputs" in str(error)  # noqa: PT017 - nothing is saved yet
        return 0
    assert all("went away while it was fetched" in note for note in got.copied.notes)
    for path in to.iterdir():
        lines = path.read_text().splitlines(keepends=True)
        assert set(lines) == {lines[0]}, f"{path} is made of two"
        assert lines[0].endswith("\n")
    try:
        found = stored.verify(ended)
        assert found.findings == (), found
    except NotFound as error:
        assert "no manifest yet" in str(error)  # noqa: PT017
    said = b"".join(RunLogs(stored.runs.home, record, ended.run).read()).splitlines()
    assert said == [b"line %06d" % n for n in range(1, len(said) + 1)]
    return got.copied.files


def test_stopping_a_check(stored: Stored) -> None:
    ended = stored.run(LARGE)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(StepFailed, match="the check was stopped"):
        verify(ended.plan, ended.run, 1, cancel=cancel)


def test_the_manifest_is_plain_json_lines(stored: Stored) -> None:
    """As docs/manifest.md says: any program reads it."""
    ended = stored.run(FILES)
    with stored.store(ended).open(key_of(attempt_prefix(ended.plan, 1))) as stream:
        data = stream.read()
    assert parsed(data.splitlines(keepends=True)).complete
    assert data.endswith(b"}\n")
