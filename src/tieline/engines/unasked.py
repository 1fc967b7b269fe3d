"""What is wrong with a plan on every engine, and can be known without asking anybody but this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tieline.errors import Code, Place, Problem
from tieline.model.access import ObjectStore
from tieline.model.plan import Plan, TakeStep
from tieline.stores.base import StoreTrouble
from tieline.stores.opening import check_bucket


def missing_files(plan: Plan) -> Iterator[Problem]:
    """Local files that are to be taken along, and are not there."""
    for step in plan.steps:
        if isinstance(step, TakeStep) and not os.path.lexists(step.source):
            message = f"{step.source} is not there on this machine"
            yield Problem(Code.PATH_MISSING, message, "make it, or correct the path", Place(field="mount"))


def bucket_problems(access: ObjectStore, where: str) -> Iterator[Problem]:
    """What can be known of a bucket without asking it; that its secret is there is looked at with all others."""
    try:
        check_bucket(access)
    except StoreTrouble as error:
        problem = error.problems[0]
        yield Problem(problem.code, problem.message, problem.hint, Place(field=where))


def read_only_store(where: str) -> Problem:
    """An artifacts store that is to be read only."""
    return Problem(Code.STORE_FAILED, "it is readOnly", "outputs and logs have to be written there", Place(field=where))
