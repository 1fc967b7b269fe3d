"""The record on a real SQLite file: what is written is read again, found, listed and forgotten."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tieline.errors import Code, NotFound, RecordError
from tieline.model.run import NewRun, Outcome, Run, Status
from tieline.runs.record import Record

UUID = "00c0ffee00000000000000000000000a"
NEW = NewRun(
    uuid=UUID,
    name="train",
    project="penguins",
    namespace="team-a",
    kind="job",
    engine="process",
    plan={"version": 1, "steps": [{"name": "main", "argv": ["python", "é"]}], "nothing": None},
    catalog_digest="sha256:abc",
    store="bucket",
    store_prefix="penguins/train",
    job_file="job.yaml",
    queue="gpu",
    tags=("a", "b"),
    connections=("bucket", "repo", "bucket"),
)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with Record.open(tmp_path / "runs.db") as record:
        yield record


def accept(record: Record, uuid: str, **fields: object) -> Run:
    return record.accept(replace(NEW, uuid=uuid, **fields))  # type: ignore[arg-type]


def walk(record: Record, uuid: str, *statuses: Status) -> Run:
    for status in statuses:
        run = record.transition(uuid, status)
    return run


# accepting


def test_accepted_run_is_read_as_it_was_given(record: Record) -> None:
    before = datetime.now(UTC)
    run = record.accept(NEW)
    assert before <= run.created_at == run.updated_at <= datetime.now(UTC)
    assert run.created_at.tzinfo is UTC
    assert run == record.get(UUID)
    assert run == Run(
        UUID, "train", "penguins", "team-a", "job", "process", Status.CREATED, 1, run.created_at, run.created_at,
        job_file="job.yaml", catalog_digest="sha256:abc", store="bucket", store_prefix="penguins/train",
        queue="gpu", tags=("a", "b"),
    )  # fmt: skip
    assert record.plan(UUID) == NEW.plan
    [event] = record.events(UUID)
    assert (event.run, event.sequence, event.status, event.at) == (UUID, 1, Status.CREATED, run.created_at)


def test_a_uuid_is_accepted_once(record: Record) -> None:
    record.accept(NEW)
    with pytest.raises(RecordError, match=f"run {UUID} was accepted before") as caught:
        record.accept(replace(NEW, name="other", connections=("third",)))
    assert caught.value.code is Code.DUPLICATE_NAME
    assert record.get(UUID).name == "train"
    assert record.usage("third", "team-a") == []


def test_text_that_is_no_utf8_is_kept_visible(record: Record) -> None:
    name = os.fsdecode(b"caf\xe9.yaml")
    run = accept(record, UUID, job_file=name, plan={"file": name, "nul": "\0"})
    assert run.job_file == r"caf\udce9.yaml"
    assert record.plan(UUID) == {"file": name, "nul": "\0"}
    outcome = Outcome(Status.FAILED, "exit-code", name, 3)
    run = record.transition(UUID, Status.SAVING, message="a\0b", outcome=outcome)
    assert (run.message, run.outcome) == (r"a\x00b", replace(outcome, message=r"caf\udce9.yaml"))


# transitions


def test_a_run_from_accept_to_success(record: Record) -> None:
    record.accept(NEW)
    walk(record, UUID, Status.QUEUED, Status.STARTING, Status.RUNNING)
    outcome = Outcome(Status.SUCCEEDED, exit_code=0)
    record.transition(UUID, Status.SAVING, outcome=outcome)
    run = record.transition(UUID, Status.SUCCEEDED, exit_code=0, message="done")
    assert run == record.get(UUID)
    assert (run.status, run.exit_code, run.message, run.outcome) == (Status.SUCCEEDED, 0, "done", outcome)
    events = record.events(UUID)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    assert run.started_at == events[3].at
    assert run.finished_at == run.updated_at == events[5].at
    assert events[5].message == "done"


def test_a_refused_transition_changes_nothing(record: Record) -> None:
    before, events = record.accept(NEW), record.events(UUID)
    with pytest.raises(RecordError, match="is created and cannot become succeeded") as caught:
        record.transition(UUID, Status.SUCCEEDED, exit_code=0)
    assert caught.value.code is Code.BAD_TRANSITION
    assert (record.get(UUID), record.events(UUID)) == (before, events)


def test_outputs_are_saved_after_all(record: Record) -> None:
    record.accept(NEW)
    walk(record, UUID, Status.STARTING, Status.RUNNING)
    outcome = Outcome(Status.SUCCEEDED, exit_code=0)
    record.transition(UUID, Status.SAVING, outcome=outcome)
    failed = record.transition(UUID, Status.FAILED, reason="outputs-not-saved", exit_code=73)
    assert failed.finished_at is not None
    saving = record.transition(UUID, Status.SAVING)
    assert (saving.finished_at, saving.outcome, saving.started_at) == (None, outcome, failed.started_at)
    assert record.transition(UUID, Status.SUCCEEDED, exit_code=0).finished_at is not None


def test_code_is_recorded_with_a_transition_or_alone(record: Record) -> None:
    record.accept(NEW)
    commit = {"connection": "repo", "url": "https://git/x", "commit": "a" * 40}
    record.set_code(UUID, [commit])
    assert record.get(UUID).code == (commit,)
    assert record.transition(UUID, Status.STARTING).code == (commit,)
    other = {**commit, "commit": "b" * 40}
    assert record.transition(UUID, Status.RUNNING, code=[other]).code == (other,)


def test_a_stop_is_requested_until_the_run_has_ended(record: Record) -> None:
    record.accept(NEW)
    assert record.request_stop(UUID)
    asked = record.get(UUID)
    assert asked.stop_requested
    assert record.request_stop(UUID)
    assert record.get(UUID) == asked
    walk(record, UUID, Status.STOPPING, Status.SAVING, Status.STOPPED)
    assert record.request_stop(UUID) is False


# finding


def test_a_run_is_found_by_uuid_beginning_or_name(record: Record) -> None:
    run = record.accept(NEW)
    for ref in (UUID, UUID.upper(), UUID[:4], UUID[:-1], "train"):
        assert record.find(ref) == run
    with pytest.raises(NotFound):
        record.find(UUID[:3])


def test_the_newest_of_a_name_is_found(record: Record) -> None:
    accept(record, "a" * 32)
    newest = accept(record, "b" * 32)
    accept(record, "c" * 32, name="other")
    assert record.find("train") == newest


def test_a_name_goes_before_a_beginning_and_a_uuid_before_a_name(record: Record) -> None:
    named = accept(record, "a" * 32, name="cafe")
    begins = accept(record, "cafe" + "0" * 28)
    assert record.find("cafe") == named
    assert record.find("cafe0") == begins
    accept(record, "b" * 32, name=begins.uuid)
    assert record.find(begins.uuid) == begins


def test_a_beginning_of_several_lists_them(record: Record) -> None:
    accept(record, "abcd1" + "0" * 27, name="one")
    accept(record, "abcd2" + "0" * 27, name="two")
    with pytest.raises(NotFound) as caught:
        record.find("abcd")
    assert caught.value.code is Code.RUN_NOT_FOUND
    text = str(caught.value)
    assert f"abcd2{'0' * 27} (two), abcd1{'0' * 27} (one); give more of the uuid" in text
    assert record.find("abcd2").name == "two"


def test_a_search_stays_in_its_project_and_namespace(record: Record) -> None:
    run = record.accept(NEW)
    assert record.find("train", "penguins", "team-a") == run
    for where in ({"project": "other"}, {"namespace": "other"}):
        for ref in (UUID, UUID[:6], "train"):
            with pytest.raises(NotFound):
                record.find(ref, **where)


def test_what_is_not_found_names_the_nearest(record: Record) -> None:
    record.accept(NEW)
    with pytest.raises(NotFound, match="there is no run 'trian'; did you mean 'train'") as caught:
        record.find("trian")
    assert caught.value.code is Code.RUN_NOT_FOUND
    for ref in ("", "100%", "_____", "\udce9\udce9\udce9\udce9", "x\0yz"):
        with pytest.raises(NotFound):
            record.find(ref)


def test_every_method_of_an_unknown_run_says_so(record: Record) -> None:
    asks = (record.get, record.plan, record.events, record.request_stop, record.delete)
    for ask in (*asks, lambda uuid: record.set_code(uuid, []), lambda uuid: record.transition(uuid, Status.QUEUED)):
        with pytest.raises(NotFound, match="there is no run 'nobody'"):
            ask("nobody")


# listing


def test_runs_are_listed_newest_first_by_what_is_asked(record: Record) -> None:
    first = accept(record, "a" * 32)
    second = accept(record, "b" * 32, project="other", namespace="team-b", engine="kubernetes", name="eval")
    third = walk(record, accept(record, "c" * 32).uuid, Status.STARTING)
    assert record.list() == [third, second, first]
    assert record.list(limit=2) == [third, second]
    for asked in ({"project": "other"}, {"namespace": "team-b"}, {"engine": "kubernetes"}, {"name": "eval"}):
        assert record.list(**asked) == [second]  # type: ignore[arg-type]
    assert record.list(statuses=[Status.STARTING]) == [third]
    assert record.list(statuses=[Status.FAILED]) == []
    assert record.list(project="penguins", statuses=[Status.CREATED]) == [first]


def test_unfinished_runs_are_those_that_have_not_ended(record: Record) -> None:
    ended = accept(record, "a" * 32)
    walk(record, ended.uuid, Status.SAVING, Status.FAILED)
    accept(record, "b" * 32, engine="kubernetes")
    saving = walk(record, accept(record, "c" * 32).uuid, Status.SAVING)
    created = accept(record, "d" * 32)
    assert record.unfinished("process") == [created, saving]


def test_usage_tells_who_uses_a_connection(record: Record) -> None:
    accept(record, "a" * 32)
    accept(record, "b" * 32, connections=("repo",))
    accept(record, "c" * 32, namespace="team-b")
    accept(record, "d" * 32, connections=())
    assert record.usage("repo", "team-a") == ["b" * 32, "a" * 32]
    assert record.usage("bucket", "team-a") == ["a" * 32]
    assert record.usage("nothing", "team-a") == []


def test_a_deleted_run_leaves_nothing(record: Record) -> None:
    record.accept(NEW)
    with pytest.raises(RecordError, match="is created and cannot be deleted") as caught:
        record.delete(UUID)
    assert caught.value.code is Code.RUN_ACTIVE
    walk(record, UUID, Status.SAVING, Status.FAILED)
    record.delete(UUID)
    assert (record.list(), record.usage("repo", "team-a")) == ([], [])
    record.accept(NEW)
    assert [event.sequence for event in record.events(UUID)] == [1]


# one record, several threads


def test_threads_share_a_record(record: Record) -> None:
    failures: list[BaseException] = []

    def drive(uuid: str) -> None:
        try:
            accept(record, uuid)
            walk(record, uuid, Status.STARTING, Status.RUNNING, Status.SAVING, Status.SUCCEEDED)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=drive, args=(f"{number:032}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(record.list(statuses=[Status.SUCCEEDED])) == 8
