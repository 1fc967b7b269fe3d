"""What the canary test is told with: secrets full of values that nobody else has, commands that could show one, and a
search of everywhere that one could have got to. A value is told by its *core*, letters that survive all quoting.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tieline.app.home import HomeFolder
from tieline.app.secrets import keeper
from tieline.kinds import registry
from tieline.kinds.base import Kind
from tieline.kinds.pages import connect
from tieline.probes import credential_values
from tieline.runs.record import Record
from tieline.secrets.names import Resource
from tieline.secrets.needs import references
from tieline.secrets.secret import Secret

PATIENCE = 120.0
SLEEPS = "import time; time.sleep({seconds})"
KEEPS = ("secrets", "configmaps")
"""Where in the home the values belong."""
SHARED_PLACES = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
NOT_OURS = ("pytest-", "tl", "tieline-kube", "tieline-buckets-")
"""Folders there that other tests, the servers of buckets that those share, or the cluster's kit, write to."""
SELDOM = 25
"""Samples. What was there before is looked at in one of so many: it gets values only as it becomes another program."""
ADDRESS = ("host", "hostname")
OTHERS = ("extra", "with.dot", "9digit")
"""Keys that no kind knows."""


MARK = "cnrycnry"


def _start(shift: int) -> bytes:
    """What base64 makes of the mark behind so many other bytes: the letters that depend on nothing else."""
    whole = base64.b64encode(b"\0" * shift + MARK.encode())
    return whole[4 if shift else 0 : (shift + len(MARK)) * 8 // 6]


STARTS = (MARK.encode(), *map(_start, range(3)))
"""How a core begins, and what base64 makes of that."""


@dataclass
class Canaries:
    """The values, by the core that tells each one; what each is for."""

    cores: dict[str, str] = field(default_factory=dict)

    def value(self, what: str, key: str = "") -> str:
        """A new value for a key: of a form that whoever reads it makes something of."""
        core = f"{MARK}{secrets.token_hex(10)}"
        self.cores[core] = what
        login = base64.b64encode(f"me:{core}".encode()).decode()
        if key in ("config.json", ".dockerconfigjson"):
            return json.dumps({"auths": {"registry.example.org:5000": {"auth": login}}})
        if key == ".dockercfg":
            return json.dumps({"registry.example.org:5000": {"auth": login}})
        if key.endswith((".json", "_DICT")):
            return json.dumps({"type": "service_account", "client_email": "a@b.example", "private_key": core})
        if key in ("uri", "url") or "webhook" in key.lower():
            return f"https://127.0.0.1:1/{core}"
        if key in ADDRESS:
            return f"{core}.invalid"
        return f"{core}/+&'\""

    def needles(self) -> dict[bytes, str]:
        """What to look for: a core as it is, and in base64 wherever it begins."""
        found = {}
        for core, what in self.cores.items():
            found[core.encode()] = what
            for shift in range(3):
                encoded = base64.b64encode(b"\0" * shift + core.encode())
                found[encoded[4 if shift else 0 : -4]] = f"{what}, in base64"
        return found

    def found_in(self, data: bytes) -> list[str]:
        """What is in these bytes. They are looked at closely only where something begins as a canary does."""
        if not any(start in data for start in STARTS):
            return []
        return [what for needle, what in self.needles().items() if needle in data]


def keys_of(kind: Kind, form: Mapping[str, Any]) -> list[str]:
    """All keys of a secret that the kind knows, with this form."""
    connection = connect(kind, form)
    binding = kind.bind(connection)
    values = [*(entry.value for entry in binding.entries), *(variable.value for variable in binding.variables)]
    values += credential_values(kind.access(connection)).values()
    found = [key for value in values for reference in references(value) for key in reference.keys]
    return list(dict.fromkeys(found))


class Watch(threading.Thread):
    """Looks at the arguments of every process, and at the environment of all but the jobs' own programs."""

    def __init__(self, canaries: Canaries) -> None:
        super().__init__(daemon=True)
        self.canaries, self.found, self.samples, self.stop = canaries, set[str](), 0, threading.Event()
        self._before = frozenset(os.listdir("/proc"))

    def run(self) -> None:
        while not self.stop.wait(0.02):
            for name in os.listdir("/proc"):
                if name.isdecimal() and (name not in self._before or self.samples % SELDOM == 0):
                    with suppress(OSError):
                        self._look(Path("/proc", name))
            self.samples += 1

    def _look(self, process: Path) -> None:
        words = (process / "cmdline").read_bytes()
        env = (process / "environ").read_bytes().split(b"\0")
        if any(item.startswith(b"SERVICE_BINDING_ROOT=") for item in env):
            env = []  # the job's own program, or what it started
        if b"tieline" in words:  # its own source of secrets is given to it there
            env = [item for item in env if not item.startswith((b"TIELINE_SECRET_", b"TIELINE_CONFIG_MAP_"))]
        for what, data in (("arguments", words), ("environment", b"\0".join(env))):
            if found := self.canaries.found_in(data):
                self.found.add(f"{what} of {words[:200]!r}: {found}")


class World:
    """A folder with a home, a catalog of every kind, their secrets, and the command."""

    def __init__(self, root: Path) -> None:
        self.began = time.time() - 1
        self.root, self.files = root, root / "work"
        self.home, self.tmp, self.store = HomeFolder(root / "home"), root / "tmp", root / "store"
        for path in (self.files, self.tmp, self.store, root / "user", root / "data"):
            path.mkdir(parents=True)
        self.home.create()
        self.canaries, self.console = Canaries(), b""
        self.connections: list[dict[str, Any]] = []
        self.channels: list[dict[str, Any]] = []
        for kind in registry.all_kinds():
            self._add(kind)
        from_ci = {f"TIELINE_SECRET_CI__{key}": self.canaries.value(f"ci {key}") for key in ("TOKEN", "password")}
        self.connections.append({"name": "ci", "kind": "custom", "secret": {"name": "ci"}, "envPrefix": "CI_"})
        self.env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
            "HOME": str(root / "user"), "TIELINE_HOME": str(self.home.root), "TMPDIR": str(self.tmp), **from_ci,
            "TIELINE_DEBUG": "1", "GIT_CONFIG_SYSTEM": os.devnull, "NO_PROXY": "*",
        }  # fmt: skip
        self.catalog()

    def keep(self, name: str, keys: Mapping[str, str | bytes], resource: Resource = "secret") -> None:
        keeper(self.home, resource).set("default", name, {key: Secret(value) for key, value in keys.items()})

    def _add(self, kind: Kind) -> None:
        """The kind's full example three times: its secret as variables, as files, and (where that may be) alone."""
        name = kind.name.replace("_", "-")
        form = {**kind.examples[-1], "health": None}
        form.pop("auth", None)
        if "hostPath" in (form.get("schema") or {}):
            form["schema"] = {**form["schema"], "hostPath": str(self.root / "data"), "subPath": None}
        for variant in ("env", "files", "bare"):
            if variant == "bare" and (kind.needs_schema or kind.name == "ssh"):
                continue
            own = f"{name}-{variant}"
            one = {**form, "name": own, "envPrefix": f"{own.upper().replace('-', '_')}_", "secret": {"name": own}}
            if variant == "files" or kind.name == "ssh":
                one["secret"] = {"name": own, "mountPath": f"/etc/{own}", "defaultMode": "0400"}
            if variant == "bare":
                one = {key: one[key] for key in ("name", "kind", "envPrefix", "secret")}
            if "mountPath" in (one.get("schema") or {}):
                one["schema"] = {**one["schema"], "mountPath": f"/mnt/{own}"}
            one = {key: value for key, value in one.items() if value is not None}
            secret = [*keys_of(kind, one), *OTHERS]
            self.keep(own, {key: self.canaries.value(f"{own} {key}", key) if key != "port" else "1" for key in secret})
            one["configMap"] = {"name": own, "mountPath": f"/maps/{own}"} if variant == "files" else {"name": own}
            self.keep(own, {f"MAP_{own}": self.canaries.value(f"{own}, config map")}, "configMap")
            (self.channels if connect(kind, one).notifications_only else self.connections).append(one)

    def catalog(self, *alone: Mapping[str, Any], store: Path | None = None) -> None:
        """Write the catalog: of every kind, or of these connections alone."""
        place = {"hostPath": str(store or self.store), "mountPath": "/store"}
        data = {
            "artifactsStore": {"name": "store", "kind": "host_path", "schema": place},
            "connections": list(alone or self.connections),
            "notificationConnections": [] if alone else self.channels,
        }
        (self.files / "tieline.yaml").write_text(json.dumps(data))

    def job(self, name: str = "job", *, seconds: float = 0.3, container: Any = None, **parts: Any) -> str:
        """Write a job's file that asks for every connection, unless it says which."""
        top = {key: parts.pop(key) for key in ("termination",) if key in parts}
        parts.setdefault("connections", [item["name"] for item in self.connections])
        container = container or {"command": [sys.executable, "-c", SLEEPS.format(seconds=seconds)]}
        data = {"kind": "component", "name": name, **top, "run": {"kind": "job", **parts, "container": container}}
        (self.files / f"{name}.json").write_text(json.dumps(data))
        return f"{name}.json"

    def __call__(self, *words: str, code: int | None = 0, stdin: bytes = b"", **env: str) -> str:
        """Type a command; all that it printed is kept for the search."""
        done = subprocess.run(
            [sys.executable, "-m", "tieline", *words], cwd=self.files, env={**self.env, **env}, input=stdin,
            capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        told = done.stdout + done.stderr
        self.console += f"$ {' '.join(words)}\n".encode() + told
        assert code is None or done.returncode == code, (words, done.returncode, told.decode()[-3000:])
        assert done.returncode not in ((2, 65, 70) if words[0] == "run" and code is None else (70,)), told.decode()[
            -3000:
        ]
        return told.decode()

    def everything(self) -> None:
        """All that can be looked at afterwards, of the newest run."""
        self("runs", "show", "last", "-o", "json")
        self("runs", "logs", "last", code=None)

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """The processes of the machine are looked at meanwhile."""
        watch = Watch(self.canaries)
        watch.start()
        try:
            yield watch
        finally:
            watch.stop.set()
            watch.join()
        assert watch.samples > 3
        assert watch.found == set(), sorted(watch.found)[:5]

    # --- the search

    def found(self) -> list[str]:
        """Wherever a canary is that it should not be."""
        hits = [f"the console: {what}" for what in self.canaries.found_in(self.console)]
        for path in self._files():
            with suppress(OSError):
                data = os.fsencode(str(path)) + path.read_bytes()
                hits += [f"{path}: {what}" for what in self.canaries.found_in(data)]
        return hits

    def _files(self) -> Iterator[Path]:
        """All that is ours but the secrets themselves; of the shared places, what is new."""
        kept = tuple(str(self.home.root / name) for name in KEEPS)
        yield from (path for path in self.root.rglob("*") if not str(path).startswith(kept) and path.is_file())
        for place in SHARED_PLACES:
            yield from self._new(place)

    def _new(self, place: Path) -> Iterator[Path]:
        for top, folders, names in os.walk(place):
            here = Path(top)
            folders[:] = [name for name in folders if not name.startswith(NOT_OURS) and _is_new(here / name, 0)]
            yield from (path for name in names if _is_new(path := here / name, self.began) and path.is_file())

    def folders(self) -> list[Path]:
        """Private folders that are left in memory: of a run of ours, or of a process that has ended."""
        with suppress(OSError):
            found = [path for path in Path("/dev/shm").glob("tieline-*") if path.stat().st_ctime > self.began]
            return [path for path in found if self._is_left(path.name)]
        return []

    def _is_left(self, name: str) -> bool:
        with Record.open(self.home.database) as record:
            ours = any(run.uuid in name for run in record.list(limit=1000))
        pids = re.findall(r"-([0-9]+)[-.]", name)
        return ours or (bool(pids) and not any(Path("/proc", pid).exists() for pid in pids))


def _is_new(path: Path, since: float) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and found.st_mtime >= since and (since == 0 or found.st_size < 4_000_000)
