"""Where secrets and config maps come from: sources in an order of precedence, asked for one namespace.

The first source that *has* a secret gives all of it: keys of two sources are never mixed, because half a credential
from each is worse than none. A source that cannot be asked is an error of its own, and ends the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tieline.errors import Problem
from tieline.model.catalog import EnvironmentSecrets, HomeSecrets, SecretSourceForm
from tieline.secrets.failures import SourceFailed, no_key, no_resource
from tieline.secrets.home import HomeSource
from tieline.secrets.names import Resource, check_namespace
from tieline.secrets.secret import Secret

DEFAULT = (SecretSourceForm(home=HomeSecrets()), SecretSourceForm(environment=EnvironmentSecrets()))
"""Where a deployment file without ``secrets:`` looks."""


class Source(Protocol):
    """One place that secrets and config maps come from. All but ``remedy`` raise SourceFailed if it can't be asked."""

    @property
    def name(self) -> str:
        """What messages call it: ``Tieline's home``."""

    def names(self, resource: Resource) -> list[str]:
        """Which secrets there are, as far as that may be known; only for suggestions."""

    def keys(self, resource: Resource, name: str) -> list[str] | None:
        """The keys of a secret, sorted; None: there is no such secret."""

    def spellings(self, key: str) -> tuple[str, ...]:
        """How ``key`` may be written among ``keys``, best first."""

    def read(self, resource: Resource, name: str, key: str) -> Secret | None:
        """The value of one of ``keys``; None: it is not there."""

    def remedy(self, resource: Resource, name: str, keys: tuple[str, ...]) -> str:
        """How a person would put these keys there."""


@dataclass(frozen=True, slots=True)
class Located:
    """A secret or config map that was found, in the source that gives it."""

    source: Source
    resource: Resource
    name: str
    keys: tuple[str, ...]

    def pick(self, keys: Sequence[str]) -> str | None:
        """The first of these keys that is there, as the source spells it."""
        return next((spelt for key in keys for spelt in self.source.spellings(key) if spelt in self.keys), None)

    def read(self, key: str) -> Secret | None:
        """The value of a key that :meth:`pick` gave."""
        return self.source.read(self.resource, self.name, key)


class Sources:
    """The sources of one namespace, for one run or one command: where a secret is, is asked once."""

    def __init__(self, sources: Sequence[Source], namespace: str) -> None:
        self.namespace = check_namespace(namespace)
        self._sources = tuple(sources)
        self._located: dict[tuple[Resource, str], Located | None] = {}

    @property
    def asked(self) -> str:
        """All of them, as a message names them."""
        *others, last = [source.name for source in self._sources] or ["no source at all"]
        return f"{', '.join(others)} or {last}" if others else last

    def locate(self, resource: Resource, name: str) -> Located | None:
        """The secret, with its keys; None: no source has it. Raises SourceFailed."""
        if (resource, name) not in self._located:
            self._located[resource, name] = next(self._having(resource, name), None)
        return self._located[resource, name]

    def _having(self, resource: Resource, name: str) -> Iterator[Located]:
        for source in self._sources:
            keys = source.keys(resource, name)
            if keys is not None:
                yield Located(source, resource, name, tuple(keys))

    def names(self, resource: Resource) -> list[str]:
        """The secrets that there are, as far as the sources say; for suggestions, so it never fails."""
        found: dict[str, None] = {}
        for source in self._sources:
            try:
                found.update(dict.fromkeys(source.names(resource)))
            except SourceFailed:  # whoever needs a secret of it is told that; here it only has nothing to suggest
                continue
        return list(found)

    def missing(
        self, resource: Resource, name: str, keys: Sequence[str] = (), *, every: bool = False, where: str = ""
    ) -> Problem:
        """What is said where a secret is not there, or has none of these keys (``every``: not all of them)."""
        located = self.locate(resource, name)
        source = located.source if located else next(iter(self._sources), None)
        wanted = tuple(keys) if every or len(keys) == 1 else ()
        remedy = source.remedy(resource, name, wanted) if source else "name a source under `secrets:`"
        if located is None:
            return no_resource(resource, name, self.asked, self.names(resource), remedy, where)
        return no_key(resource, name, keys, located.source.name, located.keys, remedy, where)


def open_sources(
    settings: Sequence[SecretSourceForm], namespace: str, home: Path, environ: Mapping[str, str]
) -> Sources:
    """The sources that the deployment file names (none: the default ones), for one namespace.

    Nothing is asked yet. Raises InvalidInput for a namespace that is no plain name.
    """
    check_namespace(namespace)
    return Sources([_source(form, namespace, home, environ) for form in settings or DEFAULT], namespace)


def _source(form: SecretSourceForm, namespace: str, home: Path, environ: Mapping[str, str]) -> Source:
    if form.directory is not None:
        from tieline.secrets.directory import DirectorySource

        return DirectorySource.of(form.directory, namespace)
    if form.kubernetes is not None:
        from tieline.secrets.cluster import ClusterSource

        return ClusterSource(form.kubernetes.context, form.kubernetes.namespace or namespace, environ)
    if form.environment is not None:
        from tieline.secrets.environment import EnvironmentSource

        return EnvironmentSource(environ)
    return HomeSource(home, namespace)
