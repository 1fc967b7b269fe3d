"""Reading one container's log into its spool: from its start to its end, whatever happens to the connections.

An answer that follows a log ends with the container. It may also break off, or fall silent for good: kubelets before
1.27 go on watching a log file that was put away. So a log that is large enough for that is asked for anew after a
silence, sooner where it grew fast.

When the kubelet goes on to a new log file it does not look at the old one's end again: lines that the job printed in
those milliseconds are in no answer, and nothing tells of them. So it is looked whether there is a new file, and said.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tieline.engines.kubernetes.inside.answer import Answer, ApiTrouble, Quiet
from tieline.engines.kubernetes.inside.api import Api
from tieline.engines.kubernetes.inside.podlog import FILE, PodLog
from tieline.engines.kubernetes.inside.pods import PodWatch, State
from tieline.steps.retrying import Backoff

LARGE = 1024 * 1024
"""Bytes of a log from which on its file may have been put away."""
AT_ONCE, SOON, LATEST, IDLE = 0.5, 2.0, 60.0, 600.0
"""Seconds of silence after which it is looked whether there is more: after very much, of which there may be a file more
in ten seconds; after much, after little, and of a small log."""
WINDOW = 10.0
"""Over so many seconds it is measured how fast a log grows."""
SETTLING = 3.0
"""So long after an answer's end the pod's state may still say that the container runs."""
LOOKED = 64
LOOKS = FILE
"""After so many bytes it is looked whether there is a new log file."""
NOT_BEGUN = 400
"""What the API server says of the log of a container that has not begun."""
NEVER_STARTED = 5.0
"""So long it has to say so while the pod is being ended, before that counts for its end."""
GIVING_UP = 60.0
"""Seconds for which the end of a log is asked for that the API server does not give."""


class LogReader(threading.Thread):
    """Reads one log. ``ended``: all of it is in the spool, or no more can be had; ``notes``: what a person should know;
    ``gaps``: in how many places lines may be missing; ``files``: how often a new log file was begun, at least.

    ``is_terminating``: whether the pod is being ended, so that its state may not be told any more; ``is_late``: whether
    the container should have begun, so that its state may not be told yet.
    """

    def __init__(
        self,
        api: Api,
        watch: PodWatch,
        pod: str,
        container: str,
        spool: Path,
        is_terminating: Callable[[], bool],
        is_late: Callable[[], bool],
    ) -> None:
        super().__init__(name=f"tieline-log-{container}", daemon=True)
        self._api, self._watch, self._pod, self._container = api, watch, pod, container
        self._spool, self._is_terminating, self._is_late = spool, is_terminating, is_late
        self._log, self._backoff = PodLog(), Backoff(0.2, 5.0)
        self._answer: Answer | None = None
        self._descriptor = -1
        self._id = ""
        self._rate, self._came, self._silences, self._empty = 0.0, time.monotonic(), 0, 0
        self._is_whole, self._knew_end, self._failing = True, False, 0.0
        self._looked_at, self._file = 0, b""
        self.ended = self.is_stopping = False
        self.notes: list[str] = []
        self.gaps = self.files = 0

    def stop(self) -> None:
        """Read no more."""
        self.is_stopping = True
        if self._answer is not None:
            self._answer.close()

    def run(self) -> None:
        """The thread."""
        while not (self.ended or self.is_stopping):
            try:
                self._one_connection()
            except Exception as error:  # a defect here must not keep the other logs, or the outputs, from being saved
                self._note(f"a defect in Tieline while the log of {self._container} was read: {error!r}")
                self._lost()
                time.sleep(self._backoff.next())
        if not self.ended:
            self._finish()
        if self._descriptor >= 0:
            os.close(self._descriptor)

    # --- one connection

    def _one_connection(self) -> None:
        state = self._watch.state(self._container)
        if state.state == "waiting" and not self._is_untold(state):
            self.ended = state.finished
            self._watch.wait(self._is_to_be_read, 60.0)
            return
        if self._is_another(state):
            self._write(self._log.end(time.time_ns(), final=True))
            self._log.restart()
        self._id, self._knew_end = state.id, state.state == "terminated"
        self._log.began = state.began
        query = {"container": self._container, "follow": "true", "timestamps": "true"}
        had = self._log.size
        try:
            with self._api.open(f"/{self._pod}/log", sinceTime=self._log.since or "", **query) as answer:
                self._answer = answer
                self._log.begin(time.time_ns(), whole=self._is_whole)
                self._is_whole = False
                self._read(answer)
                self._ended_well(had)
        except Quiet:
            self._write(self._log.quiet(time.time_ns()))
            self._silences += 1
            self._is_whole = True
        except ApiTrouble as error:
            self._failed(error)
        finally:
            self._answer = None

    def _is_to_be_read(self) -> bool:
        """Whether the container has begun, or nobody tells: then the kubelet is asked for its log."""
        now = self._now
        return self.is_stopping or now.state != "waiting" or now.finished or self._is_untold(now)

    def _is_untold(self, state: State) -> bool:
        """Whether a container that waits may have begun nevertheless."""
        return self._is_terminating() or (self._is_late() and not (state.finished or self._id))

    def _is_another(self, state: State) -> bool:
        """Whether another container has taken the place of the one that was read."""
        if self._id:
            return bool(state.id) and state.id != self._id
        return self._log.is_before(state.began)  # it was read before anything was told of it

    def _read(self, answer: Answer) -> None:
        """Read an answer to its end."""
        self._descriptor = self._opened()
        while data := answer.read(self._limit()):
            self._counted(len(data))
            self._file = self._file or data.partition(b" ")[0]
            self._write(self._log.feed(data, time.time_ns()))
            self._failing = 0.0
            if self._log.size - self._looked_at >= LOOKS:
                self._look_for_file()
        self._backoff.reset()

    def _look_for_file(self) -> None:
        """How often a new log file was begun, by the time of the first line that can be had."""
        self._looked_at = self._log.size
        query = {"container": self._container, "timestamps": "true", "limitBytes": str(LOOKED)}
        try:
            with self._api.open(f"/{self._pod}/log", **query) as answer:
                first = answer.read(SOON).partition(b" ")[0]
        except (Quiet, ApiTrouble):  # the next look tells the same
            return
        if first:  # a file that was just begun has no line
            self.files += bool(self._file) and first != self._file
            self._file = first

    def _ended_well(self, had: int) -> None:
        """An answer ended. That is the log's end where the container has ended, and no file of it was put away.
        ``had``: the log's size before it. (An answer begins with lines of the last one: the API knows whole seconds.)
        """
        before = self._log.size
        self._write(self._log.end(time.time_ns(), final=False))
        if self.is_stopping:
            return
        self._watch.wait(lambda: self._now.state == "terminated" or self._is_terminating(), SETTLING)
        state = self._now
        if state.state == "terminated" and state.finished:
            if self._knew_end or before < LARGE:
                self._finish()
            # else one more look, at what there is now: this may have been the end of a file that was put away
            return
        if state.state == "terminated":  # it will be started again
            self._watch.wait(lambda: self.is_stopping or self._now.id != self._id or self._now.finished, 60.0)
            return
        self._empty = 0 if self._log.size > had else self._empty + 1
        if self._is_terminating() and self._empty > 1:  # the kubelet says so twice, and its status may come too late
            self._finish()
            return
        time.sleep(self._backoff.next())

    def _failed(self, error: ApiTrouble) -> None:
        self._lost()
        now = time.monotonic()
        self._failing = self._failing or now
        is_over = self._now.finished or self._is_terminating() or self._watch.gone
        has_begun = error.status != NOT_BEGUN or self._now.state != "waiting"
        patience = GIVING_UP if error.status == 0 else SETTLING if has_begun else NEVER_STARTED
        if is_over and now - self._failing > patience:
            if has_begun:
                self._note(f"the end of the log of {self._container} could not be read: {error}")
            self._finish()
            return
        wait = self._backoff.next()
        if has_begun:
            time.sleep(wait)
        else:
            self._watch.wait(lambda: self.is_stopping or self._now.state != "waiting", wait)

    def _lost(self) -> None:
        self._write(self._log.end(time.time_ns(), final=False))
        self._is_whole = False

    @property
    def _now(self) -> State:
        return self._watch.state(self._container)

    # --- how long a silence is waited

    def _limit(self) -> float:
        """Seconds of silence after which the log is asked for anew."""
        if self._log.is_looking:
            return SOON
        if self._log.size < LARGE:
            return IDLE
        by_rate = min(LATEST, max(AT_ONCE, LARGE / (self._rate + 1.0)))
        return max(by_rate, (AT_ONCE, WINDOW + SOON, LATEST, IDLE)[min(self._silences, 3)])

    def _counted(self, size: int) -> None:
        now = time.monotonic()
        self._rate = self._rate * math.exp((self._came - now) / WINDOW) + size / WINDOW
        self._came, self._silences = now, 0

    # --- the spool

    def _opened(self) -> int:
        """The spool, which is there from when its program has begun."""
        if self._descriptor >= 0:
            return self._descriptor
        return os.open(self._spool, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        waits = Backoff(0.2, 5.0)
        while rest:
            try:
                self._descriptor = self._opened()
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:  # a full disk: the log waits where it is
                self._note(f"the log of {self._container} could not be kept for a while: {error.strerror}")
                if self.is_stopping:
                    return
                time.sleep(waits.next())

    def _finish(self) -> None:
        self._write(self._log.end(time.time_ns(), final=True))
        if self._log.size >= LOOKS:
            self._look_for_file()
        if self.files:
            self._note(
                f"{self._container} printed so much that the cluster began a new log file at least {self.files} times "
                "while it was read: lines of those milliseconds may be missing"
            )
        for gap in self._log.gaps:
            self._note(f"{self._container}: {gap.words}")
        self.gaps = len(self._log.gaps)
        for said in self._log.said:
            self._note(f"the cluster said in the log of {self._container}: {said.decode(errors='replace')[:200]}")
        self.ended = True

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
