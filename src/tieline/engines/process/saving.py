"""Saving an attempt's logs and outputs: the collector that a supervisor starts, or that a recovery opens afterwards."""

from __future__ import annotations

from pathlib import Path

from tieline.engines.base import Listener
from tieline.engines.process.carrying import claims_of
from tieline.engines.process.folders import Attempt
from tieline.errors import Code, StoreFailed
from tieline.model.plan import Plan, ProgramStep
from tieline.model.run import Outcome, Status
from tieline.steps.collector import Collector
from tieline.steps.spools import Spool
from tieline.stores.opening import open_store


def program_names(plan: Plan) -> list[str]:
    """The programs of a run, by the names of their logs, in the order in which they start."""
    inits = [f"init-{step.program.name}" for step in plan.steps if isinstance(step, ProgramStep)]
    return [*inits, *(f"sidecar-{program.name}" for program in plan.sidecars), "main"]


def open_collector(plan: Plan, attempt: Attempt, number: int, listener: Listener) -> Collector:
    """A collector for one attempt; where another stopped, it goes on. Raises StoreFailed."""
    store = open_store(plan.store.access, claims_of(plan.store.access, plan.layout))
    return Collector(
        store,
        f"{plan.store.prefix}/attempt-{number}",
        spools=[Spool(name, attempt.spool(name)) for name in program_names(plan)],
        outputs=Path(plan.layout.outputs_path),
        outputs_enabled=plan.collect.outputs,
        logs_enabled=plan.collect.logs,
        interval=plan.collect.sync_interval,
        echo=listener.output,
    )


def start_collector(plan: Plan, attempt: Attempt, number: int, listener: Listener) -> Collector:
    """A collector that saves beside the running job."""
    collector = open_collector(plan, attempt, number, listener)
    collector.start()
    return collector


def save_all(collector: Collector | None, outcome: Outcome, listener: Listener) -> Outcome:
    """Save what is left. The outcome itself when all is saved; else the failure to save, which hides no success."""
    if collector is None:
        return outcome
    try:
        collected = collector.finish()
    except StoreFailed as error:
        problem = error.problems[0]
        text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
        return Outcome(Status.FAILED, Code.OUTPUTS_NOT_SAVED, text, outcome.exit_code)
    for skipped in collected.skipped:
        listener.note(f"not saved: {skipped.name}: {skipped.reason}")
    for note in collected.notes:
        listener.note(note)
    return outcome
