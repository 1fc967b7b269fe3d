"""The rules of a transition that need more than the two states, as pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tieline.errors import Code, RecordError
from tieline.model.run import FINAL, TRANSITIONS, Outcome, Run, Status
from tieline.runs.lifecycle import Transition, changes, check

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = THEN + timedelta(minutes=1)


def run(status: Status, **fields: object) -> Run:
    known = {"attempt": 1, "created_at": THEN, "updated_at": THEN}
    return Run("u", "train", "p", "ns", "job", "process", status, **{**known, **fields})  # type: ignore[arg-type]


def test_the_table_names_every_state_and_leads_each_to_an_end() -> None:
    assert set(TRANSITIONS) == set(Status)
    for start in Status:
        seen = {start}
        while (more := seen.union(*(TRANSITIONS[status] for status in seen))) != seen:
            seen = more
        assert seen & FINAL, f"{start} can never end"


def test_a_refusal_names_both_states_and_what_is_allowed() -> None:
    with pytest.raises(RecordError) as caught:
        check(run(Status.STOPPING), Transition(Status.RUNNING))
    assert caught.value.code is Code.BAD_TRANSITION
    assert str(caught.value) == "run u is stopping and cannot become running; from here it can become: saving"


def test_a_run_that_succeeded_has_ended_for_good() -> None:
    with pytest.raises(RecordError, match="succeeded and cannot become saving; it has ended for good"):
        check(run(Status.SUCCEEDED), Transition(Status.SAVING))


def test_only_unsaved_outputs_lead_back_from_failed() -> None:
    check(run(Status.FAILED, reason="outputs-not-saved"), Transition(Status.SAVING))
    for reason in ("exit-code", "signalled", "supervisor-died", ""):
        with pytest.raises(RecordError, match="something left to save"):
            check(run(Status.FAILED, reason=reason), Transition(Status.SAVING))


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_a_retry_is_the_next_attempt_or_refused(attempt: int) -> None:
    retrying = run(Status.RETRYING)
    check(retrying, Transition(Status.STARTING))
    check(retrying, Transition(Status.STARTING, attempt=2))
    with pytest.raises(RecordError, match=f"attempt {attempt} was named, and this would be attempt 2"):
        check(retrying, Transition(Status.STARTING, attempt=attempt))


def test_no_other_transition_counts_up() -> None:
    with pytest.raises(RecordError, match="attempt 2 was named"):
        check(run(Status.CREATED), Transition(Status.STARTING, attempt=2))
    for start, follows in TRANSITIONS.items():
        for to in follows:
            retry = start is Status.RETRYING and to is Status.STARTING
            assert changes(run(start), Transition(to), NOW)["attempt"] == (2 if retry else 1)


def test_a_retry_forgets_how_the_last_attempt_ended() -> None:
    before = run(Status.RETRYING, outcome=Outcome(Status.FAILED, "exit-code", "", 3), exit_code=3)
    changed = changes(before, Transition(Status.STARTING), NOW)
    assert (changed["outcome"], changed["exit_code"]) == (None, None)
    assert "outcome" not in changes(before, Transition(Status.SAVING), NOW)


def test_the_start_is_the_first_running_only() -> None:
    assert changes(run(Status.STARTING), Transition(Status.RUNNING), NOW)["started_at"] == NOW
    again = run(Status.STARTING, attempt=2, started_at=THEN)
    assert "started_at" not in changes(again, Transition(Status.RUNNING), NOW)


def test_the_end_is_set_by_a_final_state_and_cleared_on_the_way_back() -> None:
    for final in FINAL:
        assert changes(run(Status.SAVING), Transition(final), NOW)["finished_at"] == NOW
    assert changes(run(Status.FAILED, finished_at=THEN), Transition(Status.SAVING), NOW)["finished_at"] is None
    assert "finished_at" not in changes(run(Status.RUNNING), Transition(Status.SAVING), NOW)


def test_reason_and_message_are_those_of_the_newest_transition() -> None:
    changed = changes(run(Status.RUNNING, reason="old", message="old"), Transition(Status.SAVING), NOW)
    assert (changed["reason"], changed["message"]) == ("", "")
