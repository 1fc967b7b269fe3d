"""What tests of real runs with secrets share: a catalog, secrets in a home, a job that writes down what it finds, and a
search of all that is left afterwards. Runs are carried out by this process; :meth:`Runs.apart` by one of its own.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from servers.processes import eventually
from tieline.app import runs as app_runs
from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.isolation import Isolation
from tieline.app.preparing import Prepared, Wanted, prepare
from tieline.app.secrets import keeper
from tieline.app.submit import Accepted, accept, carry_out, detach
from tieline.engines.base import Controls
from tieline.model.plan import Plan, Step
from tieline.model.run import Run
from tieline.runs.record import Record
from tieline.secrets.names import Resource
from tieline.secrets.secret import Secret
from tieline.steps.collector import Collected
from tieline.steps.meter import Meter

PATIENCE = 60.0
LOOK = """\
import json, os, sys

def look(top):
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                data = file.read().decode("utf-8", "surrogateescape")
            found[os.path.relpath(path, top)] = [data, oct(os.stat(path).st_mode & 0o7777)]
    return found

out, argv, paths = sys.argv[1], [], []
for word in sys.argv[2:]:
    (paths if word.startswith("/") else argv).append(word)
seen = {"env": dict(os.environ), "argv": argv, "bound": look(os.environ["SERVICE_BINDING_ROOT"]),
        "files": {path: look(path) for path in paths}}
for name in ("DOCKER_CONFIG",):
    if name in os.environ:
        seen["files"][name] = look(os.environ[name])
with open(out + ".part", "w") as file:
    json.dump(seen, file)
os.rename(out + ".part", out)
"""
"""Writes down its environment, the binding directories, and the files below the paths that it is given."""


def canary(what: str = "") -> str:
    """A value that nobody else has; with characters that URLs and shells change."""
    return f"canary-{what}-{secrets.token_hex(8)}/+ '&"


def forms(value: str) -> set[bytes]:
    """A value as it may be written: raw, quoted for a URL or in JSON, in base64 at any of the three offsets."""
    raw = value.encode("utf-8", "surrogateescape")
    found = {raw, quote(raw).encode(), quote(raw, safe="").encode(), json.dumps(value)[1:-1].encode()}
    for shift in range(3):
        encoded = base64.b64encode(b"\\0" * shift + raw)
        found.add(encoded[4 if shift else 0 : -4])
    return found


def found_in(folder: Path, values: Iterable[str], but: Sequence[Path] = ()) -> list[str]:
    """The files (and names) below a folder that have one of these values, in any form."""
    needles = set().union(*(forms(value) for value in values))
    hits = []
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(top, name) not in but]
        for name in [*names, *folders]:
            path = Path(top, name)
            data = os.fsencode(name)
            if path.is_symlink():
                data += os.fsencode(os.readlink(path))
            elif path.is_file():
                data += path.read_bytes()
            hits += [f"{path}: {needle!r}" for needle in needles if needle in data]
    return hits


class Told:
    """A listener that remembers everything that it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[str, str, str]] = []
        self.printed = b""

    def status(self, run: Run) -> None:
        self.notes.append(f"{run.status} {run.reason} {run.message}")

    def step(self, step: Step, state: str, detail: str) -> None:
        self.steps.append((step.name, state, detail))

    def output(self, program: str, data: bytes) -> None:
        self.printed += data

    def note(self, message: str) -> None:
        self.notes.append(message)

    def moving(self, what: str, meter: Meter | None) -> None:
        del what, meter

    def saved(self, collected: Collected) -> None:
        self.collected = collected


@dataclass
class Ended:
    """A run that has ended, and what its job wrote down."""

    run: Run
    plan: Plan
    told: Told
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        found: dict[str, str] = self.seen["env"]
        return found

    def entry(self, name: str) -> str:
        """An entry of a binding directory: ``db/password``."""
        return str(self.seen["bound"][name][0])

    def files(self, path: str) -> dict[str, tuple[str, str]]:
        """The files below a path that the job was given: text and mode, by name."""
        return {name: (text, mode) for name, (text, mode) in self.seen["files"][path].items()}


