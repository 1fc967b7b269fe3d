"""Who has a claim that one node (or one pod) at a time may have: a run whose pod comes to another node waits for them.

The cluster's scheduler does not look at that, so nobody else says it before. Read off the namespace's pods, of which
there may be many: a few pages are enough for a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from tieline.engines.kubernetes.api import PODS
from tieline.engines.kubernetes.asking import Asked
from tieline.engines.kubernetes.claims import ONE_NODE, ONE_POD, claim_of, modes_of
from tieline.engines.kubernetes.referring import Claimed
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.errors import Code, Place, Problem

ALIVE = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
"""The pods that a node has, and that have not ended."""
PAGE, PAGES = 100, 3
HOST = "kubernetes.io/hostname"
Pod = Mapping[str, Any]


def exclusive(claims: Iterable[Claimed], asked: Asked) -> list[tuple[Claimed, frozenset[str]]]:
    """Those of these claims that are bound, and not for several nodes at once, with their modes."""
    found = ((claimed, asked[claim_of(claimed)].found) for claimed in claims)
    with_modes = ((claimed, frozenset(modes_of(claim))) for claimed, claim in found if claim is not None)
    return [(claimed, modes) for claimed, modes in with_modes if modes and modes <= {ONE_NODE, ONE_POD}]


def pods_alive(asked: Asked) -> list[Pod]:
    """The namespace's pods that a node has; not all of very many; none where they may not be looked at."""
    try:
        pages = asked.api.pages(PODS, asked.namespace, {}, PAGE, fieldSelector=ALIVE)
        return list(chain.from_iterable(page["items"] for page in islice(pages, PAGES)))
    except ClusterError as error:
        if error.why in (Why.FORBIDDEN, Why.GONE):  # the one is told among the rights; the other is of no harm
            return []
        raise


def held(
    claims: Iterable[tuple[Claimed, frozenset[str]]], pods: Iterable[Pod], environment: Mapping[str, Any]
) -> Iterator[Problem]:
    """What is told of claims that others have. ``environment``: the job's, which may say its node. Pure."""
    alive = list(pods)
    bound = environment.get("nodeName") or (environment.get("nodeSelector") or {}).get(HOST)
    for claimed, modes in claims:
        have = [pod for pod in alive if claimed.claim in _claims_of(pod)]
        if modes <= {ONE_POD} and have:
            yield _warning(claimed, "pod", ONE_POD, have[0], "the run's pod waits until it has ended", "wait for it")
            continue
        far = [pod for pod in have if pod["spec"]["nodeName"] != bound]
        if far:
            node = far[0]["spec"]["nodeName"]
            does = "has to wait until that has ended" if bound else "waits, if it comes to another node"
            hint = f"the job can ask for that node (`environment.nodeSelector: {{{HOST}: {node}}}`); or ReadWriteMany"
            yield _warning(claimed, "node", ONE_NODE, far[0], f"the run's pod {does}", hint)


def _warning(claimed: Claimed, what: str, mode: str, pod: Pod, then: str, hint: str) -> Problem:
    who = f"the pod {pod['metadata']['name']!r} on the node {pod['spec']['nodeName']!r}"
    message = f"the claim {claimed.claim!r} is for one {what} ({mode}), and {who} has it: {then}"
    return Problem(Code.CLAIM_UNUSABLE, message, hint, Place(field=claimed.where), warning=True)


def _claims_of(pod: Pod) -> set[str]:
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    return {str((volume.get("persistentVolumeClaim") or {}).get("claimName", "")) for volume in volumes}
