"""How a run ends where no program of its own says so: the one place that words it, for every engine. Pure."""

from __future__ import annotations

from tieline.errors import Code, TielineError
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Status

TIMEOUT_EXIT = 124


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


def supervisor_died(detail: str) -> Outcome:
    return Outcome(Status.FAILED, Code.SUPERVISOR_DIED, f"the tieline process that ran it died; {detail}")
