"""Tieline's own steps in an init container: folders, binding directories, clones, fetches and files.

Steps that don't write to the same place are carried out side by side. What they did, or why one failed, is in the
termination message; a line for each is printed as it happens.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tieline.engines.base import Flag, Silent
from tieline.engines.carrying import StepRunner
from tieline.engines.folders import root_path, temporary_path
from tieline.engines.kubernetes.inside.access import READ, give, is_user_unknown, open_up
from tieline.engines.kubernetes.inside.message import fitted, leave, problem_of, told
from tieline.engines.kubernetes.inside.order import earlier
from tieline.engines.kubernetes.inside.places import Pod, mounted_masker, read_plan, resolver_of
from tieline.engines.kubernetes.users import NOBODY
from tieline.engines.variables import made_variables
from tieline.errors import Code, StepFailed, TielineError
from tieline.git.url import is_local
from tieline.model.plan import CloneStep, Plan, Step
from tieline.secrets.redactor import Masker
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.writing import write_made
from tieline.steps.binding_directory import write_bindings

FAILED = 70
AT_ONCE = 8


class _Notes(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        if message not in self.notes:
            self.notes.append(message)


@dataclass(slots=True)
class Steps:
    """The steps ``first`` to ``end`` of a plan. ``stop``: set when the pod is being ended."""

    plan: Plan
    values: Resolver
    first: int
    end: int
    stop: Flag
    listener: _Notes = field(default_factory=_Notes)
    code: list[dict[str, str]] = field(default_factory=list)
    done: dict[int, str] = field(default_factory=dict)
    failed: dict[int, TielineError] = field(default_factory=dict)

    def carry_out(self) -> None:
        """All of them; the first failure ends the others."""
        steps = self.plan.steps[self.first : self.end]
        ready = [threading.Event() for _ in steps]
        orders = earlier(steps)

        def one(index: int) -> None:
            try:
                for before in orders[index]:
                    ready[before].wait()
                if not self.is_over():
                    self._one(self.first + index, steps[index])
            finally:
                ready[index].set()

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tieline-step") as pool:
            list(pool.map(one, range(len(steps))))  # a step waits for earlier ones only, and those have begun

    def is_over(self) -> bool:
        """Whether nothing more is to be done."""
        return self.stop.is_set() or bool(self.failed)

    def _one(self, index: int, step: Step) -> None:
        runner = StepRunner(self.plan, self.listener, self.values, Pod(self.plan, self.values, index), self.code)
        say({"step": step.name, "state": "begins"})
        try:
            self.done[index] = words = runner.carry_out(step, self.is_over)
            say({"step": step.name, "state": "done", "detail": words})
        except TielineError as error:
            if self.failed and error.problems[0].code == Code.STOPPED:
                return  # another one's failure ended it
            self.failed[index] = error
        except Exception as error:
            self.failed[index] = StepFailed.from_error(error)

    @property
    def problem(self) -> tuple[str, TielineError] | None:
        """The step that failed, and why; a stop, where that was what ended them."""
        if self.stop.is_set():
            return "", StepFailed.of(Code.STOPPED, "the steps were stopped", "")
        index = min(self.failed, default=None)
        return None if index is None else (self.plan.steps[index].name, self.failed[index])


def run_steps(first: int, end: int, written: Collection[str] | None, stop: Flag) -> int:
    """Carry out steps of the plan that is mounted here; the container's exit code. ``written``: of the first container,
    the connections whose directories it writes."""
    masker = Masker([])
    steps: Steps | None = None
    failure: tuple[str, BaseException] | None
    try:
        masker = mounted_masker()
        plan = read_plan()
        steps = Steps(plan, resolver_of(plan), first, end, stop)
        if written is not None:
            make_folders(plan)
            write_bound(plan, written, steps.values)
        if any(is_local(step.remote.url) for step in plan.steps[first:end] if isinstance(step, CloneStep)):
            trust_folders(Path.home())
        steps.carry_out()
        failure = steps.problem
        if failure is None and is_user_unknown(plan):
            _open_up(plan, steps)
    except Exception as error:  # whatever it was: the container says so and ends
        failure = ("", error)
    return _end(steps, failure, masker)


def make_folders(plan: Plan) -> None:
    """All folders that the job is promised. Raises OSError."""
    layout = plan.layout
    for name in (layout.artifacts_path, layout.outputs_path, layout.work_path, temporary_path(layout),
                 root_path(layout)):  # fmt: skip
        Path(name).mkdir(parents=True, exist_ok=True)
        if is_user_unknown(plan):
            with suppress(PermissionError):  # it is the kubelet's, who made it for everybody
                Path(name).chmod(0o777)


def trust_folders(home: Path) -> None:
    """Have git clone repositories of other users, as those of a node mostly are. The only ones here are those that the
    run's own connections and file name. (What is in the environment, git keeps from the one that reads them.)"""
    with (home / ".gitconfig").open("a", encoding="utf-8") as file:
        file.write("[safe]\n\tdirectory = *\n")


def write_bound(plan: Plan, written: Collection[str], values: Resolver) -> None:
    """The binding directories that are no volumes, and what values name that several connections are in. Raises
    TielineError."""
    root, made = Path(plan.layout.binding_root), Path(Places.of(plan.layout).made)
    write_bindings((one for one in plan.bindings if one.connection in written), root, values.data)
    for variable in made_variables(plan):  # a value that is the path of a file has it made
        values.resolve(variable.value)
    if values.made:
        write_made(made, values.made)
    if is_user_unknown(plan):
        for folder in (root, made):
            if folder.is_dir():
                open_up(folder, READ, NOBODY)


def _open_up(plan: Plan, steps: Steps) -> None:
    """What the steps brought is the job's."""
    for index in steps.done:
        step = plan.steps[index]
        if step.type != "program":
            give(Path(Pod(plan, steps.values, index).place(step.path)), Path(plan.layout.context_path))


def _end(steps: Steps | None, failure: tuple[str, BaseException] | None, masker: Masker) -> int:
    name, error = failure or ("", None)
    message: dict[str, Any] = {"step": name, "error": told(problem_of(error)) if error else None}
    if steps is not None:
        plan, listener = steps.plan, steps.listener
        message["done"] = [[plan.steps[index].name, words] for index, words in sorted(steps.done.items())]
        message["code"] = steps.code
        message["notes"] = [*steps.values.notes, *listener.notes]
    leave(fitted(message, masker))
    if error is None:
        return 0
    problem = problem_of(error)
    text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
    say({"step": name, "state": "failed", "detail": masker.mask(text.encode()).decode(errors="replace")})
    return FAILED


def say(event: dict[str, Any]) -> None:
    """One line of progress."""
    os.write(1, json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
