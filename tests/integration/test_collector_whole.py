"""The collector as an engine uses it: beside a running job, at its end, after its death, with a failing store."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tieline.errors import Code, StoreFailed
from tieline.steps.collector import Collector
from tieline.steps.log_reader import LogReader, read_logs
from tieline.steps.retrying import Patience
from tieline.steps.spools import Spool
from tieline.stores import FolderStore, Saved, StoreTrouble, Why

SHORT = Patience(attempts=2, seconds=0.3)
SOAK = "TIELINE_SOAK" in os.environ


class Run:
    """A job's folders, and the store."""

    def __init__(self, root: Path, disk: Path | None = None) -> None:
        self.root, self.disk = root, disk or root / "disk"
        self.outputs, self.spool = root / "outputs", root / "main.spool"
        self.outputs.mkdir()
        self.disk.mkdir(exist_ok=True)
        self.store = FolderStore(self.disk)

    def collector(self, store: FolderStore | None = None, **more: object) -> Collector:
        spools = [Spool("main", self.spool)]
        return Collector(store or self.store, "run/1", spools=spools, outputs=self.outputs, **more)  # type: ignore[arg-type]

    def say(self, data: bytes) -> None:
        with self.spool.open("ab") as stream:
            stream.write(data)

    def log(self) -> bytes:
        return b"".join(read_logs(self.store, "run/1", "main"))

    def saved(self) -> dict[str, bytes]:
        top = self.disk / "run/1/outputs"
        return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}

    def wanted(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.outputs)): p.read_bytes() for p in self.outputs.rglob("*") if p.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def refused(action: Callable[[], object], match: str) -> str:
    with pytest.raises(StoreFailed, match=match) as caught:
        action()
    assert caught.value.code == Code.OUTPUTS_NOT_SAVED
    return str(caught.value)


def test_beside_a_running_job(run: Run) -> None:
    shown: list[tuple[str, bytes]] = []
    collector = run.collector(echo=lambda name, data: shown.append((name, data)), interval=0.1)
    collector.start()
    run.say(b"hello\n")
    (run.outputs / "metrics.json").write_text("{}")
    until(lambda: shown == [("main", b"hello\n")], "the echo")
    until(lambda: run.log() == b"hello\n", "the log")
    until(lambda: run.saved() == {"metrics.json": b"{}"}, "the outputs")
    run.say(b"unfin")
    run.say(b"ished")
    collector.poke()
    done = collector.finish()

    assert b"".join(data for _, data in shown) == b"hello\nunfinished"
    assert (run.disk / "run/1/logs/main.log").read_bytes() == b"hello\nunfinished"
    assert (done.files, done.bytes, done.log_lines, done.skipped, done.notes) == (1, 2, 2, (), ())
    assert [t for t in threading.enumerate() if t.name.startswith("tieline-")] == []


def test_a_line_after_a_silence_is_saved_at_once_and_those_after_it_together(run: Run) -> None:
    """By hand, without the thread that does these steps; the wait after the first save is longer than this test."""
    collector = run.collector()
    collector._log_wait = 1000.0
    run.say(b"1\n")
    assert collector._log_step() <= 0.25
    assert run.log() == b"1\n"
    for line in (b"2\n", b"3\n"):
        run.say(line)
        assert collector._log_step() <= 0.25
    assert run.log() == b"1\n"
    collector.poke()
    collector._log_step()
    assert run.log() == b"1\n2\n3\n"
    assert len(list((run.disk / "run/1/logs/main").iterdir())) == 2
    assert collector._log_wait == 10.0


def test_without_a_start_and_again(run: Run) -> None:
    run.say(b"1\n2\n")
    (run.outputs / "a").write_text("a")
    first = run.collector().finish()
    again = run.collector().finish()
    assert first == again
    assert (again.files, again.log_lines) == (1, 2)


def test_parts_can_be_turned_off(run: Run) -> None:
    run.say(b"1\n")
    (run.outputs / "a").write_text("a")
    done = run.collector(outputs_enabled=False, logs_enabled=False).finish()
    assert (done.files, done.log_lines) == (0, 0)
    assert list(run.disk.iterdir()) == []


def test_only_at_the_end(run: Run) -> None:
    collector = run.collector(interval=-1)
    collector.start()
    (run.outputs / "a").write_text("a")
    run.say(b"x\n")
    until(lambda: run.log() == b"x\n", "the log, which is saved all the same")
    collector.poke()
    assert run.saved() == {}
    assert collector.finish().files == 1


