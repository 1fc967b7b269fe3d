"""The guard: a small process between the supervisor and one program of the job.

It exists so that a program never outlives its supervisor, and so that its end is written down even when nobody is
left to read it. It is started as ``python -I -S guard.py FD`` and imports nothing of Tieline: starting it costs a few
milliseconds. On FD (one end of a pair of sockets; only the supervisor holds the other) it reads one line of JSON:
``argv``, ``called`` (its name in messages: arguments may hold secrets), ``env``, ``cwd``, ``output`` (a file, appended
to), ``pipe`` (its two ends), ``result``. Then single letters: ``T`` (TERM to the program's group), ``K`` (KILL to
everything). End of file means that the supervisor is gone: everything is killed at once.

What the program prints goes through the pipe, and the guard moves it on into the file: were the file itself its
stdout, a shell's ``echo … > /dev/stderr`` would empty it. The bytes are spliced, so none is ever only in the guard's
memory; the supervisor has the reading end too, and moves on what is left where the guard alone was killed.

Where the run is isolated, bubblewrap starts it, and it sees the job's root and processes only. It is the subreaper of
all that the program starts. When the program ends, that is written to the result file at once (by rename; its room on
the disk was taken before the program began), then what it left running is killed; the same line of JSON is sent back on
FD: ``{"status": …, "cause": "exited" | "supervisor-died" | "not-started", …}``.
"""

import ctypes
import errno
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
UNCHANGEABLE = {signal.SIGKILL, signal.SIGSTOP}
PORTION = 64 * 1024
ROOM = 4096
MUCH = 4096
GATHERING = 0.0003
"""So many bytes at once, and more is waited for, so many seconds: to wake for each write costs more than all else that
is done with it."""
PATIENCE = 10.0
"""Seconds until a process that KILL does not end (a disk that hangs, another user's) is left alone."""


def prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def read_order(fd: int) -> tuple[Any, bytes]:
    """The order, and the letters that came with it: a program may be ended before it has begun."""
    data = b""
    while b"\n" not in data:
        part = os.read(fd, 65536)
        if not part:
            sys.exit(0)
        data += part
    line, _, letters = data.partition(b"\n")
    return json.loads(line), letters


def is_gone(fd: int) -> bool:
    """Whether the supervisor is gone. What it has ordered just before must not begin then: the run may be another's
    already, who looked for its processes before this one could be seen."""
    poll = select.poll()
    poll.register(fd, select.POLLRDHUP)
    return bool(poll.poll(0))


class Output:
    """The way from the program's pipe into the file."""

    def __init__(self, pipe: "list[int]", place: str) -> None:
        self.reading, self.writing = pipe
        for end in pipe:
            os.set_inheritable(end, False)  # the program has the writing end as its stdout, and no more
        os.set_blocking(self.reading, False)
        self.file = os.open(place, os.O_WRONLY | os.O_CREAT, 0o600)
        os.lseek(self.file, 0, os.SEEK_END)
        self.is_stuck = False
        self.moved = 0

    def move(self, most: int = 64 * PORTION) -> bool:
        """Move on what is there; False when nobody can write any more. A full disk is stuck: it waits in the pipe."""
        self.is_stuck = False
        self.moved = 0
        while self.moved < most:
            try:
                count = os.splice(self.reading, self.file, PORTION)
            except BlockingIOError:
                return True
            except OSError:
                self.is_stuck = True
                return True
            if not count:
                return False
            self.moved += count
        return True

    def finish(self, patience: float) -> None:
        """Move on all that is left; a disk that stays full is waited for only so long."""
        until = time.monotonic() + patience
        while self.move() and (self.is_stuck or is_readable(self.reading)) and time.monotonic() < until:
            if self.is_stuck:
                time.sleep(0.1)


def is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def start(order: Any, output: Output) -> tuple[int, str]:
    """The program's pid, or 0 and why it could not be started."""
    reading, writing = os.pipe()
    guard = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        return 0, f"{error.errno}:{order['called']}: {error.strerror}"
    if pid == 0:
        become(order, guard, reading, writing, output)
    os.close(writing)
    os.close(output.writing)
    with os.fdopen(reading, "rb") as pipe:
        failure = pipe.read().decode("utf-8", "surrogateescape")
    if failure:
        os.waitpid(pid, 0)
        return 0, failure
    return pid, ""


def become(order: Any, guard: int, reading: int, writing: int, output: Output) -> NoReturn:
    """In the child: its own session, its own output, then the program. Never returns."""
    place, program = order["cwd"], ""
    try:
        os.close(reading)
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        restore_signals()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.writing, 1)
        os.dup2(output.writing, 2)
        os.chdir(place)
        place, program = order["called"], order["argv"][0]
        os.execvpe(program, order["argv"], order["env"])  # noqa: S606
    except OSError as error:
        told = str(error.strerror)
        if error.errno == errno.ENOENT and "/" in program and os.path.exists(program):
            told = "the interpreter that its first line names is not there"
        os.write(writing, f"{error.errno}:{place}: {told}".encode("utf-8", "surrogateescape"))
    except BaseException as error:
        os.write(writing, f"0:{place}: {error}".encode("utf-8", "surrogateescape"))
    os._exit(127)


