"""What a cluster answered a moment ago, kept in Tieline's home for the next submit: its version, and that rights are
there. Only good answers, only for some minutes, and only for the same user of the same cluster.

A right that is taken away meanwhile is missed later: the cluster itself refuses then, and its words are told.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "clusters.json"
SECONDS = 600.0
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answers that one user had of one cluster. ``path`` None: nothing is remembered."""

    path: Path | None = None
    asker: str = ""
    """Who asked which cluster: see :attr:`tieline.engines.kubernetes.api.Api.asker`."""

    def get(self, *question: object) -> Any:
        """The answer; None: not known, or too old."""
        told, value = self._read().get(self._key(question)) or (0.0, None)
        return value if 0 <= time.time() - told < SECONDS else None

    def keep(self, value: Any, *question: object) -> None:
        """Remember a good answer."""
        if self.path is None:
            return
        now, part = time.time(), self.path.with_suffix(f".{os.getpid()}.part")
        with _ONE_AT_A_TIME, suppress(OSError):  # then it is asked again
            found = {key: entry for key, entry in self._read().items() if 0 <= now - entry[0] < SECONDS}
            found[self._key(question)] = (now, value)
            part.write_text(json.dumps(found), encoding="utf-8")
            part.replace(self.path)

    def _read(self) -> Mapping[str, Any]:
        if self.path is None:
            return {}
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # there is none, or it is broken: it is asked again
            return {}
        return {key: entry for key, entry in found.items() if _is_entry(entry)} if isinstance(found, dict) else {}

    def _key(self, question: tuple[object, ...]) -> str:
        return hashlib.sha256(json.dumps([self.asker, *map(str, question)]).encode()).hexdigest()


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], int | float)


NOTHING = Remembered()
