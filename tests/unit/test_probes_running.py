"""The order of operations, what stops them, and that nothing can hang whoever asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from tieline.errors import Code, StepFailed
from tieline.probes.family import Asked, Failed, Family, Skipped, Work
from tieline.probes.report import Limits, Operation, Outcome, Report, Result
from tieline.probes.running import carry_out
from tieline.secrets.scrub import Scrubber
from tieline.secrets.secret import Secret

QUICK = Limits(timeout=0.3, total=2)


class Scripted(Family):
    """Does what it is told, and remembers what was done."""

    def __init__(self, limits: Limits = QUICK, **works: Work) -> None:
        super().__init__(Asked({}, limits))
        self.given = works
        self.was_cut = self.was_closed = 0

    def works(self) -> Mapping[Operation, Work]:
        return {operation: self.given.get(operation.value, lambda: "done") for operation in Operation}

    def cut(self) -> None:
        self.was_cut += 1

    def close(self) -> None:
        self.was_closed += 1


def run(family: Family, limits: Limits = QUICK, *secrets: str) -> Report:
    return carry_out(family, limits, Scrubber(Secret(secret) for secret in secrets))


def marks(report: Report) -> str:
    return "".join({"pass": "P", "fail": "F", "skipped": "-"}[result.outcome] for result in report.results)


def raising(error: BaseException) -> Work:
    def work() -> str:
        raise error

    return work


def test_every_operation_is_reported_once_and_in_order() -> None:
    report = run(Scripted())
    assert [result.operation for result in report.results] == list(Operation)
    assert marks(report) == "PPPPPPPP"
    assert all(result.milliseconds is not None and result.detail == "done" for result in report.results)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("resolve", "F-------"), ("reach", "PF------"), ("tls", "PPF-----"), ("authenticate", "PPPF----")],
)
def test_nothing_is_tried_behind_a_closed_gate(operation: str, expected: str) -> None:
    report = run(Scripted(**{operation: raising(Failed("no", "do it", "host"))}))
    assert marks(report) == expected
    assert report.of(Operation.DELETE).detail == f"{operation} failed"
    failed = report.of(Operation(operation))
    assert (failed.detail, failed.hint, failed.part) == ("no", "do it", "host")


def test_what_is_skipped_closes_no_gate() -> None:
    assert marks(run(Scripted(tls="it has none", authenticate=raising(Skipped("nobody asked"))))) == "PP--PPPP"


def test_a_failed_list_closes_no_gate_and_a_failed_write_only_delete() -> None:
    assert marks(run(Scripted(list=raising(Failed("no"))))) == "PPPPFPPP"
    report = run(Scripted(write=raising(Failed("no"))))
    assert marks(report) == "PPPPPPF-"


def test_an_operation_that_hangs_is_left_behind_and_nothing_more_is_asked() -> None:
    stop = threading.Event()
    family = Scripted(authenticate=lambda: str(stop.wait(30)))
    started = time.monotonic()
    report = run(family)
    assert time.monotonic() - started < 20
    stop.set()
    assert marks(report) == "PPPF----"
    assert "no answer within 0.3 s" in report.of(Operation.AUTHENTICATE).detail
    assert report.of(Operation.LIST).detail == "authenticate did not end in time"
    assert (family.was_cut, family.was_closed) == (1, 1)


def test_what_there_was_no_time_for_fails() -> None:
    limits = Limits(timeout=0.4, total=0.2)

    def slow() -> str:
        time.sleep(0.19)
        return "done"

    report = run(Scripted(limits, resolve=slow, reach=lambda: time.sleep(0.05) or "done"), limits)
    assert Outcome.FAIL in {result.outcome for result in report.results}


def test_a_family_that_cannot_be_closed_is_left_behind_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.probes.running.LAST", 0.1)
    stop = threading.Event()

    class Stuck(Scripted):
        def close(self) -> None:
            stop.wait(30)

    started = time.monotonic()
    assert marks(run(Stuck())) == "PPPPPPPP"
    assert time.monotonic() - started < 20
    stop.set()


def test_all_operations_together_have_a_limit() -> None:
    limits = Limits(timeout=0.4, total=0.5)

    def slow() -> str:
        time.sleep(0.3)
        return "done"

    report = run(Scripted(limits, resolve=slow, reach=slow), limits)
    assert report.results[0].outcome is Outcome.PASS
    assert report.results[1].outcome is Outcome.FAIL
    assert report.failed(), "what there was no time for is not fine"
    assert sum((result.milliseconds or 0) for result in report.results) < 900


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (TimeoutError(), "no answer within"),
        (ConnectionResetError(104, "Connection reset by peer"), "the connection broke: Connection reset by peer"),
        (StepFailed.of(Code.CLONE_FAILED, "git said no", "ask it"), "git said no"),
        (ValueError("odd"), "unexpected: ValueError: odd"),
    ],
)
def test_whatever_is_raised_becomes_a_result(error: Exception, detail: str) -> None:
    assert detail in run(Scripted(list=raising(error))).of(Operation.LIST).detail


def test_secrets_are_in_no_detail_and_in_no_hint() -> None:
    report = run(Scripted(list=raising(Failed("no hunter22", "try hunter22"))), QUICK, "hunter22")
    assert "hunter22" not in repr(report)
    assert report.of(Operation.LIST).detail == "no ***"


def test_what_stands_in_the_way() -> None:
    def result(operation: Operation, outcome: Outcome) -> Result:
        return Result(operation, outcome, "")

    report = Report(
        (
            result(Operation.REACH, Outcome.PASS),
            result(Operation.AUTHENTICATE, Outcome.SKIPPED),
            result(Operation.READ, Outcome.FAIL),
            result(Operation.WRITE, Outcome.FAIL),
        ),
        frozenset(Operation) - {Operation.WRITE},
    )
    assert [found.operation for found in report.failed()] == [Operation.READ]
    assert report.failed({Operation.REACH}) == ()
    assert [found.operation for found in report.failed({Operation.WRITE, Operation.AUTHENTICATE})] == [
        Operation.AUTHENTICATE,
        Operation.WRITE,
    ]
