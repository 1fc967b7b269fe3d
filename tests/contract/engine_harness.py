"""What the engine's contract is told with: a job is submitted, waited for, stopped, and looked at. An engine joins by
one more entry of ``ENGINES``; the tests know nothing of processes, pods or folders, but for what they ask here.

``shared`` is a folder that the test and the job both see, for one to wait for the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pytest

from servers.processes import absent, eventually
from tieline.app import runs as app_runs
from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.isolation import Isolation
from tieline.app.outputs import push, stored
from tieline.app.preparing import Wanted, prepare
from tieline.app.submit import Accepted, accept, carry_out, detach
from tieline.engines.base import Controls
from tieline.engines.folders import RunFolder
from tieline.engines.process.isolation import unusable
from tieline.engines.process.leftovers import processes_of, sweep
from tieline.model.plan import Plan, Step
from tieline.model.run import Event, Run, Status
from tieline.runs.locks import RunLock
from tieline.runs.record import Record
from tieline.steps.collector import Collected
from tieline.steps.log_reader import read_logs
from tieline.steps.meter import Meter

PATIENCE = 60.0


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A disk that is soon full, mounted at a folder; where this user may mount none, the test is skipped."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode and os.environ.get("CI") and os.geteuid() == 0:
        pytest.fail(f"CI runs as root, and cannot mount a tmpfs: {done.stderr.strip()}")
    if done.returncode:
        pytest.skip(f"this user may not mount a tmpfs: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(path: Path) -> None:
    """Leave no byte of a disk free."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def shell(script: str, **more: Any) -> dict[str, Any]:
    """A container that runs a shell script. (Kubernetes, and so we, read ``$$`` as an escaped ``$``.)"""
    return {"command": ["sh", "-c", script.replace("$$", "$$$$")], **more}


def python(script: str, **more: Any) -> dict[str, Any]:
    """A container that runs a Python program."""
    return {"command": ["python3", "-c", script], **more}


def component(container: str | Mapping[str, Any], *, kind: str = "job", **parts: Any) -> dict[str, Any]:
    """A job. Parts that belong under ``run`` go there, the others to the top."""
    inner = {"connections", "init", "sidecars", "volumes", "ports", "environment"}
    main = shell(container) if isinstance(container, str) else dict(container)
    main["env"] = [{"name": "SHARED", "value": "{{ connections['shared'].path }}"}, *main.get("env", ())]
    run = {"kind": kind, "container": main, **{key: parts[key] for key in parts.keys() & inner}}
    run["connections"] = ["shared", *run.get("connections", ())]
    return {"kind": "component", "run": run, **{key: parts[key] for key in parts.keys() - inner}}


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.statuses: list[Status] = []
        self.steps: list[tuple[str, str, str]] = []
        self.notes: list[str] = []
        self._pieces: dict[str, list[bytes]] = {}

    def status(self, run: Run) -> None:
        self.statuses.append(run.status)

    def step(self, step: Step, state: str, detail: str) -> None:
        self.steps.append((step.name, state, detail))

    def output(self, program: str, data: bytes) -> None:
        self._pieces.setdefault(program, []).append(data)

    @property
    def printed(self) -> dict[str, bytes]:
        """What each program printed, as far as it was told."""
        return {program: b"".join(pieces) for program, pieces in list(self._pieces.items())}

    def note(self, message: str) -> None:
        self.notes.append(message)

    def moving(self, what: str, meter: Meter | None) -> None:
        del what, meter

    def saved(self, collected: Collected) -> None:
        self.collected = collected


