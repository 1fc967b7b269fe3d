"""What the crash tests begin and kill: jobs that say how far they have come, supervisors, and the world around them.

Run as a program, this is the process that supervisors are forked from: it has imported everything, so that a thousand
of them do not take a day.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import buckets
from servers.seaweedfs import ADMIN
from tieline.app import preparing, submit
from tieline.app import runs as app_runs
from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.engines.base import Controls, Silent
from tieline.secrets.keeping import Keeper
from tieline.secrets.secret import Secret

LINES = 150

LINE = """
def line(n):
    return "%06d %s\\n" % (n, chr(97 + n % 26) * (40_000 if n % 40 == 7 else n * 7919 % 200))
"""
JOB = f"""
import os, sys, time
{LINE}
shared, lines, code = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
attempt, outputs = os.environ["TIELINE_ATTEMPT"], os.environ["TIELINE_OUTPUTS"]
truth = os.open(shared + "/main-" + attempt, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for n in range(lines):
    sys.stdout.write(line(n))
    sys.stdout.flush()
    if n % 3 == 0:
        with open("%s/%06d" % (outputs, n), "w") as file:
            file.write(line(n))
    if n % 10 == 0:
        with open(outputs + "/.next", "w") as file:
            file.write(str(n))
        os.rename(outputs + "/.next", outputs + "/latest")
    os.write(truth, b"%d\\n" % n)
    time.sleep(0.001)
os.write(truth, b"end\\n")
sys.exit(code if attempt == "1" else 0)
"""
PREPARE = """
for n in 0 1 2 3 4 5 6 7 8 9; do echo prepared $n; echo $n >> {shared}/init-$TIELINE_ATTEMPT; done; exec sleep 0.03
"""
names: dict[str, Any] = {}
exec(LINE, names)
line = names["line"]


# --- the process that supervisors are forked from


def zygote() -> None:
    """For each line of JSON: fork a process that does it, and answer with its pid."""
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    for text in sys.stdin:
        order = json.loads(text)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            become(order)
        print(pid, flush=True)


def reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def become(order: dict[str, Any]) -> None:
    code = 1
    try:
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number in (1, 2):
            os.dup2(log, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        home = HomeFolder(Path(order["home"]))
        if order["do"] == "recover":
            with app_runs.opened(home):
                pass
        else:
            start(order, home)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(code)


def start(order: dict[str, Any], home: HomeFolder) -> None:
    deployment = load_deployment(Path(order["config"]), home)
    wanted = preparing.Wanted(Path(order["job"]), isolation="bubblewrap" if order["isolated"] else "none")
    accepted = submit.accept(preparing.prepare(wanted, deployment, home), home)
    if order["do"] == "detach":
        submit.detach(accepted)
    else:
        submit.carry_out(accepted, Silent(), Controls())


# --- what is killed, and when


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_alive(pid: int) -> bool:
    return state(pid) not in "ZX"


def kill(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def with_environment(variable: str) -> set[int]:
    found = set()
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            with suppress(OSError):
                if variable.encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.add(int(name))
    return found


def is_guard(pid: int) -> bool:
    with suppress(OSError):
        return b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@dataclass
class World:
    """One home, one store, one catalog; runs come one after the other."""

    folder: Path
    zygote: subprocess.Popen[str]
    chance: random.Random
    isolated: bool = False
    bucket: bool = False
    seen: set[str] = field(default_factory=set)
    lengths: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = HomeFolder(self.folder / "home")
        (self.folder / "store").mkdir()
        self.shared.mkdir()
        shared = {"hostPath": str(self.shared), "mountPath": str(self.shared)}  # true both ways
        config = {
            "artifactsStore": self.store(),
            "connections": [{"name": "shared", "kind": "host_path", "schema": shared}],
        }
        (self.folder / "tieline.yaml").write_text(json.dumps(config))
        repository = self.folder / "code"
        for args in (["init", "--quiet", str(repository)],
                     ["-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet",
                      "--allow-empty", "-m", "one"]):  # fmt: skip
            subprocess.run(["git", *args], check=True)
        self.recover()

    def store(self) -> dict[str, Any]:
        """The connection that saves what runs leave: a folder, or a bucket of SeaweedFS."""
        if not self.bucket:
            volume = {"hostPath": str(self.folder / "store"), "mountPath": "/store"}
            return {"name": "store", "kind": "host_path", "schema": volume}
        login = {"access-key-id": Secret(ADMIN[0]), "secret-access-key": Secret(ADMIN[1])}
        Keeper(self.home.root, "secret").set("default", "bucket-login", login)
        schema = {"bucket": f"s3://data/crashes-{secrets.token_hex(4)}", "endpoint": buckets.weed().endpoint}
        return {"name": "store", "kind": "s3", "schema": schema, "secret": {"name": "bucket-login"}}

    @property
    def shared(self) -> Path:
        """What jobs and tests both see."""
        return self.folder / "shared"

    def fork(self, do: str, job: str = "") -> int:
        order = {"do": do, "home": str(self.home.root), "config": str(self.folder / "tieline.yaml"),
                 "job": job, "log": str(self.folder / "processes.log"), "isolated": self.isolated}  # fmt: skip
        assert self.zygote.stdin is not None
        assert self.zygote.stdout is not None
        self.zygote.stdin.write(json.dumps(order) + "\n")
        self.zygote.stdin.flush()
        return int(self.zygote.stdout.readline())

    def recover(self) -> None:
        """What the next command does."""
        with app_runs.opened(self.home):
            pass

    def new_run(self) -> str:
        """The uuid of the run that was begun last, as far as there is one."""
        found = {path.name for path in self.home.runs.iterdir() if len(path.name) == 32} - self.seen
        assert len(found) <= 1
        return next(iter(found), "")

    def job(self, number: int, lines: int = LINES) -> Job:
        """A job of a random shape."""
        shared = self.shared / str(number)
        shared.mkdir()
        code, retries = self.chance.choice([0, 0, 3]), self.chance.choice([0, 0, 1])
        prepare = {"name": "prep", "command": ["sh", "-c", PREPARE.format(shared=shared)]}
        init: list[dict[str, Any]] = [{"container": prepare}]
        if self.chance.random() < 0.3:
            init.insert(0, {"git": {"url": str(self.folder / "code")}})
        argv = [sys.executable, "-I", "-S", "-c", JOB, str(shared), str(lines), str(code)]
        run = {"kind": "job", "connections": ["shared"], "init": init, "container": {"command": argv}}
        text = {"kind": "component", "name": "crash", "termination": {"maxRetries": retries}, "run": run}
        file = self.folder / f"job-{number}.yaml"
        file.write_text(json.dumps(text))
        return Job(file, shared, code, retries)


@dataclass(frozen=True)
class Job:
    file: Path
    shared: Path
    code: int
    retries: int

    def told(self, program: str, attempt: int) -> tuple[int, bool]:
        """How many lines this program had flushed, as it says itself, and whether it came to its end."""
        try:
            words = (self.shared / f"{program}-{attempt}").read_text().split()
        except FileNotFoundError:
            return 0, False
        return len([word for word in words if word != "end"]), words[-1:] == ["end"]


if __name__ == "__main__":
    zygote()
