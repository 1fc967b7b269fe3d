"""What a probe's pod is told, and what it answers: text without any secret, small enough for where it has to go.

The question is a variable of the pod's one container. The answer is its termination message, which the cluster gives
with the pod's status: nobody has to be allowed to read logs, and nothing is lost when the pod goes. It may have 4,096
bytes, so long sentences are cut.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter

from tieline.model.access import Access
from tieline.probes import Limits, Operation, Outcome, Report, Result

VARIABLE = "TIELINE_PROBE"
LONGEST = 4096
"""Bytes of a termination message."""
CUTS = (600, 300, 200, 120, 60, 20)
"""Characters of a sentence, the first that lets the answer fit."""


@dataclass(frozen=True, slots=True)
class Question:
    """One connection to test. ``claims``: where each claim is mounted; ``known_hosts``: the ssh servers' keys that were
    accepted before, as a file has them; ``makes_folder`` and ``sends``: see :func:`tieline.probes.probe`."""

    access: Access
    limits: Limits
    claims: Mapping[str, str] = field(default_factory=dict)
    known_hosts: str = ""
    makes_folder: bool = False
    sends: bool = False

    def as_text(self) -> str:
        """As the pod gets it."""
        data = {
            "access": self.access.as_json(),
            "limits": asdict(self.limits),
            "claims": dict(self.claims),
            "known_hosts": self.known_hosts,
            "makes_folder": self.makes_folder,
            "sends": self.sends,
        }
        return json.dumps(data)

    @classmethod
    def of_text(cls, text: str) -> Question:
        """Read again what :meth:`as_text` wrote."""
        data = json.loads(text)
        access: Access = TypeAdapter(Access).validate_python(data.pop("access"))
        return cls(access, Limits(**data.pop("limits")), **data)


def answer_text(report: Report) -> str:
    """A report as a termination message: sentences are cut until it fits."""
    texts = (_answer(report, longest) for longest in CUTS)
    return next((text for text in texts if len(text.encode()) <= LONGEST), _answer(report, 0))


def _answer(report: Report, longest: int) -> str:
    results = [
        {
            "operation": result.operation.value,
            "outcome": result.outcome.value,
            "detail": _cut(result.detail, longest),
            "milliseconds": result.milliseconds,
            "hint": _cut(result.hint, longest),
            "part": result.part,
        }
        for result in report.results
    ]
    data = {"tieline": 1, "results": results, "expected": sorted(operation.value for operation in report.expected)}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def report_of(text: str) -> Report | None:
    """The report of a termination message; None: it is none."""
    try:
        data: dict[str, Any] = json.loads(text)
        results = tuple(
            Result(**{**item, "operation": Operation(item["operation"]), "outcome": Outcome(item["outcome"])})
            for item in data["results"]
        )
        return Report(results, frozenset(map(Operation, data["expected"])))
    except (ValueError, TypeError, KeyError):
        return None
