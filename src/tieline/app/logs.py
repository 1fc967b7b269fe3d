"""Reading what a run printed: out of the artifacts store, whoever is carrying the run out; and as it grows, on its own
machine at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cached_property

from tieline.app.home import HomeFolder
from tieline.app.runs import CLUSTER, attempt_prefix, folder_of, plan_of, store_of
from tieline.engines.base import Silent
from tieline.engines.process import recovery
from tieline.engines.process.masks import are_same
from tieline.engines.process.opening import resolver_of
from tieline.errors import Code, NotFound, TielineError, did_you_mean
from tieline.model.run import Run
from tieline.runs.record import Record
from tieline.secrets.masking import masker_of
from tieline.steps.following import Follower
from tieline.steps.log_reader import LogReader
from tieline.steps.redaction import Redactor
from tieline.steps.segments import log_names
from tieline.stores.base import Store

MAIN = "main"
PAUSE = 0.2
SHORT_PAUSE = 0.1
"""Between two looks at the run's own spool."""
RECOVER_EVERY = 2.0


def logs_of(home: HomeFolder, record: Record, run: Run) -> RunLogs:
    """The logs of a run, wherever it is carried out."""
    if run.engine == CLUSTER:
        from tieline.app.kube_logs import ClusterLogs

        return ClusterLogs(home, record, run)
    return RunLogs(home, record, run)


class RunLogs:
    """The logs of one run."""

    def __init__(self, home: HomeFolder, record: Record, run: Run) -> None:
        self._home, self._record, self._run = home, record, run
        self._plan = plan_of(record, run)

    @cached_property
    def _store(self) -> Store:
        return store_of(self._plan)

    def names(self, attempt: int | None = None) -> list[str]:
        """The programs of an attempt (the latest) that have a log, main first."""
        return log_names(self._store, attempt_prefix(self._plan, attempt or self._run.attempt))

    def program(self, wanted: str, attempt: int | None = None) -> str:
        """A program's whole name: ``prep`` means ``init-prep`` or ``sidecar-prep``. Raises NotFound where it has no
        log; the main program may not have begun yet."""
        names = self.names(attempt)
        for name in (wanted, f"init-{wanted}", f"sidecar-{wanted}"):
            if name in names or name == MAIN:
                return name
        hint = did_you_mean(wanted, names, f"there are: {', '.join(names)}" if names else "nothing was printed yet")
        raise NotFound.of(Code.ARTIFACT_MISSING, f"run {self._run.uuid[:8]} has no log of {wanted!r}", hint)

    def read(self, program: str = MAIN, attempt: int | None = None) -> Iterator[bytes]:
        """What is saved by now of an attempt's log (the latest attempt's), in chunks."""
        return self._reader(program, attempt or self._run.attempt).poll()

    def follow(self, program: str = MAIN, attempt: int | None = None) -> Iterator[bytes]:
        """The same, and what comes, until the run has ended; it goes on with the next attempt, unless one was asked
        for. A run whose owner dies meanwhile is ended here."""
        number = attempt or self._run.attempt
        follower = self._follower(program, number)
        look_again = 0.0
        while True:
            run = self._record.get(self._run.uuid)
            is_over = run.status.is_final or run.attempt > number
            yield from follower.stored() if is_over else follower.poll()
            if run.attempt > number and attempt is None:
                number += 1
                follower = self._follower(program, number)
            elif is_over:
                return
            else:
                time.sleep(SHORT_PAUSE if follower.is_near else PAUSE)
                if time.monotonic() >= look_again:
                    recovery.recover_one(self._record, folder_of(self._home, run), run.uuid, Silent())
                    look_again = time.monotonic() + RECOVER_EVERY

    def _follower(self, program: str, attempt: int) -> Follower:
        folder = folder_of(self._home, self._run).attempt(attempt)

        def trusted() -> Callable[[], Redactor] | None:
            try:
                masker, _ = masker_of(self._plan, resolver_of(self._plan).sources)
            except (TielineError, OSError):  # without the secrets nothing may be shown but what is masked already
                return None
            return masker.redactor if are_same(folder, masker) else None

        spool = folder.spool(program) if self._plan.collect.logs else None
        return Follower(self._reader(program, attempt), spool, trusted)

    def _reader(self, program: str, attempt: int) -> LogReader:
        return LogReader(self._store, attempt_prefix(self._plan, attempt), program)
