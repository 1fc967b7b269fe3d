"""A collector that has never reached the API server: when that is told, when it gives up, and in which words. Pure.

It sees neither main's end nor its log then: a NetworkPolicy or a proxy is in the way, or its account has not the role.
Outputs are saved nevertheless. (An API server that goes away *later* is waited for.)
"""

from __future__ import annotations

from collections.abc import Mapping

from tieline.engines.kubernetes.times import GIVES_UP
from tieline.errors import Code, Problem

TOLD = 20.0
"""Seconds after which whoever reads the collector's output is told."""
GUESSES = 300.0
"""Seconds after which the store alone says which attempt this is; so it does when the pod is being ended."""
AWAY = "the API server does not answer"
ROLE = "give the pod's service account the collector's role: `tieline roles show collector`"
WAY = "see whether a NetworkPolicy or a proxy is in the way: the pod has to reach it (docs/kubernetes.md)"


def patience(environ: Mapping[str, str]) -> float:
    """Seconds after which nobody waits any more; none where the cluster ends the collector."""
    return float(environ.get(GIVES_UP) or "inf")


def words(trouble: str, seconds: float, *, is_refused: bool) -> str:
    """What is told meanwhile. ``seconds``: its patience; ``is_refused``: the server answers, and says no."""
    until = f"; the pod's collector gives up after {seconds / 60:.0f} minutes" if seconds < float("inf") else ""
    return (
        f"{trouble or AWAY}: the job's end cannot be seen from its pod, nor what it prints{until}; {_hint(is_refused)}"
    )


def problem(trouble: str, *, is_refused: bool) -> Problem:
    """What is said at the end."""
    message = f"{trouble or AWAY}: what the job printed is not saved, and what it wrote only as it was until then"
    return Problem(Code.OUTPUTS_NOT_SAVED, message, _hint(is_refused))


def _hint(is_refused: bool) -> str:
    return ROLE if is_refused else WAY
