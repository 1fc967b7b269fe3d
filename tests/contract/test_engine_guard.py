"""The process engine below the contract: no program outlives its supervisor; how each ended is known."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from engine_harness import fill_up, small_disk

from servers.processes import eventually
from tieline.engines.base import Controls
from tieline.engines.process import guard, limits
from tieline.engines.process.leftovers import has_guards, processes_of, sweep
from tieline.engines.process.limits import Limits, watch
from tieline.engines.process.programs import Ended, Guarded, read_exit
from tieline.engines.variables import MARKER
from tieline.errors import Code


@pytest.fixture
def uuid() -> Iterator[str]:
    made = uuid4().hex
    yield made
    sweep(made)


class Programs:
    """Starts programs in a folder."""

    def __init__(self, folder: Path, uuid: str) -> None:
        self.folder, self.uuid = folder, uuid
        self.exit = folder / "exit.json"
        self.spool = folder / "spool"

    def start(self, script: str) -> Guarded:
        env = {MARKER: self.uuid, "PATH": os.environ["PATH"]}
        return Guarded.start("main", ["sh", "-c", script], env, str(self.folder), self.spool, self.exit)

    def guard(self) -> int:
        """The guard's own process."""
        return next(pid for pid in processes_of(self.uuid) if b"guard.py" in cmdline(pid))


@pytest.fixture
def programs(tmp_path: Path, uuid: str) -> Programs:
    return Programs(tmp_path, uuid)


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def ended(program: Guarded, patience: float = 60.0) -> Ended:
    found = program.wait(patience)
    assert found is not None
    return found


@pytest.mark.parametrize(("letter", "code"), [("terminate", 143), ("kill", 137)])
def test_a_program_may_be_ended_before_it_has_begun(programs: Programs, letter: str, code: int) -> None:
    for _ in range(10):
        program = programs.start("sleep 600")
        getattr(program, letter)()
        assert ended(program).exit_code == code


def test_the_end_is_known_where_it_cannot_be_written_down(programs: Programs) -> None:
    program = programs.start("rm -rf exit.json*; mkdir exit.json; exit 3")
    assert ended(program) == Ended("exited", 3)
    assert read_exit(programs.exit) is None


def test_an_order_of_a_supervisor_that_is_gone_is_not_carried_out(programs: Programs) -> None:
    ours, theirs = socket.socketpair()
    order = {"argv": ["touch", "begun"], "env": dict(os.environ), "cwd": str(programs.folder),
             "output": str(programs.spool), "result": str(programs.exit)}  # fmt: skip
    ours.sendall(json.dumps(order).encode() + b"\n")
    ours.close()
    with theirs:
        argv = [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())]
        subprocess.run(argv, pass_fds=[theirs.fileno()], check=True, timeout=60)
    assert list(programs.folder.iterdir()) == []


def test_a_program_does_not_outlive_its_supervisor(programs: Programs, uuid: str) -> None:
    program = programs.start("sleep 600 & setsid sleep 600 & echo $$ > begun; sleep 600")
    eventually((programs.folder / "begun").exists)
    program._line.close()
    eventually(lambda: not processes_of(uuid))
    assert read_exit(programs.exit) == Ended("supervisor-died", 137, 9)
    program._process.wait()


@pytest.mark.parametrize("code", [0, 3])
def test_a_program_that_had_ended_before_its_supervisor_has_ended_by_itself(programs: Programs, code: int) -> None:
    program = programs.start(f"echo $$ > begun; until [ -e go ]; do sleep 0.01; done; exit {code}")
    pid = int(eventually(lambda: (programs.folder / "begun").exists() and (programs.folder / "begun").read_text()))
    guards = programs.guard()
    os.kill(guards, signal.SIGSTOP)
    (programs.folder / "go").touch()
    eventually(lambda: state(pid) == "Z")
    program._line.close()
    os.kill(guards, signal.SIGCONT)
    assert program._process.wait(60) == 0
    assert read_exit(programs.exit) == Ended("exited", code)


