"""The values that a run's own words must not show: every key of every secret that its plan names."""

from __future__ import annotations

from collections.abc import Iterator

from tieline.model.plan import Plan
from tieline.secrets.needs import needs_of
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources


def secrets_of(plan: Plan, sources: Sources) -> Iterator[Secret]:
    """Their values now. Raises SourceFailed where a source can't be asked: then nothing may be shown."""
    for name in dict.fromkeys(need.name for need in needs_of(plan) if need.resource == "secret"):
        located = sources.locate("secret", name)
        for key in located.keys if located else ():
            value = located.read(key) if located else None
            if value is not None:
                yield value
