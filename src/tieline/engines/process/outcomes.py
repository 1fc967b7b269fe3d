"""From how a program of this machine ended to how the run did, and whether it is tried again. Pure."""

from __future__ import annotations

import signal
from dataclasses import replace

from tieline.engines.outcomes import ended_for, supervisor_died
from tieline.engines.process.programs import Ended
from tieline.errors import Code
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Status

NOT_RETRIED = "the tieline process died before it could try again"


def after_end(ended: Ended, plan: Plan, why: Code | None, *, step: str = "") -> Outcome:
    """A program ended. Where it was told to (``why``: a stop, the deadline) that explains its end, and not its own
    exit code or signal: one that ends well on TERM has not succeeded at what it was to do."""
    who = f"step {step!r}" if step else "the job"
    if ended.cause == "not-started":
        return Outcome(Status.FAILED, Code.STEP_FAILED, f"{who} could not be started: {ended.error}", ended.exit_code)
    if why is not None:
        return ended_for(why, plan, ended.exit_code)
    if ended.succeeded:
        return Outcome(Status.SUCCEEDED, exit_code=0)
    if ended.cause == "supervisor-died":
        return supervisor_died("the program was killed with it")
    if ended.signal is not None:
        code = Code.STEP_FAILED if step else Code.SIGNALLED
        return Outcome(Status.FAILED, code, f"{who} was ended by {_signal_words(ended)}", ended.exit_code)
    code = Code.STEP_FAILED if step else Code.EXIT_CODE
    return Outcome(Status.FAILED, code, f"{who} exited with {ended.exit_code}", ended.exit_code)


def _signal_words(ended: Ended) -> str:
    if ended.cause == "guard-died":
        return f"SIGKILL, because {ended.error}"
    name = next((known.name for known in signal.Signals if known == ended.signal), f"signal {ended.signal}")
    return f"{name} (out of memory?)" if ended.signal == signal.SIGKILL else name


def may_retry(outcome: Outcome, attempt: int, plan: Plan) -> bool:
    """Whether another attempt follows one that ended so. A run has one timeout for all of its attempts."""
    failed = outcome.status is Status.FAILED and outcome.reason not in (Code.TIMEOUT, Code.SUPERVISOR_DIED)
    return failed and attempt <= plan.ending.max_retries


def not_retried(outcome: Outcome) -> Outcome:
    """The same, of a run whose supervisor died before it could try again; told once, however many recoveries begin."""
    if outcome.message.endswith(NOT_RETRIED):
        return outcome
    return replace(outcome, message=f"{outcome.message}; {NOT_RETRIED}")
