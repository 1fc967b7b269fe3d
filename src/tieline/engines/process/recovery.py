"""Recovery: ends, truthfully, the runs whose supervisor died.

Whoever gets a run's lock owns it. What the dead supervisor left is read from disk: how the programs ended (their
guards
wrote it down), the raw output, the outputs. All of it is saved, and the run ends as what happened says.
"""

from __future__ import annotations

import time
from pathlib import Path

from tieline.engines.base import Listener, Silent
from tieline.engines.process.folders import Attempt, RunFolder, remove_tree
from tieline.engines.process.outcomes import after_end, stopped, supervisor_died
from tieline.engines.process.programs import read_exit, sweep
from tieline.engines.process.saving import open_collector, save_all
from tieline.engines.process.supervisor import tidy
from tieline.errors import Code, NotFound, RecordError
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Run, Status
from tieline.runs.locks import RunLock
from tieline.runs.record import Record

ENGINE = "process"
PATIENCE = 3.0


def recover(record: Record, runs: Path, listener: Listener | None = None) -> list[Run]:
    """End every run of this engine that nobody owns; those runs. Runs that somebody owns are left alone."""
    ended = []
    for run in record.unfinished(ENGINE):
        found = recover_one(record, RunFolder(runs / run.uuid), run.uuid, listener or Silent())
        if found is not None:
            ended.append(found)
    return ended


def recover_one(record: Record, folder: RunFolder, uuid: str, listener: Listener) -> Run | None:
    """End one run if nobody owns it; None where somebody does, or where it has ended meanwhile."""
    folder.create()
    lock = RunLock.try_acquire(folder.lock)
    if lock is None:
        return None
    with lock:
        try:
            run = record.get(uuid)
        except NotFound:  # removed meanwhile
            return None
        return None if run.status.is_final else _finish(record, folder, run, listener)


def _finish(record: Record, folder: RunFolder, run: Run, listener: Listener) -> Run:
    sweep(run.uuid, patience=PATIENCE)
    plan = Plan.model_validate(record.plan(run.uuid))
    attempt = folder.attempt(run.attempt)
    outcome = run.outcome if run.status is Status.SAVING and run.outcome else _outcome(run, attempt, plan)
    if run.status is not Status.SAVING:
        _move(record, run.uuid, Status.SAVING, outcome, listener)
    collector = open_collector(plan, attempt, run.attempt, listener) if attempt.root.exists() else None
    final = save_all(collector, outcome, listener)
    ended = _move(record, run.uuid, final.status, final, listener)
    tidy(folder, plan, ended)
    return ended


def _outcome(run: Run, attempt: Attempt, plan: Plan) -> Outcome:
    """What happened, from what is on disk: the main program's end counts even when nobody was left to see it."""
    stop = run.stop_requested
    ended = read_exit(attempt.exit("main"))
    if ended is not None and ended.cause != "supervisor-died":
        return after_end(ended, plan, late=False, stop=stop or run.status is Status.STOPPING)
    if stop or run.status is Status.STOPPING:
        return stopped("stopped on request; the tieline process that ran it died before it could say so")
    where = {
        Status.CREATED: "nothing was started",
        Status.QUEUED: "it was waiting in its queue",
        Status.STARTING: "the steps before the main program were not finished",
        Status.RETRYING: f"attempt {run.attempt} had failed and the next one had not begun",
    }
    return supervisor_died(where.get(run.status, "the program was killed with it"))


def _move(record: Record, uuid: str, to: Status, outcome: Outcome, listener: Listener) -> Run:
    run = record.transition(
        uuid, to, reason=outcome.reason, message=outcome.message, exit_code=outcome.exit_code, outcome=outcome
    )
    listener.status(run)
    return run


def push(record: Record, folder: RunFolder, uuid: str, listener: Listener) -> Run:
    """Save what could not be saved when the run ended, and tell the job's own outcome then.

    Raises RecordError where there is nothing to push, or where the run is under way.
    """
    run = record.get(uuid)
    if not (run.status is Status.FAILED and run.reason == Code.OUTPUTS_NOT_SAVED):
        raise RecordError.of(
            Code.RUN_ACTIVE if not run.status.is_final else Code.BAD_TRANSITION,
            f"run {uuid} is {run.status.value} and has nothing to push",
            "only a run that failed with outputs-not-saved has",
        )
    lock = RunLock.try_acquire(folder.lock)
    if lock is None:
        raise RecordError.of(Code.RUN_ACTIVE, f"run {uuid} is being saved by another process", "wait for it")
    with lock:
        plan = Plan.model_validate(record.plan(uuid))
        outcome = run.outcome or Outcome(Status.SUCCEEDED, exit_code=run.exit_code)
        _move(record, uuid, Status.SAVING, outcome, listener)
        collector = open_collector(plan, folder.attempt(run.attempt), run.attempt, listener)
        final = save_all(collector, outcome, listener)
        ended = _move(record, uuid, final.status, final, listener)
        tidy(folder, plan, ended)
        return ended


def sweep_expired(runs: Path, now: float | None = None) -> int:
    """Remove the work folders whose ``ttl`` is over; how many."""
    moment = time.time() if now is None else now
    removed = 0
    for path in runs.glob("*/expires"):
        folder = RunFolder(path.parent)
        try:
            over = float(path.read_text()) <= moment
        except (OSError, ValueError):
            continue
        if over:
            remove_tree(folder.context)
            path.unlink(missing_ok=True)
            removed += 1
    return removed
