"""When somebody is told of a run: the trigger words of the format, and the statuses that each of them means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from tieline.model.run import Status

Trigger = Literal[
    "created", "queued", "starting", "running", "stopping", "saving", "retrying",
    "succeeded", "failed", "stopped", "skipped", "done",
]  # fmt: skip
"""Every status; ``done`` is any of the final ones; ``skipped`` is accepted from older files, and no run of ours is."""
TRIGGERS: tuple[str, ...] = get_args(Trigger)
DONE = "done"


def fires(trigger: str, status: Status) -> bool:
    """Whether an event that brings a run into this status pulls the trigger."""
    return status.is_final if trigger == DONE else trigger == status.value
