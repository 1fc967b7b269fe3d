"""The collector's container: saves outputs and logs while the job runs beside it, and to the end.

It ends by itself after the main container; or long after it, where it never could see that. When the pod is being ended
it goes on until main has ended, or nearly all of the grace is over, and then saves in a hurry. Nobody starts it again
when it has ended, so nothing that goes wrong in a part ends it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tieline.engines.base import SIDECARS_GRACE, Flag, program_names
from tieline.engines.folders import make_readable
from tieline.engines.kubernetes import layout
from tieline.engines.kubernetes.inside import cut_off
from tieline.engines.kubernetes.inside.api import Api
from tieline.engines.kubernetes.inside.message import fitted, leave, problem_of, told
from tieline.engines.kubernetes.inside.places import mounted_masker, read_plan
from tieline.engines.kubernetes.inside.pods import PodWatch, State
from tieline.engines.kubernetes.inside.reading import LogReader
from tieline.engines.kubernetes.inside.saving import Saving, framed, noted, spool_of, the_end
from tieline.engines.kubernetes.names import COLLECTOR, MAIN, RUN, container_names
from tieline.engines.kubernetes.others import ENDS_SIDECARS, end_others
from tieline.errors import Code, Problem, StepFailed, TielineError
from tieline.model.plan import Plan
from tieline.steps.collector import Collected

NOT_SAVED = 74
GRACE = 30
"""Seconds, where the pod does not say."""
RESERVE = 10.0
"""Of the grace, so much is kept for saving; of a short one, a third."""
LAST_LINES = 120.0
"""So long is waited for the rest of the logs, when main has ended."""
TOLD_BY = 2.0
"""Seconds after which a program's state should have been told."""
UNNAMED = "the pod goes with what is not saved: give the job more time, or mend the store"


@dataclass(slots=True)
class Collecting:
    """One pod's collector. ``stop``: the pod is being ended."""

    plan: Plan
    api: Api
    pod: str
    uid: str
    stop: Flag
    ends_others: bool = False
    patience: float = float("inf")
    """Seconds after which a collector that has never reached the API server gives up."""
    watch: PodWatch = field(init=False)
    saving: Saving = field(init=False)
    readers: dict[str, LogReader] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _stopped_at: float | None = None
    _has_told: bool = False
    _gave_up: bool = False

    def __post_init__(self) -> None:
        self.watch = PodWatch(self.api, self.pod, self.uid, f"{RUN}={self.plan.run.uuid}")
        self.saving = Saving(self.plan, self.uid, self._older, framed)

    def run(self) -> tuple[Collected | None, Problem | None]:
        """Collect until main has ended, and save all: what there is, or why something is not saved."""
        self.watch.start()
        self.saving.start()
        while not self._is_over() and not self._gave_up:
            self._start_readers()
            self._look_cut_off()
            self.watch.wait(self._is_over, 0.5)
        was_cut_off = self._gave_up or self.watch.older is None
        unsaved = cut_off.problem(self.watch.trouble, is_refused=self.watch.is_refused) if was_cut_off else None
        self._start_readers()
        self._end_others()
        self._wait_for_readers()
        self.watch.stop()
        collected, problem = self._save()
        return collected, problem or unsaved

    def main(self) -> State:
        """How main is."""
        return self.watch.state(MAIN)

    @property
    def deadline(self) -> float | None:
        """When the pod is ended whatever happens; None while it is not."""
        if self.watch.is_ending:
            self.stop.set()  # the TERM may have come before anybody here listened: the first process is not ended by it
        if not self.stop.is_set():
            return None
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
        return self._stopped_at + self._grace - 1.0

    @property
    def _grace(self) -> float:
        spec, meta = self.watch.pod.get("spec") or {}, self.watch.pod.get("metadata") or {}
        given = meta.get("deletionGracePeriodSeconds") or spec.get("terminationGracePeriodSeconds")
        return float(given if given is not None else GRACE)

    def _is_over(self) -> bool:
        """Whether main has ended, as far as anybody can tell, or must be given up."""
        main, reader = self.main(), self.readers.get(MAIN)
        if main.finished or self.watch.gone:
            return True
        deadline = self.deadline
        if deadline is None or main.is_stuck:
            return deadline is not None
        has_read = reader is not None and reader.ended and self.watch.older is not None  # and was not just refused
        return has_read or time.monotonic() > deadline - min(RESERVE, self._grace / 3)

    def _is_cut_off(self, seconds: float) -> bool:
        """Whether the API server was never reached for so long."""
        return self.watch.older is None and time.monotonic() > self._began + seconds

    def _look_cut_off(self) -> None:
        self._gave_up = self._is_cut_off(self.patience)
        if self._is_cut_off(cut_off.TOLD) and not self._has_told:
            self._has_told = True
            noted(cut_off.words(self.watch.trouble, self.patience, is_refused=self.watch.is_refused))

    def _older(self) -> int | None:
        """How many pods the run had before; where nobody says so for long, or there is no more time, none is taken for
        granted: the store tells which attempts there were."""
        older = self.watch.older
        is_guessed = self._gave_up or self.stop.is_set() or self._is_cut_off(cut_off.GUESSES)
        return 0 if older is None and is_guessed else older

    def _start_readers(self) -> None:
        """A reader for each program that has begun; when the pod is being ended, for all: no status may be told any
        more, but the kubelet knows whether there is a log. So where it is told late."""
        containers = container_names(self.plan)
        for name in program_names(self.plan):
            container = containers[name]
            state = self.watch.state(container)
            is_untold = (self.deadline is not None or self._is_late()) and not state.is_stuck
            may_have_begun = state.state != "waiting" or is_untold
            if name not in self.readers and may_have_begun:
                reader = LogReader(
                    self.api, self.watch, self.pod, container, spool_of(name), lambda: self.stop.is_set(), self._is_late
                )
                self.readers[name] = reader
                reader.start()

    def _is_late(self) -> bool:
        """Whether the other programs have begun, though nothing may say so: they begin before the collector, and a
        kubelet that has much to tell is late (before 1.27 it may ask the API server five times a second)."""
        return begins_last(self.watch.pod) and time.monotonic() > self._began + TOLD_BY

    def _end_others(self) -> None:
        """End the sidecars, where the cluster does not: when main has ended, never because it was given up; and all
        that is left, where nobody would see main's end."""
        if self.ends_others and (self.main().finished or self._gave_up):
            left = SIDECARS_GRACE if self.deadline is None else (self.deadline - time.monotonic()) / 3
            try:
                end_others(max(0.0, min(SIDECARS_GRACE, left)))
            except OSError as error:  # the pod then lasts as long as they do
                self.saving.notes.append(f"the sidecars could not be ended: {error.strerror}")

    def _wait_for_readers(self) -> None:
        """Main's log to its end, and those of init containers; a sidecar's too if it was ended here, else as far as it
        has come by then."""
        until = time.monotonic() + LAST_LINES
        waited = [
            reader for name, reader in self.readers.items() if self.ends_others or not name.startswith("sidecar-")
        ]
        while any(not reader.ended and reader.is_alive() for reader in waited) and time.monotonic() < until:
            deadline = self.deadline
            if deadline is not None and time.monotonic() > deadline - min(RESERVE, self._grace / 3):
                break
            time.sleep(0.02)
        for reader in self.readers.values():
            reader.stop()
        for reader in self.readers.values():
            reader.join(2.0)

    def _save(self) -> tuple[Collected | None, Problem | None]:
        patience = self.saving.patience.seconds
        self.saving.join(patience if self.deadline is None else max(0.0, self.deadline - time.monotonic()))
        self.saving.stop()
        collector = self.saving.collector
        if collector is None:
            error = self.saving.error or StepFailed.of(
                Code.STEP_FAILED, self.watch.trouble or "the cluster is away", ""
            )
            return None, _not_saved(problem_of(error))
        if os.geteuid() != 0:
            make_readable(Path(self.plan.layout.context_path), Path(self.plan.layout.outputs_path))
        left = None if self.deadline is None else max(0.5, self.deadline - time.monotonic())
        try:
            return collector.finish(left, is_hurried=lambda: self.stop.is_set()), None
        except Exception as error:  # whatever it was: what could not be saved is told
            return None, _not_saved(problem_of(error))


