"""Variables as a source, for continuous integration: ``TIELINE_SECRET_<NAME>__<KEY>``, ``TIELINE_CONFIG_MAP_…``.

*NAME* is the secret's name in capitals, every other character a ``_`` (``az-secret``: ``AZ_SECRET``). *KEY* is the key
itself, or the key written in the same way (``config.json``: ``CONFIG_JSON``); a secret that is injected whole has the
keys as they stand in the variables. The first ``__`` ends the name, so a name with two such characters in a row
(``a--b``) cannot be given here. The variables are not passed on to jobs. They are the same in every namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tieline.secrets.names import Resource, is_key, is_name
from tieline.secrets.secret import Secret

STARTS: dict[Resource, str] = {"secret": "TIELINE_SECRET_", "configMap": "TIELINE_CONFIG_MAP_"}
BETWEEN = "__"


def without_values(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for a program that is not the job's: what it needs is given to it, and the rest is not its own."""
    return {name: value for name, value in environ.items() if not name.startswith(tuple(STARTS.values()))}


def in_capitals(word: str) -> str:
    """``az-secret`` → ``AZ_SECRET``."""
    return re.sub(r"[^A-Z0-9]", "_", word.upper())


@dataclass(frozen=True, slots=True, repr=False)
class EnvironmentSource:
    """The variables of one process."""

    environ: Mapping[str, str]
    name: str = "the environment"

    def names(self, resource: Resource) -> list[str]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return sorted({name.lower().replace("_", "-") for name, _ in self._found(resource)})

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        wanted = in_capitals(name)
        if not is_name(name) or BETWEEN in wanted:
            return None
        return sorted(key for found, key in self._found(resource) if found == wanted) or None

    def spellings(self, key: str) -> tuple[str, ...]:
        """See :class:`~tieline.secrets.sources.Source`."""
        return (key, in_capitals(key))

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        """See :class:`~tieline.secrets.sources.Source`."""
        if key not in (self.keys(resource, name) or ()):
            return None
        return Secret(self.environ[f"{STARTS[resource]}{in_capitals(name)}{BETWEEN}{key}"])

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        """See :class:`~tieline.secrets.sources.Source`."""
        if BETWEEN in in_capitals(name):
            return "give it another name: one with two marks in a row can't be in a variable"
        return (
            f"set the variable {STARTS[resource]}{in_capitals(name)}{BETWEEN}{in_capitals(keys[0]) if keys else 'KEY'}"
        )

    def _found(self, resource: Resource) -> Iterator[tuple[str, str]]:
        """Every secret of this form in the environment: its name in capitals, and a key."""
        start = STARTS[resource]
        for variable in self.environ:
            name, between, key = variable.removeprefix(start).partition(BETWEEN)
            if variable.startswith(start) and name and between and is_key(key):
                yield name, key
