"""What all families of accesses have in common: how an operation passes, fails or is skipped, and where secrets are.

A family says for each operation what to do, or in a sentence why it is not tried. It works in threads that can be
abandoned: ``cut`` is called from another thread then, at any moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tieline.model.access import Access, Credentials
from tieline.model.binding import Derived, FromConfigMap, FromSecret, Text, Value
from tieline.probes.report import Limits, Operation
from tieline.secrets.secret import Secret

FEW = 3
LATER = "comes with a later version"
Work = Callable[[], str] | str
"""What to do for an operation (it returns what was proved, or raises), or why it is not tried."""


class Failed(Exception):
    """An operation failed: the reason, what to do, and which part of the access is to be mended."""

    def __init__(self, reason: str, hint: str = "", part: str = "") -> None:
        super().__init__(reason)
        self.reason, self.hint, self.part = reason, hint, part


class Skipped(Exception):
    """An operation turned out to be nothing that can be tried here, or to prove nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a probe is given. ``secrets``: the credentials' values that there are; ``claims``: the local folder that
    stands for each claim; ``known_hosts``: where first host keys of ssh servers were recorded; ``makes_folder``:
    whether a run makes the folder where it is missing (of the artifacts store, or a claim); ``sends``: whether a
    channel is sent a marked test message."""

    secrets: Mapping[str, Secret]
    limits: Limits
    claims: Mapping[str, str] = field(default_factory=dict)
    known_hosts: Path | None = None
    makes_folder: bool = False
    sends: bool = False


class Family(ABC):
    """One probe of one access; see the module."""

    unexpected: ClassVar[frozenset[Operation]] = frozenset({Operation.WRITE, Operation.DELETE})
    """What a job does not count on, if the catalog does not say so: many logins may only read."""

    def __init__(self, asked: Asked) -> None:
        self.secrets, self.limits, self.claims = asked.secrets, asked.limits, asked.claims

    @property
    def expected(self) -> frozenset[Operation]:
        """What a job counts on."""
        return frozenset(Operation) - self.unexpected

    @abstractmethod
    def works(self) -> Mapping[Operation, Work]:
        """Every operation, and what to do for it."""

    def cut(self) -> None:  # noqa: B027  (one that opens nothing has nothing to end)
        """End every connection, also under a thread that uses it: it ran out of time."""

    def close(self) -> None:  # noqa: B027
        """Remove what the probe made, and close what it opened."""

    def secret(self, name: str) -> str | None:
        """The text of a credential, if there is one."""
        value = self.secrets.get(name)
        return value.reveal_text() if value is not None else None


def credentials_of(access: Access) -> Credentials:
    """Where the access's secrets are; a volume has none."""
    return getattr(access, "credentials", None) or Credentials()


def is_secret(value: Value) -> bool:
    """Whether what it stands for may be shown to nobody."""
    match value:
        case Text() | FromConfigMap():
            return False
        case FromSecret():
            return True
        case Derived():
            return any(is_secret(part) for part in value.parts.values())


def sources(value: Value) -> list[str]:
    """Where a credential is looked for, in words: ``password or PGPASSWORD in the secret pg-login``."""
    match value:
        case Text():
            return []
        case FromSecret():
            return [f"{_or(value.keys)} in the secret {value.secret}"]
        case FromConfigMap():
            return [f"{_or(value.keys)} in the config map {value.config_map}"]
        case Derived():
            return list(dict.fromkeys(found for part in value.parts.values() for found in sources(part)))


def _or(keys: tuple[str, ...]) -> str:
    """The first of these keys, and how many more there are."""
    more = f" or {len(keys) - FEW} more" if len(keys) > FEW else ""
    return " or ".join(keys[:FEW]) + more


def looked_for(credentials: Credentials, *names: str) -> str:
    """Where these credentials were looked for; empty where the connection names no such place."""
    values = [credentials.values[name] for name in names if name in credentials.values]
    return "; ".join(dict.fromkeys(place for value in values for place in sources(value)))


def no_credential(credentials: Credentials, what: str, *names: str) -> Failed:
    """The failure of a server that asks for what is not there."""
    places = looked_for(credentials, *names)
    if places:
        return Failed(f"{what}, and there is none: looked for {places}", "put it into that secret", names[0])
    return Failed(f"{what}, and the connection has no secret", "name a secret that has it", "secret")


def must_have(credentials: Credentials, *names: str) -> None:
    """Raise Failed where the connection logs in by a secret that should have one of these: they are not there."""
    if credentials.secret and looked_for(credentials, *names):
        raise no_credential(credentials, "the connection logs in by a secret", *names)


def must_have_something(credentials: Credentials, secrets: Mapping[str, Secret], *told: str) -> None:
    """Raise Failed where the connection names a secret, and nothing of what it should have is there. ``told``: what is
    to be named, of all that might be."""
    wanted = [name for name, value in credentials.values.items() if is_secret(value)]
    if wanted and not any(name in secrets for name in wanted):
        must_have(credentials, *([name for name in told if name in wanted] or wanted))
