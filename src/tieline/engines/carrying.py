"""Tieline's own steps, wherever they are carried out: clone, fetch and files, each able to be stopped.

What differs between a machine and a pod is a :class:`Ground`: where a path really is, and what is opened to fetch from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tieline.engines.base import Listener
from tieline.errors import StepFailed, TielineError
from tieline.git.checkout import checkout
from tieline.git.credentials import credentials, needed
from tieline.model.plan import CloneStep, FetchStep, FileStep, Plan, Step, TakeStep
from tieline.secrets.resolve import Resolver
from tieline.steps.copying import Copied
from tieline.steps.fetch import fetch
from tieline.steps.files import take, write_file
from tieline.steps.inputs import Cached
from tieline.steps.meter import Meter
from tieline.stores import Store

POLL = 0.02


class Ground(Protocol):
    """Where steps are carried out."""

    @property
    def private(self) -> Path:
        """A folder for the credentials of a checkout, where there is no folder in memory."""

    @property
    def known_hosts(self) -> Path:
        """A folder: of each connection, the keys of the servers that it has met."""

    @property
    def marks(self) -> dict[str, str]:
        """Variables by which a program that outlives its run is found."""

    def place(self, path: str) -> str:
        """Where that is here which the job finds at an absolute path."""

    def source(self, step: FetchStep) -> Store:
        """What a step fetches from. Raises StoreTrouble, Refused, SourceFailed."""

    def cache(self, step: FetchStep, say: Callable[[str], None]) -> AbstractContextManager[Cached | None]:
        """What was fetched from that bucket before; ``say`` is told why it could not be used."""

    def taken(self, step: TakeStep) -> AbstractContextManager[TakeStep]:
        """The step, with its source where that is here."""


@dataclass(slots=True)
class StepRunner:
    """Carries steps out for one attempt, any number side by side. ``code`` collects the exact commits."""

    plan: Plan
    listener: Listener
    values: Resolver
    ground: Ground
    code: list[dict[str, str]] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def carry_out(self, step: Step, stop: Callable[[], bool]) -> str:
        """Do one step in a thread of its own, so that a stop is seen; what was done, in words."""
        cancel = threading.Event()
        done: list[str] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                done.append(self._do(step, cancel))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work, name=f"step-{step.name}", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(POLL)
            if not cancel.is_set() and stop():
                cancel.set()
                thread.join(10.0)
                break
        for error in failed:
            self.listener.step(step, "failed", str(error))
            raise error if isinstance(error, TielineError) else StepFailed.from_error(error)
        return done[0] if done else "cancelled"

    def _do(self, step: Step, cancel: threading.Event) -> str:
        if step.type != "program":  # the job finds it at its path; here it may be elsewhere
            step = step.model_copy(update={"path": self.ground.place(step.path)})
        match step:
            case CloneStep():
                return self._clone(step, cancel)
            case FetchStep():
                return self._fetch(step, cancel)
            case FileStep():
                write_file(step, root=self._root)
                return f"{len(step.content.encode())} bytes"
            case TakeStep():
                with self.ground.taken(step) as found:
                    return self._told(take(found, root=self._root, cancel=cancel))
            case _:
                raise TypeError(f"{step.type} is no step of Tieline's own")

    def _clone(self, step: CloneStep, cancel: threading.Event) -> str:
        uuid, remote = self.plan.run.uuid, step.remote
        given = {name: self.values.resolve(value) for name, value in needed(remote).items()}
        with credentials(
            remote,
            {name: value for name, value in given.items() if value is not None},
            self.ground.private,
            known_hosts=self.ground.known_hosts / self.plan.run.namespace / (step.connection or "-"),
            mark=uuid,
        ) as login:
            checked = checkout(remote, Path(step.path), cancel=cancel, env=self.ground.marks, login=login)
        self.code.append({"connection": step.connection or "", "url": step.remote.url, "commit": checked.commit})
        return f"{checked.ref or step.remote.revision or 'HEAD'} at {checked.commit[:12]}"

    def _fetch(self, step: FetchStep, cancel: threading.Event) -> str:
        store = self.ground.source(step)
        meter = Meter()
        self.listener.moving(f"fetch {step.name}", meter)
        try:
            return self._told(self._fetched(step, store, cancel, meter))
        finally:
            self.listener.moving("", None)

    def _fetched(self, step: FetchStep, store: Store, cancel: threading.Event, meter: Meter) -> Copied:
        if step.source.type == "volume":
            return fetch(step, store, root=self._root, cancel=cancel, meter=meter)
        with self.ground.cache(step, self._say) as cached:
            return fetch(step, store, root=self._root, cancel=cancel, cached=cached, meter=meter)

    @property
    def _root(self) -> Path:
        """The folder that no step may write outside of."""
        return Path(self.plan.layout.context_path)

    def _told(self, copied: Copied) -> str:
        for note in copied.notes:
            self._say(note)
        return copied.words

    def _say(self, note: str) -> None:
        """Say something once, however many steps meet it."""
        if note not in self._said:
            self._said.add(note)
            self.listener.note(note)
