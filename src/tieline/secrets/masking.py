"""The values that a run's own words must not show: every key of every secret that its plan names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tieline.errors import Refused
from tieline.model.plan import Plan
from tieline.secrets.names import is_name
from tieline.secrets.needles import needles_of
from tieline.secrets.needs import needs_of
from tieline.secrets.redactor import Masker
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources


def masker_of(plan: Plan, sources: Sources) -> tuple[Masker, tuple[str, ...]]:
    """What masks them in a log, and the secrets (with their keys) that are too short for that. Raises as
    :func:`secrets_of`."""
    needles: set[bytes] = set()
    short: list[str] = []
    for where, secret in _labelled(plan, sources):
        found = needles_of(secret.reveal())
        needles |= found
        if not found and secret.reveal().strip():
            short.append(where)
    return Masker(sorted(needles)), tuple(short)


def secrets_of(plan: Plan, sources: Sources) -> Iterator[Secret]:
    """Their values now. Raises SourceFailed where a source can't be asked, and Refused where a secret that the job had
    is not there any more, or not in this process's environment: then nothing may be shown."""
    return (secret for _, secret in _labelled(plan, sources))


def _labelled(plan: Plan, sources: Sources) -> Iterator[tuple[str, Secret]]:
    """Each with the secret's name and its key."""
    for need in needs_of(plan.model_copy(update={"notifications": ()})):  # a channel's own secret is in no job
        if need.resource != "secret" or need.advice:
            continue
        located = sources.locate("secret", need.name)
        if located is None or (need.keys and not located.pick(need.keys)):
            raise Refused(sources.missing("secret", need.name, need.keys))
    for name in filter(is_name, dict.fromkeys(_named(plan.as_json()))):
        located = sources.locate("secret", name)
        for key in located.keys if located else ():
            value = located.read(key) if located else None
            if value is None:
                raise Refused(sources.missing("secret", name, (key,)))
            yield f"{name} (key {key})", value


def _named(part: Any) -> Iterator[str]:
    """Every secret that stands anywhere in a plan: also those that need not be there, which no need tells of."""
    if isinstance(part, dict):
        found = part.get("name") if part.get("resource") == "secret" else part.get("secret")
        if isinstance(found, str):
            yield found
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from _named(inner)
