"""Inputs that come through the proxy: the step has brought every byte, or it has failed with the reason."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from faults_harness import SIZES, SOAK, Bucket, gcs, s3, wasb

from servers.faults import Fault, Faults, What, faults, say
from tieline.errors import Code, StepFailed
from tieline.model.plan import FetchItem, FetchStep
from tieline.steps.fetch import fetch

SEEDS = 300 if SOAK else 4
READS = (What.CUT_FIRST, What.CUT_UNANSWERED, What.CUT_ANSWER, What.SHORT_ANSWER, What.STALL_FIRST, What.STALL_ANSWER)


class Inputs:
    """Files in a bucket, and the step that fetches them through a proxy."""

    def __init__(self, root: Path, bucket: Bucket, proxy: Faults, sizes: Mapping[str, int] = SIZES) -> None:
        self.root, self.bucket, self.proxy = root, bucket, proxy
        self.files = {name: os.urandom(size) for name, size in sizes.items()}
        for name, data in self.files.items():
            bucket.real.save_bytes(data, f"inputs/{name}")

    def fetch(self, *items: FetchItem, cancel: threading.Event | None = None) -> None:
        """Carry the step out; what it says must be true."""
        target = self.root / "here"
        wanted = items or (FetchItem(source="inputs", target=""),)
        step = FetchStep(name="inputs", connection="bucket", source=self.bucket.access, items=wanted, path=str(target))
        fetch(step, self.bucket.through(self.proxy), root=self.root, cancel=cancel)
        found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        assert found == self.files

    def fails(self, *items: FetchItem) -> str:
        with pytest.raises(StepFailed) as caught:
            self.fetch(*items)
        assert caught.value.code in (Code.FETCH_FAILED, Code.ARTIFACT_MISSING)
        return str(caught.value)


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """SeaweedFS, if a test does not say otherwise."""
    made: Bucket = getattr(request, "param", s3)()
    return made


@pytest.fixture
def inputs(tmp_path: Path, bucket: Bucket) -> Iterator[Inputs]:
    with faults(bucket.port) as proxy:
        yield Inputs(tmp_path, bucket, proxy)


@pytest.mark.parametrize("bucket", [s3, wasb, gcs], indirect=True)
@pytest.mark.parametrize("what", READS)
def test_what_happens_now_and_then_is_mended(inputs: Inputs, what: What) -> None:
    inputs.proxy.plan(*[Fault(what, "GET", target=r"^[^?]*inputs(/|%2F)", skip=skip, seconds=0.1) for skip in (0, 2)])
    inputs.fetch()
    assert inputs.proxy.did[what] == 2


@pytest.mark.parametrize("answer", [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")])
def test_a_busy_server_is_asked_again(inputs: Inputs, answer: tuple[int, str]) -> None:
    inputs.proxy.plan(say(*answer, times=2))
    inputs.fetch()


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [(403, "AccessDenied", "may not do that"), (404, "NoSuchBucket", "no such bucket"), (400, "ExpiredToken", "token")],
)
def test_what_is_not_worth_it_fails_with_the_reason(inputs: Inputs, status: int, code: str, told: str) -> None:
    inputs.proxy.plan(say(status, code, method="GET", times=None))
    assert told in inputs.fails()
    assert inputs.proxy.asked("GET") <= 2


def test_a_name_that_is_missing_is_no_reason_to_try_again(inputs: Inputs) -> None:
    assert "'inputs/gone' of the connection 'bucket' is not there" in inputs.fails(
        FetchItem(source="inputs/gone", target="")
    )
    assert inputs.proxy.asked() < 10


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens(tmp_path: Path, bucket: Bucket, seed: int) -> None:
    """It ends within a few attempts, for all that goes wrong does so a limited number of times."""
    chance = random.Random(seed)
    with faults(bucket.port, seed) as proxy:
        inputs = Inputs(tmp_path, bucket, proxy, {f"{number}": chance.choice((0, 10, 50_000)) for number in range(40)})
        kinds = (*READS, What.FLIP_ANSWER, What.SAY)
        proxy.plan(*[_some(chance, chance.choice(kinds)) for _ in range(chance.randint(1, 4))])
        try:
            inputs.fetch()
        except StepFailed as error:
            proxy.plan()
            inputs.fetch()
            told = str(error)
            assert any(word in told for word in ("broke", "503", "nothing answers", "damaged", "not what", "anew"))


def _some(chance: random.Random, what: What) -> Fault:
    target = r"/inputs/\d" if what is What.FLIP_ANSWER else ""  # a listing carries no digest
    return Fault(
        what, "GET", target, chance=chance.choice((0.05, 0.3)), times=chance.choice((3, 30)), seconds=0.05,
        status=503, code="SlowDown",
    )  # fmt: skip
