"""A deadline that the Job's controller forgets: who looks sees it; where nobody looks, the pod changes by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from test_kube_seen import T0, plan, pod

from tieline.engines.kubernetes.times import LATE, LONGEST, READY_LATE, is_overdue, ready_after
from tieline.model.plan import ServicePorts

BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)
TIMED = plan(timeout=60, max_retries=2)


def test_a_pod_changes_by_itself_when_its_run_is_late() -> None:
    assert ready_after(plan()) is None
    assert ready_after(TIMED) == 60 + READY_LATE
    assert ready_after(plan(timeout=LONGEST)) == LONGEST
    assert ready_after(TIMED.model_copy(update={"service": ServicePorts(ports=(80,))})) is None


@pytest.mark.parametrize(
    ("owner", "pods", "seconds", "is_late"),
    [
        (None, [], 1000, False),
        ({"status": {"startTime": T0}}, [], 60 + LATE - 1, False),
        ({"status": {"startTime": T0}}, [], 60 + LATE, True),
        (None, [pod(3), pod(1)], 60 + LATE, False),
        (None, [pod(3), pod(1)], 61 + LATE, True),
        ({"status": {}}, [pod(1)], 61 + LATE, True),
    ],
)
def test_who_looks_sees_that_a_run_is_late(
    owner: dict[str, Any] | None, pods: list[dict[str, Any]], seconds: float, is_late: bool
) -> None:
    now = BEGAN + timedelta(seconds=seconds)
    assert is_overdue(TIMED, owner, pods, now) is is_late
    assert not is_overdue(plan(), owner, pods, now)
