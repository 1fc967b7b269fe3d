"""What a command exits with: one table, so that scripts can rely on it and the docs can't drift from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.errors import Code

if TYPE_CHECKING:
    from tieline.model.run import Run

OK = 0
USAGE = 2
INVALID = 65
NOT_FOUND = 66
REFUSED = 69
INTERNAL = 70
NOT_SAVED = 73
STEP_FAILED = 74
DAMAGED = 76
TIMEOUT = 124
INTERRUPTED = 130
BROKEN_PIPE = 141
STOPPED = 143

TABLE: dict[int, str] = {
    OK: "done; for `run`: the job succeeded and everything is saved",
    USAGE: "the command line is wrong: an unknown option, a missing argument",
    INVALID: "a catalog, a job file, a parameter or a name is not valid; nothing was started",
    NOT_FOUND: "a file, a run or a connection that was named is not there",
    REFUSED: "preflight refused it, no run was recorded; or a connection test failed, or somebody could not be told",
    INTERNAL: "the record of runs refused, the run's own tieline process died, or a defect in Tieline",
    NOT_SAVED: "the job ended, and its outputs or logs could not be saved (of a run here: `tieline runs outputs push`)",
    STEP_FAILED: "a step of the run failed (clone, fetch, an init program), or the job could not be started",
    DAMAGED: "`runs outputs verify` and `get`: the artifacts store does not have what the run's manifest says",
    TIMEOUT: "the job was ended after its `termination.timeout`",
    INTERRUPTED: "stopped by Ctrl-C",
    BROKEN_PIPE: "whoever read the output went away",
    STOPPED: "stopped by `tieline runs stop` or a TERM signal",
}
"""Exit code → what it means. The job's own codes (1–255, 128 + n for signal n) come through `run` as they are."""

OWN = frozenset({Code.EXIT_CODE.value, Code.SIGNALLED.value})
"""Reasons whose exit code is the job's own."""

REASONS: dict[str, int] = {
    Code.TIMEOUT: TIMEOUT,
    Code.STOPPED: STOPPED,
    Code.OUTPUTS_NOT_SAVED: NOT_SAVED,
    Code.SUPERVISOR_DIED: INTERNAL,
    Code.INTERNAL: INTERNAL,
}
"""Why a run ended → the exit code; any other reason is a step's."""


def exit_code(run: Run, *, interrupted: bool = False) -> int:
    """What ``tieline run`` exits with, now that the run has ended so. ``interrupted``: the stop was a Ctrl-C here."""
    from tieline.model.run import Status

    if run.status is Status.SUCCEEDED:
        return OK
    if run.status is Status.STOPPED:
        return INTERRUPTED if interrupted else STOPPED
    if run.reason in OWN:
        return run.exit_code or 1
    return REASONS.get(run.reason, STEP_FAILED)
