"""The supervisor: carries one plan out on this machine, from the queue to the last saved byte.

It owns the run's lock while it lives. It may be killed at any moment: every transition is recorded before what
follows it is done, the job's output is on disk before anybody reads it, and
:mod:`tieline.engines.process.recovery` finishes from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tieline.engines.base import Controls, Listener
from tieline.engines.carrying import StepRunner
from tieline.engines.folders import Attempt, RunFolder, remove_tree
from tieline.engines.outcomes import after_error, ended_for, stopped, timed_out
from tieline.engines.process import environment as env_module
from tieline.engines.process.bound import write_bound, write_made_files
from tieline.engines.process.carrying import Machine
from tieline.engines.process.isolation import arguments_for
from tieline.engines.process.leftovers import sweep
from tieline.engines.process.limits import TICK, Limits, watch
from tieline.engines.process.outcomes import after_end, may_retry
from tieline.engines.process.programs import Guarded
from tieline.engines.process.recording import PATIENCE, SOON, Note, forget, recorded
from tieline.engines.process.saving import abandon, save_all, start_collector
from tieline.engines.process.sidecars import Sidecars
from tieline.engines.process.tidying import tidy, tidy_attempt
from tieline.errors import Code, RecordError, StepFailed, TielineError
from tieline.model.plan import Plan, Program
from tieline.model.run import Outcome, Run, Status
from tieline.runs.locks import QueueSlots, RunLock
from tieline.runs.record import Record
from tieline.secrets.resolve import Resolver
from tieline.steps.collector import Collector

MAX_BACKOFF = 60.0
KNOWN_HOSTS = "known_hosts"
"""The folder of Tieline's home with the keys of the servers that connections without ``knownHosts`` have met."""


