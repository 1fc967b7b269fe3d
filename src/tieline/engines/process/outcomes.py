"""From how a program or step ended to how the run did: the one place that words it. Pure."""

from __future__ import annotations

import signal
from dataclasses import replace

from tieline.engines.process.programs import Ended
from tieline.errors import Code, TielineError
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Status

TIMEOUT_EXIT = 124
NOT_RETRIED = "the tieline process died before it could try again"


def stopped(message: str = "", exit_code: int | None = None) -> Outcome:
    """Somebody asked for it."""
    return Outcome(Status.STOPPED, Code.STOPPED, message or "stopped on request", exit_code)


def timed_out(plan: Plan) -> Outcome:
    return Outcome(Status.FAILED, Code.TIMEOUT, f"ended after its timeout of {plan.ending.timeout} s", TIMEOUT_EXIT)


def ended_for(why: Code, plan: Plan, exit_code: int | None = None) -> Outcome:
    """It was ended from outside: a stop, or its time was over."""
    return timed_out(plan) if why is Code.TIMEOUT else stopped("", exit_code)


def after_error(error: TielineError) -> Outcome:
    """A step of Tieline's own failed."""
    problem = error.problems[0]
    text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    return Outcome(Status.FAILED, problem.code, text)


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


def supervisor_died(detail: str) -> Outcome:
    return Outcome(Status.FAILED, Code.SUPERVISOR_DIED, f"the tieline process that ran it died; {detail}")


def may_retry(outcome: Outcome, attempt: int, plan: Plan) -> bool:
    """Whether another attempt follows one that ended so. A run has one timeout for all of its attempts."""
    failed = outcome.status is Status.FAILED and outcome.reason not in (Code.TIMEOUT, Code.SUPERVISOR_DIED)
    return failed and attempt <= plan.ending.max_retries


def not_retried(outcome: Outcome) -> Outcome:
    """The same, of a run whose supervisor died before it could try again; told once, however many recoveries begin."""
    if outcome.message.endswith(NOT_RETRIED):
        return outcome
    return replace(outcome, message=f"{outcome.message}; {NOT_RETRIED}")
