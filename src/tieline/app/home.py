"""Tieline's home on this machine: ``$TIELINE_HOME``, else ``~/.tieline``. Private to the user."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tieline.errors import Code, Place, Problem, RecordError


@dataclass(frozen=True, slots=True)
class HomeFolder:
    """The folder, and what is where in it."""

    root: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None) -> HomeFolder:
        named = (os.environ if environ is None else environ).get("TIELINE_HOME")
        return cls(Path(named).absolute() if named else Path.home() / ".tieline")

    @property
    def database(self) -> Path:
        return self.root / "runs.db"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def claims(self) -> Path:
        return self.root / "claims"

    @property
    def inputs_cache(self) -> Path:
        return self.root / "cache" / "inputs"

    def create(self) -> None:
        """Make what is missing. Raises RecordError where that cannot be."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self.runs, self.artifacts):
                path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise RecordError(
                Problem(
                    Code.HOME_UNUSABLE,
                    f"Tieline's home cannot be made: {error.strerror}",
                    "set TIELINE_HOME to a folder that you can write to",
                    Place(str(self.root)),
                )
            ) from None
