"""The record against a model of it: the table of transitions, walked at random on a real database.

The model beside it is a few fields of Python. Whatever hypothesis asks for, the record allows what the table
allows, refuses the rest without changing anything, and tells the same story as the model afterwards, also when it
was closed and opened in between. ``TIELINE_SOAK=1`` walks much longer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tieline.errors import Code, NotFound, RecordError
from tieline.model.run import FINAL, TRANSITIONS, NewRun, Outcome, Status
from tieline.runs.record import Record

EXAMPLES = 1000 if os.environ.get("TIELINE_SOAK") else 35

REASONS = st.sampled_from(["", "exit-code", "outputs-not-saved", "stopped"])
OUTCOMES = st.none() | st.builds(
    Outcome,
    st.sampled_from(sorted(FINAL)),
    REASONS,
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    st.none() | st.integers(0, 255),
)


@dataclass
class Expected:
    """What the model knows of a run. An event is (status, attempt, reason)."""

    uuid: str
    status: Status = Status.CREATED
    attempt: int = 1
    reason: str = ""
    outcome: Outcome | None = None
    was_running: bool = False
    stop_requested: bool = False
    events: list[tuple[Status, int, str]] = field(default_factory=lambda: [(Status.CREATED, 1, "")])

    def allows(self, to: Status, attempt: int | None) -> bool:
        saves_again = self.status is not Status.FAILED or self.reason == "outputs-not-saved"
        return to in TRANSITIONS[self.status] and saves_again and attempt in (None, self.next_attempt(to))

    def next_attempt(self, to: Status) -> int:
        return self.attempt + ((self.status, to) == (Status.RETRYING, Status.STARTING))

    def apply(self, to: Status, reason: str, outcome: Outcome | None) -> None:
        retry = (self.status, to) == (Status.RETRYING, Status.STARTING)
        self.outcome = outcome or (None if retry else self.outcome)
        self.attempt = self.next_attempt(to)
        self.status, self.reason = to, reason
        self.was_running |= to is Status.RUNNING
        self.events.append((to, self.attempt, reason))


class Lifecycle(RuleBasedStateMachine):
    """Several runs in one record; each check reads the record through a second one, as another process would."""

    path: Path
    runs = Bundle("runs")

    def __init__(self) -> None:
        super().__init__()
        self.record = Record.open(self.path)
        self.other = Record.open(self.path)
        self.touched: Expected | None = None

    @initialize(target=runs)
    def accept_the_first(self) -> Expected:
        return self._accept()

    @rule(target=runs)
    def accept(self) -> Expected:
        return self._accept()

    @rule(expected=runs)
    def accept_again(self, expected: Expected) -> None:
        with pytest.raises(RecordError, match="accepted before"):
            self.record.accept(new_run(expected.uuid))
        self.touched = expected

    @rule(expected=runs, data=st.data(), reason=REASONS, outcome=OUTCOMES)
    def follow_the_table(self, expected: Expected, data: st.DataObject, reason: str, outcome: Outcome | None) -> None:
        follows = sorted(to for to in TRANSITIONS[expected.status] if expected.allows(to, None))
        if follows:
            to = data.draw(st.sampled_from(follows))
            named = data.draw(st.sampled_from([None, expected.next_attempt(to)]))
            self._ask(expected, to, reason, outcome, named)

    @rule(expected=runs, to=st.sampled_from(Status), reason=REASONS, attempt=st.none() | st.integers(0, 3))
    def ask_for_anything(self, expected: Expected, to: Status, reason: str, attempt: int | None) -> None:
        self._ask(expected, to, reason, None, attempt)

    @rule(expected=runs)
    def request_stop(self, expected: Expected) -> None:
        assert self.record.request_stop(expected.uuid) is (expected.status not in FINAL)
        expected.stop_requested |= expected.status not in FINAL
        self.touched = expected

    @rule(target=runs, expected=consumes(runs))
    def delete(self, expected: Expected) -> object:
        if expected.status not in FINAL:
            with pytest.raises(RecordError) as caught:
                self.record.delete(expected.uuid)
            assert caught.value.code is Code.RUN_ACTIVE
            return expected
        self.record.delete(expected.uuid)
        for look in (self.other.get, self.other.plan, self.other.events, self.other.delete):
            with pytest.raises(NotFound):
                look(expected.uuid)
        return multiple()

    @rule()
    def reopen(self) -> None:
        self.record.close()
        self.record = Record.open(self.path)

    @invariant()
    def the_record_tells_what_the_model_knows(self) -> None:
        if (expected := self.touched) is None:
            return
        self.touched = None
        run, events = self.other.get(expected.uuid), self.other.events(expected.uuid)
        assert (run.status, run.attempt, run.reason) == (expected.status, expected.attempt, expected.reason)
        assert (run.outcome, run.stop_requested) == (expected.outcome, expected.stop_requested)
        assert (run.started_at is not None) == expected.was_running
        assert (run.finished_at is not None) == (expected.status in FINAL)
        assert [event.sequence for event in events] == list(range(1, len(expected.events) + 1))
        assert [(event.status, event.attempt, event.reason) for event in events] == expected.events

    def teardown(self) -> None:
        """Every run that is left can be brought to an end, by the table alone."""
        for run in self.other.unfinished("model"):
            while run.status not in FINAL:
                closest = min(TRANSITIONS[run.status], key=_steps_to_an_end)
                run = self.record.transition(run.uuid, closest)
        self.record.close()
        self.other.close()

    def _accept(self) -> Expected:
        expected = Expected(uuid4().hex)
        assert self.record.accept(new_run(expected.uuid)) == self.other.get(expected.uuid)
        self.touched = expected
        return expected

    def _ask(self, expected: Expected, to: Status, reason: str, outcome: Outcome | None, attempt: int | None) -> None:
        self.touched = expected
        if expected.allows(to, attempt):
            run = self.record.transition(expected.uuid, to, reason=reason, outcome=outcome, attempt=attempt)
            expected.apply(to, reason, outcome)
            assert run == self.other.get(expected.uuid)
            return
        before = self.other.get(expected.uuid)
        with pytest.raises(RecordError, match=f"is {before.status} and cannot become {to}") as caught:
            self.record.transition(expected.uuid, to, reason=reason, outcome=outcome, attempt=attempt)
        assert caught.value.code is Code.BAD_TRANSITION
        assert self.other.get(expected.uuid) == before


def new_run(uuid: str) -> NewRun:
    return NewRun(uuid, "train", "p", "ns", "job", "model", {"version": 1}, "sha256:0", "bucket", f"p/{uuid}")


def _steps_to_an_end(status: Status) -> int:
    reached, steps = {status}, 0
    while not reached & FINAL:
        reached = reached.union(*(TRANSITIONS[each] for each in reached))
        steps += 1
    return steps


@pytest.fixture
def machine(tmp_path: Path) -> type[Lifecycle]:
    """The state machine on one fresh file; its examples use runs of their own."""
    return type("LifecycleOnSqlite", (Lifecycle,), {"path": tmp_path / "runs.db"})


@pytest.mark.timeout(3600)
def test_the_record_walks_the_table_of_transitions(machine: type[Lifecycle]) -> None:
    walk = settings(
        max_examples=EXAMPLES,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=walk)
