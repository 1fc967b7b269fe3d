"""The end of a run whose bucket is in trouble: all is saved byte for byte, or it fails with the reason, and all that is
left can be pushed. ``TIELINE_SOAK=1``: many more seeds, and a bucket that is away for a minute.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_harness import LINES, SHORT, SOAK, Bucket, Run, gcs, read, s3, wasb

from servers.faults import Fault, Faults, What, expired, faults, say
from servers.processes import eventually
from tieline.errors import StoreFailed
from tieline.steps.collector import Collector
from tieline.steps.output_saver import OutputSaver
from tieline.steps.retrying import LASTING, Patience
from tieline.steps.spools import Spool
from tieline.stores import options

SEEDS = 300 if SOAK else 3
AWAY = 60.0 if SOAK else 4.0
LOG, SEGMENT = r"main(\.|%2E)log", r"main(/|%2F)0"


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """SeaweedFS, if a test does not say otherwise."""
    made: Bucket = getattr(request, "param", s3)()
    return made


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[Faults]:
    with faults(bucket.port) as proxy:
        yield proxy


@pytest.fixture
def run(tmp_path: Path, bucket: Bucket, proxy: Faults) -> Run:
    return Run(tmp_path, bucket, proxy)


every_bucket = pytest.mark.parametrize("bucket", [s3, wasb, gcs], indirect=True)


@every_bucket
@pytest.mark.parametrize("what", [what for what in What if what is not What.SAY])
def test_what_happens_now_and_then_is_mended(run: Run, what: What) -> None:
    run.proxy.plan(*[Fault(what, "PUT|POST|HEAD", skip=skip, seconds=0.1) for skip in (0, 3, 5)])
    reason = run.arrives_or_says_so(LASTING)
    assert not reason or "AuthorizationFailure" in reason  # Azure signs a request's length: another is a wrong key
    assert run.proxy.did[what]


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")])
def test_a_busy_server_is_waited_for(run: Run, status: int, code: str) -> None:
    run.proxy.plan(say(status, code, retry_after="1", times=20))
    run.finish(LASTING)
    assert run.proxy.did[What.SAY] == 20
    assert code in run.told[0]


def test_a_server_that_refuses_for_a_while_is_waited_for(run: Run) -> None:
    with run.proxy.refusing(AWAY):
        run.finish(LASTING)
    assert "nothing answers" in run.told[0]


def test_each_reason_is_told_once(run: Run) -> None:
    run.proxy.plan(say(503, "SlowDown", method="GET", times=12), say(500, "InternalError", method="PUT", times=None))
    reason = run.fails()
    assert "500 InternalError" in reason
    assert ["SlowDown" in told for told in run.told] == [True, False]


@pytest.mark.parametrize("what", [What.CUT_FIRST, What.CUT_UNANSWERED, What.FLIP_BODY, What.SAY])
def test_what_goes_on_fails_with_the_reason(run: Run, what: What) -> None:
    run.proxy.plan(Fault(what, "PUT", times=None))
    assert "cannot save" in run.fails()
    assert run.told


def test_a_server_that_does_not_come_back_fails_with_the_reason(run: Run) -> None:
    run.proxy.refuse()
    assert "nothing answers" in run.fails()


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [(403, "AccessDenied", "may not do that"), (404, "NoSuchBucket", "no such bucket"), (401, "InvalidToken", "login")],
)
def test_what_is_not_worth_it_is_given_up_once_each_file_was_tried(run: Run, status: int, code: str, told: str) -> None:
    run.proxy.plan(say(status, code, method="PUT", times=None))
    assert told in run.fails(LASTING)
    assert run.told == []
    tried = [target.partition("?")[0] for method, target in run.asked if method == "PUT"]
    assert len(set(tried)) == len(run.before) + 2  # and the log: as one file, and in pieces
    assert {name: tried.count(name) for name in set(tried) if tried.count(name) > 1 and "large" not in name} == {}


def test_one_file_that_is_forbidden_keeps_no_other_back(run: Run) -> None:
    run.proxy.plan(
        say(403, "AccessDenied", method="PUT", target="small", times=None),
        say(503, "SlowDown", method="PUT", target="empty", times=8),
    )
    reason = run.fails(LASTING)
    assert "1 of the run's outputs and logs is not saved" in reason
    assert "AccessDenied" in reason


def test_an_expired_login_is_tried_once_more(run: Run) -> None:
    run.proxy.plan(expired(method="PUT", times=2))
    run.finish(LASTING)

    run.outputs.joinpath("new").write_bytes(b"new")
    run.before = run.on_disk()
    run.proxy.seen.clear()
    run.proxy.plan(expired(method="PUT", times=None))
    assert "ExpiredToken" in run.fails(LASTING)
    assert sum(method == "PUT" and target.endswith("new") for method, target in run.asked) == 2


def test_a_stop_ends_the_patience(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.steps.retrying.HURRIED", Patience(None, 1.0))
    asked = threading.Event()
    run.proxy.refuse()
    threading.Timer(3.0, asked.set).start()
    assert "nothing answers" in run.fails(Patience(None, 3600), asked.is_set)
    assert asked.is_set()


def test_a_server_that_stalls_is_given_up_and_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.stores.options.SECONDS", 2.0)
    run.proxy.plan(Fault(What.STALL_FIRST, "PUT", times=6, seconds=60))  # a log is tried twice
    run.finish(LASTING)
    assert "did not answer in time" in run.told[0]


@every_bucket
def test_a_damaged_copy_that_could_not_be_sent_again_is_not_taken_for_saved(run: Run) -> None:
    run.proxy.plan(Fault(What.FLIP_BODY, "PUT", "small"), say(403, "No", method="PUT", target="small", times=None))
    run.fails()


@pytest.mark.parametrize("bucket", [wasb, gcs], indirect=True)
@pytest.mark.parametrize(
    ("target", "looks"),
    [("manifest", 1), (r"whole(\.|%2E)json", 1), (SEGMENT, 0), (LOG, 0), ("large", 0)],
    ids=["manifest", "mark", "segment", "log", "output"],
)
def test_a_damaged_copy_that_nobody_could_compare_is_not_believed_later(run: Run, target: str, looks: int) -> None:
    """Two kinds of servers take what they get for what was sent. Whoever sent it may not come to read it back."""
    run.proxy.plan(
        *([say(403, "No", method="PUT", target=LOG)] if target == SEGMENT else []),  # then in pieces
        Fault(What.FLIP_BODY, "PUT|POST", target, times=None),
        Fault(What.CUT_FIRST, "GET|HEAD|DELETE", target, skip=looks, times=None),
    )
    run.arrives_or_says_so()
    assert run.proxy.did[What.FLIP_BODY]
    run.proxy.plan()
    run.finish()


def test_a_log_that_is_damaged_when_it_is_put_together(run: Run) -> None:
    run.proxy.plan(Fault(What.FLIP_ANSWER, "GET", "logs/main/", times=None))
    run.finish()


@every_bucket
@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens(tmp_path: Path, bucket: Bucket, seed: int) -> None:
    """Any faults at any rate, in any mixture; and a second collector that takes over where the first gave up."""
    chance = random.Random(seed)
    with faults(bucket.port, seed) as proxy:
        run = Run(tmp_path, bucket, proxy, {f"{number}": chance.choice((0, 10, 50_000)) for number in range(40)})
        proxy.plan(*[_some(chance) for _ in range(chance.randint(1, 4))])
        if chance.random() < 0.3:
            proxy.refuse()
            threading.Timer(chance.uniform(0.1, 3.0), proxy.let_in).start()
        run.arrives_or_says_so(SHORT)


def _some(chance: random.Random) -> Fault:
    """One of them. What is read is damaged where files are fetched."""
    what = chance.choice(list(What))
    writing = "PUT|POST|HEAD|DELETE" if what in (What.FLIP_ANSWER, What.SHORTER_ANSWER) else ""
    status, code = chance.choice([(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests"), (403, "No")])
    return Fault(
        what, writing, chance=chance.choice((0.02, 0.2, 0.6)), times=chance.choice((3, 30, None)),
        skip=chance.choice((0, 0, 7)), seconds=0.05, status=status, code=code,
    )  # fmt: skip


def test_what_comes_back_after_a_save_that_failed_is_saved_again(tmp_path: Path, bucket: Bucket, proxy: Faults) -> None:
    """The server may have what it could not confirm: its copy is not the one that was there before."""
    file, kept = tmp_path / "outputs" / "best", tmp_path / "kept"
    file.parent.mkdir()
    file.write_bytes(b"one")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    shutil.copy2(file, kept)
    saver = OutputSaver(bucket.through(proxy), "run", file.parent)
    assert not saver.save(over=lambda: False, told=lambda _: None).failures
    file.write_bytes(b"two")
    proxy.plan(Fault(What.CUT_UNANSWERED, "PUT", times=None))
    assert saver.save(over=lambda: False, told=lambda _: None).failures
    assert read(bucket.real, "run/outputs/best") == b"two"
    proxy.plan()
    shutil.copy2(kept, file)
    assert not saver.save(over=lambda: False, told=lambda _: None, final=True).failures
    assert read(bucket.real, "run/outputs/best") == b"one"
    assert [entry.sha256 for entry in saver.entries()] == [hashlib.sha256(b"one").hexdigest()]


def test_a_stop_does_not_wait_for_a_standing_server_again_and_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "SECONDS", 2.0)
    monkeypatch.setattr(options, "_RETRIES", 0)
    spools = [Spool("main", run.spool), Spool("sidecar-other", tmp_path / "other")]
    spools[1].path.write_bytes(LINES)
    store = run.bucket.through(run.proxy)
    collector = Collector(store, "run/1", spools=spools, outputs=run.outputs, patience=Patience(None, 1.0))
    run.proxy.plan(Fault(What.STALL_FIRST, "PUT", times=None, seconds=60))
    with pytest.raises(StoreFailed, match="did not answer in time"):
        collector.finish(is_hurried=lambda: True)
    assert run.proxy.asked("PUT", "/logs/") == 1
    assert run.proxy.asked("PUT", "/outputs/") == 0


def test_a_stop_while_a_save_stands_still_asks_for_nothing_more(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "SECONDS", 2.0)
    monkeypatch.setattr(options, "_RETRIES", 0)
    monkeypatch.setattr("tieline.steps.retrying.HURRIED", Patience(None, 1.0))
    store = run.bucket.through(run.proxy)
    collector = Collector(store, "run/1", spools=[Spool("main", run.spool)], outputs=run.outputs, interval=-1)
    run.proxy.plan(Fault(What.STALL_FIRST, "PUT", times=None, seconds=60))
    collector.start()
    eventually(lambda: run.proxy.asked("PUT", "/logs/") == 1)
    with pytest.raises(StoreFailed, match="did not answer in time"):
        collector.finish(is_hurried=lambda: True)
    assert run.proxy.asked("PUT") == 1
