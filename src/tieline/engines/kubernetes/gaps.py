"""What is told with a run's end of lines that its collector could not get: the log has the marks, the run says so.

A collector follows the one log file that the cluster serves. Where the cluster puts a whole file away before it was
read, the times show it. In the moment in which a new file is begun, lines can be missed that nothing shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tieline.model.run import Outcome


def with_gaps(outcome: Outcome | None, collected: Mapping[str, Any] | None) -> Outcome | None:
    """How a pod's job ended, and what of its log may be missing, by what its collector says."""
    words = _words(int((collected or {}).get("gaps") or 0), int((collected or {}).get("files") or 0))
    if outcome is None or not words:
        return outcome
    return replace(outcome, message=f"{outcome.message}; {words}" if outcome.message else words)


def _words(gaps: int, files: int) -> str:
    if gaps:
        places = "one place, which is marked" if gaps == 1 else f"{gaps} places, which are marked"
        return f"lines may be missing in {places} in the log: more was printed than the cluster let be read"
    if files:
        times = "once" if files == 1 else f"{files} times"
        return f"the cluster began a new log file {times} while it was read: a few lines of that moment may be missing"
    return ""
