"""The collector: saves a run's logs and outputs while it runs, and wholly at its end.

Three workers, each a thread that sleeps most of the time: one shows the console what the programs write, one saves
the logs, one the outputs; none keeps another back. What cannot be saved is tried again, less and less often.
:meth:`Collector.finish` saves the rest in the caller's thread, with a limit; what is still not saved then stays on the
disk, and a new collector with the same arguments goes on from there: it asks the store what it has, and nothing else is
remembered anywhere.

Only one collector at a time may work on one prefix: whoever owns the run holds its lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tieline.errors import Code, Problem, StoreFailed
from tieline.steps.log_saver import LogSaver, log_entries
from tieline.steps.manifest import Entry, Keeper
from tieline.steps.meter import Meter
from tieline.steps.output_saver import Failure, OutputSaver, Pass, Skipped
from tieline.steps.redaction import Redactor, Unredacted
from tieline.steps.retrying import Backoff, GivingUp, Patience
from tieline.steps.spools import CAP, PORTION, Spool, Tail
from tieline.steps.worker import Worker
from tieline.stores import Store, StoreTrouble, Why, shown

Echo = Callable[[str, bytes], None]
"""Called with the name of a log and its next, redacted, bytes."""

ECHO_WAITS = (0.1, 0.25)
LOG_WAITS = (0.25, 10.0)
"""Between two looks at the logs; and at most between two saves, while a program goes on printing."""
LOG_GROWTH, FAST_GROWTH = 1.25, 4.0
"""So many times as long is the wait after each save; where much was to be saved, soon larger pieces are better."""
OUTPUT_WAIT = 1.0
REST = 3.0
"""After a look at the outputs, at least so many times what it took passes before the next."""
TICK = 0.1
RETRY_WAITS = (0.5, 30.0)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was saved in all: by this collector and those before it. ``unchecked``: files without a digest."""

    files: int = 0
    bytes: int = 0
    log_lines: int = 0
    unchecked: int = 0
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