def begins_last(pod: Mapping[str, Any]) -> bool:
    """Whether the collector is one of the pod's containers; as an init container it begins before main."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    return any(container.get("name") == COLLECTOR for container in containers)


def _not_saved(problem: Problem) -> Problem:
    """What is told: nobody can push what was in a pod."""
    hint = problem.hint.partition("; nothing is lost")[0] or UNNAMED
    return Problem(Code.OUTPUTS_NOT_SAVED, problem.message, hint)


def run_collector(environ: Mapping[str, str], stop: Flag) -> int:
    """Collect this pod; the container's exit code."""
    try:
        plan = read_plan()
        api = Api.here(environ, Path(layout.TOKEN))
        collecting = Collecting(
            plan, api, environ["TIELINE_POD_NAME"], environ["TIELINE_POD_UID"], stop,
            ends_others=environ.get(ENDS_SIDECARS) == "1", patience=cut_off.patience(environ),
        )  # fmt: skip
        collected, problem = collecting.run()
        the_end()
    except Exception as error:  # whatever it was: the container says so and ends
        leave(fitted({"main": None, "error": told(_not_saved(problem_of(error)))}, mounted_masker()))
        return NOT_SAVED
    masker = collecting.saving.masker
    data = fitted(_message(collecting, collected, problem), masker.now() if masker else mounted_masker())
    leave(data)
    if problem is None:
        with suppress(TielineError):  # the pod says it, for as long as there is one
            collecting.saving.keep_end(collecting.watch.pod, json.loads(data))
    return 0 if problem is None else NOT_SAVED


def _message(collecting: Collecting, collected: Collected | None, problem: Problem | None) -> dict[str, Any]:
    main = collecting.main()
    notes = [*collecting.saving.notes, *(note for reader in collecting.readers.values() for note in reader.notes)]
    message: dict[str, Any] = {
        "attempt": collecting.saving.attempt,
        "main": {"exit_code": main.exit_code, "signal": main.signal, "reason": main.reason},
        "error": told(problem),
        "gaps": sum(reader.gaps for reader in collecting.readers.values()),
        "files": sum(reader.files for reader in collecting.readers.values()),
    }
    if collected is not None:
        message["saved"] = {
            "files": collected.files, "bytes": collected.bytes, "log_lines": collected.log_lines,
            "unchecked": collected.unchecked,
        }  # fmt: skip
        message["skipped"] = [[skipped.name, str(skipped.reason)] for skipped in collected.skipped]
        notes += collected.notes
    message["notes"] = notes
    return message
