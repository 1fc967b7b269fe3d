"""Who may do what: the rights that Tieline needs in a namespace, as data, and asking whether they are there.

The roles that ship (:mod:`tieline.engines.kubernetes.roles`) are these lists and nothing else: a test compares them,
and one takes each right away to see that something needs it. Rights are asked for in two ways: the submitter's own
in one request (a SelfSubjectRulesReview; single questions only where the cluster says that its answer is not the whole
of it), those of the run's service account by a LocalSubjectAccessReview, which a role of the namespace can allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tieline.engines.kubernetes.api import Api, Kind
from tieline.engines.kubernetes.asking import side_by_side
from tieline.engines.kubernetes.refusals import ClusterError, Why

AUTHORIZATION = "authorization.k8s.io/v1"
MY_RULES = Kind(AUTHORIZATION, "selfsubjectrulesreviews", namespaced=False)
MY_ACCESS = Kind(AUTHORIZATION, "selfsubjectaccessreviews", namespaced=False)
ACCESS = Kind(AUTHORIZATION, "localsubjectaccessreviews")


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource (``pods/log``). ``why``: what cannot be done without it; ``vital``: no run is accepted
    without it, else it is only missed later."""

    verb: str
    resource: str
    why: str
    group: str = ""
    vital: bool = True

    def __str__(self) -> str:
        head, slash, sub = self.resource.partition("/")
        return f"{self.verb} {head}{'.' if self.group else ''}{self.group}{slash}{sub}"


_ENDS = "`tieline runs stop` would not end it"
_REMOVES = "`tieline runs rm` would leave it behind"
JOBS = (
    Right("create", "configmaps", "the run's plan could not be given to its pod"),
    Right("patch", "configmaps", "the plan's ConfigMap would outlive its Job"),
    Right("create", "jobs", "no Job could be made", "batch"),
    Right("list", "jobs", "how it goes on could not be seen", "batch"),
    Right("list", "pods", "how it goes on could not be seen"),
    Right("watch", "pods", "how it goes on could not be seen"),
    Right("get", "pods/log", "what it prints could not be shown while it runs", vital=False),
    Right("get", "configmaps", "another machine's `tieline runs` could not find it again", vital=False),
    Right("list", "events", "why a pod does not start could not always be said", vital=False),
    Right("patch", "jobs", _ENDS, "batch", vital=False),
    Right("delete", "pods", "a stop would take a minute", vital=False),
    Right("delete", "jobs", _REMOVES, "batch", vital=False),
    Right("delete", "configmaps", _REMOVES, vital=False),
)
"""What whoever submits a job needs."""
SERVICES = (
    Right("create", "deployments", "no Deployment could be made", "apps"),
    Right("create", "services", "no Service could be made"),
    Right("list", "deployments", "how it goes on could not be seen", "apps"),
    Right("patch", "deployments", _ENDS, "apps", vital=False),
    Right("delete", "deployments", _REMOVES, "apps", vital=False),
    Right("delete", "services", _REMOVES, vital=False),
)
"""What whoever submits a service needs beside them."""
_LEASES, _TURNS = "coordination.k8s.io", "nobody could wait for a place in the queue"
QUEUES = (
    Right("create", "leases", _TURNS, _LEASES),
    Right("list", "leases", _TURNS, _LEASES),
    Right("delete", "leases", "a place in the queue would never be free again", _LEASES),
    Right("patch", "leases", "a launch that takes long could lose its place in the queue", _LEASES, vital=False),
)
"""What whoever submits a run of a queue with a limit needs beside them."""
CHECKS = (
    Right("get", "namespaces", "whether the namespace is there", vital=False),
    Right("get", "secrets", "whether secrets and their keys are there", vital=False),
    Right("get", "configmaps", "whether config maps and their keys are there", vital=False),
    Right("get", "persistentvolumeclaims", "whether claims are there, and bound", vital=False),
    Right("get", "serviceaccounts", "whether the run's service account is there", vital=False),
    Right(
        "create", "localsubjectaccessreviews", "whether the run's service account may do what it has to",
        "authorization.k8s.io", vital=False,
    ),
)  # fmt: skip
"""What lets a preflight look, in the run's namespace; what is not allowed is told as "not checked"."""
CLUSTER_CHECKS = (
    Right("get", "priorityclasses", "whether the priority class is there", "scheduling.k8s.io", vital=False),
    Right("get", "storageclasses", "whether a claim is bound when a pod comes", "storage.k8s.io", vital=False),
    Right("list", "persistentvolumes", "whether there is a volume for a claim", vital=False),
    Right("get", "persistentvolumes", "whether the volume that a claim names is there", vital=False),
)
"""The same, for what is in no namespace."""
READER = (
    Right("create", "jobs", "no pod could be made that reads the store", "batch"),
    Right("delete", "jobs", "that pod would stay", "batch"),
    Right("list", "pods", "whether that pod runs could not be seen"),
    Right("watch", "pods", "whether that pod runs could not be seen"),
    Right("delete", "pods", "that pod would stay for some seconds", vital=False),
    Right("get", "pods/exec", "nothing could be asked in that pod"),
    Right("create", "pods/exec", "nothing could be asked in that pod"),
    Right("list", "events", "why that pod does not start could not always be said", vital=False),
)
"""What reading an artifacts store takes that only the cluster sees. (A WebSocket is a GET; since 1.35 the cluster wants
the right to create, too.)"""
COLLECTOR = (
    Right("list", "pods", "could not see the end of the job"),
    Right("get", "pods/log", "could not read what the job prints"),
    Right("watch", "pods", "sees the end of the job some seconds late", vital=False),
)
"""What the run's service account needs: the collector works with it. ``why`` says what that could not do."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the cluster knows them."""

    user: str
    groups: tuple[str, ...] = ()

    @classmethod
    def service_account(cls, namespace: str, name: str) -> Person:
        """A service account, with the groups that it is always in."""
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return cls(f"system:serviceaccount:{namespace}:{name}", groups)


