"""From how a program or step ended to how the run did: the one place that words it. Pure."""

from __future__ import annotations

import signal

from tieline.engines.process.programs import Ended
from tieline.errors import Code, TielineError
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Status

STOP_EXIT = 143
TIMEOUT_EXIT = 124


def stopped(message: str, exit_code: int | None = None) -> Outcome:
    """Somebody asked for it."""
    return Outcome(Status.STOPPED, Code.STOPPED, message or "stopped on request", exit_code)


def timed_out(plan: Plan) -> Outcome:
    return Outcome(Status.FAILED, Code.TIMEOUT, f"ended after its timeout of {plan.ending.timeout} s", TIMEOUT_EXIT)


def after_error(error: TielineError) -> Outcome:
    """A step of Tieline's own failed."""
    problem = error.problems[0]
    text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    return Outcome(Status.FAILED, problem.code, text)


def after_end(ended: Ended, plan: Plan, *, late: bool, stop: bool, step: str = "") -> Outcome:
    """A program ended. What was asked for (a stop, the deadline) explains its end better than its signal does."""
    who = f"step {step!r}" if step else "the job"
    if ended.cause == "not-started":
        return Outcome(Status.FAILED, Code.STEP_FAILED, f"{who} could not be started: {ended.error}", ended.exit_code)
    if ended.succeeded:
        return Outcome(Status.SUCCEEDED, exit_code=0)
    if stop:
        return stopped("", ended.exit_code)
    if late:
        return timed_out(plan)
    if ended.cause == "supervisor-died":
        return supervisor_died("the program was killed with it")
    if ended.signal is not None:
        name = next((known.name for known in signal.Signals if known == ended.signal), f"signal {ended.signal}")
        hint = " (out of memory?)" if ended.signal == signal.SIGKILL else ""
        code = Code.STEP_FAILED if step else Code.SIGNALLED
        return Outcome(Status.FAILED, code, f"{who} was ended by {name}{hint}", ended.exit_code)
    code = Code.STEP_FAILED if step else Code.EXIT_CODE
    return Outcome(Status.FAILED, code, f"{who} exited with {ended.exit_code}", ended.exit_code)


def supervisor_died(detail: str) -> Outcome:
    return Outcome(Status.FAILED, Code.SUPERVISOR_DIED, f"the tieline process that ran it died; {detail}")
