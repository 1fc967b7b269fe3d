"""Hiding this process from the others of a pod whose containers share their processes.

The collector has what the job has not: the store's credentials and the cluster's token. A process of the same user
could read its variables, its memory and its mounted files through ``/proc``; of one that may not be dumped it cannot.
"""

from __future__ import annotations

import ctypes

PR_SET_DUMPABLE = 4


def hide() -> None:
    """Let nobody look into this process, but for who may look into every process of the machine."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
