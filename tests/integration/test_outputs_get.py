"""``get``: everything as it was saved, or an error that names the file; what is here is not fetched again."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_harness import Ended
from stored_harness import Stored

from servers import buckets
from servers.processes import eventually
from servers.wire import Wire, wire
from tieline.app.outputs_get import fetch
from tieline.errors import Code, Damaged, StepFailed
from tieline.steps.meter import Meter

MB = 1024 * 1024
SCRIPT = "mkdir -p deep/empty; echo one > a; echo two > deep/b; printf '#!/bin/sh' > tool; chmod 755 tool"


@pytest.fixture(params=["folder", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Stored:
    return Stored(tmp_path / "here", request.param)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Wire]:
    with wire(buckets.weed().port) as made:
        yield made


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def large(size: int, name: str = "large") -> str:
    return f"head -c {size} /dev/urandom > {name}"


def sums(ended: Ended, stored: Stored) -> dict[str, str | None]:
    entries = stored.manifest(ended).entries
    return {path.removeprefix("outputs/"): entry.sha256 for path, entry in entries.items() if "logs/" not in path}


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files(folder).items()}


def test_everything_comes_and_the_second_time_nothing(stored: Stored, tmp_path: Path) -> None:
    ended = stored.run(f"{SCRIPT}; {large(20 * MB)}")
    to, meter = tmp_path / "got", Meter()
    first = fetch(ended.plan, ended.run, 1, (), to, meter=meter)
    assert (first.copied.files, first.here, first.went_on, first.unchecked) == (4, 0, 0, 0)
    assert digests(to) == sums(ended, stored)
    assert (to / "deep/empty").is_dir()
    assert os.access(to / "tool", os.X_OK)
    original = stored.manifest(ended).entries["outputs/large"]
    assert (to / "large").stat().st_mtime_ns == original.mtime_ns
    amount = meter.look()
    assert (amount.files, amount.bytes) == (amount.all_files, amount.all_bytes) == (4, first.copied.bytes)

    again = fetch(ended.plan, ended.run, 1, (), to)
    assert (again.copied.files, again.here) == (4, 4)
    (to / "a").write_text("0ne\n")
    (to / "deep/b").unlink()
    third = fetch(ended.plan, ended.run, 1, (), to)
    assert (third.copied.files, third.here) == (4, 2)
    assert digests(to) == sums(ended, stored)


def test_only_what_was_asked_for(stored: Stored, tmp_path: Path) -> None:
    ended = stored.run(SCRIPT)
    fetch(ended.plan, ended.run, 1, ("deep", "tool"), tmp_path / "got")
    assert files(tmp_path / "got") == {"deep/b": b"two\n", "tool": b"#!/bin/sh"}


def test_what_is_damaged_is_named_and_not_kept(stored: Stored, tmp_path: Path) -> None:
    ended = stored.run(f"{SCRIPT}; {large(17 * MB)}")
    to = tmp_path / "got"
    to.mkdir()
    (to / "large").write_text("of an earlier time")
    stored.spoil(ended, "outputs/a", b"0ne\n")
    stored.spoil(ended, "outputs/deep/b", None)
    stored.spoil(ended, "outputs/large", bytes(17 * MB))
    with pytest.raises(Damaged) as caught:
        fetch(ended.plan, ended.run, 1, (), to)
    told = sorted(problem.message for problem in caught.value.problems)
    assert [words.split("'")[1] for words in told] == ["a", "deep/b", "large"]
    assert "its SHA-256 is not that of what was saved" in told[0]
    assert "it is missing" in told[1]
    assert files(to) == {"tool": b"#!/bin/sh", "large": b"of an earlier time"}, "what is whole is here"


def begun(to: Path) -> int:
    """Bytes of files that are not whole yet."""
    try:
        return sum(path.stat().st_size for path in to.glob(".tieline-*.part"))
    except FileNotFoundError:  # a small one is whole since it was listed
        return 0


def cut_off(line: Wire, stored: Stored, ended: Ended, to: Path, by: signal.Signals) -> int:
    """Have a command fetch until the line stands still, and end it there; its exit code."""
    line.most = line.down + 88 * MB  # of 192: whoever asks for nine ranges of 8 at once has the first by then
    argv = [sys.executable, "-m", "tieline", "runs", "outputs", "get", ended.run.uuid, "--to", str(to)]
    process = subprocess.Popen(argv, cwd=stored.runs.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        eventually(lambda: begun(to) >= 8 * MB)
        eventually(lambda: line.most is not None and line.down >= line.most)
        process.send_signal(by)
        if by == signal.SIGINT:
            time.sleep(0.5)  # it has heard of it before the rest comes
            line.most = None  # what is under way ends
        process.wait(60)
    finally:
        process.kill()
        process.communicate()
    line.most = None
    return process.returncode


def test_a_second_ctrl_c_waits_for_no_answer(tmp_path: Path, line: Wire) -> None:
    stored = Stored(tmp_path / "here", "s3", line)
    ended = stored.run(large(24 * MB))
    line.most = line.down + 4 * MB  # there it stands still, as long as the command lives
    argv = [sys.executable, "-m", "tieline", "runs", "outputs", "get", ended.run.uuid, "--to", str(tmp_path / "got")]
    process = subprocess.Popen(argv, cwd=stored.runs.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: line.most is not None and line.down >= line.most)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)  # it would end in good order
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_large_file_goes_on_where_it_stopped(tmp_path: Path, line: Wire, by: signal.Signals) -> None:
    stored = Stored(tmp_path / "here", "s3", line)
    ended = stored.run(f"{SCRIPT}; {large(192 * MB)}")
    to = tmp_path / "got"
    code = cut_off(line, stored, ended, to, by)
    assert code == (130 if by == signal.SIGINT else -signal.SIGKILL)
    assert not (to / "large").exists()
    (part,) = to.glob(".tieline-*.part")
    have = part.stat().st_size

    before = line.down
    got = fetch(ended.plan, ended.run, 1, (), to)
    assert got.went_on == have >= 8 * MB
    assert line.down - before < 192 * MB - have + 12 * MB, "only the rest was sent"
    assert digests(to) == sums(ended, stored)
    assert list(to.glob(".tieline-*")) == []


def test_a_beginning_that_is_not_one_is_fetched_anew(tmp_path: Path, line: Wire) -> None:
    stored = Stored(tmp_path / "here", "s3", line)
    ended = stored.run(large(96 * MB))
    to = tmp_path / "got"
    cut_off(line, stored, ended, to, signal.SIGKILL)
    (part,) = to.glob(".tieline-*.part")
    with part.open("r+b") as file:
        file.write(b"something else")
    got = fetch(ended.plan, ended.run, 1, (), to)
    assert got.went_on > 0
    assert digests(to) == sums(ended, stored)
    assert list(to.glob(".tieline-*")) == []


def test_the_beginning_of_another_version_is_cleared_away(tmp_path: Path, line: Wire) -> None:
    stored = Stored(tmp_path / "here", "s3", line)
    first, second = stored.run(large(96 * MB)), stored.run(large(20 * MB))
    to = tmp_path / "got"
    cut_off(line, stored, first, to, signal.SIGKILL)
    assert len(list(to.glob(".tieline-*.part"))) == 1
    got = fetch(second.plan, second.run, 1, (), to)
    assert got.went_on == 0
    assert digests(to) == sums(second, stored)
    assert list(to.glob(".tieline-*")) == []


def test_what_is_stopped_leaves_what_is_whole(stored: Stored, tmp_path: Path) -> None:
    ended = stored.run(SCRIPT)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(StepFailed) as caught:
        fetch(ended.plan, ended.run, 1, (), tmp_path / "got", cancel=cancel)
    assert caught.value.code == Code.STOPPED
    assert files(tmp_path / "got") == {}


def test_a_folder_in_the_way_is_named(stored: Stored, tmp_path: Path) -> None:
    ended = stored.run(SCRIPT)
    (tmp_path / "got" / "a").mkdir(parents=True)
    with pytest.raises(StepFailed, match="a folder"):
        fetch(ended.plan, ended.run, 1, (), tmp_path / "got")
