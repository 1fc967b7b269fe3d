"""What is said once about a run on a cluster: what the file says and a pod cannot do, or does in another way."""

from __future__ import annotations

from collections.abc import Iterator

from tieline.engines.kubernetes.machine import database_folders
from tieline.engines.kubernetes.users import NOBODY, user_of
from tieline.engines.kubernetes.values import Hidden, Known, Seen
from tieline.model.plan import Notice, Plan
from tieline.secrets.resolve import Places


def notices_of(plan: Plan, known: Known) -> tuple[Notice, ...]:
    """In the order of the plan. ``known``: the keys of secrets that somebody looked at."""
    return (
        *_hidden_variables(plan, known),
        *_machine(plan),
        *_user(plan),
        *_ending(plan),
        *_service(plan),
        *_taken(plan),
    )


def _hidden_variables(plan: Plan, known: Known) -> Iterator[Notice]:
    """Variables that are made from a secret: in a pod they would stand in its manifest."""
    seen = Seen(Places.of(plan.layout), known)
    for binding in plan.bindings:
        for variable in binding.variables:
            if not isinstance(seen.of(variable.value), Hidden):
                continue
            entry = next((entry.name for entry in binding.entries if entry.value == variable.value), "")
            where = f"$SERVICE_BINDING_ROOT/{binding.connection}"
            read = f"read {where}/{entry}" if entry else f"its parts are in {where}"
            message = f"{variable.name} is made from a secret, so it is no variable of a pod; {read}"
            yield Notice(field=f"connections[{binding.connection}]", message=message)


def _machine(plan: Plan) -> Iterator[Notice]:
    """Databases in a file of the machine: several nodes have several."""
    for binding in plan.bindings:
        for folder in database_folders(plan, [binding]):
            message = f"its file is in no volume of the job: {folder} of the node that the pod is on is mounted"
            yield Notice(field=f"connections[{binding.connection}]", message=message)


def _user(plan: Plan) -> Iterator[Notice]:
    if user_of(plan).ours == NOBODY:
        message = (
            "nobody says which user the job is, so what it lets no other user read cannot be saved, and the run fails "
            "then; add its runAsUser"
        )
        yield Notice(field="environment.securityContext.runAsNonRoot", message=message)


def _ending(plan: Plan) -> Iterator[Notice]:
    policy = plan.environment.get("restartPolicy")
    if policy not in (None, "Never") and plan.service is None:
        message = f"{policy} is Never here: a pod is not started again, termination.maxRetries makes a new one"
        yield Notice(field="environment.restartPolicy", message=message)
    if plan.service is None:
        return
    given = {"maxRetries": plan.ending.max_retries or None, "timeout": plan.ending.timeout, "ttl": plan.ending.ttl}
    for name, value in given.items():
        if value is not None:
            message = "has no effect on a service: the cluster keeps it running until it is stopped"
            yield Notice(field=f"termination.{name}", message=message)


def _service(plan: Plan) -> Iterator[Notice]:
    if plan.service is None:
        return
    if not plan.service.ports:
        yield Notice(field="run.ports", message="there are none, so no Service is made")
    for name, wanted in (("rewritePath", plan.service.rewrite_path), ("isExternal", plan.service.is_external)):
        if wanted:
            message = "Tieline makes no way into the cluster; the run's Service can be named in an Ingress of yours"
            yield Notice(field=f"run.{name}", message=message)


def _taken(plan: Plan) -> Iterator[Notice]:
    if any(step.type == "take" for step in plan.steps):
        yield Notice(field="mount", message="these files go along in the run's ConfigMap, packed, when it is submitted")
