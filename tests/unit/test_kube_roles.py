"""The rights that Tieline needs on a cluster: the roles that ship are the lists of the code; what a rule allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from tieline.engines.kubernetes.rights import (
    CHECKS,
    CLUSTER_CHECKS,
    COLLECTOR,
    JOBS,
    QUEUES,
    READER,
    SERVICES,
    Person,
    Right,
    allowed,
    attributes,
    role_of,
    submitter_rights,
)
from tieline.engines.kubernetes.roles import MANIFESTS, ROLES, manifests

SHIPPED: dict[tuple[str, str, str], Sequence[Right]] = {
    ("collector.yaml", "Role", "tieline-collector"): COLLECTOR,
    ("submitter.yaml", "Role", "tieline-submitter"): JOBS,
    ("submitter.yaml", "Role", "tieline-service-submitter"): SERVICES,
    ("reader.yaml", "Role", "tieline-reader"): READER,
    ("submitter.yaml", "Role", "tieline-queue-submitter"): QUEUES,
    ("checks.yaml", "Role", "tieline-checks"): CHECKS,
    ("checks.yaml", "ClusterRole", "tieline-checks"): CLUSTER_CHECKS,
}


def shipped() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(MANIFESTS.glob("*.yaml")):
        yield from ((path.name, found) for found in yaml.safe_load_all(path.read_text()))


def test_every_file_has_its_line_and_all_are_one_stream() -> None:
    assert set(ROLES) == {path.stem for path in MANIFESTS.glob("*.yaml")}
    kinds = [(found["kind"], found["metadata"]["name"]) for found in yaml.safe_load_all(manifests())]
    assert sorted(kinds) == sorted((found["kind"], found["metadata"]["name"]) for _, found in shipped())
    assert [found["kind"] for found in yaml.safe_load_all(manifests(("collector",)))] == [
        "ServiceAccount", "Role", "RoleBinding"
    ]  # fmt: skip


def test_a_right_is_given_by_the_role_that_is_named() -> None:
    for (file, _, name), rights in SHIPPED.items():
        if file == "submitter.yaml":
            assert {role_of(right) for right in rights} == {name}


def single(rules: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Every rule of one verb on one resource."""
    return sorted(
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    )


def test_every_role_is_one_of_the_lists_and_nothing_more() -> None:
    roles = {(name, found["kind"], found["metadata"]["name"]): found for name, found in shipped() if "rules" in found}
    assert set(roles) == set(SHIPPED)
    for which, found in roles.items():
        assert single(found["rules"]) == sorted((r.verb, r.group, r.resource) for r in SHIPPED[which]), which


def test_a_role_that_ships_reads_no_secret_but_for_the_checks() -> None:
    for name, found in shipped():
        readers = [rule for rule in found.get("rules", ()) if {"secrets", "*"} & set(rule["resources"])]
        assert not readers or name == "checks.yaml"


def test_a_right_in_words() -> None:
    assert str(Right("create", "jobs", "", "batch")) == "create jobs.batch"
    assert str(Right("get", "pods/log", "")) == "get pods/log"
    assert str(Right("patch", "deployments/scale", "", "apps")) == "patch deployments.apps/scale"


def test_a_service_needs_no_right_on_jobs() -> None:
    assert not [right for right in submitter_rights("service") if right.group == "batch"]
    assert submitter_rights("job") == JOBS


@pytest.mark.parametrize("kind", ["job", "service"])
def test_only_a_run_of_a_limited_queue_needs_leases(kind: str) -> None:
    assert submitter_rights(kind, limited=True) == (*submitter_rights(kind), *QUEUES)
    assert not [right for right in submitter_rights(kind) if right.resource == "leases"]


def test_a_right_as_a_review_asks_for_it() -> None:
    assert attributes(Right("get", "pods/log", ""), "a", "x") == {
        "namespace": "a", "verb": "get", "resource": "pods", "subresource": "log", "name": "x",
    }  # fmt: skip
    assert attributes(Right("create", "jobs", "", "batch"), "a") == {
        "namespace": "a", "verb": "create", "group": "batch", "resource": "jobs",
    }  # fmt: skip


def test_a_service_account_with_its_groups() -> None:
    found = Person.service_account("a", "b")
    assert found.user == "system:serviceaccount:a:b"
    assert "system:serviceaccounts:a" in found.groups


LOG, JOB = Right("get", "pods/log", ""), Right("create", "jobs", "", "batch")


@pytest.mark.parametrize(
    ("right", "rule", "may"),
    [
        (LOG, {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}, True),
        (LOG, {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}, True),
        (LOG, {"apiGroups": ["*"], "resources": ["*/log"], "verbs": ["get", "list"]}, True),
        (LOG, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, False),
        (LOG, {"apiGroups": [""], "resources": ["*/exec"], "verbs": ["get"]}, False),
        (LOG, {"apiGroups": ["apps"], "resources": ["pods/log"], "verbs": ["get"]}, False),
        (LOG, {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["list"]}, False),
        (LOG, {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"], "resourceNames": ["x"]}, False),
        (JOB, {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}, True),
        (JOB, {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["create"]}, False),
        (JOB, {"apiGroups": ["batch"], "resources": ["*"], "verbs": ["create"], "resourceNames": []}, True),
        (JOB, {"verbs": ["create"]}, False),
    ],
)
def test_what_a_rule_allows(right: Right, rule: dict[str, Any], may: bool) -> None:
    assert allowed(right, [{"apiGroups": [], "resources": [], "verbs": []}, rule]) is may
    assert allowed(right, []) is False
