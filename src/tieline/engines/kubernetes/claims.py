"""Whether a claim can be mounted when the pod comes, by what the cluster says of it, its class and its volumes.

A claim is *bindable* if it is not bound yet and something will bind it: its class waits for the first pod, or makes
volumes by itself, or there is a volume that fits. What of these may not be looked at is told, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from tieline.engines.kubernetes.asking import Asked, Thing
from tieline.engines.kubernetes.referring import Claimed
from tieline.errors import Code, Place, Problem

BY_HAND = "kubernetes.io/no-provisioner"
"""The provisioner of a class whose volumes are made by people."""
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
ONE_NODE, ONE_POD, READ_ONLY = "ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany"
VOLUMES = Thing("persistentvolumes", "")
_QUANTITY = re.compile(r"([0-9.]+)(?:([eE][-+]?[0-9]+)|([KMGTPE]i|[mkMGTPE]))?\Z")
_POWERS = {"k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def claim_of(claimed: Claimed) -> Thing:
    """The claim as something to ask for."""
    return Thing("persistentvolumeclaims", claimed.claim)


def further(claims: Iterable[Claimed], asked: Asked) -> Iterator[Thing]:
    """What else has to be known of claims that are not bound: their class, or the volume that they name."""
    for claimed in claims:
        found = asked[claim_of(claimed)].found
        if found is not None and _phase(found) == "Pending":
            yield from _depends_on(found)


def volumes_wanted(claims: Iterable[Claimed], asked: Asked) -> Iterator[Thing]:
    """All volumes, where a claim needs one that is there already."""
    for claimed in claims:
        found = asked[claim_of(claimed)].found
        if found is not None and _phase(found) == "Pending" and _by_volume(found, asked):
            yield VOLUMES


def judge(claimed: Claimed, replicas: int, asked: Asked) -> Iterator[Problem]:
    """What keeps this claim from being mounted, and what a person should know of it. ``replicas``: pods at once."""
    answer = asked[claim_of(claimed)]
    name, found = claimed.claim, answer.found
    if answer.denied:
        yield unchecked(claim_of(claimed), f"the claim {name!r}", asked.namespace, claimed.where)
    if found is None:
        if answer.missing:
            message = f"there is no claim {name!r} in the namespace {asked.namespace}"
            yield _problem(claimed, Code.OBJECT_MISSING, message, "make the PersistentVolumeClaim, or correct its name")
        return
    if (found.get("metadata") or {}).get("deletionTimestamp"):
        yield _unusable(claimed, "is being deleted: no new pod may mount it", "name another claim")
    elif _phase(found) == "Lost":
        yield _unusable(claimed, "has lost its volume", "make it anew, with a volume that is there")
    elif _phase(found) == "Pending":
        yield from _pending(claimed, found, asked)
    yield from _modes(claimed, found, replicas)


def _pending(claimed: Claimed, found: Mapping[str, Any], asked: Asked) -> Iterator[Problem]:
    denied = [thing for thing in _depends_on(found) if asked[thing].denied]
    if not denied and _by_volume(found, asked) and asked[VOLUMES].denied:
        denied = [VOLUMES]
    if denied:
        yield unchecked(denied[0], f"whether the claim {claimed.claim!r}, not bound yet, will be", "", claimed.where)
        return
    spec, wanted = found.get("spec") or {}, _class(found)
    if named := spec.get("volumeName"):
        if asked[Thing("persistentvolumes", named)].missing:
            yield _unusable(claimed, f"waits for the volume {named!r}, which is not there", "make it")
    elif wanted and asked[Thing("storageclasses", wanted)].missing and not _fits_any(found, asked):
        why = f"waits for a volume of the class {wanted!r}: there is neither such a class nor a volume that fits"
        yield _unusable(claimed, why, "correct its storageClassName, or make a volume")
    elif _by_volume(found, asked) and not _fits_any(found, asked):
        of_class = f"of the class {wanted!r}" if wanted else "without a class"
        size = (spec.get("resources") or {}).get("requests", {}).get("storage", "?")
        why = f"is not bound, and no free volume {of_class} fits: it asks for {size}, {_said(_wanted_modes(found))}"
        yield _unusable(claimed, why, "make a PersistentVolume that does")


def _depends_on(found: Mapping[str, Any]) -> list[Thing]:
    named, wanted = (found.get("spec") or {}).get("volumeName"), _class(found)
    if named:
        return [Thing("persistentvolumes", named)]
    return [Thing("storageclasses", wanted)] if wanted else []


def _by_volume(found: Mapping[str, Any], asked: Asked) -> bool:
    """Whether only a volume that is there already can bind it: nobody makes one, now or when the pod comes."""
    wanted = _class(found)
    if (found.get("spec") or {}).get("volumeName"):
        return False
    if not wanted:
        return True
    answer = asked[Thing("storageclasses", wanted)]
    if answer.denied:
        return False
    return answer.found is None or answer.found.get("provisioner") == BY_HAND


def _fits_any(found: Mapping[str, Any], asked: Asked) -> bool:
    return any(fits(volume, found) for volume in asked[VOLUMES].items)


def fits(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the cluster may bind this volume to this claim: class, mode, access modes, size, labels, and free."""
    have, want = volume.get("spec") or {}, claim.get("spec") or {}
    holder, mine = have.get("claimRef") or {}, claim.get("metadata") or {}
    if holder:
        free = (holder.get("namespace"), holder.get("name")) == (mine.get("namespace"), mine.get("name"))
    else:
        free = (volume.get("status") or {}).get("phase", "Available") == "Available"
    asked_for = ((want.get("resources") or {}).get("requests") or {}).get("storage", "0")
    return (
        free
        and (have.get("storageClassName") or "") == _class(claim)
        and (have.get("volumeMode") or "Filesystem") == (want.get("volumeMode") or "Filesystem")
        and set(want.get("accessModes") or ()) <= set(have.get("accessModes") or ())
        and quantity((have.get("capacity") or {}).get("storage", "0")) >= quantity(asked_for)
        and _selected((volume.get("metadata") or {}).get("labels") or {}, want.get("selector") or {})
    )


