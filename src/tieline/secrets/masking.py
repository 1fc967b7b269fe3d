"""The values that a run's own words must not show: every key of every secret that its plan names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tieline.errors import Refused
from tieline.model.plan import Plan
from tieline.secrets.names import is_name
from tieline.secrets.needles import needles_of
from tieline.secrets.needs import job_needs
from tieline.secrets.redactor import Masker
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources

_REFERRING = re.compile(
    r'"secret(?:Name|KeyRef|Ref|(?<="resource":"secret)","name)?":(?:"([a-z0-9][-a-z0-9._]*)"|(?={))'
)
"""Where a plan's JSON has a secret's name, or something with one; raw parts of a pod have it as Kubernetes does. Inside
of a text each quote has a backslash before it, so no text looks like this. (Its first letters are plain: then ``re``
looks for these.)"""


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
    for need in dict.fromkeys(job_needs(plan)):  # a channel's own secret is in no job
        if need.resource != "secret" or need.advice:
            continue
        located = sources.locate("secret", need.name)
        if located is None or (need.keys and not located.pick(need.keys)):
            raise Refused(sources.missing("secret", need.name, need.keys))
    for name in named_secrets(plan, notified=True):
        located = sources.locate("secret", name)
        for key in located.keys if located else ():
            value = located.read(key) if located else None
            if value is None:
                raise Refused(sources.missing("secret", name, (key,)))
            yield f"{name} (key {key})", value


def named_secrets(plan: Plan, *, notified: bool = False) -> tuple[str, ...]:
    """Every secret that stands anywhere in a plan: also those that need not be there, which no need tells of.

    ``notified``: also those of channels, which no job has.
    """
    told = plan if notified or not plan.notifications else plan.model_copy(update={"notifications": ()})
    return secrets_in(told.model_dump_json(by_alias=True, exclude_none=True))


def secrets_in(text: str) -> tuple[str, ...]:
    """The same of a plan that is written as JSON already, without spaces. It is looked through, not read: that takes a
    sixth of the time."""
    found = dict.fromkeys(match[1] or _name_at(text, match.end()) for match in _REFERRING.finditer(text))
    return tuple(name for name in found if name is not None and is_name(name))


def _name_at(text: str, place: int) -> str | None:
    """The ``name`` of the mapping that begins there."""
    name = json.JSONDecoder().raw_decode(text, place)[0].get("name")
    return name if isinstance(name, str) else None