def test_a_guard_that_stands_still_keeps_nothing_from_ending(
    programs: Programs, uuid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_PATIENCE", 0.2)
    program = programs.start(
        "echo $$ > begun; until [ -e go ]; do sleep 0.01; done; echo said; touch done; exec sleep 600"
    )
    eventually((programs.folder / "begun").exists)
    os.kill(programs.guard(), signal.SIGSTOP)
    (programs.folder / "go").touch()
    eventually((programs.folder / "done").exists)
    assert programs.spool.read_bytes() == b""
    controls = Controls(grace=0)
    controls.stop.set()
    told: list[Code] = []
    found, why = watch(program, Limits(controls, tmp_path / "stop"), ending=told.append, tick=lambda: None)
    assert (found.cause, why, told) == ("guard-died", Code.STOPPED, [Code.STOPPED])
    eventually(lambda: not processes_of(uuid))
    assert program.close() == 0
    assert programs.spool.read_bytes() == b"said\n", "the supervisor has the other end of its output"


def test_a_stop_file_that_cannot_be_read_is_no_stop(tmp_path: Path) -> None:
    (tmp_path / "stop").mkdir()
    assert not Limits(Controls(), tmp_path / "stop").stop


def test_a_supervisor_with_many_open_files(programs: Programs) -> None:
    """Numbers above 1023 are beyond what select(2) can wait for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = []
    try:
        held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
        program = programs.start("exit 4")
        assert ended(program) == Ended("exited", 4)
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


OPEN_DESCRIPTORS = """
import os
for number in range(256):
    try:
        os.fstat(number)
    except OSError:
        continue
    print(number, end=" " if number < 2 else "\\n")
"""


def test_a_program_inherits_nothing_but_its_output(programs: Programs) -> None:
    """Were the guard's line among it, the guard would never see its end."""
    (programs.folder / "open.py").write_text(OPEN_DESCRIPTORS)
    ended(programs.start(f"exec {sys.executable} -I -S open.py"))  # a shell, and a listing, have some of their own
    assert programs.spool.read_text() == "0 1 2\n"
    mode = programs.spool.stat().st_mode & 0o777
    assert mode == 0o600


def test_a_kill_reaches_what_forks_without_end(programs: Programs, uuid: str) -> None:
    """Each process starts the next one, in a session of its own, and ends."""
    script = "import os, time\nwhile True:\n    if os.fork(): os._exit(0)\n    os.setsid(); time.sleep(0.001)"
    (programs.folder / "chain.py").write_text(script)
    program = programs.start(f"{sys.executable} -I -S chain.py & echo > begun; sleep 600")
    eventually((programs.folder / "begun").exists)
    time.sleep(0.2)
    program.kill()
    assert ended(program).exit_code == 137
    assert processes_of(uuid) == set()


def test_closing_ends_a_program_that_runs(programs: Programs, uuid: str) -> None:
    program = programs.start("sleep 600")
    program.end()
    assert processes_of(uuid) == set()
    assert (program.close(), program.close()) == (0, 0)


def test_sweeping_kills_what_has_the_mark_and_nothing_else(uuid: str, tmp_path: Path) -> None:
    """Also below it, where the mark was taken off; neither the sweeping process, though it has the mark itself."""
    script = f"""
import os, subprocess
from tieline.engines.process.leftovers import processes_of, sweep
child = subprocess.Popen(["sleep", "600"])
below = subprocess.Popen(["sh", "-c", "env -i sleep 600 & while :; do wait; done"])
while len(processes_of("{uuid}")) < 3: pass
print(sweep("{uuid}"), child.wait(), below.wait(), flush=True)
"""
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, MARKER: uuid4().hex})
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, MARKER: uuid}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "3 -9 -9\n"
    assert other.poll() is None
    assert not has_guards(uuid)
    other.kill()
    other.wait()


def test_a_program_may_open_its_output_anew(programs: Programs) -> None:
    """As shells do for ``> /dev/stderr``, and tee: nothing that was printed before is lost."""
    program = programs.start("echo one; echo two > /dev/stderr; echo three | tee /dev/stderr; echo four > /dev/stdout")
    assert ended(program) == Ended("exited", 0)
    assert programs.spool.read_bytes() == b"one\ntwo\nthree\nthree\nfour\n"