def submitter_rights(kind: str, *, limited: bool = False) -> tuple[Right, ...]:
    """What submitting a run of this kind (``job`` or ``service``) takes; ``limited``: of a queue with a limit."""
    queues = QUEUES if limited else ()
    if kind != "service":
        return (*JOBS, *queues)
    return (*(right for right in JOBS if right.group != "batch"), *SERVICES, *queues)


def role_of(right: Right) -> str:
    """Which of the roles that ship gives a submitter this right."""
    if right in QUEUES:
        return "tieline-queue-submitter"
    return "tieline-service-submitter" if right in SERVICES else "tieline-submitter"


def missing_rights(api: Api, namespace: str, wanted: Sequence[Right]) -> list[Right] | None:
    """Those of these that whoever asks does not have; None: the cluster does not say."""
    try:
        status = _answer(api, MY_RULES, "SelfSubjectRulesReview", "", {"namespace": namespace})
    except ClusterError as error:
        if error.why is Why.FORBIDDEN:
            return None
        raise
    lacking = [right for right in wanted if not allowed(right, status.get("resourceRules") or ())]
    if not status.get("incomplete"):
        return lacking
    answers = side_by_side(lambda right: _may(api, namespace, right), lacking)
    return [right for right, may in zip(lacking, answers, strict=True) if not may]


def _may(api: Api, namespace: str, right: Right) -> bool:
    spec = {"resourceAttributes": attributes(right, namespace)}
    return bool(_answer(api, MY_ACCESS, "SelfSubjectAccessReview", "", spec).get("allowed"))


def lacks(api: Api, namespace: str, who: Person, wanted: Iterable[tuple[Right, str]]) -> list[bool] | None:
    """For each right (on the object of that name; "" is any), whether this person lacks it; None: whoever asks may
    not know."""

    def lacking(one: tuple[Right, str]) -> bool:
        wanted = attributes(one[0], namespace, one[1])
        spec = {"user": who.user, "groups": list(who.groups), "resourceAttributes": wanted}
        return not _answer(api, ACCESS, "LocalSubjectAccessReview", namespace, spec).get("allowed")

    try:
        return side_by_side(lacking, wanted)
    except ClusterError as error:
        if error.why is Why.FORBIDDEN:
            return None
        raise


def attributes(right: Right, namespace: str, name: str = "") -> dict[str, str]:
    """A right as a review asks for it."""
    resource, _, sub = right.resource.partition("/")
    found = {
        "namespace": namespace, "verb": right.verb, "group": right.group, "resource": resource, "subresource": sub,
        "name": name,
    }  # fmt: skip
    return {key: value for key, value in found.items() if value}


def allowed(right: Right, rules: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of these rules allows it for every object. ``*`` is any; ``*/log`` any resource's log."""
    resource, slash, sub = right.resource.partition("/")
    spellings = {right.resource, "*", f"*/{sub}" if slash else resource}
    return any(
        {right.verb, "*"} & set(rule.get("verbs") or ())
        and {right.group, "*"} & set(rule.get("apiGroups") or ())
        and spellings & set(rule.get("resources") or ())
        and not rule.get("resourceNames")
        for rule in rules
    )


def _answer(api: Api, kind: Kind, name: str, namespace: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status of a review, which the cluster keeps nowhere."""
    metadata = {"namespace": namespace} if namespace else {}
    body = {"apiVersion": AUTHORIZATION, "kind": name, "metadata": metadata, "spec": dict(spec)}
    status: Mapping[str, Any] = api.create(kind, namespace, body).get("status") or {}
    return status