class ProcessHandle:
    """A run of the process engine, carried out by a thread of this process."""

    carried_out_elsewhere = False
    """Whether it goes on when nobody looks."""

    def __init__(self, accepted: Accepted) -> None:
        self.plan: Plan = accepted.plan
        self.uuid = accepted.plan.run.uuid
        self.home = accepted.home
        self.told = Told()
        self.controls = Controls()
        self._accepted = accepted
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._carry_out, name=f"run-{self.uuid[:8]}")

    def start(self) -> None:
        self._thread.start()

    def _carry_out(self) -> None:
        try:
            carry_out(self._accepted, self.told, self.controls)
        except BaseException as error:
            self._failure = error

    def run(self) -> Run:
        """The run as it stands."""
        return self._accepted.record.get(self.uuid)

    def events(self) -> list[Event]:
        return self._accepted.record.events(self.uuid)

    def wait(self, patience: float = PATIENCE) -> Run:
        """The run as it ended; nothing of it is left on the machine then."""
        self._thread.join(patience)
        assert not self._thread.is_alive(), f"the run is still {self.run().status} after {patience} s"
        if self._failure is not None:
            raise self._failure
        assert self.leftovers() == 0
        run = self.run()
        assert run.status.is_final
        return run

    def is_under_way(self) -> bool:
        return self._thread.is_alive()

    def stop(self, grace: float = 10.0) -> bool:
        """As ``tieline runs stop`` does."""
        return app_runs.stop(self.home, self._accepted.record, self.run(), grace)

    def kill(self) -> None:
        """End what a failed test left."""
        self.controls.stop.set()
        self.controls.now.set()
        self._thread.join(PATIENCE)
        self._accepted.record.close()

    def logs(self, program: str = "main", attempt: int | None = None) -> bytes:
        """What is saved by now of what a program printed."""
        prefix = app_runs.attempt_prefix(self.plan, attempt or self.run().attempt)
        return b"".join(read_logs(app_runs.store_of(self.plan), prefix, program))

    def outputs(self, attempt: int | None = None) -> dict[str, bytes]:
        """What is saved by now of the outputs: files by name (folders that hold nothing: with a ``/``)."""
        number = attempt or self.run().attempt
        store, top = app_runs.store_of(self.plan), app_runs.attempt_prefix(self.plan, number)
        found = {}
        for item in stored(self.plan, number):
            if item.what == "file":
                with store.open(f"{top}/outputs/{item.key}") as stream:
                    found[item.key] = stream.read()
            elif item.what == "dir":
                found[f"{item.key}/"] = b""
        return {name: data for name, data in found.items() if not name.endswith("/") or not _holds(found, name)}

    def push(self) -> Run:
        """Save what could not be saved."""
        return push(self.home, self._accepted.record, self.run())

    def leftovers(self) -> int:
        """How many processes of the run there are."""
        return len(processes_of(self.uuid))

    def watchers(self) -> list[int]:
        """The processes that watch its programs, the outermost first."""
        return [pid for pid in sorted(processes_of(self.uuid)) if is_watcher(pid)]

    @property
    def folder(self) -> RunFolder:
        return self._accepted.folder


class ApartHandle(ProcessHandle):
    """A run whose supervisor is a process of its own, and may be killed."""

    supervisor = 0

    def start(self) -> None:
        self.supervisor = detach(self._accepted)

    def run(self) -> Run:
        with Record.open(self.home.database) as record:
            return record.get(self.uuid)

    def is_under_way(self) -> bool:
        return is_alive(self.supervisor)

    def die(self) -> None:
        """``kill -9`` of the supervisor; what recovers is up to the test."""
        os.kill(self.supervisor, signal.SIGKILL)
        eventually(lambda: not self.is_under_way())
        lock = eventually(lambda: RunLock.try_acquire(self.folder.lock))  # its other threads may need a moment more
        lock.release()

    def wait(self, patience: float = PATIENCE) -> Run:
        with Record.open(self.home.database) as record:
            run = app_runs.wait(self.home, record, record.get(self.uuid), patience)
        assert run.status.is_final, run
        eventually(lambda: not self.is_under_way())
        assert self.leftovers() == 0
        return run

    def kill(self) -> None:
        if self._is_still_itself():
            os.kill(self.supervisor, signal.SIGKILL)
        sweep(self.uuid)

    def _is_still_itself(self) -> bool:
        """Its number may be another process's when it has ended."""
        with suppress(OSError):
            return self.uuid.encode() in Path(f"/proc/{self.supervisor}/cmdline").read_bytes()
        return False


