"""The outbox on a real SQLite file: rows with their events, one holder for each channel, limits, digests, order."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from outbox_harness import World, now

from tieline.errors import Code, NotFound, RecordError
from tieline.model.notification import Delivery, Notification
from tieline.model.run import ChannelPin, Status
from tieline.runs.sending import Ended, Idle, Limits

FREE = Limits()
SLACK = Limits(burst=3, per_second=1.0, most=50)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World.at(tmp_path / "home")
    made.channel("team", "slack", url="http://127.0.0.1:9/x")
    made.channel("page", "pagerduty", url="http://127.0.0.1:9/v2/enqueue")
    yield made
    made.record.close()


def alive(_: str) -> bool:
    return False


def dead(_: str) -> bool:
    return True


def digest(world: World, name: str = "team") -> str:
    return world.pins[name].digest


def held(world: World, holder: str = "me", name: str = "team") -> ChannelPin:
    found = world.record.outbox.hold(digest(world, name), holder, alive)
    assert found is not None
    return found


def step(
    world: World, limits: Limits = FREE, ended: Ended | None = None, holder: str = "me"
) -> list[Notification] | Idle:
    return world.record.outbox.step(digest(world), holder, limits, ended)


def begun(world: World, limits: Limits = FREE, ended: Ended | None = None) -> list[Notification]:
    found = step(world, limits, ended)
    assert not isinstance(found, Idle), found
    return found


def done(told: list[Notification], state: Delivery = Delivery.DELIVERED, pause: float | None = None) -> Ended:
    next_at = now() + timedelta(seconds=pause) if pause is not None else None
    return Ended(tuple(one.id for one in told), state, "delivered", "200", next_at=next_at)


def all_told(world: World, limits: Limits) -> tuple[list[int], Idle]:
    """How many notifications each message told that could be sent now, and what came then."""
    held(world)
    sizes, ended = [], None
    while not isinstance(found := step(world, limits, ended), Idle):
        sizes.append(len(found))
        ended = done(found)
    return sizes, found


# --- with the event, in its transaction


def test_an_event_that_is_waited_for_makes_a_row_and_others_none(world: World) -> None:
    run = world.run("team", trigger="failed")
    assert world.told() == []
    world.record.transition(run.uuid, Status.SAVING)
    world.record.transition(run.uuid, Status.FAILED, reason="exit-code", message="exited with 3", exit_code=3)
    (row,) = world.told()
    facts = row.facts
    assert (row.connection, row.trigger, row.state, row.attempts) == ("team", "failed", Delivery.PENDING, 0)
    assert (facts.run, facts.sequence, facts.status, facts.owner) == (run.uuid, 3, Status.FAILED, "ann")
    assert (facts.message, facts.exit_code, facts.project) == ("exited with 3", 3, "penguins")
    assert facts.at == world.record.get(run.uuid).updated_at


def test_a_refused_transition_tells_nobody(world: World) -> None:
    run = world.run("team", trigger="succeeded")
    with pytest.raises(RecordError):
        world.record.transition(run.uuid, Status.SUCCEEDED)
    assert world.told() == []


def test_one_row_for_each_run_event_and_connection(world: World) -> None:
    world.ended("team", "team", "page")
    assert world.states() == [("team", "failed", "pending"), ("page", "failed", "pending")]
    with closing(sqlite3.connect(world.home.database)) as database:
        columns = ", ".join(row[1] for row in database.execute("PRAGMA table_info(notifications)") if row[1] != "id")
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(f"INSERT INTO notifications ({columns}) SELECT {columns} FROM notifications LIMIT 1")


def test_a_success_ends_what_a_failure_began(world: World) -> None:
    def ended(status: Status, name: str = "train") -> None:
        run = world.run("page", trigger="failed", name=name)
        world.record.transition(run.uuid, Status.SAVING)
        world.record.transition(run.uuid, status)

    ended(Status.SUCCEEDED)
    assert world.told() == [], "nothing was open"
    ended(Status.FAILED)
    ended(Status.SUCCEEDED, name="other")
    ended(Status.SUCCEEDED)
    ended(Status.SUCCEEDED)
    assert [(row.facts.status, row.resolves) for row in world.told()] == [
        (Status.FAILED, False), (Status.SUCCEEDED, True),
    ]  # fmt: skip


def test_a_run_that_is_removed_is_told_of_all_the_same(world: World) -> None:
    run = world.ended("team")
    world.record.delete(run.uuid)
    held(world)
    (row,) = begun(world)
    assert row.facts.run == run.uuid


def test_who_was_told_of_a_removed_run_is_forgotten(world: World) -> None:
    run = world.ended("team", "page")
    held(world)
    step(world, ended=done(begun(world)))
    world.record.delete(run.uuid)
    assert world.states() == [("page", "failed", "pending")]


# --- one holder


def test_a_channel_has_one_holder(world: World) -> None:
    world.ended("team", "page")
    outbox = world.record.outbox
    assert held(world).connection == "team"
    assert outbox.hold(digest(world), "other", alive) is None
    assert outbox.hold(digest(world, "page"), "other", alive) is not None
    assert step(world, holder="other") == Idle(), "it is not theirs"
    begun(world)
    outbox.release(digest(world), "other")
    assert outbox.hold(digest(world), "other", alive) is None, "only the holder releases"


def test_what_a_dead_holder_had_begun_is_sent_again(world: World) -> None:
    world.ended("team")
    held(world, "dies")
    (row,) = world.record.outbox.step(digest(world), "dies", FREE, None)  # type: ignore[misc]
    assert world.record.outbox.get(row.id).state is Delivery.SENDING
    assert world.record.outbox.hold(digest(world), "me", dead) is not None
    (again,) = begun(world)
    assert (again.id, again.attempts) == (row.id, 2)
    begun_again = world.record.outbox.get(row.id)
    assert [one.outcome for one in begun_again.history] == ["interrupted", "sending"]


def test_a_holder_that_was_asleep_changes_nothing_of_the_next_ones(world: World) -> None:
    world.ended("team")
    held(world, "sleeper")
    (row,) = world.record.outbox.step(digest(world), "sleeper", FREE, None)  # type: ignore[misc]
    assert world.record.outbox.hold(digest(world), "me", dead) is not None
    assert step(world, ended=done([row], Delivery.FAILED), holder="sleeper") == Idle()
    assert world.record.outbox.get(row.id).state is Delivery.PENDING
    assert begun(world)[0].id == row.id


def test_nothing_left_releases_the_channel(world: World) -> None:
    world.ended("team")
    held(world)
    row = begun(world)
    assert step(world, ended=done(row)) == Idle()
    found = world.record.outbox.get(row[0].id)
    assert (found.state, found.status, found.finished_at is not None) == (Delivery.DELIVERED, "200", True)
    assert world.record.outbox.hold(digest(world), "other", alive) is not None


# --- when


def test_what_waits_is_not_begun_before_its_time(world: World) -> None:
    world.ended("team")
    held(world)
    idle = step(world, ended=done(begun(world), Delivery.PENDING, pause=0.3))
    assert isinstance(idle, Idle)
    assert idle.until is not None
    assert timedelta() < idle.until - now() <= timedelta(seconds=0.3)
    assert world.record.outbox.waiting()[0].due_at == idle.until
    time.sleep(0.35)
    held(world)
    assert len(begun(world)) == 1


def test_a_run_is_told_of_in_its_order_and_others_go_on(world: World) -> None:
    first = world.run("team", trigger="done")
    world.record.transition(first.uuid, Status.SAVING)
    world.record.transition(first.uuid, Status.FAILED, reason=Code.OUTPUTS_NOT_SAVED)
    held(world)
    failed = begun(world)
    world.record.transition(first.uuid, Status.SAVING)
    world.record.transition(first.uuid, Status.SUCCEEDED)
    other = world.ended("team")
    (row,) = begun(world, ended=done(failed, Delivery.PENDING, pause=60))
    assert row.facts.run == other.uuid, "the success of the first waits for its failure"
    assert isinstance(step(world, ended=done([row])), Idle)


def test_a_paused_channel_waits_whole(world: World) -> None:
    world.ended("team")
    world.ended("team")
    held(world)
    (row,) = begun(world)
    until = now() + timedelta(seconds=60)
    ended = Ended((row.id,), Delivery.PENDING, "later", "429", next_at=until, paused_until=until)
    assert step(world, ended=ended) == Idle(until)
    assert [one.due_at for one in world.record.outbox.waiting()] == [until]
    assert not world.record.is_overdue()
    world.record.outbox.retry(row.id)
    assert world.record.outbox.waiting()[0].due_at <= now(), "a person doesn't wait"


# --- the service's limit


def test_past_the_limit_the_rest_is_one_message(world: World) -> None:
    for _ in range(10):
        world.ended("team")
    assert all_told(world, SLACK)[0] == [1, 1, 8]
    assert {one.state for one in world.told()} == {Delivery.DELIVERED}
    assert world.record.outbox.get(10).history[0].digest == 8
    world.ended("team")
    held(world)
    idle = step(world, SLACK)
    assert isinstance(idle, Idle)
    assert idle.limited
    assert idle.until is not None
    assert timedelta(seconds=0.5) < idle.until - now() < timedelta(seconds=1)


def test_without_more_than_the_limit_each_is_told_alone(world: World) -> None:
    for _ in range(3):
        world.ended("team")
    assert all_told(world, SLACK)[0] == [1, 1, 1]


def test_a_service_that_folds_nothing_is_told_one_by_one(world: World) -> None:
    for _ in range(4):
        world.ended("team")
    sizes, idle = all_told(world, Limits(burst=3, per_second=0.001, most=1))
    assert (sizes, idle.limited) == ([1, 1, 1], True)


# --- looking, and again


def test_lists_and_gets(world: World) -> None:
    run = world.ended("team", "page")
    outbox = world.record.outbox
    assert [one.connection for one in outbox.list(run=run.uuid)] == ["page", "team"]
    assert len(outbox.list(connection="team")) == 1
    assert outbox.list(states=[Delivery.FAILED]) == []
    with pytest.raises(NotFound):
        outbox.get(99)


@pytest.mark.parametrize("state", [Delivery.FAILED, Delivery.UNKNOWN])
def test_a_person_may_try_again(world: World, state: Delivery) -> None:
    world.ended("team")
    held(world)
    (row,) = begun(world)
    step(world, ended=done([row], state))
    assert world.record.outbox.retry(row.id)
    held(world)
    (again,) = begun(world)
    assert again.attempts == 2


def test_what_was_delivered_is_not_sent_again(world: World) -> None:
    world.ended("team")
    held(world)
    (row,) = begun(world)
    assert not world.record.outbox.retry(row.id), "it is being sent"
    step(world, ended=done([row]))
    assert not world.record.outbox.retry(row.id)


def test_again_over_another_channel(world: World) -> None:
    world.ended("team")
    held(world)
    (row,) = begun(world)
    step(world, ended=done([row], Delivery.FAILED))
    world.channel("team", "slack", url="http://127.0.0.1:10/mended")
    assert world.record.outbox.retry(row.id, world.pins["team"])
    found = world.record.outbox.hold(digest(world), "me", alive)
    assert found is not None
    assert found.access["url"] == "http://127.0.0.1:10/mended"
