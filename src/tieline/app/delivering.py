"""Delivering notifications: a sender per channel, side by side, each message recorded before the next is sent.

Any number of processes may deliver at once: a channel is held by one of them at a time (:mod:`tieline.runs.outbox`).
Each has a lock in Tieline's home that the kernel frees when it dies, so that what it held is taken over at once.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from tieline.app.home import HomeFolder
from tieline.app.messages import message_of
from tieline.app.opened_channels import Opened, open_channel
from tieline.app.verdicts import verdict
from tieline.channels.base import LIMIT, Answer, Outcome, Target
from tieline.errors import Code, RecordError, TielineError
from tieline.model.notification import Notification
from tieline.runs.locks import RunLock
from tieline.runs.outbox import NOT_AGAIN
from tieline.runs.record import Record
from tieline.runs.sending import LEASE, Ended, Idle, Limits

AT_ONCE = 16
"""Channels that are delivered to side by side."""
POLL = 2.0
"""Seconds after which it is looked for what other processes have put into the outbox."""
HELD_BY_OTHERS = 0.3
"""Seconds until a channel that another process holds is looked at again."""
RECORD_TROUBLE = 5.0
Told = Callable[[Sequence[Notification], Ended], None]
"""Called after each message, from any thread, with what it told and how it ended."""


class Deliverer:
    """Delivers what is in the outbox, in threads of this process, between :meth:`start` and :meth:`stop`.

    ``unlimited``: without the services' limits (to services of one's own, as a bench has them).
    """

    def __init__(self, home: HomeFolder, record: Record, told: Told | None = None, *, unlimited: bool = False) -> None:
        self._home, self._record, self._outbox = home, record, record.outbox
        self._told, self._unlimited = told, unlimited
        self._name = secrets.token_hex(8)
        self._lock: RunLock | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._serving: dict[str, threading.Thread] = {}
        self._not_before: dict[str, datetime] = {}
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="tieline-deliverer", daemon=True)

    def start(self) -> Self:
        """Begin. Raises RecordError where Tieline's home can't be written to."""
        folder = self._folder()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message, hint = f"{folder} cannot be made: {error.strerror}", "make Tieline's home writable for you"
            raise RecordError.of(Code.HOME_UNUSABLE, message, hint) from None
        self._lock = RunLock.acquire(folder / f"{self._name}.lock")
        self._thread.start()
        return self

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    def stop(self) -> None:
        """End, after the messages that are under way: each of them takes a limited time."""
        self._stop.set()
        self._wake.set()
        if self._lock is None:
            return
        self._thread.join()
        for thread in self._threads():
            thread.join()
        (self._folder() / f"{self._name}.lock").unlink(missing_ok=True)
        self._lock.release()
        self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _folder(self) -> Path:
        return self._home.root / "deliverers"

    # --- looking for work

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                pause = self._look()
            except TielineError:  # the disk is full, or the record busy for a long time: it is looked at again
                pause = RECORD_TROUBLE
            self._wake.wait(pause)
            self._wake.clear()

    def _look(self) -> float:
        """Begin to serve every channel that can be served; seconds until it is worth looking again."""
        now, pause = datetime.now(UTC), POLL
        for channel in self._outbox.waiting():
            due = max(channel.due_at, self._not_before.get(channel.digest, channel.due_at))
            with self._guard:
                busy = channel.digest in self._serving
                full = len(self._serving) >= AT_ONCE
            if busy or full:
                continue
            if due > now:
                pause = min(pause, (due - now).total_seconds())
            elif self._is_others(channel.holder, channel.held_until, now):
                pause = min(pause, HELD_BY_OTHERS)
            else:
                self._serve(channel.digest)
        return max(pause, 0.01)

    def _is_others(self, holder: str, until: datetime | None, now: datetime) -> bool:
        return bool(holder) and until is not None and until > now and not self._is_dead(holder)

    def _is_dead(self, holder: str) -> bool:
        """Whether the deliverer of this name is no more: its lock is free, or gone."""
        path = self._folder() / f"{holder}.lock"
        if holder == self._name or not path.exists():
            return holder != self._name
        lock = RunLock.try_acquire(path)
        if lock is None:
            return False
        path.unlink(missing_ok=True)
        lock.release()
        return True

    # --- serving one channel

    def _serve(self, digest: str) -> None:
        thread = threading.Thread(target=self._served, args=(digest,), name="tieline-channel", daemon=True)
        with self._guard:
            self._serving[digest] = thread
        thread.start()

    def _threads(self) -> list[threading.Thread]:
        with self._guard:
            return list(self._serving.values())

    def _served(self, digest: str) -> None:
        try:
            idle = self._send_all(digest)
            if idle is not None and idle.limited and idle.until is not None:
                self._not_before[digest] = idle.until
        except Exception:  # of the record, or another version's rows; what was begun is taken back by its next holder
            self._stop.wait(RECORD_TROUBLE)
        finally:
            with self._guard:
                del self._serving[digest]
            self._wake.set()

    def _send_all(self, digest: str) -> Idle | None:
        """Send what is due, message by message, until nothing is or the service's limit is reached."""
        held = self._outbox.hold(digest, self._name, self._is_dead)
        if held is None:
            return None
        chance, opened, ended = Random(), None, None  # noqa: S311 - jitter
        try:
            opened = open_channel(held, self._home)
            while not self._stop.is_set():
                found = self._outbox.step(digest, self._name, self._limits(opened), ended)
                ended = None
                if isinstance(found, Idle):
                    return found
                ended = self._send(opened, found, chance)
            return None
        finally:
            if opened is not None:
                opened.close()
            with suppress(TielineError):  # whoever holds it next takes back what is left
                self._outbox.release(digest, self._name, ended)

    def _limits(self, opened: Opened) -> Limits:
        traits = opened.traits
        lease = max(LEASE, 2 * LIMIT * (len(opened.targets) + 1))
        if traits.rate is None or self._unlimited:
            return Limits(lease=lease)
        return Limits(traits.rate.burst, traits.rate.per_second, traits.most if traits.folds else 1, lease)

    def _send(self, opened: Opened, told: list[Notification], chance: Random) -> Ended:
        began = time.monotonic()
        try:
            answers = self._answers(opened, told)
        except Exception as error:  # a defect of ours must not lose what is to be told
            reason = f"a defect in Tieline: {type(error).__name__}"
            answers = [(Target("", ""), Answer(Outcome.LATER, "internal", reason, "please report it"))]
        seconds = round(time.monotonic() - began, 3)
        ended = verdict(told, answers, opened.traits, datetime.now(UTC), chance, seconds)
        if self._told is not None:
            with suppress(Exception):  # nobody reads what is said of it (a closed pipe): it was sent all the same
                self._told(told, ended)
        return ended

    def _answers(self, opened: Opened, told: list[Notification]) -> list[tuple[Target, Answer]]:
        """What each target said that has not had it yet."""
        if opened.answer is not None:
            return [(Target("", ""), opened.answer)]
        message = message_of(told, self._record, opened.sources)
        over = {one.rpartition(NOT_AGAIN)[2] for one in told[0].reached}
        return [(target, opened.send(target, message)) for target in opened.targets if target.id not in over]
