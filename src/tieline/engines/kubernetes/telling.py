"""What a run's pods say, told to a listener: each step, each note and each trouble once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tieline.engines.base import Listener
from tieline.engines.kubernetes.attempts import Attempt
from tieline.engines.kubernetes.names import MAIN, container_names
from tieline.engines.kubernetes.reasons import Object, all_statuses, sidecar_ended
from tieline.model.plan import Plan, ProgramStep, Step
from tieline.model.run import Status

if TYPE_CHECKING:
    from tieline.steps.collector import Collected
    from tieline.steps.output_saver import Skipped


class Teller:
    """Remembers what was told."""

    def __init__(self, plan: Plan, listener: Listener) -> None:
        self._plan, self._listener = plan, listener
        self._steps: dict[str, list[Step]] = {}
        for step in plan.steps:
            self._steps.setdefault(step.name, []).append(step)
        names = container_names(plan)
        self._programs = {
            names[f"init-{step.program.name}"]: step for step in plan.steps if isinstance(step, ProgramStep)
        }
        self._sidecars = {names[f"sidecar-{program.name}"]: f"sidecar-{program.name}" for program in plan.sidecars}
        self._told: set[tuple[object, ...]] = set()
        self._waiting: list[str] = []

    def tell(self, attempt: Attempt, pod: Object | None) -> None:
        """What is new of an attempt."""
        if attempt.status is Status.STARTING and self._is_new("begins", attempt.uid):
            for step in self._plan.steps:
                self._listener.step(step, "begins", "")
        self._own_steps(attempt)
        if pod is not None:
            self._programs_of(attempt, pod)
            self._sidecars_of(attempt, pod)
        if attempt.is_over and attempt.collected is not None and self._is_new("saved", attempt.uid):
            self._saved(attempt.collected)

    def tell_waiting(self, words: str) -> None:
        """Why it does not go on. The cluster words the same trouble now at length, now shortly: it is told once."""
        if words and not any(told.startswith(words) for told in self._waiting):
            self._waiting.append(words)
            self._listener.note(words)

    def _is_new(self, *what: object) -> bool:
        is_new = what not in self._told
        self._told.add(what)
        return is_new

    def _own_steps(self, attempt: Attempt) -> None:
        for number, message in enumerate(attempt.steps):
            if not self._is_new("steps", attempt.uid, number):
                continue
            for name, detail in message.get("done") or ():
                for step in self._steps.get(name, ())[:1]:
                    self._listener.step(step, "done", str(detail))
            if error := message.get("error"):
                for step in self._steps.get(message.get("step") or "", ())[:1]:
                    self._listener.step(step, "failed", str(error.get("message") or ""))
            for note in message.get("notes") or ():
                self._listener.note(str(note))

    def _programs_of(self, attempt: Attempt, pod: Object) -> None:
        for status in all_statuses(pod):
            step = self._programs.get(status["name"])
            ended = (status.get("state") or {}).get("terminated")
            if step is None or not ended or not self._is_new("program", attempt.uid, status["name"]):
                continue
            is_good = ended.get("exitCode") == 0
            failed = attempt.outcome.message if attempt.outcome and not is_good else ""
            self._listener.step(step, "done" if is_good else "failed", failed)

    def _sidecars_of(self, attempt: Attempt, pod: Object) -> None:
        """Those that end while the main program runs; those that end after it have done what they were there for."""
        statuses = {status["name"]: status.get("state") or {} for status in all_statuses(pod)}
        if "running" not in statuses.get(MAIN, {}):
            return
        for container, name in self._sidecars.items():
            ended = statuses.get(container, {}).get("terminated")
            if ended and self._is_new("sidecar", attempt.uid, container):
                self._listener.note(f"{name} ended before the main program ({sidecar_ended(ended)})")

    def _saved(self, message: Mapping[str, Any]) -> None:
        for note in message.get("notes") or ():
            self._listener.note(str(note))
        from tieline.steps.output_saver import Skipped

        skipped = tuple(Skipped(str(name), str(reason)) for name, reason in message.get("skipped") or ())
        for one in skipped:
            self._listener.note(f"not saved: {one.name}: {one.reason}")
        if not message.get("error"):
            self._listener.saved(collected_of(message, skipped))


def collected_of(message: Mapping[str, Any], skipped: tuple[Skipped, ...] = ()) -> Collected:
    """What a collector says that it saved."""
    from tieline.steps.collector import Collected  # late: it brings all that saves, and a run is not made yet

    saved = message.get("saved") or {}
    return Collected(
        files=int(saved.get("files") or 0),
        bytes=int(saved.get("bytes") or 0),
        log_lines=int(saved.get("log_lines") or 0),
        unchecked=int(saved.get("unchecked") or 0),
        skipped=skipped,
        notes=tuple(str(note) for note in message.get("notes") or ()),
    )
