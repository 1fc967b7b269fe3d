"""One file on its way to a bucket or from it, with something going wrong: it arrives byte for byte, or it is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults_harness import LARGE, Bucket, gcs, read, s3, wasb

from servers.faults import Fault, Faults, What, expired, faults, say
from tieline.steps.retrying import Patience, persistently
from tieline.stores import Stat, Store, StoreTrouble, Why, options

CUTS = [What.CUT_FIRST, What.CUT_BODY, What.CUT_UNANSWERED, What.CUT_ANSWER, What.SHORT_ANSWER]
BUSY = [(503, "SlowDown"), (429, "TooManyRequests"), (500, "InternalError")]
SMALL = 100_000
SOON = Patience(None, 60)


class Way:
    """A bucket, and the proxy before it."""

    def __init__(self, bucket: Bucket, proxy: Faults, root: Path) -> None:
        self.bucket, self.proxy, self.root = bucket, proxy, root
        self.store: Store = bucket.through(proxy)

    def file(self, size: int) -> Path:
        made = self.root / f"{size}"
        made.write_bytes(os.urandom(size))
        return made

    def sent(self, size: int) -> None:
        """Save a file; that it is there."""
        local = self.file(size)
        self.store.save_file(local, "f", digest=True)
        assert read(self.bucket.real, "f") == local.read_bytes()

    def put(self, size: int) -> Path:
        """A file that is in the bucket."""
        local = self.file(size)
        self.bucket.real.save_file(local, "f", settled=True)
        return local

    def fetched(self, wanted: Path) -> None:
        """Fetch that file; that it is here."""
        self.store.fetch_file("f", self.root / "here")
        assert (self.root / "here").read_bytes() == wanted.read_bytes()

    def trouble(self) -> StoreTrouble:
        with pytest.raises(StoreTrouble) as caught:
            self.store.save_bytes(b"some", "f")
        return caught.value


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """SeaweedFS, if a test does not say otherwise."""
    made: Bucket = getattr(request, "param", s3)()
    return made


@pytest.fixture
def way(bucket: Bucket, tmp_path: Path) -> Iterator[Way]:
    with faults(bucket.port) as proxy:
        yield Way(bucket, proxy, tmp_path)


@pytest.mark.parametrize("what", CUTS)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_cut_is_mended_at_once(way: Way, what: What, size: int) -> None:
    way.proxy.plan(Fault(what, "PUT"))
    way.sent(size)
    wanted = way.put(size)
    if what is not What.CUT_BODY:
        way.proxy.plan(Fault(what, "GET"))
        way.fetched(wanted)
    assert way.proxy.did[what] == (1 if what is What.CUT_BODY else 2)


@pytest.mark.parametrize("make", [s3, wasb, gcs])
@pytest.mark.parametrize("what", CUTS)
@pytest.mark.parametrize("skip", [0, 2])
def test_a_cut_of_any_request_is_worth_another_attempt(
    make: Callable[[], Bucket], what: What, skip: int, tmp_path: Path
) -> None:
    """Which one is the client's business: some begin a large file, some are its parts, some put them together."""
    bucket = make()
    with faults(bucket.port) as proxy:
        way = Way(bucket, proxy, tmp_path)
        proxy.plan(Fault(what, skip=skip))
        persistently(lambda: way.sent(LARGE), patience=SOON)
        proxy.plan(Fault(what, "GET", skip=skip))
        persistently(lambda: way.fetched(tmp_path / f"{LARGE}"), patience=SOON)
        proxy.plan(say(503, "SlowDown", times=None))
        assert way.trouble().again


@pytest.mark.parametrize("what", CUTS)
def test_a_line_that_is_always_cut_is_told(way: Way, what: What) -> None:
    wanted = way.put(SMALL)
    way.proxy.plan(Fault(what, times=None))
    if what not in (What.CUT_ANSWER, What.SHORT_ANSWER):  # the answer of a PUT has no body
        found = way.trouble()
        assert (found.why, found.again) == (Why.UNREACHABLE, True)
        assert "broke" in str(found)
    if what is not What.CUT_BODY:
        with pytest.raises(StoreTrouble, match="broke") as caught:
            way.fetched(wanted)
        assert caught.value.again
        assert not (way.root / "here").exists()


@pytest.mark.parametrize("bucket", [s3, wasb, gcs], indirect=True)
@pytest.mark.parametrize("what", [What.SHORT_BODY, What.FLIP_BODY])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_what_is_damaged_on_its_way_there_is_not_taken_for_saved(way: Way, what: What, size: int) -> None:
    """SeaweedFS does not compare a body with the hash that is signed, but with ``x-amz-checksum-sha256``."""
    way.proxy.plan(Fault(what, "PUT"))
    found = attempted(lambda: way.sent(size))
    assert found is not None
    if (what, way.bucket.access.provider) == (What.SHORT_BODY, "azure"):  # it signs a request's length
        assert found.why == Why.NOT_AUTHENTICATED
    else:
        assert (found.why, found.again) == (Why.DAMAGED, True)
    way.sent(size)


@pytest.mark.parametrize(
    ("what", "size", "times"),
    [
        (What.SHORTER_ANSWER, SMALL, 1),
        (What.SHORTER_ANSWER, SMALL, None),
        (What.SHORTER_ANSWER, LARGE, 1),
        (What.SHORTER_ANSWER, 2 * LARGE, 1),
        (What.FLIP_ANSWER, SMALL, 1),
        (What.FLIP_ANSWER, SMALL, None),
        (What.FLIP_ANSWER, LARGE, 1),
        (What.FLIP_ANSWER, LARGE, None),
    ],
)
def test_what_is_damaged_on_its_way_here_is_not_taken_for_fetched(
    way: Way, what: What, size: int, times: int | None
) -> None:
    wanted = way.put(size)
    way.proxy.plan(Fault(what, "GET", times=times))
    found = attempted(lambda: way.fetched(wanted))
    if found is not None:
        assert found.again
        assert not (way.root / "here").exists()
        way.proxy.plan()
        way.fetched(wanted)