class Runs:
    """A folder for one test: a home, a store, and a catalog."""

    def __init__(self, root: Path, isolation: Isolation = "auto") -> None:
        self.isolation: Isolation = isolation
        self.root, self.store, self.shared = root, root / "store", root / "shared"
        for path in (self.store, self.shared):
            path.mkdir(parents=True)
        self.home = HomeFolder.find()
        self.catalog: dict[str, Any] = {}
        self.values: list[str] = []
        """Every value that was set; none may be left anywhere afterwards."""
        self.look = self.shared / "look.py"
        self.look.write_text(LOOK)
        self._number = 0

    def secret(
        self, name: str, values: Mapping[str, str | bytes], *, namespace: str = "default", resource: Resource = "secret"
    ) -> None:
        """Keep a secret (or config map) in the home."""
        keeper(self.home, resource).set(namespace, name, {key: Secret(value) for key, value in values.items()})
        if resource == "secret":
            self.values += [value for value in values.values() if isinstance(value, str)]

    def job(self, *paths: str, connections: Sequence[str] = (), **run: Any) -> dict[str, Any]:
        """A job that writes down what it finds. ``paths``: folders to look into (templates too).

        The folder that it shares with the test is where it is, whether the job is isolated or not.
        """
        container = {**run.pop("container", {})}
        container.setdefault("command", [sys.executable, str(self.look), "{{ out }}", *paths])
        container.setdefault("volumeMounts", []).append({"name": "shared", "mountPath": str(self.shared)})
        run["volumes"] = [*run.get("volumes", ()), {"name": "shared", "hostPath": {"path": str(self.shared)}}]
        top = {key: run.pop(key) for key in ("termination", "inputs", "plugins") if key in run}
        inputs = [*top.pop("inputs", ()), {"name": "out", "value": str(self.shared / "seen.json")}]
        run = {"kind": "job", "connections": list(connections), **run, "container": container}
        return {"version": 1.1, "kind": "component", "inputs": inputs, **top, "run": run}

    def at(self, path: str) -> str:
        """Where a job finds what is mounted at a path, as a template."""
        return path if self.isolation == "bubblewrap" else f"{{{{ globals.context_path }}}}/root{path}"

    def write(self, job: Mapping[str, Any]) -> tuple[Path, Path]:
        """The job's file and the catalog's."""
        store = {"name": "store", "kind": "host_path", "schema": {"hostPath": str(self.store), "mountPath": "/store"}}
        files = self.root / "job.yaml", self.root / "tieline.yaml"
        for path, data in zip(files, (job, {"artifactsStore": store, **self.catalog}), strict=True):
            path.write_text(json.dumps(data))
        return files

    def prepare(self, job: Mapping[str, Any], *, namespace: str | None = None, **params: Any) -> Prepared:
        file, config = self.write(job)
        wanted = Wanted(file, params, namespace, isolation=self.isolation)
        return prepare(wanted, load_deployment(config, self.home), self.home)

    def accepted(self, job: Mapping[str, Any], *, namespace: str | None = None, **params: Any) -> Accepted:
        return accept(self.prepare(job, namespace=namespace, **params), self.home)

    def __call__(self, job: Mapping[str, Any], *, namespace: str | None = None, **params: Any) -> Ended:
        """Carry a job out, whatever becomes of it."""
        (self.shared / "seen.json").unlink(missing_ok=True)
        accepted, told = self.accepted(job, namespace=namespace, **params), Told()
        with accepted.record:
            run = carry_out(accepted, told, Controls())
        return Ended(run, accepted.plan, told, self.seen())

    def good(self, job: Mapping[str, Any], *, namespace: str | None = None, **params: Any) -> Ended:
        """The same, of a job that succeeds and leaves nothing."""
        ended = self(job, namespace=namespace, **params)
        assert ended.run.status.value == "succeeded", (ended.run, ended.told.notes, ended.told.printed)
        assert self.left() == []
        return ended

    def apart(self, job: Mapping[str, Any]) -> tuple[Accepted, int]:
        """Have a job carried out by a supervisor of its own; the run and the supervisor's pid."""
        (self.shared / "seen.json").unlink(missing_ok=True)
        accepted = self.accepted(job)
        return accepted, detach(accepted)

    def wait(self, uuid: str) -> Run:
        with Record.open(self.home.database) as record:
            return app_runs.wait(self.home, record, record.get(uuid), PATIENCE)

    def recover(self) -> None:
        """What every command does first. A killed process's other threads may hold its lock a moment longer."""

        def ended() -> bool:
            with app_runs.opened(self.home) as record:
                return not record.unfinished("process")

        eventually(ended)

    def seen(self) -> dict[str, Any]:
        path = self.shared / "seen.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def left(self) -> list[str]:
        """Where any of the values is left: the home but for the secrets themselves, the store, the files."""
        kept = [self.home.root / "secrets", self.home.root / "configmaps", self.shared]
        memory = Path("/dev/shm")
        private = [str(path) for path in memory.glob("tieline-git-*")] if memory.is_dir() else []
        mine = [path for path in private if any(uuid in path for uuid in self.uuids())]
        return [*found_in(self.home.root, self.values, kept), *found_in(self.root, self.values, kept), *mine]

    def uuids(self) -> list[str]:
        if not self.home.database.exists():
            return []
        with Record.open(self.home.database) as record:
            return [run.uuid for run in record.list(limit=1000)]


def kill(pid: int) -> None:
    """``kill -9``, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    eventually(gone)
