"""A collector that has never reached the API server: when that is told, when it gives up, and in which words. Pure.

It sees neither main's end nor its log then: a NetworkPolicy or a proxy is in the way, or its account has not the role.
Outputs are saved nevertheless, for as long as it lives. (An API server that goes away *later* is waited for.)
"""

from __future__ import annotations

from tieline.errors import Code, Problem

TOLD = 20.0
"""Seconds after which whoever reads the collector's output is told."""
GIVES_UP = 600.0
"""Seconds after which nobody waits any more: longer than a control plane takes to be renewed."""
ROLE = "give the pod's service account the collector's role: `tieline roles show collector`"
WAY = "see whether a NetworkPolicy or a proxy is in the way: the pod has to reach it (docs/kubernetes.md)"


def words(trouble: str, *, is_refused: bool) -> str:
    """What is told meanwhile. ``is_refused``: the server answers, and says no."""
    now = f"{trouble}: the job's end cannot be seen from its pod, nor what it prints"
    return f"{now}; {_hint(is_refused)}; after {GIVES_UP / 60:.0f} minutes the pod's collector gives up"


def problem(trouble: str, *, is_refused: bool) -> Problem:
    """What is said at the end."""
    message = f"{trouble}: what the job printed is not saved, and what it wrote only as it was until then"
    return Problem(Code.OUTPUTS_NOT_SAVED, message, _hint(is_refused))


def _hint(is_refused: bool) -> str:
    return ROLE if is_refused else WAY
