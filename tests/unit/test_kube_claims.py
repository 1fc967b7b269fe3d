"""Which volume may be bound to which claim, as the cluster decides it; and who has a claim already."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.engines.kubernetes.claims import fits, quantity
from tieline.engines.kubernetes.holders import held
from tieline.engines.kubernetes.referring import Claimed

VOLUME = {
    "metadata": {"labels": {"disk": "fast", "site": "a"}},
    "spec": {
        "storageClassName": "c",
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
    },
    "status": {"phase": "Available"},
}
CLAIM = {
    "metadata": {"name": "mine", "namespace": "a"},
    "spec": {"storageClassName": "c", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
}


def changed(base: dict[str, Any], part: str, **fields: Any) -> dict[str, Any]:
    return {**base, part: {**base.get(part, {}), **fields}}


@pytest.mark.parametrize(
    ("fields", "fit"),
    [
        ({}, True),
        ({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}, True),
        ({"accessModes": ["ReadWriteMany"]}, False),
        ({"storageClassName": "d"}, False),
        ({"storageClassName": None}, False),
        ({"volumeMode": "Block"}, False),
        ({"volumeMode": "Filesystem"}, True),
        ({"resources": {"requests": {"storage": "10738Mi"}}}, False),
        ({"resources": {"requests": {"storage": "10G"}}}, True),
        ({"selector": {"matchLabels": {"disk": "fast"}}}, True),
        ({"selector": {"matchLabels": {"disk": "slow"}}}, False),
        ({"selector": {"matchExpressions": [{"key": "site", "operator": "In", "values": ["a", "b"]}]}}, True),
        ({"selector": {"matchExpressions": [{"key": "site", "operator": "NotIn", "values": ["a"]}]}}, False),
        ({"selector": {"matchExpressions": [{"key": "gone", "operator": "NotIn", "values": ["a"]}]}}, True),
        ({"selector": {"matchExpressions": [{"key": "gone", "operator": "Exists"}]}}, False),
        ({"selector": {"matchExpressions": [{"key": "gone", "operator": "DoesNotExist"}]}}, True),
    ],
)
def test_a_claim_and_a_volume(fields: dict[str, Any], fit: bool) -> None:
    assert fits(VOLUME, changed(CLAIM, "spec", **fields)) is fit


def test_a_volume_that_is_taken_or_kept_for_a_claim() -> None:
    assert not fits(changed(VOLUME, "status", phase="Released"), CLAIM)
    assert not fits(changed(VOLUME, "spec", claimRef={"namespace": "a", "name": "other"}), CLAIM)
    assert not fits(changed(VOLUME, "spec", claimRef={"namespace": "b", "name": "mine"}), CLAIM)
    assert fits(changed(VOLUME, "spec", claimRef={"namespace": "a", "name": "mine"}), CLAIM)


def test_without_a_class_only_volumes_without_one() -> None:
    assert fits(changed(VOLUME, "spec", storageClassName=""), changed(CLAIM, "spec", storageClassName=None))
    old = {"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "c"}}}
    assert fits(VOLUME, {**changed(CLAIM, "spec", storageClassName=None), **old})


@pytest.mark.parametrize(
    ("text", "number"),
    [("1Gi", 2**30), ("1.5Mi", 1572864), ("10G", 10**10), ("5k", 5000), ("2Ki", 2048), ("1e9", 10**9), ("1500m", 1.5),
     ("7", 7), ("", 0), ("x", 0), ("3Ei", 3 * 2**60)],
)  # fmt: skip
def test_amounts(text: str, number: float) -> None:
    assert quantity(text) == number


MINE = Claimed("disk", "volumes[disk]", writes=True)
HOLDER = {
    "metadata": {"name": "holder"},
    "spec": {"nodeName": "far", "volumes": [{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": "disk"}}]},
}
OTHER = {"metadata": {"name": "other"}, "spec": {"nodeName": "far", "volumes": []}}


def told(mode: str, environment: dict[str, Any], *pods: dict[str, Any]) -> list[str]:
    return [problem.message for problem in held([(MINE, frozenset({mode}))], pods, environment)]


def test_who_has_a_claim_that_one_node_may_have() -> None:
    has = (
        "the claim 'disk' is for one node (ReadWriteOnce), and the pod 'holder' on the node 'far' has it: the run's pod"
    )
    here, there = ({"nodeSelector": {"kubernetes.io/hostname": name}} for name in ("near", "far"))
    assert told("ReadWriteOnce", {}, OTHER, HOLDER) == [f"{has} waits, if it comes to another node"]
    assert told("ReadWriteOnce", here, HOLDER) == [f"{has} has to wait until that has ended"]
    assert told("ReadWriteOnce", there, HOLDER) == []
    assert told("ReadWriteOnce", {"nodeName": "far"}, HOLDER) == []
    assert told("ReadWriteOnce", {}, OTHER) == []


def test_who_has_a_claim_that_one_pod_may_have() -> None:
    (found,) = told("ReadWriteOncePod", {"nodeName": "far"}, HOLDER)
    assert found.endswith("'far' has it: the run's pod waits until it has ended")