def restore_signals() -> None:
    """Every signal as a program expects it: what nohup, a background shell or whoever started the supervisor has
    ignored or blocked would go on from parent to child, and the job could not be interrupted."""
    for number in signal.valid_signals() - UNCHANGEABLE:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def parents() -> "dict[int, int]":
    """The parent of every living process of this machine, by pid."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if fields[0] not in b"ZX":
            found[int(name)] = int(fields[1])
    return found


def descendants(tops: "set[int]") -> "set[int]":
    """All processes below these."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = list(tops)
    while waiting:
        below = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
        found.update(below)
        waiting += below
    return found


def kill_all() -> None:
    """KILL, until this process has no child: it adopts what loses its parent, so then there is nothing below it.

    Looking once is not enough: a process may fork, and end, between the look and the signal.
    """
    until = time.monotonic() + PATIENCE
    pause = 0.001
    while reap() and time.monotonic() < until:
        for pid in sorted(descendants({os.getpid()})):  # a shell is not to say that its child was killed
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # it has ended, or is another user's: looked at again
                continue
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)


def reap() -> bool:
    """Take leave of all children that have ended; whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def watch(fd: int, pid: int, letters: bytes, output: Output) -> tuple[int, str]:
    """Until the program ends: its wait status, and what ended it. What it prints is moved on meanwhile."""
    obey(pid, letters)
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(fd, select.POLLIN)
    gone = False
    listening = follow(poll, output, False)
    while True:
        ready = {number for number, _ in poll.poll(1000 if listening else 100)}
        if output.reading in ready and output.moved >= MUCH:
            time.sleep(GATHERING)
        listening = follow(poll, output, listening)
        if pidfd in ready:
            _, status = os.waitpid(pid, 0)
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            return status, "supervisor-died" if killed and (gone or is_gone(fd)) else "exited"
        if fd in ready:
            letters = receive(fd)
            if not letters:
                gone = True
                poll.unregister(fd)
            obey(pid, letters or b"K")
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == pid:
                break
            os.waitpid(ended.si_pid, 0)  # an orphan that this process adopted


def follow(poll: "select.poll", output: Output, listening: bool) -> bool:
    """Move on what was printed; whether to be woken by more of it (not while the disk is full, nor after its end)."""
    wanted = output.move() and not output.is_stuck
    if wanted and not listening:
        poll.register(output.reading, select.POLLIN)
    if listening and not wanted:
        poll.unregister(output.reading)
    return wanted


def receive(fd: int) -> bytes:
    try:
        return os.read(fd, 64)
    except ConnectionResetError:
        return b""


def obey(pid: int, letters: bytes) -> None:
    """Signal the program, which has not been waited for: its number is still its own."""
    try:
        if b"T" in letters:
            os.killpg(pid, signal.SIGTERM)
        if b"K" in letters:
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it has ended, or has become another user's: neither can be helped


class Room:
    """A small file that is filled later: its room on the disk is taken now, for the program may leave none."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(self.file, 0, ROOM)
        except OSError:
            self._take()

    def _take(self) -> None:
        """Where a file system cannot promise room: with zeros. Raises OSError where there is none."""
        try:
            taken = os.pwrite(self.file, bytes(ROOM), 0)
        except OSError as error:
            os.close(self.file)
            raise OSError(error.errno, error.strerror, self.place) from None
        if taken < ROOM:
            os.close(self.file)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.place)

    def fill(self, what: "dict[str, Any]") -> None:
        """Write this in its place. Raises OSError where it is longer than the room, and the disk is full."""
        data = json.dumps(what).encode()
        if os.pwrite(self.file, data, 0) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.place)
        os.ftruncate(self.file, len(data))

    def keep(self) -> None:
        """See it onto the disk, and the name that it has now, as far as the disk does that: for a power cut."""
        try:
            os.fsync(self.file)
            folder = os.open(os.path.dirname(self.place), os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        except OSError:
            return


def write_result(room: Room, path: str, result: "dict[str, Any]") -> None:
    """Write it down, for all to see at once; the supervisor is told in any case."""
    try:
        room.fill(result)
        os.rename(room.place, path)
    except OSError:
        return


def tell(fd: int, result: dict[str, Any]) -> None:
    try:
        os.write(fd, json.dumps(result).encode() + b"\n")
    except OSError:
        return  # nobody is left: there is the file


def main() -> None:
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, no child's end could be waited for
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() == 0:  # the first process of bubblewrap's pid namespace: who ends bubblewrap ends all that is in it
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    order, letters = read_order(fd)
    if is_gone(fd):
        return
    pid, failure, output, room = 0, "", None, None
    try:
        room = Room(f"{order['result']}.part")
        output = Output(order["pipe"], order["output"])
        pid, failure = start(order, output)
    except OSError as error:
        failure = f"{error.errno}:{error.filename or order['output']}: {error.strerror}"
    if pid and output:
        status, cause = watch(fd, pid, letters, output)
        output.finish(0)
        result = {"cause": cause, "status": status, "at": time.time()}
    else:
        code, _, text = failure.partition(":")
        result = {"cause": "not-started", "errno": int(code or 0), "error": text, "at": time.time()}
    end(fd, order, result, output, room)


def end(fd: int, order: Any, result: "dict[str, Any]", output: "Output | None", room: "Room | None") -> None:
    """Write down how it ended before all else: this process may be killed at any moment."""
    if room:
        write_result(room, order["result"], result)
    kill_all()
    if room:
        room.keep()
    if output:
        output.finish(PATIENCE)
    tell(fd, result)


if __name__ == "__main__":
    main()
