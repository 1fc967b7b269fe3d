"""Carries a family's operations out, one after the other, each for so long and no longer.

An operation runs in a thread of its own. When its time is over, everything that the probe has opened is cut and the
thread is abandoned: a server that hangs can't hang whoever asked. After an operation that ran out of time nothing more
is asked of that server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from tieline.errors import TielineError
from tieline.probes.family import Failed, Family, Skipped, Work
from tieline.probes.report import Limits, Operation, Outcome, Report, Result
from tieline.secrets.scrub import Scrubber

T = TypeVar("T")
_MORE = "give it more --timeout"
LAST = 2.0
"""Seconds for closing what was opened, and removing what was made."""
GATES = (Operation.RESOLVE, Operation.REACH, Operation.TLS, Operation.AUTHENTICATE)
"""When one of these fails, nothing after it can be tried."""


class TookTooLong(Exception):
    """An operation did not end in its time."""


def carry_out(family: Family, limits: Limits, scrub: Scrubber) -> Report:
    """All operations. Raises nothing: whatever goes wrong is a result."""
    until = time.monotonic() + limits.total
    results: dict[Operation, Result] = {}
    works = family.works()
    blocked = ""
    try:
        for operation in Operation:
            why = blocked or _not_now(operation, results)
            result, too_long = _result(
                operation, why or works[operation], min(limits.timeout, until - time.monotonic())
            )
            results[operation] = _scrubbed(result, scrub)
            if too_long:
                blocked = f"{operation} did not end in time"
                _quietly(family.cut)
    finally:
        _quietly(family.close)
    return Report(tuple(results.values()), family.expected)


def _not_now(operation: Operation, results: dict[Operation, Result]) -> str:
    """Why an operation can't be tried after what went before; empty if it can."""
    for gate in GATES:
        if gate in results and results[gate].outcome is Outcome.FAIL:
            return f"{gate} failed"
    if operation is Operation.DELETE and results[Operation.WRITE].outcome is Outcome.FAIL:
        return "write failed: there is nothing of ours to delete"
    return ""


def _result(operation: Operation, work: Work, seconds: float) -> tuple[Result, bool]:
    """The result, and whether the operation ran out of time."""
    if isinstance(work, str):
        return Result(operation, Outcome.SKIPPED, work), False
    if seconds <= 0:
        return Result(operation, Outcome.FAIL, "not tried: the time for the whole test was over", None, _MORE), True
    started = time.monotonic()

    def ended(outcome: Outcome, detail: str, hint: str = "", part: str = "") -> Result:
        return Result(operation, outcome, detail, round((time.monotonic() - started) * 1000, 1), hint, part)

    try:
        return ended(Outcome.PASS, within(seconds, work)), False
    except Skipped as why:
        return ended(Outcome.SKIPPED, str(why)), False
    except (TookTooLong, TimeoutError):
        silent = "" if operation in GATES[:2] else ": it accepts, and says nothing or not all"
        return ended(
            Outcome.FAIL, f"no answer within {seconds:.3g} s{silent}", f"is it the right server? else {_MORE}"
        ), True
    except Exception as error:
        told = _told(error)
        return ended(Outcome.FAIL, told.reason, told.hint, told.part), False


def _told(error: Exception) -> Failed:
    """Whatever was raised, as a failure."""
    match error:
        case Failed():
            return error
        case TielineError():
            return Failed(error.problems[0].message, error.problems[0].hint)
        case OSError():
            return Failed(f"the connection broke: {error.strerror or error}", "see the server's log; is tls right?")
        case _:
            return unexpected(error)


def unexpected(error: Exception) -> Failed:
    """What nobody thought of, as a failure."""
    return Failed(f"unexpected: {type(error).__name__}: {error}", "this is a defect in Tieline; please report it")


def within(seconds: float, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, or TookTooLong; then it goes on in a thread that nobody waits for."""
    box: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def go() -> None:
        try:
            box.put((work(), None))
        except BaseException as error:
            box.put((None, error))

    threading.Thread(target=go, name="tieline-probe", daemon=True).start()
    try:
        value, error = box.get(timeout=seconds)
    except Empty:
        raise TookTooLong from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def _quietly(work: Callable[[], None]) -> None:
    """What was opened is closed; that it can't be, or not in time, is no result of its own."""
    with suppress(Exception):
        within(LAST, work)


def _scrubbed(result: Result, scrub: Scrubber) -> Result:
    return Result(
        result.operation, result.outcome, scrub(result.detail), result.milliseconds, scrub(result.hint), result.part
    )
