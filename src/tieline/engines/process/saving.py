"""Saving an attempt's logs and outputs: the collector that a supervisor starts, or that a recovery opens afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tieline.engines.base import Listener, Silent, program_names
from tieline.engines.folders import Attempt, make_readable
from tieline.engines.process.masks import tell_masks
from tieline.engines.process.opening import open_artifacts, resolver_of
from tieline.errors import Code, StepFailed, TielineError
from tieline.model.access import ObjectStore
from tieline.model.plan import Plan
from tieline.model.run import Outcome, Status
from tieline.secrets.masking import masker_of
from tieline.secrets.resolve import Resolver
from tieline.steps.collector import Collector
from tieline.steps.meter import Meter
from tieline.steps.retrying import LASTING, Patience
from tieline.steps.spools import Spool

ABANDONING = 5.0


def open_collector(
    plan: Plan,
    attempt: Attempt,
    number: int,
    listener: Listener,
    values: Resolver | None = None,
    patience: Patience | None = None,
) -> Collector:
    """A collector for one attempt; where another stopped, it goes on. ``values``: those of the run's supervisor.
    Raises TielineError or OSError."""
    resolver = values or resolver_of(plan)
    store = open_artifacts(plan, lambda: resolver)
    masker, short = masker_of(plan, resolver.sources)
    if values is not None:
        tell_masks(attempt, masker)
    if short and values is not None:
        listener.note(f"too short to be masked in what the job prints: {', '.join(short)}")
    return Collector(
        store,
        f"{plan.store.prefix}/attempt-{number}",
        spools=[Spool(name, attempt.spool(name)) for name in program_names(plan)],
        outputs=Path(plan.layout.outputs_path),
        outputs_enabled=plan.collect.outputs,
        logs_enabled=plan.collect.logs,
        interval=plan.collect.sync_interval,
        echo=None if isinstance(listener, Silent) else listener.output,
        redactor=masker.redactor,
        patience=patience,
    )


def start_collector(plan: Plan, attempt: Attempt, number: int, listener: Listener, values: Resolver) -> Collector:
    """A collector that saves beside the running job, and at its end waits long for a server that is away."""
    patience = LASTING if isinstance(plan.store.access, ObjectStore) else None
    collector = open_collector(plan, attempt, number, listener, values, patience)
    collector.start()
    return collector


def save_all(
    collector: Collector,
    plan: Plan,
    outcome: Outcome,
    listener: Listener,
    is_hurried: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Save what is left. The outcome itself when all is saved; else the failure to save, which hides no success.
    ``is_hurried``: whether somebody has asked for a stop."""
    limit = f"up to {collector.patience.seconds:g} s"
    if plan.collect.outputs:
        make_readable(Path(plan.layout.context_path), Path(plan.layout.outputs_path))
    meter = Meter()
    listener.moving("saving outputs", meter)
    try:
        collected = collector.finish(
            is_hurried=is_hurried,
            told=lambda reason: listener.note(f"cannot save now, and will try again for {limit}: {reason}"),
            meter=meter,
        )
    except Exception as error:
        return not_saved(error, outcome)
    finally:
        listener.moving("", None)
    for skipped in collected.skipped:
        listener.note(f"not saved: {skipped.name}: {skipped.reason}")
    for note in collected.notes:
        listener.note(note)
    listener.saved(collected)
    return outcome


def save_afterwards(plan: Plan, attempt: Attempt, number: int, outcome: Outcome, listener: Listener) -> Outcome:
    """Save what another process left of an attempt; see :func:`save_all`."""
    try:
        collector = open_collector(plan, attempt, number, listener)
    except Exception as error:
        return not_saved(error, outcome)
    return save_all(collector, plan, outcome, listener)


def abandon(collector: Collector | None) -> None:
    """Save no more: this process is about to lose the run, and another may save it."""
    if collector is not None:
        with suppress(Exception):
            collector.finish(ABANDONING)


def not_saved(error: Exception, outcome: Outcome) -> Outcome:
    """The run has failed for this reason, whatever the job itself did; that is told by a push."""
    problem = (error if isinstance(error, TielineError) else StepFailed.from_error(error)).problems[0]
    text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    return Outcome(Status.FAILED, Code.OUTPUTS_NOT_SAVED, text, outcome.exit_code)