def test_a_console_that_is_gone_keeps_nothing_from_being_saved(run: Run) -> None:
    def gone(name: str, data: bytes) -> None:
        raise BrokenPipeError

    collector = run.collector(echo=gone)
    collector.start()
    run.say(b"x\n")
    assert collector.finish().log_lines == 1


def test_a_console_that_stands_still_keeps_nothing_from_being_saved(run: Run) -> None:
    go_on = threading.Event()
    collector = run.collector(echo=lambda name, data: go_on.wait(60) and None)
    collector.start()
    run.say(b"x\n")
    ending = threading.Thread(target=collector.finish)
    ending.start()
    until(lambda: (run.disk / "run/1/logs/main/whole.json").exists(), "the log, saved to the end")
    go_on.set()
    ending.join()


class Failing(FolderStore):
    """Fails as it is told."""

    fails = True

    def _check(self) -> None:
        if self.fails:
            raise StoreTrouble(Why.BROKEN, "the bucket is on fire", "call the fire brigade")

    def save_file(self, local: Path, key: str, *, digest: bool = False) -> Saved:
        self._check()
        return super().save_file(local, key, digest=digest)

    def save_bytes(self, data: bytes, key: str) -> Saved:
        self._check()
        return super().save_bytes(data, key)


def test_a_store_that_fails_for_a_while(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Failing(run.disk)
    monkeypatch.setattr("tieline.steps.collector.RETRY_WAITS", (0.01, 0.05))
    shown: list[bytes] = []
    collector = run.collector(store, interval=0.05, echo=lambda name, data: shown.append(data))
    collector.start()
    run.say(b"x\n")
    (run.outputs / "a").write_text("a")
    until(lambda: "on fire" in collector.trouble, "the trouble is told")
    until(lambda: shown == [b"x\n"], "the echo, which needs no store")
    store.fails = False
    until(lambda: (run.log(), run.saved()) == (b"x\n", {"a": b"a"}), "all is saved")
    until(lambda: collector.trouble == "", "no more trouble")
    collector.finish()


def test_a_store_that_goes_on_failing(run: Run) -> None:
    store = Failing(run.disk)
    collector = run.collector(store, patience=SHORT)
    collector.start()
    run.say(b"x\n")
    for name in "abc":
        (run.outputs / name).write_text(name)
    message = refused(collector.finish, "4 of the run's outputs and logs are not saved")
    assert "the log of main: the bucket is on fire; call the fire brigade" in message
    assert "tieline runs outputs push" in message
    assert (run.spool.read_bytes(), len(run.wanted())) == (b"x\n", 3)
    assert [t for t in threading.enumerate() if t.name.startswith("tieline-")] == []

    refused(collector.finish, "4 of")  # the same again
    store.fails = False
    assert run.collector(store).finish().files == 3  # what `push` does
    assert (run.log(), run.saved()) == (b"x\n", run.wanted())


def test_the_end_waits_for_a_store_that_comes_back(run: Run) -> None:
    store = Failing(run.disk)
    (run.outputs / "a").write_text("a")
    calls: list[int] = []

    def comes_back() -> None:
        calls.append(1)
        store.fails = len(calls) < 3
        Failing._check(store)

    store._check = comes_back  # type: ignore[method-assign]
    assert run.collector(store, patience=Patience(attempts=5, seconds=60)).finish().files == 1
    assert len(calls) >= 3


def test_time_that_is_given_is_kept(run: Run) -> None:
    for name in "abc":
        (run.outputs / name).write_text(name)
    refused(lambda: run.collector().finish(timeout=0), "3 of .* time that was given is up")
    assert run.collector().finish(timeout=60).files == 3


def test_an_operation_that_hangs_ends_with_the_time_that_is_given(run: Run) -> None:
    entered, let_go = threading.Event(), threading.Event()

    class Hanging(FolderStore):
        def save_bytes(self, data: bytes, key: str) -> Saved:
            entered.set()
            let_go.wait(60)
            return super().save_bytes(data, key)

    collector = run.collector(Hanging(run.disk))
    run.say(b"x\n")
    collector.start()
    assert entered.wait(60)
    refused(lambda: collector.finish(timeout=0.2), "has not answered")
    let_go.set()
    assert collector.finish().log_lines == 1


def test_an_unreadable_output_fails_the_end_and_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.outputs / "good").write_text("g")
    (run.outputs / "bad\n").write_text("b")

    class Picky(FolderStore):
        def save_file(self, local: Path, key: str, *, digest: bool = False) -> Saved:
            if "bad" in key:
                raise StoreTrouble(Why.SOURCE, "cannot read it")
            return super().save_file(local, key, digest=digest)

    message = refused(run.collector(Picky(run.disk), patience=SHORT).finish, "1 of the run's outputs and logs is not")
    assert "bad\\n: cannot read it" in message
    assert run.saved() == {"good": b"g"}


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mount(folder, "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_and_then_a_larger_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small"):
        run = Run(tmp_path, tmp_path / "small")
        (run.outputs / "big").write_bytes(os.urandom(600_000))
        (run.outputs / "little").write_bytes(b"l")
        run.say(b"x\n" * 1000)
        collector = run.collector(patience=SHORT)
        collector.start()
        refused(collector.finish, "1 of .*big: .*no space is left")
        assert run.saved() == {"little": b"l"}
        assert run.log() == b"x\n" * 1000
        mount(run.disk, "-o", "remount,size=4m")
        assert run.collector().finish().files == 2
        assert run.saved() == run.wanted()


