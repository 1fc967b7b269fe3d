"""What is said when a run has ended: how, why, where its things are, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tieline.app.outputs import LOGS, can_push, place, stored
from tieline.app.shapes import duration, notification_json, run_json
from tieline.cli.layout import aligned, files, seconds, size
from tieline.cli.terminal import paint, printable
from tieline.errors import Code, TielineError
from tieline.model.notification import Notification
from tieline.model.plan import Plan
from tieline.model.run import Run, Status

if TYPE_CHECKING:
    from tieline.steps.collector import Collected

COLOURS = {
    Status.SUCCEEDED: "good", Status.FAILED: "error", Status.STOPPED: "warning",
    Status.RUNNING: "cyan", Status.STARTING: "cyan",
}  # fmt: skip


def status_words(run: Run, *, colour: bool = False) -> str:
    """The status, in its colour."""
    return paint(run.status.value, COLOURS.get(run.status, "blue"), on=colour)


def headline(run: Run, *, colour: bool = False) -> str:
    """``failed after 3.2 s: the job exited with 3 [exit-code]``."""
    took = seconds(duration(run))
    text = f"{status_words(run, colour=colour)} after {took}" if took else status_words(run, colour=colour)
    if run.message:
        text += f": {printable(run.message)}"
    return f"{text} {paint(f'[{run.reason}]', 'dim', on=colour)}" if run.reason else text


def summary(run: Run, plan: Plan, collected: Collected | None = None, *, colour: bool = False) -> list[str]:
    """The lines after a run that was carried out here. ``collected``: what is known to be saved."""
    rows = [("run", f"{run.uuid[:8]} {run.name}"), *places(run, plan, collected)]
    rows += [("code", f"{item['url']} at {item['commit']}") for item in run.code]
    rows += [("next" if number == 0 else "", command) for number, command in enumerate(_after(run))]
    return [headline(run, colour=colour), *aligned(rows, colour=colour)]


def _after(run: Run) -> list[str]:
    return [*next_commands(run)[:1], f"tieline runs show {run.uuid[:8]}"]


def places(run: Run, plan: Plan, collected: Collected | None = None) -> Iterable[tuple[str, str]]:
    """Where outputs and logs are: in the store, or, of a run of this machine that could not save them, still on disk.
    ``collected``: what is known to be there; without it, the store is asked."""
    if can_push(run):
        yield "not saved", f"{plan.layout.outputs_path} (still on this machine)"
    elif run.reason == Code.OUTPUTS_NOT_SAVED:
        yield "outputs", f"{place(plan, run.attempt)} (what was saved by then)"
        yield "not saved", "the rest: it was in the run's pod, and is gone with it"
    elif plan.collect.outputs:
        amount = _saved(collected) if collected else _amount(plan, run.attempt)
        yield "outputs", f"{place(plan, run.attempt)} ({amount})"
    if plan.collect.logs:
        lines = f" ({collected.log_lines:,} line{'' if collected.log_lines == 1 else 's'})" if collected else ""
        yield "logs", f"{place(plan, run.attempt, LOGS)}{lines}"


def _saved(collected: Collected) -> str:
    if not collected.files:
        return "none"
    checked = f"{collected.unchecked:,} not checked" if collected.unchecked else "all checked"
    return f"{files(collected.files)}, {size(collected.bytes)}, {checked}"


def _amount(plan: Plan, attempt: int) -> str:
    try:
        sizes = [item.size for item in stored(plan, attempt) if item.what == "file"]
    except TielineError:
        return "the store can't be read now"
    return f"{files(len(sizes))}, {size(sum(sizes))}" if sizes else "none"


def next_commands(run: Run) -> list[str]:
    """What somebody would want to type now."""
    short = run.uuid[:8]
    if not run.status.is_final:
        return [f"tieline runs logs -f {short}", f"tieline runs stop {short}"]
    if can_push(run):
        return [f"tieline runs outputs push {short}", f"tieline runs logs {short}"]
    if run.status is Status.SUCCEEDED:
        return [f"tieline runs outputs list {short}", f"tieline runs logs {short}"]
    return [f"tieline runs logs {short}", f"tieline runs outputs list {short}"]


def summary_json(run: Run, plan: Plan, told: Iterable[Notification] = ()) -> dict[str, Any]:
    """A run that has ended, with its places, and who was told of it, the first first."""
    return {
        **run_json(run),
        "outputs": place(plan, run.attempt),
        "logs": place(plan, run.attempt, LOGS),
        "notifications": [notification_json(one) for one in sorted(told, key=lambda one: one.id)],
    }
