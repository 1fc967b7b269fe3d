"""What is said when a run has ended, and what to type next: where outputs could not be saved."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from kube_plans import planned

from tieline.app.home import HomeFolder
from tieline.app.outputs import push
from tieline.cli.summary import next_commands, summary
from tieline.errors import Code, RecordError
from tieline.model.run import Run, Status
from tieline.runs.record import Record

JOB = "kind: component\nrun: {kind: job, container: {image: i}}\n"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def unsaved(engine: str) -> Run:
    return Run(
        "0123456789abcdef", "train", "p", "ns", "job", engine, Status.FAILED, 1, created_at=NOW, updated_at=NOW,
        reason=Code.OUTPUTS_NOT_SAVED,
    )  # fmt: skip


def test_of_a_run_of_this_machine_the_rest_can_be_pushed() -> None:
    said = "\n".join(summary(unsaved("process"), planned(JOB)))
    assert "still on this machine" in said
    assert next_commands(unsaved("process"))[0] == "tieline runs outputs push 01234567"


def test_of_a_run_of_a_cluster_the_rest_is_gone(tmp_path: Path) -> None:
    run = unsaved("kubernetes")
    said = "\n".join(summary(run, planned(JOB)))
    assert "s3://artifacts/a/" in said
    assert "gone with it" in said
    assert "this machine" not in said
    assert not any("push" in command for command in next_commands(run))
    with (
        Record.open(tmp_path / "runs.db") as record,
        pytest.raises(
            RecordError, match="went away with its pod; what it did save: tieline runs outputs list 01234567"
        ),
    ):
        push(HomeFolder(tmp_path), record, run)
