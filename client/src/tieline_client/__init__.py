"""What a job finds: the connections that Tieline bound for it, its run, and where its results go.

A job's own code imports this, so it has no dependencies and is small: nothing is read before it is asked for, and no
module of the standard library is imported that Python has not loaded for itself, but for ``collections``.
"""

from __future__ import annotations

from tieline_client._connection import Connection, connection, connections
from tieline_client._errors import NotInJob, NotText, TielineError, UnknownConnection, UnknownEntry
from tieline_client._run import Run, artifacts, outputs, run

__version__ = "0.1.0"
__all__ = [
    "Connection",
    "NotInJob",
    "NotText",
    "Run",
    "TielineError",
    "UnknownConnection",
    "UnknownEntry",
    "artifacts",
    "connection",
    "connections",
    "outputs",
    "run",
]