class Collector:
    """Collects one attempt of one run into ``prefix`` of ``store``.

    ``interval``: seconds between two looks at the outputs once a run goes on for long; -1: only at the end.
    ``redactor`` makes a new one for each log. ``patience``: how long ``finish`` goes on against failures that may pass.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        spools: Sequence[Spool],
        outputs: Path,
        outputs_enabled: bool = True,
        logs_enabled: bool = True,
        interval: float = 10.0,
        echo: Echo | None = None,
        redactor: Callable[[], Redactor] = Unredacted,
        patience: Patience | None = None,
    ) -> None:
        self._store, self._prefix, self._folder = store, prefix, outputs
        self._logs = [LogSaver(store, prefix, spool, redactor) for spool in spools] if logs_enabled else []
        self._keeper = Keeper(store, prefix)
        self._outputs = OutputSaver(store, prefix, outputs, self._keeper) if outputs_enabled else None
        self._interval, self.patience = interval, patience or Patience()
        self._echo = echo
        self._tails = [(spool.name, Tail(spool.path, 0, redactor)) for spool in spools] if echo else []
        self._echoer: Worker | None = None
        self._savers: list[Worker] = []
        self._last = Pass()
        self._log_retry, self._output_retry = Backoff(*RETRY_WAITS), Backoff(*RETRY_WAITS)
        self._log_wait, self._log_due = LOG_WAITS[0], 0.0
        self._output_wait = min(OUTPUT_WAIT, max(interval, 0.0))
        self._echo_wait = ECHO_WAITS[0]
        self._log_trouble = self._output_trouble = ""

    @property
    def trouble(self) -> str:
        """Why something could not be saved at the last attempt; empty while all is well."""
        bugs = [repr(worker.bug) for worker in self._all_workers() if worker.bug]
        return self._log_trouble or self._output_trouble or ", ".join(bugs)

    def start(self) -> None:
        """Begin to collect beside the running job."""
        if self._tails:
            self._echoer = Worker("tieline-echo", self._echo_step)
        if self._logs:
            self._savers.append(Worker("tieline-logs", self._log_step))
        if self._outputs is not None and self._interval >= 0:
            self._savers.append(Worker("tieline-outputs", self._output_step))
        for worker in self._all_workers():
            worker.start()

    def poke(self) -> None:
        """Look now, instead of at the next moment that was planned."""
        self._log_due = 0.0
        for worker in self._all_workers():
            worker.poke()

    def _all_workers(self) -> list[Worker]:
        return [*([self._echoer] if self._echoer else []), *self._savers]

    def finish(
        self,
        timeout: float | None = None,
        *,
        is_hurried: Callable[[], bool] = lambda: False,
        told: Callable[[str], None] = lambda _: None,
        meter: Meter | None = None,
    ) -> Collected:
        """Save all that is left, and return what there is. For when nobody writes any more; without ``start``, too.
        ``meter``: counts the outputs.

        ``timeout``: seconds, on top of the patience with a store that fails; a single operation that hangs is
        not interrupted. ``is_hurried``: whether somebody has asked for a stop, so that the patience is short. ``told``:
        hears why something could not be saved and will be tried again; once, until another reason comes. Raises
        :class:`StoreFailed` with OUTPUTS_NOT_SAVED; then all is still on the disk, and ``finish`` may be called again,
        here or in a new collector.
        """
        limit = GivingUp(self.patience, timeout, is_hurried=is_hurried)
        try:
            self._stop_saving(timeout)
            if self.trouble:
                limit.told(False)
            self._save_all(limit, told, meter)
            return self._close(limit)
        finally:
            self._stop_echo()  # last: a console that stands still keeps nothing from being saved

    def _stop_saving(self, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        for worker in self._savers:
            worker.stop()
        for worker in self._savers:
            worker.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                slow = StoreTrouble(Why.BROKEN, "the store has not answered", "check the disk or the network")
                raise self._not_saved([Failure(worker.name.removeprefix("tieline-"), slow)], 0)
        self._savers = []

    def _stop_echo(self) -> None:
        if self._echoer is not None:
            self._echoer.stop()
            self._echoer.join()
            self._echoer = None
        for name, tail in self._tails:
            self._show_all(name, tail, final=True)

    def _save_all(self, limit: GivingUp, told: Callable[[str], None], meter: Meter | None) -> None:
        before = ""
        while True:
            failures, left = self._pass(limit, meter)
            if not failures and not left:
                return
            wait = limit.wait([failure.error for failure in failures])
            if wait is None:
                raise self._not_saved(failures, left)
            reason = next((str(failure.error) for failure in failures if failure.error.again), before)
            if reason != before:
                told(reason)
            before = reason
            if not _waited(wait, limit):
                raise self._not_saved(failures, left)

    def _pass(self, limit: GivingUp, meter: Meter | None) -> tuple[list[Failure], int]:
        """Try to save everything once: what failed, and how many files were not tried."""
        failures, left = list[Failure](), 0
        if self.trouble and limit.is_over:  # a worker waited for this server, and a stop was asked for meanwhile
            return failures, len(self._logs) + (self._outputs is not None)
        for saver in self._logs:
            if failures and limit.is_over:  # where nothing answers, each would take minutes
                left += 1
                continue
            failure = _save_log(saver, limit, lambda: False)
            if failure is not None:
                failures.append(failure)
                limit.told(False)
        if self._outputs is None:
            return failures, left
        self._last = self._outputs.save(over=lambda: limit.is_over, told=limit.told, final=True, meter=meter)
        return [*failures, *self._last.failures], left + self._last.left

    def _not_saved(self, failures: list[Failure], left: int) -> StoreFailed:
        count = len(failures) + left
        first = self.trouble or "the time that was given is up"
        hint = "give it more time"
        if failures:
            problem = failures[0].error.problems[0]
            first, hint = f"{shown(failures[0].name)}: {problem.message}", problem.hint
        return StoreFailed(
            Problem(
                Code.OUTPUTS_NOT_SAVED,
                f"{count} of the run's outputs and logs {'is' if count == 1 else 'are'} not saved; the first: {first}",
                f"{hint}; nothing is lost: it is in {shown(str(self._folder))!r}, and `tieline runs outputs push` "
                "saves the rest",
            )
        )

    def _close(self, limit: GivingUp) -> Collected:
        """Everything is saved: put the logs together, write down what there is, and tell."""
        notes = []
        for saver in self._logs:
            try:
                saver.put_together()
            except StoreTrouble as error:
                notes.append(f"the log of {saver.spool.name} stays in several files: {error}")
            if saver.cuts:
                notes.append(f"{saver.spool.name} emptied its own log while it ran (a shell's '> /dev/stderr' does)")
        try:
            self._store.sweep(self._prefix)
        except StoreTrouble as error:
            notes.append(f"could not clean up: {error}")
        outputs = self._complete_manifest(limit)
        try:
            self._store.flush()
        except StoreTrouble as error:
            raise self._not_saved([Failure("the disk", error)], 0) from error
        self._log_trouble = self._output_trouble = ""
        lines = sum(saver.lines for saver in self._logs)
        unchecked = sum(entry.sha256 is None for entry in outputs)
        skipped, size = tuple(self._last.skipped), sum(entry.size for entry in outputs)
        return Collected(len(outputs), size, lines, unchecked, skipped, tuple(notes))

    def _complete_manifest(self, limit: GivingUp) -> list[Entry]:
        """Write the manifest of all that is saved; the outputs in it."""
        while True:
            try:
                outputs = self._outputs.complete() if self._outputs is not None else []
                if self._outputs is not None or self._logs:
                    self._keeper.write([*outputs, *log_entries(self._store, self._logs, self._prefix)], complete=True)
                return outputs
            except StoreTrouble as error:
                limit.told(False)
                wait = limit.wait([error])
                if wait is None or not _waited(wait, limit):
                    raise self._not_saved([Failure("the manifest", error)], 0) from error

    def _echo_step(self) -> float:
        news = False
        for name, tail in self._tails:
            news = self._show_all(name, tail, final=False) or news
        self._echo_wait = ECHO_WAITS[0] if news else min(self._echo_wait * 1.5, ECHO_WAITS[1])
        return self._echo_wait

    def _show_all(self, name: str, tail: Tail, *, final: bool) -> bool:
        """Show what a program wrote up to now; whether there was any."""
        news = False
        try:
            while self._echo is not None and (piece := tail.next(final=final, most=PORTION)):
                self._echo(name, piece.data)
                news = True
                if not piece.is_full:
                    break
        except OSError:  # the console is gone (`| head`): the run goes on without it
            self._echo = None
        return news

    def _log_step(self) -> float:
        """Save what is new, but not too often: a line that comes after a silence at once, those after it together."""
        now = time.monotonic()
        if now < self._log_due:
            return min(LOG_WAITS[0], self._log_due - now)
        before = [(saver.count, saver.size) for saver in self._logs]
        failures = [failure for saver in self._logs if (failure := _save_log(saver, None, self._is_stopping))]
        if failures:
            self._log_trouble = str(failures[0].error)
            return self._log_retry.next()
        self._log_trouble = ""
        self._log_retry.reset()
        after = [(saver.count, saver.size) for saver in self._logs]
        if after != before:
            grown = sum(size for _, size in after) - sum(size for _, size in before)
            self._log_wait = min(self._log_wait * (FAST_GROWTH if grown >= CAP else LOG_GROWTH), LOG_WAITS[1])
            self._log_due = time.monotonic() + self._log_wait
        return LOG_WAITS[0]

    def _output_step(self) -> float:
        if self._outputs is None:
            return self._interval
        began = time.monotonic()
        done = self._outputs.save(over=self._is_stopping, told=lambda _: None)
        if done.failures:
            self._output_trouble = str(done.failures[0].error)
            return max(self._output_retry.next(), REST * (time.monotonic() - began))
        self._output_trouble = ""
        self._output_retry.reset()
        self._output_wait = min(self._output_wait * 1.5, self._interval)
        return max(self._output_wait, REST * (time.monotonic() - began))

    def _is_stopping(self) -> bool:
        return any(worker.is_stopping for worker in self._savers)


def _waited(seconds: float, limit: GivingUp) -> bool:
    """Wait before the next attempt; False when time is up meanwhile."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not limit.is_over:
        time.sleep(min(TICK, left))
    return not limit.is_over


def _save_log(saver: LogSaver, limit: GivingUp | None, is_over: Callable[[], bool]) -> Failure | None:
    """Save all that a log has; ``limit`` is there at the end, when nobody writes any more."""
    before = saver.count
    try:
        if limit is None:
            saver.save_new(is_over)
        else:
            saver.save_rest(limit.failed)
    except StoreTrouble as error:
        return Failure(f"the log of {saver.spool.name}", error)
    except OSError as error:
        unread = StoreTrouble(Why.SOURCE, f"cannot read {shown(str(saver.spool.path))!r}: {error.strerror}")
        return Failure(f"the log of {saver.spool.name}", unread)
    finally:
        if limit is not None and saver.count > before:
            limit.told(True)
    return None