def _selected(labels: Mapping[str, str], selector: Mapping[str, Any]) -> bool:
    def holds(rule: Mapping[str, Any]) -> bool:
        value, values = labels.get(str(rule.get("key"))), rule.get("values") or ()
        match rule.get("operator"):
            case "In":
                return value in values
            case "NotIn":
                return value not in values
            case "Exists":
                return value is not None
            case _:
                return value is None

    same = (selector.get("matchLabels") or {}).items() <= labels.items()
    return same and all(map(holds, selector.get("matchExpressions") or ()))


def _modes(claimed: Claimed, found: Mapping[str, Any], replicas: int) -> Iterator[Problem]:
    modes = set(modes_of(found))
    said = _said(sorted(modes))
    if modes and modes <= {READ_ONLY} and claimed.writes:
        yield _unusable(claimed, f"can only be read ({said}), and the run is to write to it", "say readOnly there")
    if replicas > 1 and modes and modes <= {ONE_POD}:
        yield _unusable(
            claimed, f"is for one pod ({said}), and the service has {replicas}", "one replica, or ReadWriteMany"
        )
    elif replicas > 1 and modes and modes <= {ONE_NODE, ONE_POD}:
        message = f"the claim {claimed.claim!r} is for one node ({said}): all {replicas} replicas have to fit on it"
        yield _problem(claimed, Code.CLAIM_UNUSABLE, message, "a claim with ReadWriteMany has no such limit", soft=True)


def modes_of(found: Mapping[str, Any]) -> list[str]:
    """Of a bound claim its volume's modes count, else those that it asks for."""
    return list((found.get("status") or {}).get("accessModes") or _wanted_modes(found))


def _phase(found: Mapping[str, Any]) -> str:
    return str((found.get("status") or {}).get("phase") or "Pending")


def _class(found: Mapping[str, Any]) -> str:
    annotations = (found.get("metadata") or {}).get("annotations") or {}
    return str((found.get("spec") or {}).get("storageClassName") or annotations.get(OLD_CLASS) or "")


def _wanted_modes(found: Mapping[str, Any]) -> list[str]:
    return list((found.get("spec") or {}).get("accessModes") or ())


def _said(modes: Iterable[str]) -> str:
    return ", ".join(modes) or "no access mode"


def quantity(text: str) -> Decimal:
    """``1Gi``, ``500M``, ``1e9`` and ``100m`` as a number; what is none is 0."""
    found = _QUANTITY.match(str(text))
    if found is None:
        return Decimal(0)
    number, exponent, unit = found.groups()
    if exponent:
        return Decimal(f"{number}{exponent}")
    if unit == "m":
        return Decimal(number) / 1000
    power = _POWERS[{"K": "k"}.get(unit[0], unit[0])] if unit else 0
    return Decimal(number) * Decimal(1024 if unit and unit.endswith("i") else 1000) ** power


def unchecked(thing: Thing, what: str, namespace: str, where: str) -> Problem:
    """What is said of something that may not be looked at."""
    place = f" in the namespace {namespace}" if namespace else ""
    message = f"{what} cannot be looked up: you may not {thing.right}{place}; not checked"
    return Problem(
        Code.NOT_CHECKED, message, "ask the cluster's admin for that right", Place(field=where), warning=True
    )


def _unusable(claimed: Claimed, why: str, hint: str) -> Problem:
    return _problem(claimed, Code.CLAIM_UNUSABLE, f"the claim {claimed.claim!r} {why}", hint)


def _problem(claimed: Claimed, code: Code, message: str, hint: str, *, soft: bool = False) -> Problem:
    return Problem(code, message, hint, Place(field=claimed.where), warning=soft)
