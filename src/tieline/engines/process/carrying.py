"""Tieline's own steps on this machine: clone, fetch, files and the binding directories, each able to be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tieline.engines.base import Listener
from tieline.engines.process.folders import RunFolder, host_place
from tieline.engines.process.opening import open_cache, open_source, scope_for
from tieline.engines.process.programs import MARKER
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


@dataclass(slots=True)
class StepRunner:
    """Carries steps out for one attempt. ``code`` collects the exact commits."""

    plan: Plan
    listener: Listener
    values: Resolver
    folder: RunFolder
    known_hosts: Path  # a folder: of each connection, the keys of the servers that it has met
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
            step = step.model_copy(update={"path": str(host_place(step.path, self.plan.layout))})
        match step:
            case CloneStep():
                return self._clone(step, cancel)
            case FetchStep():
                return self._fetch(step, cancel)
            case FileStep():
                write_file(step, root=self._root)
                return f"{len(step.content.encode())} bytes"
            case TakeStep():
                return self._told(take(step, root=self._root, cancel=cancel))
            case _:
                raise TypeError(f"{step.type} is no step of Tieline's own")

    def _clone(self, step: CloneStep, cancel: threading.Event) -> str:
        uuid, remote = self.plan.run.uuid, step.remote
        given = {name: self.values.resolve(value) for name, value in needed(remote).items()}
        with credentials(
            remote,
            {name: value for name, value in given.items() if value is not None},
            self.folder.private,
            known_hosts=self.known_hosts / self.plan.run.namespace / (step.connection or "-"),
            mark=uuid,
        ) as login:  # MARKER: a git that outlives this process is found by it
            checked = checkout(remote, Path(step.path), cancel=cancel, env={MARKER: uuid}, login=login)
        self.code.append({"connection": step.connection or "", "url": step.remote.url, "commit": checked.commit})
        return f"{checked.ref or step.remote.revision or 'HEAD'} at {checked.commit[:12]}"

    def _fetch(self, step: FetchStep, cancel: threading.Event) -> str:
        store = open_source(step.source, self.plan.layout, lambda: self.values)
        meter = Meter()
        self.listener.moving(f"fetch {step.name}", meter)
        try:
            return self._told(self._fetched(step, store, cancel, meter))
        finally:
            self.listener.moving("", None)

    def _fetched(self, step: FetchStep, store: Store, cancel: threading.Event, meter: Meter) -> Copied:
        if step.source.type == "volume":
            return fetch(step, store, root=self._root, cancel=cancel, meter=meter)
        with open_cache(self.plan.layout, self._say) as cache:
            cached = None
            if cache is not None:
                cached = Cached(cache, scope_for(step.source, step.connection, self.plan, self.values))
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