def attempted(action: Callable[[], object]) -> StoreTrouble | None:
    """Why it could not be done, if it could not."""
    try:
        action()
    except StoreTrouble as error:
        return error
    return None


@pytest.mark.parametrize("target", ["uploads", "uploadId"])
@pytest.mark.parametrize("what", [What.CUT_FIRST, What.CUT_UNANSWERED, What.SHORT_ANSWER, What.SHORTER_ANSWER])
def test_the_requests_around_a_large_file(way: Way, what: What, target: str) -> None:
    way.proxy.plan(Fault(what, method="POST", target=target))
    found = attempted(lambda: way.sent(LARGE))
    if found is not None:
        assert found.again
        way.sent(LARGE)
    assert way.proxy.did[what] == 1


def test_a_listing_that_is_cut_is_not_taken_for_all(way: Way) -> None:
    for number in range(20):
        way.bucket.real.save_bytes(b"x", f"many/{number}")
    for what in (What.SHORT_ANSWER, What.SHORTER_ANSWER, What.CUT_ANSWER):
        way.proxy.plan(Fault(what, method="GET", target="list-type"))
        found = list[Stat]()
        trouble = attempted(lambda found=found: found.extend(way.store.list("many")))
        assert trouble.again if trouble else len(found) == 20


@pytest.mark.parametrize("answer", BUSY)
def test_a_busy_server_is_asked_again(way: Way, answer: tuple[int, str]) -> None:
    way.proxy.plan(say(*answer, times=2))
    way.sent(SMALL)
    assert way.proxy.asked("PUT") == 3
    way.proxy.plan(say(*answer, times=None))
    assert way.trouble().again
    way.proxy.plan(say(*answer, retry_after="1", times=7))  # more than the client itself goes on
    persistently(lambda: way.sent(SMALL), patience=SOON)


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (403, "AccessDenied", Why.FORBIDDEN),
        (403, "SignatureDoesNotMatch", Why.NOT_AUTHENTICATED),
        (404, "NoSuchBucket", Why.NOT_FOUND),
        (301, "PermanentRedirect", Why.BROKEN),
    ],
)
def test_what_is_not_worth_it_is_asked_once(way: Way, status: int, code: str, why: Why) -> None:
    way.proxy.plan(say(status, code, times=None, method="PUT"))
    found = way.trouble()
    assert (found.why, found.again) == (why, False)
    with pytest.raises(StoreTrouble):
        persistently(lambda: way.store.save_bytes(b"x", "f"), patience=SOON)
    assert way.proxy.asked("PUT") == 2


def test_an_expired_login_is_tried_once_more(way: Way) -> None:
    way.proxy.plan(expired(method="PUT"))
    persistently(lambda: way.store.save_bytes(b"x", "f"))
    assert read(way.bucket.real, "f") == b"x"

    way.proxy.plan(expired(method="PUT", times=None))
    before = way.proxy.asked("PUT")
    with pytest.raises(StoreTrouble, match="session-token"):
        persistently(lambda: way.store.save_bytes(b"x", "f"))
    assert way.proxy.asked("PUT") == before + 2


def test_a_server_that_stalls(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.stores.options.SECONDS", 0.5)
    hasty = way.bucket.through(way.proxy)
    wanted = way.put(SMALL)
    for what in (What.STALL_FIRST, What.STALL_ANSWER):
        way.proxy.plan(Fault(what, method="GET", times=None, seconds=60))
        with pytest.raises(StoreTrouble, match=r"did not answer in time|broke") as caught:
            hasty.fetch_file("f", way.root / "here")
        assert caught.value.again
        way.proxy.plan(Fault(what, method="GET", seconds=0.1))
        way.fetched(wanted)
    way.proxy.plan(Fault(What.STALL_FIRST, method="PUT", times=None, seconds=60))
    with pytest.raises(StoreTrouble, match="did not answer in time") as caught:
        hasty.save_bytes(b"x", "f")
    assert caught.value.again


def test_a_server_that_is_not_there_for_a_while(way: Way) -> None:
    wanted = way.put(SMALL)
    with way.proxy.refusing(2.0):
        found = way.trouble()
        assert (found.why, found.again) == (Why.UNREACHABLE, True)
        assert "nothing answers" in str(found)
        persistently(lambda: way.fetched(wanted), patience=SOON)


def test_who_waits_for_room_in_memory_does_not_let_an_answer_grow_old(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made slowly, and is large, has all the room while others have asked for their files already."""
    wanted = way.put(3_000_000)
    monkeypatch.setattr(options, "SECONDS", 1.0)
    monkeypatch.setattr(options, "_RETRIES", 0)
    way.store = way.bucket.through(way.proxy)
    has_room, asked = threading.Event(), threading.Event()

    def chunks() -> Iterator[bytes]:
        yield bytes(LARGE)
        yield b"more"
        has_room.set()
        asked.wait(30)
        time.sleep(1.5)
        yield b"the end"

    with ThreadPoolExecutor(2) as pool:
        saving = pool.submit(way.store.save_chunks, chunks(), "slow")
        assert has_room.wait(30)
        fetching = pool.submit(way.fetched, wanted)
        while not way.proxy.asked("GET", "/f"):
            time.sleep(0.01)
        asked.set()
        fetching.result()
        assert saving.result().size == LARGE + len(b"morethe end")
