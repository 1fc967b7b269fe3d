"""What a preflight asks of a cluster, and how: each object once, all side by side, and of a secret only the keys.

The API gives a secret's values together with its keys; they are dropped here, before anybody else sees the object. What
may not be looked at is an answer of its own: it is not missing, and nobody guesses what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from tieline.engines.kubernetes.api import CONFIG_MAPS, NAMESPACES, Api, Kind
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.secrets.names import is_name

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 8
"""Requests that are under way side by side."""
VALUES = ("data", "binaryData", "stringData")
COPIES = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which kubectl keeps a whole object, a secret's values too."""


def _kinds() -> dict[str, Kind]:
    found = [
        NAMESPACES, CONFIG_MAPS, Kind("v1", "secrets"), Kind("v1", "persistentvolumeclaims"),
        Kind("v1", "serviceaccounts"), Kind("v1", "persistentvolumes", namespaced=False),
        Kind("storage.k8s.io/v1", "storageclasses", namespaced=False),
        Kind("scheduling.k8s.io/v1", "priorityclasses", namespaced=False),
    ]  # fmt: skip
    return {kind.plural: kind for kind in found}


KINDS = _kinds()
"""What a run may refer to, by the resource's name."""


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """One object: its resource (``persistentvolumeclaims``) and its name; an empty name stands for all of them."""

    resource: str
    name: str

    @property
    def right(self) -> str:
        """What one needs to look at it, as RBAC has it."""
        group, slash, _ = KINDS[self.resource].api.partition("/")
        return f"{'get' if self.name else 'list'} {self.resource}{f'.{group}' if slash else ''}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the cluster said: ``found`` None and not ``denied`` means that it is not there."""

    found: Mapping[str, Any] | None = None
    items: tuple[Mapping[str, Any], ...] = ()
    denied: bool = False

    @property
    def missing(self) -> bool:
        """Known not to be there."""
        return self.found is None and not self.denied

    @property
    def keys(self) -> tuple[str, ...]:
        """Of a secret or a config map."""
        return tuple(sorted(self.found.get("keys", ()))) if self.found else ()


class Asked:
    """The answers of one preflight: each thing is asked for once, however many need it."""

    def __init__(self, api: Api, namespace: str, answers: Mapping[Thing, Answer] | None = None) -> None:
        self.api, self.namespace = api, namespace
        self._answers = dict(answers or {})

    def ask(self, things: Iterable[Thing]) -> None:
        """Ask for all of these that were not asked for yet. Raises ClusterError where nobody can be asked."""
        wanted = [thing for thing in dict.fromkeys(things) if thing not in self._answers]
        self._answers.update(zip(wanted, side_by_side(self._one, wanted), strict=True))

    def __getitem__(self, thing: Thing) -> Answer:
        if thing not in self._answers:
            self.ask([thing])
        return self._answers[thing]

    def found_any(self) -> bool:
        """Whether anything of the namespace was seen: then it is there itself."""
        there = (thing for thing, answer in self._answers.items() if answer.found is not None and thing.name)
        return any(KINDS[thing.resource].namespaced for thing in there)

    def _one(self, thing: Thing) -> Answer:
        kind = KINDS[thing.resource]
        if thing.name and not is_name(thing.name):
            return Answer()  # nothing can have this name, and it would be another path of the API
        try:
            if not thing.name:
                return Answer({}, tuple(self.api.list(kind, self.namespace)["items"]))
            found = self.api.get(kind, self.namespace, thing.name)
        except ClusterError as error:
            if error.why is Why.FORBIDDEN:
                return Answer(denied=True)
            raise
        return Answer(None if found is None else without_values(found))


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What ``work`` gives for each, in their order; a single one is done in this thread."""
    listed = list(items)
    if len(listed) < 2:
        return [work(item) for item in listed]
    with ThreadPoolExecutor(min(AT_ONCE, len(listed)), thread_name_prefix="tieline-preflight") as pool:
        return list(pool.map(work, listed))


def without_values(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object with the ``keys`` of its values in their place."""
    keys = [key for field in VALUES for key in found.get(field) or {}]
    metadata = dict(found.get("metadata") or {})
    metadata["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != COPIES}
    return {**{k: v for k, v in found.items() if k not in VALUES}, "metadata": metadata, "keys": keys}
