"""What a run left behind: where it is, what there is, and bringing it here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tieline.app.home import HomeFolder
from tieline.app.runs import attempt_prefix, folder_of, store_of
from tieline.app.wording import store_words
from tieline.engines.base import Listener, Silent
from tieline.engines.process import recovery
from tieline.errors import Code, NotFound, did_you_mean
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.runs.record import Record
from tieline.steps.copying import Copied, Copier, told_as
from tieline.steps.paths import folder_inside
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


def fetch(plan: Plan, run: Run, attempt: int, paths: Sequence[str], to: Path) -> Copied:
    """Copy outputs (all, or these files and folders) into the folder ``to``, under their own relative paths.

    Raises NotFound for a path that is not there, with the nearest one; StepFailed where copying fails.
    """
    store, top = store_of(plan), f"{attempt_prefix(plan, attempt)}/{OUTPUTS}"
    copier = Copier(store, f"the outputs of run {run.uuid[:8]}", avoid=to)
    with told_as(Code.FETCH_FAILED, f"cannot fetch the outputs of run {run.uuid[:8]}"):
        wanted = [_found(store, plan, run, attempt, path) for path in paths or ("",)]
        to.mkdir(parents=True, exist_ok=True)
        for stat in wanted:
            relative = stat.key[len(top) + 1 :]
            if stat.what == "dir":
                copier.tree(stat.key, folder_inside(to, relative))
            else:
                folder_inside(to, relative.rpartition("/")[0]).mkdir(parents=True, exist_ok=True)
                copier.file(copier.find(stat.key), to / relative)
    return copier.copied


def _found(store: Store, plan: Plan, run: Run, attempt: int, path: str) -> Stat:
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


def push(home: HomeFolder, record: Record, run: Run, listener: Listener | None = None) -> Run:
    """Save what could not be saved when the run ended; the run as it is then. Raises RecordError where there is
    nothing to push."""
    return recovery.push(record, folder_of(home, run), run.uuid, listener or Silent())