@dataclass(slots=True)
class Supervisor:
    """One run under way."""

    plan: Plan
    folder: RunFolder
    record: Record
    listener: Listener
    values: Resolver
    home: Path
    controls: Controls = field(default_factory=Controls)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _limits: Limits = field(init=False)
    _note: Note = field(init=False)
    _slot: RunLock | None = None
    _started: list[Guarded] = field(default_factory=list)
    _collector: Collector | None = None
    _trouble: str = ""
    _told: int = 0

    def __post_init__(self) -> None:
        self._limits = Limits(self.controls, self.folder.stop)

    def run(self) -> Run:
        """Carry the plan out to a final state. The caller holds the run's lock."""
        self._note = Note(self.folder)
        try:
            if not self._take_place():
                return self._end(1, stopped())
            self._limits.begin(self.plan.ending.timeout)
            number = 1
            while not (run := self._attempt(number)).status.is_final:
                self._limits.pause(min(MAX_BACKOFF, 0.5 * 2 ** (number - 1)))
                number += 1
            return run
        finally:
            if self._started:  # something went wrong that could not be recorded
                self._end_programs()
            abandon(self._collector)
            self._note.close()
            if self._slot is not None:
                self._slot.release()

    def _move(
        self,
        to: Status,
        outcome: Outcome | None = None,
        *,
        attempt: int | None = None,
        why: Code | None = None,
        patience: float = SOON,
    ) -> Run:
        known = outcome or Outcome(to, reason=why or "")

        def move() -> Run:
            return self.record.transition(
                self.plan.run.uuid, to, reason=known.reason, message=known.message, exit_code=known.exit_code,
                outcome=outcome if to is Status.SAVING else None, attempt=attempt,
            )  # fmt: skip

        run = recorded(self.record, self.folder, to, move, patience)
        self.listener.status(run)
        return run

    def _try_move(self, to: Status, outcome: Outcome | None = None, *, why: Code | None = None) -> bool:
        """The same where the run goes on without it: whether it is recorded."""
        try:
            self._move(to, outcome, why=why)
        except RecordError as error:
            if error.code != Code.HOME_UNUSABLE:
                raise
            self.listener.note(f"cannot record now that the run is {to.value}: {error}")
            return False
        return True

    def _take_place(self) -> bool:
        """Wait for a place in the run's queue; False if a stop came first."""
        waiting = False
        while not self._limits.stop:
            if self.plan.queue_limit is None:
                return True
            self._slot = QueueSlots.try_take(self.home, self.plan.queue, self.plan.queue_limit)
            if self._slot is not None:
                return True
            if not waiting:
                self._move(Status.QUEUED)
                waiting = True
            time.sleep(TICK)
        return False

    # --- one attempt

    def _attempt(self, number: int) -> Run:
        why = self._limits.why
        if why is not None:
            return self._end(number, ended_for(why, self.plan))
        self._move(Status.STARTING, attempt=number if number > 1 else None)
        try:
            self.folder.create_context(self.plan.layout)
            attempt = self.folder.attempt(number)
            attempt.create()  # from here on there is something to save: a recovery looks for this folder
            self._collector = start_collector(self.plan, attempt, number, self.listener, self.values)
            outcome = self._carry_out(attempt, number)
        except TielineError as error:
            outcome = after_error(error)
        except Exception as error:  # whatever it was: the run ends, and says so
            outcome = after_error(StepFailed.from_error(error))
        return self._end(number, self._explained(outcome))

    def _explained(self, outcome: Outcome) -> Outcome:
        """A stop explains a failure at the same moment, and the deadline what was cancelled for it."""
        if outcome.status is not Status.SUCCEEDED and self._limits.stop:
            return stopped("" if outcome.reason == Code.STOPPED else outcome.message, outcome.exit_code)
        if outcome.reason == Code.STOPPED and self._limits.late:
            return timed_out(self.plan)
        return outcome

    def _carry_out(self, attempt: Attempt, number: int) -> Outcome:
        ground = Machine(self.plan, self.values, self.folder, self.home / KNOWN_HOSTS)
        runner = StepRunner(self.plan, self.listener, self.values, ground)
        write_bound(self.plan, self.values)
        for step in self.plan.steps:
            self.listener.step(step, "begins", "")
            if step.type == "program":
                outcome = self._init_program(step.program, attempt, number)
                self.listener.step(step, "failed" if outcome else "done", outcome.message if outcome else "")
                if outcome:
                    return outcome
            else:
                detail = runner.carry_out(step, lambda: self._limits.why is not None)
                self.listener.step(step, "done", detail)
            if step.type == "clone":
                self.record.set_code(self.plan.run.uuid, runner.code)
            why = self._limits.why
            if why is not None:
                return ended_for(why, self.plan)
        return self._main(attempt, number)

    def _init_program(self, program: Program, attempt: Attempt, number: int) -> Outcome | None:
        """A user's own init step: None when it succeeded."""
        running = self._start(program, f"init-{program.name}", attempt, number)
        ended, why = watch(running, self._limits, ending=self._ending, tick=self._tell_trouble)
        if ended.succeeded and why is None:
            return None
        return after_end(ended, self.plan, why, step=program.name)

    def _main(self, attempt: Attempt, number: int) -> Outcome:
        sidecars = Sidecars(self.listener)

        def tick() -> None:
            sidecars.look()
            self._tell_trouble()

        try:
            for program in self.plan.sidecars:
                sidecars.add(self._start(program, f"sidecar-{program.name}", attempt, number))
            main = self._start(self.plan.main, "main", attempt, number)
            self._move(Status.RUNNING)
            ended, why = watch(main, self._limits, ending=self._ending, tick=tick)
        finally:
            sidecars.end(self.controls.grace)
        return after_end(ended, self.plan, why)

    def _start(self, program: Program, name: str, attempt: Attempt, number: int) -> Guarded:
        env = env_module.environment(self.plan, program, number, self.environ, self.values)
        write_made_files(self.plan, self.values)
        self._tell_notes()
        argv = env_module.arguments(program, env)
        isolation = arguments_for(self.plan, attempt, self.environ)
        places = (program.working_dir, attempt.spool(name), attempt.exit(name))
        started = Guarded.start(name, argv, env, *places, called=env_module.called(program), isolation=isolation)
        self._started.append(started)
        return started

    def _ending(self, why: Code) -> None:
        self._try_move(Status.STOPPING, why=why)

    def _tell_trouble(self) -> None:
        """Say that a save is being tried again; once, until another reason comes."""
        trouble = self._collector.trouble if self._collector else ""
        if trouble and trouble != self._trouble:
            self.listener.note(f"cannot save now, and will try again: {trouble}")
        self._trouble = trouble

    def _tell_notes(self) -> None:
        """What was noticed about values: once each."""
        for note in self.values.notes[self._told :]:
            self.listener.note(note)
        self._told = len(self.values.notes)

    # --- the end

    def _end(self, number: int, outcome: Outcome) -> Run:
        """Save everything, then say how it ended (or that another attempt follows).

        Where the disk is too full to record even that it is being saved, that is done afterwards: there is room then.
        """
        self._end_programs()
        is_recorded = self._try_move(Status.SAVING, outcome)
        if not is_recorded:
            self._note.write(number, outcome)
        final, collector = outcome, self._collector
        if collector is not None:
            final = save_all(collector, self.plan, outcome, self.listener, lambda: self._limits.stop)
            self._collector = None
        if final is outcome and may_retry(outcome, number, self.plan) and self._limits.why is None:
            to, trash = Status.RETRYING, tidy_attempt(self.folder, number, wholly=not is_recorded)
        else:
            to, trash = final.status, tidy(self.folder, self.plan, final)
        if not is_recorded:
            self._move(Status.SAVING, outcome, patience=PATIENCE)
        run = self._move(to, final, patience=PATIENCE)
        if to.is_final:
            forget(self.folder)
        remove_tree(trash)
        return run

    def _end_programs(self) -> None:
        for program in self._started:
            program.end()
        sweep(self.plan.run.uuid)
        for program in self._started:
            if lost := program.close():
                self.listener.note(f"the last {lost} bytes that {program.name} printed are lost: they fit on no disk")
        self._started.clear()
