"""Recovery: ends, truthfully, the runs whose supervisor died.

Whoever gets a run's lock owns it. What the dead supervisor left is read from disk: how the programs ended (their
guards wrote it down), the raw output, the outputs. All of it is saved, and the run ends as what happened says. A
recovery may be killed at any moment too: the next one does the same again.
"""

from __future__ import annotations

from pathlib import Path

from tieline.engines.base import Listener, Silent
from tieline.engines.folders import Attempt, RunFolder, remove_tree
from tieline.engines.outcomes import ended_for, stopped, supervisor_died
from tieline.engines.owning import owned
from tieline.engines.process.bound import remove_unknown
from tieline.engines.process.leftovers import sweep
from tieline.engines.process.outcomes import after_end, may_retry, not_retried
from tieline.engines.process.programs import read_exit
from tieline.engines.process.recording import forget, noted
from tieline.engines.process.saving import save_afterwards
from tieline.engines.process.tidying import tidy
from tieline.errors import Code, NotFound, RecordError, TielineError
from tieline.git.private import remove_left
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Run, Status
from tieline.runs.locks import RunLock
from tieline.runs.record import Record

ENGINE = "process"
PATIENCE = 3.0


def recover(record: Record, runs: Path, listener: Listener | None = None) -> list[Run]:
    """End every run of this engine that nobody owns; those runs. Runs that somebody owns are left alone.

    One that cannot be ended now keeps nobody from looking at the others: it is told, and tried again next time.
    """
    told = listener or Silent()
    ended = []
    for run in record.unfinished(ENGINE):
        try:
            found = recover_one(record, RunFolder(runs / run.uuid), run.uuid, told)
        except (TielineError, OSError) as error:
            told.note(f"run {run.uuid[:8]} has lost its tieline process and cannot be ended now: {error}")
            continue
        if found is not None:
            ended.append(found)
    return ended


def recover_one(record: Record, folder: RunFolder, uuid: str, listener: Listener) -> Run | None:
    """End one run if nobody owns it; None where somebody does, or where it has ended meanwhile."""
    with owned(record, folder, uuid) as run:
        return None if run is None or run.status.is_final else _finish(record, folder, run, listener)


def _finish(record: Record, folder: RunFolder, run: Run, listener: Listener) -> Run:
    sweep(run.uuid, patience=PATIENCE)
    remove_left(run.uuid, folder.private)
    try:
        plan = Plan.model_validate(record.plan(run.uuid))
    except ValueError:
        return _unreadable(record, folder, run, listener)
    outcome = _known(folder, run)
    if outcome is None:
        outcome = _outcome(run, folder.attempt(run.attempt), plan)
    elif may_retry(outcome, run.attempt, plan) and not run.stop_requested:
        outcome = not_retried(outcome)
    if run.status is not Status.SAVING:
        _move(record, run.uuid, Status.SAVING, outcome, listener)
    forget(folder)
    return _save_and_end(record, folder, run, plan, outcome, listener)


def _known(folder: RunFolder, run: Run) -> Outcome | None:
    """How the attempt ended, where its supervisor could say so."""
    if run.status is Status.SAVING:
        return run.outcome
    return None if run.status is Status.RETRYING else noted(folder, run.attempt)


def _save_and_end(record: Record, folder: RunFolder, run: Run, plan: Plan, outcome: Outcome, listener: Listener) -> Run:
    attempt, final = folder.attempt(run.attempt), outcome
    if attempt.root.exists():
        final = save_afterwards(plan, attempt, run.attempt, outcome, listener)
    trash = tidy(folder, plan, final)
    ended = _move(record, run.uuid, final.status, final, listener)
    remove_tree(trash)
    return ended


def _unreadable(record: Record, folder: RunFolder, run: Run, listener: Listener) -> Run:
    """Nothing is known of such a run but that it is over. Its files are left where they are, but for its secrets."""
    remove_unknown(folder.context)
    outcome = Outcome(
        Status.FAILED, Code.INTERNAL, f"this version of Tieline cannot read its plan; its files are in {folder.root}"
    )
    if run.status is not Status.SAVING:
        _move(record, run.uuid, Status.SAVING, outcome, listener)
    return _move(record, run.uuid, Status.FAILED, outcome, listener)


def _outcome(run: Run, attempt: Attempt, plan: Plan) -> Outcome:
    """What happened, from what is on disk: the main program's end counts even when nobody was left to see it."""
    if run.status is Status.RETRYING:
        if run.stop_requested:
            return stopped()
        return supervisor_died(f"attempt {run.attempt} had failed ({run.message}) and the next one had not begun")
    asked = Code.TIMEOUT if run.reason == Code.TIMEOUT else Code.STOPPED
    why = asked if run.status is Status.STOPPING else None
    ended = read_exit(attempt.exit("main"))
    if ended is not None and ended.cause != "supervisor-died":
        outcome = after_end(ended, plan, why)
        if run.stop_requested and outcome.status is not Status.SUCCEEDED:
            return stopped(outcome.message if why is None else "", outcome.exit_code)
        return not_retried(outcome) if may_retry(outcome, run.attempt, plan) else outcome
    if why is Code.TIMEOUT:
        return ended_for(why, plan)
    if run.stop_requested or why is not None:
        return stopped("stopped on request; the tieline process that ran it died before it could say so")
    return supervisor_died(_when(run, attempt))


def _when(run: Run, attempt: Attempt) -> str:
    """What was being done when the supervisor died."""
    if run.status is Status.CREATED:
        return "nothing was started"
    if run.status is Status.QUEUED:
        return "it was waiting in its queue"
    if run.status is Status.STARTING and not attempt.spool("main").exists():
        return "the steps before the main program were not finished"
    return "the program was killed with it"


def _move(record: Record, uuid: str, to: Status, outcome: Outcome, listener: Listener) -> Run:
    run = record.transition(
        uuid, to, reason=outcome.reason, message=outcome.message, exit_code=outcome.exit_code,
        outcome=outcome if to is Status.SAVING else None,  # what a push tells later is the job's own end
    )  # fmt: skip
    listener.status(run)
    return run


def push(record: Record, folder: RunFolder, uuid: str, listener: Listener) -> Run:
    """Save what could not be saved when the run ended, and tell the job's own outcome then.

    Raises RecordError where there is nothing to push, or where the run is under way; NotFound where the work folder
    is gone.
    """
    _pushable(record.get(uuid))
    folder.create()
    lock = RunLock.try_acquire(folder.lock)
    if lock is None:
        raise RecordError.of(Code.RUN_ACTIVE, f"run {uuid} is being saved by another process", "wait for it")
    with lock:
        run = _pushable(record.get(uuid))  # again: another push may have done it meanwhile
        if not folder.context.exists():
            raise NotFound.of(
                Code.ARTIFACT_MISSING, f"the work folder of run {uuid} is gone: {folder.context}", "nothing is left"
            )
        plan = Plan.model_validate(record.plan(uuid))
        outcome = run.outcome or Outcome(Status.SUCCEEDED, exit_code=run.exit_code)
        _move(record, uuid, Status.SAVING, outcome, listener)
        return _save_and_end(record, folder, run, plan, outcome, listener)


def _pushable(run: Run) -> Run:
    if run.status is Status.FAILED and run.reason == Code.OUTPUTS_NOT_SAVED:
        return run
    raise RecordError.of(
        Code.BAD_TRANSITION if run.status.is_final else Code.RUN_ACTIVE,
        f"run {run.uuid} is {run.status.value} and has nothing to push",
        "only a run that failed with outputs-not-saved has",
    )
