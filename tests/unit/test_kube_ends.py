"""How an attempt ended, as its collector keeps it in the store, and what is read of it when Job and pods are gone."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from test_kube_seen import RUNNING, T0, ended, over, plan, pod, seen

from tieline.engines.kubernetes.ends import end_of, kept_pods, pod_again
from tieline.engines.kubernetes.seen import Seen
from tieline.engines.kubernetes.times import moment
from tieline.errors import Code
from tieline.model.run import Outcome, Status
from tieline.stores import FolderStore

SAID = {"tieline": 1, "attempt": 1, "saved": {"files": 2}, "gaps": 0, "files": 0}
NOW = "2026-01-01T10:01:05Z"
GRACE = 60


def alive(main: dict[str, Any], number: int = 1, **more: Any) -> dict[str, Any]:
    """A pod as its collector sees it: it runs itself."""
    return pod(number, main, collector=RUNNING, **more)


def deleted_at(seconds: int) -> dict[str, Any]:
    at = moment(T0)
    assert at is not None
    text = (at + timedelta(seconds=seconds + GRACE)).isoformat().replace("+00:00", "Z")
    return {"deletionTimestamp": text, "deletionGracePeriodSeconds": GRACE}


class Kept:
    """A store of a run's ends."""

    def __init__(self, root: Path) -> None:
        self.store = FolderStore(root)

    def begin(self, number: int) -> None:
        self.store.save_bytes(b"uid", f"run/attempt-{number}/pod")

    def keep(self, one: dict[str, Any], number: int = 1) -> None:
        self.begin(number)
        data = json.dumps(end_of(one, {**SAID, "attempt": number}, NOW)).encode()
        self.store.save_bytes(data, f"run/attempt-{number}/ended.json")

    def look(self, attempt: int = 1, *, is_stopped: bool = False, **ending: Any) -> Seen:
        pods = kept_pods(self.store, "run")
        return seen(plan(**ending), None, pods, attempt=attempt, is_gone=True, is_stopped=is_stopped)

    def outcome(self, attempt: int = 1, *, is_stopped: bool = False, **ending: Any) -> Outcome:
        outcome = self.look(attempt, is_stopped=is_stopped, **ending).outcome
        assert outcome is not None
        return outcome


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.mark.parametrize(
    ("main", "code"),
    [(ended(), 0), (ended(3), 3), (ended(143), 143), (ended(137, "OOMKilled"), 137)],
)
def test_the_end_is_what_the_pod_itself_would_have_said(kept: Kept, main: dict[str, Any], code: int) -> None:
    limits = {"memory": "64Mi"}
    kept.keep(alive(main, limits=limits))
    reason = main["terminated"]["reason"]
    assert kept.outcome() == seen(plan(), None, [over(code, reason, limits=limits)]).outcome
    [attempt] = kept.look().attempts
    assert attempt.started_at is not None
    assert attempt.ended_at == moment(NOW)
    assert attempt.collected == SAID


def test_nothing_was_kept(kept: Kept) -> None:
    assert kept.outcome().reason == Code.POD_LOST
    kept.begin(1)
    assert kept.outcome().reason == Code.POD_LOST


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"version": 2}', b'{"version":1,"at":"","collector":{},"pod":[]}']
)
def test_what_somebody_else_wrote_is_not_believed(kept: Kept, text: bytes) -> None:
    kept.keep(alive(ended()))
    kept.store.save_bytes(text, "run/attempt-1/ended.json")
    assert kept.outcome().reason == Code.POD_LOST


def test_the_last_attempt_that_began_is_the_end(kept: Kept) -> None:
    kept.keep(alive(ended(3)))
    kept.keep(alive(ended(), 2), 2)
    found = kept.look(max_retries=2)
    assert (found.status, found.attempt, len(found.attempts)) == (Status.SUCCEEDED, 2, 2)
    assert kept.look(2, max_retries=2) == found
    kept.begin(3)
    assert kept.outcome(max_retries=2).reason == Code.POD_LOST, "of the third nobody knows"


def test_a_stop(kept: Kept) -> None:
    """The Job said that it was asked for, and is gone; the record knows it, too."""
    kept.keep(alive(ended(143, at="2026-01-01T10:00:31Z"), metadata=deleted_at(30)))
    assert (kept.outcome(is_stopped=True).status, kept.outcome(is_stopped=True).exit_code) == (Status.STOPPED, 143)
    assert kept.outcome().reason == Code.POD_LOST


def test_a_stop_that_came_too_late(kept: Kept) -> None:
    kept.keep(alive(ended()))
    assert kept.outcome(is_stopped=True).status is Status.SUCCEEDED


def test_a_deadline(kept: Kept) -> None:
    kept.keep(alive(ended(143, at="2026-01-01T10:00:31Z"), metadata=deleted_at(30)))
    assert kept.outcome(timeout=30).reason == Code.TIMEOUT
    assert kept.outcome(timeout=300).reason == Code.POD_LOST


def test_a_pod_that_was_deleted_before_its_end_was_told(kept: Kept) -> None:
    kept.keep(alive(RUNNING, metadata=deleted_at(30)))
    assert kept.outcome().message == "the pod was deleted from the cluster"


def test_nothing_of_the_manifest_is_kept_but_what_is_read() -> None:
    one = alive(ended(), metadata={"annotations": {"a": "b"}, "labels": {"c": "d"}}, limits={"memory": "1Mi"})
    one["spec"]["containers"][0] |= {"env": [{"name": "A", "value": "word"}], "command": ["word"]}
    text = json.dumps(end_of(one, SAID, NOW))
    assert "word" not in text
    assert "annotations" not in text
    assert pod_again(json.loads(text))["spec"]["containers"][0]["resources"] == {"limits": {"memory": "1Mi"}}
