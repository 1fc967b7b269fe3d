"""Where the process engine keeps a run on this machine, and what each file is for.

``<home>/runs/<uuid>/``: ``lock`` (who owns the run), ``stop`` (a stop was asked for), ``supervisor.log`` (detached
only), ``expires`` (until when the work folder is kept), ``context/`` (what the job sees; emptied between attempts),
and
``attempt-N/``: ``spool/`` (raw output, mode 0600, removed once saved), ``exit/`` (how each program ended).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tieline.model.plan import Layout


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
    def expires(self) -> Path:
        return self.root / "expires"

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
        """All folders that the job is promised, empty and private to the user."""
        remove_tree(self.context)
        for name in (layout.context_path, layout.artifacts_path, layout.outputs_path, layout.work_path,
                     layout.binding_root, temporary_path(layout)):  # fmt: skip
            Path(name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove(self) -> None:
        remove_tree(self.root)


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

    def remove_spools(self) -> None:
        remove_tree(self.spools)


def layout_of(folder: RunFolder, uuid: str, claims: Mapping[str, str], claims_root: Path) -> Layout:
    """The paths of a run, as its processes see them; the same for every attempt."""
    context = folder.context
    return Layout(
        context_path=str(context),
        artifacts_path=str(context / "artifacts"),
        outputs_path=str(context / "artifacts" / uuid / "outputs"),
        work_path=str(context / "work"),
        binding_root=str(context / "bindings"),
        claims=dict(claims),
        claims_root=str(claims_root),
    )


def temporary_path(layout: Layout) -> str:
    """``TMPDIR`` of the job."""
    return str(Path(layout.context_path, "tmp"))


def remove_tree(path: Path) -> None:
    """Remove a folder, also where the job took away its own right to write."""

    def retry(_function: object, name: str, _error: object) -> None:
        try:
            Path(name).parent.chmod(0o700)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, 0o700)
                shutil.rmtree(name)
            else:
                os.unlink(name)
        except FileNotFoundError:
            return

    if path.exists():
        shutil.rmtree(path, onerror=retry)
