"""Where Tieline keeps a run on this machine, whatever engine carries it out, and what each file is for.

``<home>/runs/<uuid>/``: ``lock`` (who owns the run), ``stop`` (a stop was asked for), ``supervisor.log`` (detached
only), ``ended.json`` (while it runs: room for how it ended), ``context/`` (what the job sees; new for each attempt),
and ``attempt-N/``: ``spool/`` (raw output, mode 0600, removed once saved), ``exit/`` (how each program ended).

Beside the runs: ``.expires/<uuid>`` (until when that work folder is kept) and ``.trash/`` (what was thrown away and is
not removed yet): in folders of their own, so that looking for them does not cost more with every run there ever was.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tieline.model.plan import Layout

EXPIRES, TRASH = ".expires", ".trash"
BINDINGS, ROOT = "bindings", "root"
"""Of a run's ``context``: the binding directories, and what the job finds at absolute paths."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def stop(self) -> Path:
        return self.root / "stop"

    @property
    def log(self) -> Path:
        return self.root / "supervisor.log"

    @property
    def note(self) -> Path:
        return self.root / "ended.json"

    @property
    def sources(self) -> Path:
        """Where the run's secrets come from, for whoever carries it on; no value."""
        return self.root / "sources.json"

    @property
    def private(self) -> Path:
        """Credentials of a checkout, where this machine has no folder in memory; only while it lasts."""
        return self.root / "private"

    @property
    def expires(self) -> Path:
        return self.root.parent / EXPIRES / self.root.name

    @property
    def context(self) -> Path:
        return self.root / "context"

    def attempt(self, number: int) -> Attempt:
        return Attempt(self.root / f"attempt-{number}")

    def attempts(self) -> list[Attempt]:
        found = sorted(self.root.glob("attempt-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        return [Attempt(path) for path in found]

    def create(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create_context(self, layout: Layout) -> None:
        """All folders that the job is promised, empty and private to the user. Raises OSError."""
        remove_tree(self.put_away(self.context))
        for name in (layout.context_path, layout.artifacts_path, layout.outputs_path, layout.work_path,
                     layout.binding_root, temporary_path(layout), root_path(layout)):  # fmt: skip
            Path(name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def put_away(self, path: Path) -> Path | None:
        """Move a folder to the trash, and say where it is now; None where there is none. Raises OSError.

        In one step, for half of a folder would look as if the job had removed the other half of its outputs.
        """
        trash = self.root.parent / TRASH
        if not os.path.lexists(path):
            return None
        trash.mkdir(mode=0o700, exist_ok=True)
        if not path.is_symlink():
            path.chmod(0o700)  # a folder is moved only by who may write in it
        place = trash / f"{self.root.name}-{os.urandom(4).hex()}"
        path.rename(place)
        return place

    def remove(self) -> None:
        self.expires.unlink(missing_ok=True)
        remove_tree(self.put_away(self.root))


@dataclass(frozen=True, slots=True)
class Attempt:
    """The folder of one attempt."""

    root: Path

    @property
    def spools(self) -> Path:
        return self.root / "spool"

    @property
    def exits(self) -> Path:
        return self.root / "exit"

    def spool(self, program: str) -> Path:
        return self.spools / f"{program}.log"

    def exit(self, program: str) -> Path:
        return self.exits / f"{program}.json"

    def create(self) -> None:
        for path in (self.root, self.spools, self.exits):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def masks(self) -> Path:
        """By what the output is masked, as a digest."""
        return self.root / "masks"

    def remove_spools(self) -> None:
        remove_tree(self.spools)
        with suppress(OSError):  # it is no use any more, and does no harm
            self.masks.unlink(missing_ok=True)


def host_place(path: str, layout: Layout) -> Path:
    """Where on this machine something is that the job finds at an absolute path: in the run's own folder, always."""
    own = path == layout.context_path or path.startswith(f"{layout.context_path}/")
    return Path(path if own else f"{root_path(layout)}{path}")


def temporary_path(layout: Layout) -> str:
    """``TMPDIR`` of the job."""
    return f"{layout.context_path}/tmp"  # noqa: S108  (below the run's own folder)


def root_path(layout: Layout) -> str:
    """What is to be at a path outside of the run's own folder is below this one."""
    return f"{layout.context_path}/{ROOT}"


def remove_tree(path: Path | None) -> None:
    """Remove a folder as far as that is possible: what another user's programs put there stays.

    Only folders are given their rights back: a file may be one of the cache of inputs, and other runs have it too.
    """
    if path is None:
        return
    import shutil
    import subprocess

    if path.is_symlink():
        with suppress(OSError):
            path.unlink()
        return
    with suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if path.exists():  # the job took its own rights away, or it is deeper than Python's stack
        opened = ["find", str(path), "-type", "d", "!", "-perm", "-u=rwx", "-exec", "chmod", "u+rwx", "{}", ";"]
        for command in (opened, ["rm", "-rf", "--", str(path)]):
            env = {"PATH": os.environ.get("PATH", os.defpath)}  # secrets may be in the environment
            subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def make_readable(root: Path, folder: Path) -> None:
    """Give this user back the rights to read what the job took them from: else it could not be saved.

    All that is in ``folder``, and the folders on the way to it from ``root``.
    """
    for place in reversed([path for path in folder.parents if root in (path, *path.parents)]):
        _open_up(str(place))
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        _open_up(here)
        try:
            with os.scandir(here) as entries:
                found = list(entries)
        except OSError:  # saving it says why not
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and not os.access(entry.path, os.R_OK):
                with suppress(OSError):
                    os.chmod(entry.path, 0o600)


def _open_up(folder: str) -> None:
    with suppress(OSError):
        if not os.access(folder, os.R_OK | os.X_OK):
            os.chmod(folder, 0o700)
