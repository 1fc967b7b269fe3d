"""Ownership that the kernel keeps: between processes, across a hand-over, and after a ``kill -9``."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tieline.errors import Code, InvalidInput, RecordError
from tieline.runs.locks import QueueSlots, RunLock

TRY = (
    "import sys, pathlib; from tieline.runs.locks import RunLock; print(RunLock.try_acquire(pathlib.Path(sys.argv[1])))"
)
HOLD = f"{TRY.replace('print(', 'lock = (')}; print(bool(lock), flush=True); sys.stdin.read()"
SUPERVISE = """
import os, sys
from tieline.runs.locks import RunLock
lock = RunLock.adopt(int(sys.argv[1]))
print(os.get_inheritable(lock.fd), flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def is_free(path: Path) -> bool:
    """As another process sees it."""
    result = subprocess.run([sys.executable, "-c", TRY, path], capture_output=True, text=True, check=True)
    return result.stdout.strip() != "None"


def test_one_owner_at_a_time(path: Path) -> None:
    lock = RunLock.try_acquire(path)
    assert lock is not None
    assert RunLock.try_acquire(path) is None
    assert not is_free(path)
    lock.release()
    lock.release()
    assert is_free(path)
    with pytest.raises(RecordError, match="was released"):
        _ = lock.fd


def test_the_lock_ends_with_its_block(path: Path) -> None:
    with RunLock.acquire(path):
        assert RunLock.try_acquire(path) is None
    with RunLock.acquire(path) as again:
        assert not os.get_inheritable(again.fd)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_killed_owner_frees_its_lock(path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "True\n"
        assert RunLock.try_acquire(path) is None
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    with RunLock.acquire(path):
        pass


def test_a_program_that_was_started_does_not_own_the_run(path: Path) -> None:
    lock = RunLock.acquire(path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as program:
        lock.hand_over()
        assert is_free(path)
        program.kill()


def test_a_supervisor_takes_over_without_a_gap(path: Path) -> None:
    lock = RunLock.acquire(path)
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(lock.fd)],
        pass_fds=[lock.fd],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with supervisor:
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        lock.hand_over()
        assert RunLock.try_acquire(path) is None
        assert supervisor.stdout.readline() == "False\n"
        assert RunLock.try_acquire(path) is None
        supervisor.stdin.write("\n")
        supervisor.stdin.flush()
        assert supervisor.stdout.readline() == "released\n"
        assert is_free(path)


def test_a_release_frees_the_lock_for_everybody(path: Path) -> None:
    lock = RunLock.acquire(path)
    copy = os.dup(lock.fd)
    lock.release()
    assert is_free(path)
    os.close(copy)


def test_what_is_no_lock_is_not_adopted(path: Path) -> None:
    with RunLock.acquire(path), path.open() as other:
        for fd in (other.fileno(), 9999, -1):
            with pytest.raises(RecordError, match=f"descriptor {fd} does not hold the lock"):
                RunLock.adopt(fd)


def test_waiting_for_a_lock_whose_file_is_replaced(path: Path) -> None:
    """Whoever waits on a file that is deleted must not believe to own the run of the new one."""
    first = RunLock.acquire(path)
    got: list[RunLock] = []
    waiter = threading.Thread(target=lambda: got.append(RunLock.acquire(path)))
    waiter.start()
    while not waits_for_lock(path):
        pass
    path.unlink()
    second = RunLock.acquire(path)
    first.release()
    waiter.join(timeout=0.2)
    assert got == []
    second.release()
    waiter.join()
    assert not is_free(path)
    got[0].release()


def waits_for_lock(path: Path) -> bool:
    """The kernel lists who waits with an arrow: ``1: -> FLOCK ... <device>:<inode> ...``."""
    inode = f":{path.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "missing" / "lock", tmp_path, tmp_path / "link"):
        with pytest.raises(RecordError, match="cannot be locked") as caught:
            RunLock.try_acquire(path)
        assert caught.value.code is Code.HOME_UNUSABLE
        assert str(caught.value).startswith(str(path))
    assert not (tmp_path / "elsewhere").exists()


def test_a_queue_has_as_many_places_as_its_limit(tmp_path: Path) -> None:
    first = QueueSlots.try_take(tmp_path, "gpu", 2)
    second = QueueSlots.try_take(tmp_path, "gpu", 2)
    assert first is not None
    assert second is not None
    assert QueueSlots.try_take(tmp_path, "gpu", 2) is None
    other = QueueSlots.try_take(tmp_path, "cpu", 1)
    assert other is not None
    first.release()
    again = QueueSlots.try_take(tmp_path, "gpu", 2)
    assert again is not None
    for lock in (second, other, again):
        lock.release()
    assert stat.S_IMODE((tmp_path / "queues" / "gpu").stat().st_mode) == 0o700
    assert {file.name for file in (tmp_path / "queues" / "gpu").iterdir()} == {"0.lock", "1.lock"}


def test_a_raised_limit_makes_room(tmp_path: Path) -> None:
    locks = [QueueSlots.try_take(tmp_path, "gpu", limit) for limit in (1, 1, 2)]
    assert [lock is not None for lock in locks] == [True, False, True]
    for lock in locks:
        if lock is not None:
            lock.release()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0b", "-x", "é", "x" * 64, "a\n"])
def test_a_queue_name_is_a_plain_file_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        QueueSlots.try_take(tmp_path, name, 1)
    assert caught.value.code is Code.BAD_NAME
    assert [*tmp_path.iterdir()] == []


def test_a_queue_has_at_least_one_place(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the limit of queue 'gpu' is 0"):
        QueueSlots.try_take(tmp_path, "gpu", 0)
