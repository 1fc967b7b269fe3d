"""Which of several steps must wait for which: those that write to the same place, or into each other's."""

from __future__ import annotations

from collections.abc import Sequence

from tieline.model.plan import Step


def earlier(steps: Sequence[Step]) -> list[list[int]]:
    """For each step, the ones before it that have to be done first; all others may go on beside it."""
    paths = [_path(step) for step in steps]
    return [[before for before in range(index) if _touch(paths[before], paths[index])] for index in range(len(steps))]


def _touch(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the paths are the same, or one is inside of the other."""
    least = min(len(one), len(other))
    return one[:least] == other[:least]


def _path(step: Step) -> tuple[str, ...]:
    """Its parts; none, as of the root, where a step may write anywhere."""
    path = "" if step.type == "program" else step.path
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    return () if ".." in parts else parts
