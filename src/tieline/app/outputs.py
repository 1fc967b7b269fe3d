"""What a run left behind: where it is, what there is, and saving what could not be saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tieline.app.home import HomeFolder
from tieline.app.runs import CLUSTER, attempt_prefix, folder_of, store_of
from tieline.app.wording import store_words
from tieline.engines.base import Listener, Silent
from tieline.engines.process import recovery
from tieline.errors import Code, NotFound, RecordError, did_you_mean
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.runs.record import Record
from tieline.stores.base import Stat, Store

OUTPUTS, LOGS = "outputs", "logs"


def place(plan: Plan, attempt: int, what: str = OUTPUTS) -> str:
    """Where an attempt's outputs (or logs) are in the store: a path of this machine, or an address."""
    return f"{store_words(plan)}/attempt-{attempt}/{what}"


def stored(plan: Plan, attempt: int) -> Iterator[Stat]:
    """What is saved of an attempt's outputs by now; keys are relative to the outputs."""
    top = f"{attempt_prefix(plan, attempt)}/{OUTPUTS}"
    for found in store_of(plan).walk(top):
        if relative := found.key[len(top) + 1 :]:
            yield replace(found, key=relative)


def found_output(store: Store, plan: Plan, run: Run, attempt: int, path: str) -> Stat:
    """What is at a path of an attempt's outputs; "": all of them. Raises NotFound, with the nearest path."""
    relative = "/".join(part for part in path.split("/") if part not in ("", "."))
    top = f"{attempt_prefix(plan, attempt)}/{OUTPUTS}"
    found = store.stat(f"{top}/{relative}" if relative else top)
    if found is not None:
        return found
    if not relative:
        raise NotFound.of(
            Code.ARTIFACT_MISSING, f"run {run.uuid[:8]} has no outputs", f"attempt {attempt} saved none (by now)"
        )
    names = [item.key for item in stored(plan, attempt)]
    same = [name for name in names if name.rpartition("/")[2] == relative.rpartition("/")[2]]
    hint = (
        f"did you mean {same[0]!r}?" if same else did_you_mean(relative, names, "`tieline runs outputs list` shows all")
    )
    raise NotFound.of(Code.ARTIFACT_MISSING, f"run {run.uuid[:8]} has no output {path!r}", hint)


def can_push(run: Run) -> bool:
    """Whether what could not be saved is still there. What was in a pod is gone with it."""
    return run.reason == Code.OUTPUTS_NOT_SAVED and run.engine != CLUSTER


def push(home: HomeFolder, record: Record, run: Run, listener: Listener | None = None) -> Run:
    """Save what could not be saved when the run ended; the run as it is then. Raises RecordError where there is
    nothing to push."""
    if run.engine == CLUSTER:
        raise RecordError.of(
            Code.BAD_TRANSITION,
            f"run {run.uuid[:8]} was carried out by a cluster: what it did not save went away with its pod",
            f"what it did save: tieline runs outputs list {run.uuid[:8]}; for the rest, run the job again",
        )
    return recovery.push(record, folder_of(home, run), run.uuid, listener or Silent())
