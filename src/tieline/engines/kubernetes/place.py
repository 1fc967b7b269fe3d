"""Where a run is in which cluster: kept in its folder, so that every later command finds it there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tieline.engines.folders import RunFolder

FILE = "cluster.json"


@dataclass(frozen=True, slots=True)
class Place:
    """``launched``: all of the run's objects are made; ``pods``: the uids of those that were seen, in their order;
    ``settings``: what the deployment file said of the cluster's pods, for those that are made later to read its store.
    """

    context: str | None
    namespace: str
    server: str = ""
    launched: bool = False
    pods: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def with_pods(self, uids: tuple[str, ...]) -> Place:
        """The same, with pods that were not known before."""
        return replace(self, pods=(*self.pods, *(uid for uid in uids if uid not in self.pods)))

    def save(self, folder: RunFolder) -> None:
        """Write it down, in one step. Raises OSError."""
        path = path_of(folder)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(path)


def path_of(folder: RunFolder) -> Path:
    return folder.root / FILE


def place_of(folder: RunFolder) -> Place | None:
    """Where the run is; None where nobody wrote it down."""
    try:
        found: dict[str, Any] = json.loads(path_of(folder).read_text(encoding="utf-8"))
        return Place(**{**found, "pods": tuple(found.get("pods", ()))})
    except (OSError, ValueError, TypeError):
        return None
