"""The guard: a small process between the supervisor and one program of the job.

It exists so that a program never outlives its supervisor, and so that its end is written down even when nobody is
left
to read it. It is started as ``python -I -S guard.py FD`` and imports nothing of Tieline: starting it costs a few
milliseconds. On FD (a pipe's or socket's end that only the supervisor holds the other side of) it reads one line of
JSON: ``argv``, ``env``,
``cwd``, ``output`` (appended to), ``result``. Then single letters: ``T`` (TERM to the program's group), ``K`` (KILL
to
everything). End of file means that the supervisor is gone: everything is killed at once.

It is the subreaper of all that the program starts; when the program ends, what it left running is killed, and the
result file is written by rename: ``{"status": …, "cause": "exited" | "supervisor-died" | "not-started", …}``.
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


def prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def read_order(fd: int) -> Any:
    data = b""
    while not data.endswith(b"\n"):
        part = os.read(fd, 65536)
        if not part:
            sys.exit(0)
        data += part
    return json.loads(data)


def start(order: Any) -> tuple[int, str]:
    """The program's pid, or 0 and why it could not be started."""
    reading, writing = os.pipe()
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        become(order, guard, reading, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        failure = pipe.read().decode("utf-8", "replace")
    if failure:
        os.waitpid(pid, 0)
        return 0, failure
    return pid, ""


def become(order: Any, guard: int, reading: int, writing: int) -> NoReturn:
    """In the child: its own session, its own output, then the program. Never returns."""
    try:
        os.close(reading)
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(order["cwd"])
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606
    except OSError as error:
        what = order["cwd"] if error.errno == errno.ENOENT and not os.path.isdir(order["cwd"]) else order["argv"][0]
        os.write(writing, f"{error.errno}:{what}: {error.strerror}".encode())
    except BaseException as error:
        os.write(writing, f"0:{error}".encode())
    os._exit(127)


def descendants() -> list[int]:
    """All processes below this one; what lost its parent is below it too, since it is their subreaper."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            parents.setdefault(int(fields[1]), []).append(int(name))
    found, waiting = [], [os.getpid()]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def kill_all() -> None:
    """KILL, until nothing is left: a process may fork between two looks."""
    while True:
        left = descendants()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        while reap() is not None:
            pass
        if not left:
            return
        time.sleep(0.005)


def reap() -> "tuple[int, int] | None":
    """One ended child, if there is one."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def watch(fd: int, pid: int) -> tuple[int, str]:
    """Until the program ends: its wait status, and what ended it."""
    pidfd = os.pidfd_open(pid)
    cause = "exited"
    listening = [fd]
    while True:
        ready, _, _ = select.select([pidfd, *listening], [], [], 1.0)
        if fd in ready:
            letters = os.read(fd, 64)
            if not letters:
                cause, listening = "supervisor-died", []
                os.kill(pid, signal.SIGKILL)
            if b"T" in letters:
                signal_group(pid, signal.SIGTERM)
            if b"K" in letters:
                os.kill(pid, signal.SIGKILL)
        if pidfd in ready:
            _, status = os.waitpid(pid, 0)
            return status, cause
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == pid:
                break
            os.waitpid(ended.si_pid, 0)  # an orphan that this process adopted


def signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        os.kill(pid, number)


def write_result(path: str, result: dict[str, Any]) -> None:
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump({**result, "at": time.time()}, file)
    os.rename(part, path)


def main() -> None:
    fd = int(sys.argv[1])
    os.set_inheritable(fd, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    order = read_order(fd)
    pid, failure = start(order)
    if not pid:
        errno_text, _, text = failure.partition(":")
        write_result(order["result"], {"cause": "not-started", "errno": int(errno_text or 0), "error": text})
        return
    status, cause = watch(fd, pid)
    kill_all()
    write_result(order["result"], {"cause": cause, "status": status})


if __name__ == "__main__":
    main()
