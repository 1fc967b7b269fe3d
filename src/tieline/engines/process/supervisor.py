"""The supervisor: carries one plan out on this machine, from the queue to the last saved byte.

It owns the run's lock while it lives. It may be killed at any moment: every transition is recorded before what
follows it
is done, the job's output is on disk before anybody reads it, and :mod:`tieline.engines.process.recovery` finishes
from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tieline.engines.base import Controls, Listener
from tieline.engines.process import environment as env_module
from tieline.engines.process.carrying import StepRunner
from tieline.engines.process.environment import Resolve
from tieline.engines.process.folders import Attempt, RunFolder, remove_tree
from tieline.engines.process.outcomes import after_end, after_error, stopped, timed_out
from tieline.engines.process.programs import Ended, Guarded, sweep
from tieline.engines.process.saving import save_all, start_collector
from tieline.errors import Code, StepFailed, TielineError
from tieline.model.plan import Plan, Program
from tieline.model.run import Outcome, Run, Status
from tieline.runs.locks import QueueSlots, RunLock
from tieline.runs.record import Record
from tieline.steps.collector import Collector

TICK = 0.1
MAX_BACKOFF = 60.0


@dataclass(slots=True)
class Supervisor:
    """One run under way."""

    plan: Plan
    folder: RunFolder
    record: Record
    listener: Listener
    resolve: Resolve
    home: Path
    controls: Controls = field(default_factory=Controls)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _slot: RunLock | None = None
    _deadline: float | None = None
    _killed_at: float | None = None

    def run(self) -> Run:
        """Carry the plan out to a final state. The caller holds the run's lock."""
        try:
            if not self._take_place():
                return self._end(1, None, stopped(""))
            if self.plan.ending.timeout is not None:
                self._deadline = time.monotonic() + self.plan.ending.timeout
            attempt = 1
            while True:
                run = self._attempt(attempt)
                if run.status.is_final:
                    return run
                self._pause(attempt)
                attempt += 1
        finally:
            if self._slot is not None:
                self._slot.release()

    def _move(self, to: Status, outcome: Outcome | None = None, *, attempt: int | None = None) -> Run:
        known = outcome or Outcome(to)
        run = self.record.transition(
            self.plan.run.uuid, to, reason=known.reason, message=known.message, exit_code=known.exit_code,
            outcome=outcome, attempt=attempt,
        )  # fmt: skip
        self.listener.status(run)
        return run

    # --- the queue

    def _take_place(self) -> bool:
        """Wait for a place in the run's queue; False if a stop came first."""
        if self.plan.queue_limit is None:
            return not self._stop_asked()
        waiting = False
        while not self._stop_asked():
            self._slot = QueueSlots.try_take(self.home, self.plan.queue, self.plan.queue_limit)
            if self._slot is not None:
                return True
            if not waiting:
                self._move(Status.QUEUED)
                waiting = True
            time.sleep(TICK)
        return False

    def _stop_asked(self) -> bool:
        if not self.controls.stop.is_set() and self.folder.stop.exists():
            self.controls.grace = read_grace(self.folder.stop, self.controls.grace)
            self.controls.stop.set()
        return self.controls.stop.is_set()

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _pause(self, attempt: int) -> None:
        """Between attempts: a little longer each time, at most a minute; a stop ends it."""
        until = time.monotonic() + min(MAX_BACKOFF, 0.5 * 2 ** (attempt - 1))
        while time.monotonic() < until and not self._stop_asked() and not self._late():
            time.sleep(min(TICK, until - time.monotonic()) if until > time.monotonic() else 0)

    # --- one attempt

    def _attempt(self, number: int) -> Run:
        attempt = self.folder.attempt(number)
        if self._stop_asked():
            return self._end(number, None, stopped(""))
        self._move(Status.STARTING, attempt=number if number > 1 else None)
        self.folder.create_context(self.plan.layout)
        attempt.create()
        collector = start_collector(self.plan, attempt, number, self.listener)
        try:
            outcome = self._carry_out(attempt, number)
        except TielineError as error:
            outcome = after_error(error)
        except OSError as error:
            outcome = after_error(StepFailed.from_error(error))
        if self._stop_asked() and outcome.status is not Status.SUCCEEDED:
            outcome = stopped(outcome.message, outcome.exit_code)
        return self._end(number, collector, outcome)

    def _carry_out(self, attempt: Attempt, number: int) -> Outcome:
        runner = StepRunner(self.plan, self.folder, self.listener, self.resolve)
        runner.write_bindings()
        for step in self.plan.steps:
            self.listener.step(step, "begins", "")
            if step.type == "program":
                outcome = self._init_program(step.program, attempt, number)
                self.listener.step(step, "failed" if outcome else "done", outcome.message if outcome else "")
                if outcome:
                    return outcome
            else:
                detail = runner.carry_out(step, lambda: self._stop_asked() or self._late())
                self.listener.step(step, "done", detail)
            if self._stop_asked() or self._late():
                return stopped("") if self._stop_asked() else timed_out(self.plan)
        if runner.code:
            self.record.set_code(self.plan.run.uuid, runner.code)
        return self._main(attempt, number)

    def _init_program(self, program: Program, attempt: Attempt, number: int) -> Outcome | None:
        """A user's own init step: None when it succeeded."""
        running = self._start(program, f"init-{program.name}", attempt, number, bound=True)
        ended = self._watch(running, number, moves=False)
        if ended.succeeded:
            return None
        return after_end(ended, self.plan, late=self._late(), stop=self._stop_asked(), step=program.name)

    def _main(self, attempt: Attempt, number: int) -> Outcome:
        sidecars = [
            self._start(program, f"sidecar-{program.name}", attempt, number, bound=True)
            for program in self.plan.sidecars
        ]
        main = self._start(self.plan.main, "main", attempt, number, bound=True)
        self._move(Status.RUNNING)
        try:
            ended = self._watch(main, number, sidecars=sidecars)
        finally:
            self._end_sidecars(sidecars)
        return after_end(ended, self.plan, late=self._late(), stop=self._stop_asked())

    def _start(self, program: Program, name: str, attempt: Attempt, number: int, *, bound: bool) -> Guarded:
        env = env_module.environment(self.plan, program, number, self.environ, self.resolve, bound=bound)
        argv = env_module.arguments(program, env)
        return Guarded.start(name, argv, env, program.working_dir, attempt.spool(name), attempt.exit(name))

    def _watch(
        self, program: Guarded, number: int, *, moves: bool = True, sidecars: list[Guarded] | None = None
    ) -> Ended:
        """Until the program ends; a stop or the deadline ends it: TERM, grace, KILL."""
        del number
        terminated_at: float | None = None
        while (ended := program.wait(TICK)) is None:
            asked = self._stop_asked()
            if terminated_at is None and (asked or self._late()):
                if moves:
                    self._move(Status.STOPPING)
                program.terminate()
                terminated_at = time.monotonic()
            over = terminated_at is not None and time.monotonic() - terminated_at > self.controls.grace
            if over or self.controls.now.is_set():
                program.kill()
            for sidecar in [item for item in sidecars or [] if item.poll() is not None]:
                end = sidecar.poll()
                self.listener.note(f"{sidecar.name} ended before the main program (exit code {end and end.exit_code})")
                if sidecars:
                    sidecars.remove(sidecar)
        return ended

    def _end_sidecars(self, sidecars: list[Guarded]) -> None:
        for sidecar in sidecars:
            sidecar.terminate()
        until = time.monotonic() + min(self.controls.grace, 5.0)
        for sidecar in sidecars:
            if sidecar.wait(max(0.0, until - time.monotonic())) is None:
                sidecar.kill()
                sidecar.wait(5.0)

    # --- the end

    def _end(self, number: int, collector: Collector | None, outcome: Outcome) -> Run:
        """Save everything, then say how it ended (or that another attempt follows)."""
        sweep(self.plan.run.uuid)
        self._move(Status.SAVING, outcome)
        final = save_all(collector, outcome, self.listener)
        again = final.status is Status.FAILED and final is outcome and number <= self.plan.ending.max_retries
        if again and not self._stop_asked() and not self._late():
            self.folder.attempt(number).remove_spools()
            return self._move(Status.RETRYING, outcome)
        run = self._move(final.status, final)
        tidy(self.folder, self.plan, run)
        return run


def read_grace(path: Path, default: float) -> float:
    """The seconds between TERM and KILL that the one who asked for the stop wrote down."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return default


def tidy(folder: RunFolder, plan: Plan, run: Run) -> None:
    """Remove what is saved; keep the work folder as long as ``ttl`` says, and everything that could not be saved."""
    if run.reason == Code.OUTPUTS_NOT_SAVED:
        return
    for attempt in folder.attempts():
        attempt.remove_spools()
    if plan.ending.ttl:
        folder.expires.write_text(str(time.time() + plan.ending.ttl))
    else:
        remove_tree(folder.context)
