"""What things are called in a cluster: names that are valid, that cannot collide, and that a plan alone decides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from tieline.model.plan import Plan, ProgramStep

MAIN, COLLECTOR = "main", "tieline-collector"
MANAGED_BY, MANAGER = "app.kubernetes.io/managed-by", "tieline"
DOMAIN = "tieline.dev/"
RUN, PROJECT = f"{DOMAIN}run", f"{DOMAIN}project"
RUN_NAME, CATALOG = f"{DOMAIN}name", f"{DOMAIN}catalog"

LONGEST = 63
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
_LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z"
)


def object_name(uuid: str) -> str:
    """The name of every object of a run."""
    return f"tieline-{uuid}"


def steps_name(number: int) -> str:
    """The init container of a group of Tieline's own steps."""
    return f"tieline-steps-{number}"


def own_labels(plan: Plan) -> dict[str, str]:
    """The labels of every object of a run; what is no label's value is left out."""
    found = {MANAGED_BY: MANAGER, RUN: plan.run.uuid, PROJECT: plan.run.project}
    return {key: value for key, value in found.items() if is_label_value(value)}


def own_annotations(plan: Plan) -> dict[str, str]:
    """What does not fit into a label."""
    return {RUN_NAME: plan.run.name, CATALOG: plan.catalog_digest}


def is_label_value(text: str) -> bool:
    return _LABEL_VALUE.match(text) is not None


def is_label_key(text: str) -> bool:
    return len(text.rpartition("/")[0]) <= 253 and _LABEL_KEY.match(text) is not None


def container_names(plan: Plan) -> dict[str, str]:
    """The container of every program of the user's, by the name of its log (``init-NAME``, ``sidecar-NAME``, ``main``).

    Names that are DNS labels stay as they are; others become one, and never the name of another container.
    """
    inits = [f"init-{step.program.name}" for step in plan.steps if isinstance(step, ProgramStep)]
    sidecars = [f"sidecar-{program.name}" for program in plan.sidecars]
    return {**labels([*inits, *sidecars]), MAIN: MAIN}


def labels(names: Iterable[str]) -> dict[str, str]:
    """A DNS label for each name, none twice."""
    wanted = tuple(dict.fromkeys(names))
    found = {name: name for name in wanted if is_dns_label(name)}
    taken = set(found)
    for name in wanted:
        if name not in found:
            found[name] = label = _made(name, taken)
            taken.add(label)
    return {name: found[name] for name in wanted}


def is_dns_label(text: str) -> bool:
    return _LABEL.match(text) is not None


def slug(text: str, longest: int) -> str:
    """Only what a DNS label may have, for people to recognise a name by."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-") or "x"


def _made(name: str, taken: Iterable[str]) -> str:
    """A label with a part that is this name's alone; a longer part where somebody took it."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    for length in range(8, 40, 8):
        label = f"{slug(name, LONGEST - 1 - length)}-{digest[:length]}"
        if label not in taken:
            return label
    raise ValueError(f"no label is left for {name!r}")  # pragma: no cover - 128 bits of a digest collide
