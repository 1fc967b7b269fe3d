"""The collector of one pod, opened as soon as the artifacts store answers, and the attempt that it saves.

The log readers do not wait for it: what the job prints is in the spools meanwhile.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tieline.engines.base import program_names
from tieline.engines.kubernetes import layout
from tieline.engines.kubernetes.ends import ENDED, OWNER, attempt_prefix, end_of
from tieline.engines.kubernetes.frames import END
from tieline.engines.kubernetes.inside.masks import GrowingMasker
from tieline.engines.kubernetes.inside.message import masked
from tieline.engines.kubernetes.inside.places import open_artifacts, resolver_of
from tieline.errors import StepFailed, TielineError
from tieline.model.access import ObjectStore
from tieline.model.plan import Plan
from tieline.secrets.masking import masker_of
from tieline.steps.collector import Collector, Echo
from tieline.steps.retrying import LASTING, Backoff, Patience
from tieline.steps.spools import Spool
from tieline.stores import Store


def spool_of(name: str) -> Path:
    """Where the output of a program is kept until it is saved."""
    return Path(layout.SPOOL, f"{name}.log")


def take_attempt(store: Store, prefix: str, number: int, uid: str) -> int:
    """The first attempt from ``number`` on that no other pod has; it is this pod's from now on. Raises StoreTrouble."""
    while True:
        key = f"{attempt_prefix(prefix, number)}/{OWNER}"
        if store.stat(key) is None:
            store.save_bytes(uid.encode(), key)
            return number
        with store.open(key) as stream:
            if stream.read(200) == uid.encode():
                return number
        number += 1


class Saving(threading.Thread):
    """Opens the collector, and tries again until it is open or :meth:`stop`.

    ``older``: how many pods the run had before this one, once that is known; None: not yet.
    """

    def __init__(self, plan: Plan, uid: str, older: Callable[[], int | None], echo: Echo) -> None:
        super().__init__(name="tieline-opening", daemon=True)
        self._plan, self._uid, self._older, self._echo = plan, uid, older, echo
        self._stopped = threading.Event()
        self.collector: Collector | None = None
        self.masker: GrowingMasker | None = None
        self.attempt = 0
        self.notes: list[str] = []
        self._keep: Callable[[bytes], object] | None = None
        self.error: TielineError | None = None

    @property
    def patience(self) -> Patience:
        """How long the end of the run waits for its store."""
        return LASTING if isinstance(self._plan.store.access, ObjectStore) else Patience()

    def stop(self) -> None:
        """Try no more."""
        self._stopped.set()

    def run(self) -> None:
        """The thread."""
        waits = Backoff(0.25, 15.0)
        while not self._stopped.is_set():
            try:
                if self._open():
                    return
            except TielineError as error:
                self.error = error
            except Exception as error:  # a defect: the end of the run tells it
                self.error = StepFailed.from_error(error)
            self._stopped.wait(waits.next() if self.error else 0.05)

    def _open(self) -> bool:
        older = self._older()
        if older is None:
            return False
        plan, values = self._plan, resolver_of(self._plan)
        masker, short = masker_of(plan, values.sources)
        self.masker = growing = GrowingMasker(
            masker, lambda: masker_of(plan, resolver_of(plan).sources)[0], Path(layout.SECRETS)
        )
        store, prefix = open_artifacts(plan, values)
        number = take_attempt(store, prefix, older + 1, self._uid)
        if short:
            self.notes = [f"too short to be masked in what the job prints: {', '.join(short)}"]
        collector = Collector(
            store,
            attempt_prefix(prefix, number),
            spools=[Spool(name, spool_of(name)) for name in program_names(plan)],
            outputs=Path(plan.layout.outputs_path),
            outputs_enabled=plan.collect.outputs,
            logs_enabled=plan.collect.logs,
            interval=plan.collect.sync_interval,
            echo=self._echo,
            redactor=growing.redactor,
            patience=self.patience,
        )
        collector.start()
        self._keep = lambda data: store.save_bytes(data, f"{attempt_prefix(prefix, number)}/{ENDED}")
        self.attempt, self.collector, self.error = number, collector, None
        return True

    def keep_end(self, pod: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        """Write down how the attempt ended, for whoever looks when its pod is gone. Raises StoreTrouble."""
        if self._keep is not None and self.masker is not None:
            end = masked(end_of(pod, said, datetime.now(UTC).isoformat(timespec="seconds")), self.masker.now())
            self._keep(json.dumps(end).encode())


def the_end() -> None:
    """Print that nothing more comes."""
    os.write(1, END)


def noted(words: str) -> None:
    """Tell whoever reads this something that no program printed."""
    framed("", f"{words}\n".encode())


def framed(program: str, data: bytes) -> None:
    """Print what a program printed, so that whoever reads it knows whose it is and where it ends."""
    end = b"" if data.endswith(b"\n") else b"\n"
    rest = memoryview(b"=%s %d\n%s%s" % (program.encode(), len(data), data, end))
    while rest:
        rest = rest[os.write(1, rest) :]
