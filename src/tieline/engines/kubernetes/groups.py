"""The init containers of a run: Tieline's own steps that stand together share one, the user's stay theirs.

The file's order holds. Where something has to be written before anything of the user's begins (binding directories
that are no volumes, files for variables), the first container is Tieline's; else there is none of ours for nothing: it
costs half a second.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tieline.engines.variables import made_variables
from tieline.model.plan import Plan, ProgramStep


@dataclass(frozen=True, slots=True)
class Group:
    """Steps ``plan.steps[begin:end]``, all Tieline's own. ``number``: 0 for the first, which also prepares the run."""

    number: int
    begin: int
    end: int

    @property
    def first(self) -> bool:
        return self.number == 0


@dataclass(frozen=True, slots=True)
class UserInit:
    """One of the user's own: ``plan.steps[index]``."""

    index: int
    step: ProgramStep


def groups_of(plan: Plan, written: Collection[str] = ()) -> tuple[Group | UserInit, ...]:
    """The init containers, in the order in which they run. ``written``: connections whose directories have to be."""
    found: list[Group | UserInit] = []
    begin = number = 0
    is_due = is_prepared(plan, written)
    for index, step in enumerate(plan.steps):
        if not isinstance(step, ProgramStep):
            continue
        if begin < index or (number == 0 and is_due):
            found.append(Group(number, begin, index))
            number += 1
        found.append(UserInit(index, step))
        begin = index + 1
    if begin < len(plan.steps) or (number == 0 and is_due):
        found.append(Group(number, begin, len(plan.steps)))
    return tuple(found)


def is_prepared(plan: Plan, written: Collection[str]) -> bool:
    """Whether Tieline has to write something before any of the user's containers begins."""
    return bool(written) or any(made_variables(plan))
