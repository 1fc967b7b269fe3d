"""What somebody sees while a run is under way: each step with its time, the job's own lines, what is being waited for.

All of it goes to stderr; only the main program's bytes go to stdout, exactly as it printed them, so that a pipe gets
the job's output and nothing else.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from tieline.cli.layout import attempt_words, one_line, seconds
from tieline.cli.passing import Passing
from tieline.cli.terminal import has_colour, is_plain, is_terminal, paint, width
from tieline.model.plan import Plan, Step
from tieline.model.run import Run, Status

if TYPE_CHECKING:
    from tieline.cli.moving import Moving
    from tieline.steps.collector import Collected
    from tieline.steps.meter import Meter

MAIN = "main"


class Progress:
    """The listener of a run in this process. ``own``: where the main program's bytes go."""

    def __init__(self, plan: Plan, own: Passing) -> None:
        self._plan, self._own = plan, own
        self._colour = has_colour(sys.stderr)
        self._animated = is_terminal(sys.stderr)
        self._lock = threading.RLock()
        self._began: dict[str, float] = {}
        self._transient = False
        self._complained = False
        self._moving: Moving | None = None
        self.collected: Collected | None = None
        """What is saved of the last attempt that was saved wholly."""

    # --- what the engine tells

    def status(self, run: Run) -> None:
        ending = self._plan.ending
        match run.status:
            case Status.QUEUED if self._plan.engine != "process":
                if run.message:
                    self.line(f"  {one_line(run.message)}")
                else:
                    self.transient("  waiting for a node")
            case Status.QUEUED:
                self.line(
                    f"  waiting for a place in the queue {run.queue!r} (at most {self._plan.queue_limit} at once)"
                )
            case Status.STARTING if run.attempt > 1:
                self.collected = None
                self.line(f"attempt {attempt_words(run.attempt, ending.max_retries)}")
            case Status.RUNNING:
                self.line(self._dim(f"  running {one_line(self._command())}"))
            case Status.STOPPING:
                self.transient("  ending the job")
            case Status.SAVING:
                self._own.drain()
                self.transient("  saving outputs and logs")
            case Status.RETRYING:
                self.line(f"  {self._mark(good=False)} attempt {run.attempt} failed: {one_line(run.message)}")

    def step(self, step: Step, state: str, detail: str) -> None:
        what = f"{step.type} {one_line(step.name)}"
        if state == "begins":
            self._began[step.name] = time.monotonic()
            self.transient(f"  {what} …")
            return
        took = seconds(time.monotonic() - self._began.get(step.name, time.monotonic()))
        detail = one_line(detail)
        words = f"{what}: {detail}" if detail else what
        self.line(f"  {self._mark(good=state == 'done')} {words} {self._dim(f'({took})')}")

    def output(self, program: str, data: bytes) -> None:
        self._clear()
        if program == MAIN:
            self._own.put(data)
            if self._own.gone and not self._complained:
                self._complained = True
                self.line("  nobody reads the job's output any more; it is in the log")
            return
        with self._lock:
            lines = data.decode("utf-8", "replace").splitlines()
            self._write("".join(f"{self._dim(f'[{program}]')} {line}\n" for line in lines))

    def note(self, message: str) -> None:
        self.line(f"  {paint('note', 'warning', on=self._colour)} {one_line(message)}")

    def moving(self, what: str, meter: Meter | None) -> None:
        if not self._animated:
            return
        if self._moving is None:
            from tieline.cli.moving import Moving

            self._moving = Moving(self.transient)
        if meter is None:
            self._moving.end()
        else:
            self._moving.begin(what, meter)

    def saved(self, collected: Collected) -> None:
        self.collected = collected

    # --- how it is written

    def line(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self._clear()
            self._write(text + "\n")

    def transient(self, text: str) -> None:
        """A line that the next one replaces; only on a terminal, and not behind the job's own unfinished line."""
        if self._animated and (self._own.ends_line or not is_terminal(sys.stdout)):
            with self._lock:
                self._clear()
                self._write(self._dim(text[: width() - 1]))  # a line that wraps could not be replaced
                self._transient = True

    def close(self) -> None:
        """Everything has been told: write what is left of the job's output, and end its last line on a terminal."""
        self._own.close()
        self._clear()
        if not self._own.ends_line and self._animated and is_terminal(sys.stdout):
            self._write("\n")

    def _clear(self) -> None:
        with self._lock:
            if self._transient:
                self._transient = False
                self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        """A listener must not raise: a terminal that is gone (SIGHUP) loses words, and no run."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._animated = False

    def _mark(self, *, good: bool) -> str:
        sign = ("ok" if good else "failed") if is_plain(sys.stderr) else ("✓" if good else "✗")
        return paint(sign, "good" if good else "error", on=self._colour)

    def _dim(self, text: str) -> str:
        return paint(text, "dim", on=self._colour)

    def _command(self) -> str:
        from tieline.app.wording import command_words

        return command_words(self._plan.main)