def test_a_read_only_disk_and_then_a_writable_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small"):
        run = Run(tmp_path, tmp_path / "small")
        (run.outputs / "a").write_bytes(b"a")
        run.say(b"x\n")
        mount(run.disk, "-o", "remount,ro")
        refused(run.collector(patience=SHORT).finish, "2 of .*read-only")
        mount(run.disk, "-o", "remount,rw")
        assert (run.collector().finish().files, run.log()) == (1, b"x\n")


def test_a_disk_that_is_not_mounted(run: Run) -> None:
    run.say(b"x\n")
    run.disk.rename(run.root / "away")
    refused(run.collector(patience=SHORT).finish, "disk.*is not there")
    assert not run.disk.exists()


COLLECT = """
import sys
from pathlib import Path
from tieline.steps import log_saver
from tieline.steps.collector import Collector
from tieline.steps.spools import Spool
from tieline.stores import FolderStore
import tieline.steps.collector as c
c.LOG_WAITS, c.OUTPUT_WAIT, c.REST, log_saver.MERGED = (0.002, 0.01), 0.01, 0.0, 5
root = Path(sys.argv[1])
collector = Collector(FolderStore(root / "disk"), "run/1", spools=[Spool("main", root / "main.spool")],
                      outputs=root / "outputs", interval=0.02)
collector.start()
print("up", flush=True)
sys.stdin.read()
collector.finish()
print("done", flush=True)
"""


class Job(threading.Thread):
    """Writes numbered lines and changes files until it is told to end."""

    def __init__(self, run: Run, seed: int) -> None:
        super().__init__()
        self._run, self._random, self.ended = run, random.Random(seed), threading.Event()

    def run(self) -> None:
        line = 0
        while not self.ended.is_set():
            lines = [f"{number} {'x' * self._random.randrange(200)}\n" for number in range(line, line + 7)]
            line += 7
            text = "".join(lines).encode()
            cut = self._random.randrange(len(text))
            self._run.say(text[:cut])
            self._change()
            self._run.say(text[cut:])
            time.sleep(0.002)

    def _change(self) -> None:
        path = self._run.outputs / f"f{self._random.randrange(9)}"
        if self._random.random() < 0.2:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(self._random.randbytes(self._random.randrange(20_000)))


@pytest.mark.parametrize("seed", range(40 if SOAK else 2))
def test_killing_the_collector_at_random_moments(tmp_path: Path, seed: int) -> None:
    run, chance = Run(tmp_path), random.Random(seed)
    job = Job(run, seed)
    job.start()
    reader, seen = LogReader(run.store, "run/1", "main"), bytearray()
    try:
        for turn in range(6):
            with subprocess.Popen(
                [sys.executable, "-c", COLLECT, str(tmp_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as child:
                assert child.stdout is not None
                assert child.stdin is not None
                assert child.stdout.readline() == "up\n"
                time.sleep(chance.random() * 0.2)
                if turn == 5:  # the job ends, and then its collector dies as it puts everything together
                    job.ended.set()
                    job.join()
                    child.stdin.close()
                    time.sleep(chance.random() * 0.03)
                child.kill()
            seen += b"".join(reader.poll())
            assert run.spool.read_bytes().startswith(bytes(seen))
    finally:
        job.ended.set()
        job.join()
    run.collector().finish()
    seen += b"".join(reader.poll())

    assert bytes(seen) == run.log() == (run.disk / "run/1/logs/main.log").read_bytes() == run.spool.read_bytes()
    assert run.saved() == run.wanted()
    assert list(run.disk.rglob(".tieline-*")) == []