def test_output_that_fits_on_no_disk_is_counted(programs: Programs) -> None:
    """(``/dev/full`` is a disk that is always full.) The program waits, and is ended like any other."""
    programs.spool.symlink_to("/dev/full")
    program = programs.start("echo lost; sleep 600")
    assert program.wait(0.5) is None
    os.kill(programs.guard(), signal.SIGKILL)
    ended(program)
    sweep(programs.uuid)
    assert program.close() == 5


INHERITED = """
import signal, sys
from pathlib import Path
from tieline.engines.process.programs import Guarded
from tieline.engines.variables import MARKER
every = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
for number in every:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, every)
folder = Path(sys.argv[1])
script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; exit 3"
argv, env = ["sh", "-c", script], {MARKER: sys.argv[2], "PATH": "/usr/bin:/bin"}
program = Guarded.start("main", argv, env, "/", folder / "spool", folder / "exit.json")
print(program.wait(60))
"""


def test_a_program_inherits_no_signal_that_is_ignored_or_blocked(programs: Programs) -> None:
    """As nohup and a shell's ``&`` leave them. (32 and 33 are the C library's own: no program can set them.)"""
    argv = [sys.executable, "-c", INHERITED, str(programs.folder), programs.uuid]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert read_exit(programs.exit) == Ended("exited", 3), done.stdout
    blocked, ignored = (int(word, 16) for word in programs.spool.read_text().split()[1::2])
    own = 1 << 31 | 1 << 32
    assert (blocked & ~own, ignored & ~own) == (0, 0)


# --- a full disk


@pytest.mark.parametrize("kill", [False, True])
def test_a_program_that_fills_the_disk_cannot_lose_how_it_ended(programs: Programs, tmp_path: Path, kill: bool) -> None:
    """Though nobody was left whom the guard could tell."""
    with small_disk(tmp_path / "disk") as disk:
        programs.exit = disk / "exit.json"
        script = f"cat /dev/zero 2> /dev/null > {disk}/full; echo > full; until [ -e go ]; do sleep 0.01; done; exit 7"
        program = programs.start(script)
        eventually((programs.folder / "full").exists)
        fill_up(disk / "rest")
        with pytest.raises(OSError, match="No space left"):
            (disk / "more").write_bytes(b"x")
        assert read_exit(programs.exit) is None
        if kill:
            program._line.close()
        else:
            (programs.folder / "go").touch()
        program._process.wait(60)
        assert read_exit(programs.exit) == (Ended("supervisor-died", 137, 9) if kill else Ended("exited", 7))
        assert not (disk / "exit.json.part").exists()
        program.close()


def test_a_program_whose_end_could_not_be_written_down_is_not_started(programs: Programs, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        programs.exit = disk / "exit.json"
        fill_up(disk / "full")
        found = ended(programs.start("touch begun"))
        assert found == Ended("not-started", 127, error=f"{disk}/exit.json.part: No space left on device")
        assert not (programs.folder / "begun").exists()


def test_room_for_an_end_is_no_end(programs: Programs) -> None:
    program = programs.start("echo > begun; sleep 600")
    eventually((programs.folder / "begun").exists)
    [room] = programs.folder.glob("exit.json*")
    assert room.read_bytes() == bytes(guard.ROOM)
    assert room.stat().st_blocks * 512 >= guard.ROOM
    assert (read_exit(room), read_exit(programs.exit)) == (None, None)
    program.close()
    assert programs.exit.read_text().startswith("{"), "the room that is not needed is given back"
    assert programs.exit.read_text().endswith("}")


def test_room_on_a_file_system_that_promises_none(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    room = guard.Room(str(tmp_path / "room"))
    assert (tmp_path / "room").read_bytes() == bytes(guard.ROOM)
    room.fill({"a": 1})
    assert (tmp_path / "room").read_text() == '{"a": 1}'
    os.close(room.file)
    with small_disk(tmp_path / "disk") as disk:
        fill_up(disk / "full")
        with pytest.raises(OSError, match="No space left"):
            guard.Room(str(disk / "room"))
