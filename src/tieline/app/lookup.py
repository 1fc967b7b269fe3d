"""Which run a person means."""

from __future__ import annotations

from tieline.errors import Code, NotFound
from tieline.model.run import Run
from tieline.runs.record import Record

NEWEST = "last"


def find_run(record: Record, ref: str) -> Run:
    """By uuid, by name (the newest of it), by the beginning of a uuid, or ``last``: the newest run of all.

    Raises NotFound with the nearest name, or with the candidates.
    """
    if ref != NEWEST:
        return record.find(ref)
    newest = record.list(limit=1)
    if not newest:
        raise NotFound.of(Code.RUN_NOT_FOUND, "there are no runs yet", "start one: tieline run job.yaml")
    return newest[0]