def is_watcher(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _holds(found: Mapping[str, bytes], folder: str) -> bool:
    return any(name.startswith(folder) and name != folder for name in found)


H = TypeVar("H", bound=ProcessHandle)


class ProcessEngine:
    """Jobs as processes of this machine, which see what its user sees."""

    name = "process"
    isolation: Isolation = "none"
    a_while = 2
    """Whole seconds in which a short job begins and ends, also while others work."""
    lines_at_once = 700_000
    """Lines of 72 bytes that may be printed as quickly as they can be."""
    handle: type[ProcessHandle] = ProcessHandle
    timeout = 1
    """Seconds in which a job has surely begun."""
    untold: tuple[int | None, ...] = ()
    """What may be told instead of the exit code of a job that was stopped."""
    _also: Mapping[str, Any] = MappingProxyType({})  # in the deployment file

    def __init__(self, folder: Path) -> None:
        self.folder, self.shared, self.store = folder / "files", folder / "shared", folder / "store"
        for path in (self.folder, self.shared, self.store):
            path.mkdir(parents=True)
        self.home = HomeFolder.find()
        self._handles: list[ProcessHandle] = []

    def write(self, name: str, text: str) -> Path:
        """A file beside the job's."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def submit(
        self,
        job: str | Mapping[str, Any],
        *,
        connections: Sequence[Mapping[str, Any]] = (),
        catalog: Mapping[str, Any] | None = None,
        before: Callable[[ProcessHandle], object] = bool,
        **params: Any,
    ) -> ProcessHandle:
        """Accept a job (a container's script, or a whole file) and have it carried out; ``before`` that, do this."""
        handle = self.handle(self._accepted(job, connections, catalog, params))
        return self._begun(handle, before)

    def submit_apart(
        self,
        job: str | Mapping[str, Any],
        *,
        catalog: Mapping[str, Any] | None = None,
        before: Callable[[ProcessHandle], object] = bool,
    ) -> ApartHandle:
        """The same, with a supervisor that the test may kill."""
        return self._begun(ApartHandle(self._accepted(job, (), catalog, {})), before)

    def _begun(self, handle: H, before: Callable[[ProcessHandle], object]) -> H:
        self._handles.append(handle)
        before(handle)
        handle.start()
        return handle

    def _accepted(
        self,
        job: str | Mapping[str, Any],
        connections: Sequence[Mapping[str, Any]],
        catalog: Mapping[str, Any] | None,
        params: Mapping[str, Any],
    ) -> Accepted:
        whole = self._whole(component(job) if isinstance(job, str) else job)
        shared = {"name": "shared", "kind": "host_path", "schema": self._volume(self.shared)}
        deployment = {
            "artifactsStore": {"name": "store", "kind": "host_path", "schema": self._volume(self.store)},
            "connections": [shared, *connections],
            **self._also,
            **(catalog or {}),
        }
        file = self.write("job.yaml", json.dumps(whole))
        config = self.write("tieline.yaml", json.dumps(deployment))
        return accept(prepare(self._wanted(file, params), load_deployment(config, self.home), self.home), self.home)

    def _wanted(self, file: Path, params: Mapping[str, Any]) -> Wanted:
        return Wanted(file, params, isolation=self.isolation)

    def _whole(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """The job as this engine needs it."""
        return job

    def lacks(self, reason: str, *engines: str) -> None:
        """End a test of what these engines do not have (default: a cluster's), by their nature and not by neglect."""
        if self.name in (engines or ("kubernetes",)):
            pytest.skip(f"{self.name}: {reason}")

    def seen(self, mounted: Path) -> str:
        """Where the job finds ``shared``."""
        return str(mounted)

    @staticmethod
    def _volume(folder: Path) -> dict[str, str]:
        return {"hostPath": str(folder), "mountPath": f"/mnt{folder}"}

    def look(self) -> None:
        """What every command does first: ends what others left, removes what has expired."""
        with app_runs.opened(self.home):
            pass

    def record(self) -> Record:
        return Record.open(self.home.database)

    def close(self) -> None:
        for handle in self._handles:
            with suppress(Exception):
                handle.kill()


class IsolatedEngine(ProcessEngine):
    """The same, in a root of the job's own."""

    name = "isolated"
    isolation: Isolation = "bubblewrap"

    def __init__(self, folder: Path) -> None:
        if reason := unusable():
            absent(reason)
        super().__init__(folder)

    def seen(self, mounted: Path) -> str:
        return f"/mnt{mounted}"


def _cluster(folder: Path) -> ProcessEngine:
    from kube_engine import KubernetesEngine

    return KubernetesEngine(folder)


ENGINES: dict[str, Callable[[Path], ProcessEngine]] = {
    ProcessEngine.name: ProcessEngine, IsolatedEngine.name: IsolatedEngine, "kubernetes": _cluster,
}  # fmt: skip


@contextmanager
def opened_engine(name: str, folder: Path) -> Iterator[ProcessEngine]:
    """An engine for one test; what the test leaves is ended. Jobs find the tests' own Python as ``python3``."""
    made = ENGINES[name](folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield made
        made.close()
