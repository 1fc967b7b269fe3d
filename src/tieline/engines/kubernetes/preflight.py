"""What a cluster must have before a plan is accepted, with the rights that whoever submits it has.

Everything that is missing is told at once. A right that is missing is another thing than an object that is missing:
what may not be looked at is a warning, "not checked". One request for each distinct object, one for all rights of the
submitter, all side by side.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.asking import Asked, Thing, side_by_side
from tieline.engines.kubernetes.claims import claim_of, further, judge, unchecked, volumes_wanted
from tieline.engines.kubernetes.holders import exclusive, held, pods_alive
from tieline.engines.kubernetes.keys import ClusterKeys
from tieline.engines.kubernetes.referring import (
    DEFAULT_ACCOUNT,
    PLURALS,
    account_of,
    claims_of,
    host_paths_of,
    in_pod,
    pull_secrets_of,
    resources_of,
    volume_needs,
)
from tieline.engines.kubernetes.remembered import NOTHING, Remembered
from tieline.engines.kubernetes.rights import COLLECTOR, Person, Right, lacks, missing_rights, role_of, submitter_rights
from tieline.engines.kubernetes.roles import SHIPPED_ACCOUNT
from tieline.engines.unasked import bucket_problems, missing_files, read_only_store
from tieline.errors import Code, Place, Problem, Refused
from tieline.model.access import ObjectStore
from tieline.model.plan import FetchStep, Plan
from tieline.secrets.names import WORDS, Resource
from tieline.secrets.needs import Need, channel_needs, needs_of
from tieline.secrets.preflight import collisions, unmet
from tieline.secrets.sources import Sources

CORRECT = "make it, or correct its name"
ADMIN = "ask the cluster's admin for that right"
LOGINS = frozenset({".dockerconfigjson", ".dockercfg"})
"""Keys of which an image pull secret has one."""
GET_SECRET = Right("get", "secrets", "")


@dataclass(frozen=True, slots=True)
class Checked:
    """``warnings``: what a person should know. ``known``: the keys of every secret and config map of the plan that was
    looked at (none, where it is not there and need not be): which of several candidates there is, follows from them."""

    warnings: tuple[Problem, ...] = ()
    known: Mapping[tuple[Resource, str], tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What was answered about rights; None: nobody may know. ``pods``: those that may have a claim of the run's."""

    submitter: Sequence[Right] | None
    collector: Sequence[bool] | None
    person: Sequence[bool] | None
    pods: Sequence[Mapping[str, Any]] = ()


def preflight(
    plan: Plan,
    api: Api,
    namespace: str,
    channels: Sources,
    *,
    account: str = DEFAULT_ACCOUNT,
    behalf: Person | None = None,
    remembered: Remembered = NOTHING,
) -> Checked:
    """What was found. Raises Refused with everything that is missing, and ClusterError where nobody answers.

    ``channels``: where the submitting machine finds the secrets of notifications; ``account``: the service account of
    a run whose job names none; ``behalf``: for whom the run is submitted, where that is not whoever asks: they must be
    allowed to get the secrets that it uses; ``remembered``: rights that were there a moment ago are not asked for.
    """
    asked = Asked(api, namespace)
    account, secrets = account_of(plan, account), _secrets(plan)
    answers = _ask_all(plan, asked, account, secrets, behalf, remembered)
    keys = Sources([ClusterKeys(asked, api.context)], plan.run.namespace)
    gone = list(_namespace(asked))
    if any(not problem.warning for problem in gone):
        raise Refused(*gone)  # nothing else can be there
    problems = [
        *gone,
        *unmet(_needs(plan), keys),
        *_unseen(plan, asked),
        *unmet(channel_needs(plan), channels),
        *collisions(plan, keys),
        *_claims(plan, asked),
        *held(exclusive(claims_of(plan), asked), answers.pods, plan.environment),
        *_environment(plan, asked, account),
        *_submitter(answers.submitter, namespace),
        *_collector(answers.collector, asked, account),
        *_person(answers.person, plan, secrets, namespace, behalf),
        *_unasked(plan),
    ]
    if any(not problem.warning for problem in problems):
        raise Refused(*problems)
    return Checked(tuple(problems), _known(plan, asked))


def _ask_all(
    plan: Plan, asked: Asked, account: str, secrets: Sequence[Thing], behalf: Person | None, remembered: Remembered
) -> _Answers:
    """All requests: what can be asked at once first, then what follows from claims that are not bound."""
    claims, api, namespace = claims_of(plan), asked.api, asked.namespace
    things = [_namespace_thing(asked), *resources_of(plan), *map(claim_of, claims)]
    things += [Thing("secrets", name) for name in pull_secrets_of(plan)]
    things += [Thing("serviceaccounts", account), *_priority(plan)]
    works: list[Callable[[], Any]] = [
        lambda: asked.ask(things),
        lambda: _submitter_lacks(api, namespace, plan, remembered),
        lambda: _collector_lacks(api, namespace, account, remembered),
        lambda: behalf and lacks(api, namespace, behalf, [(GET_SECRET, secret.name) for secret in secrets]),
    ]
    _, submitter, collector, person = side_by_side(lambda work: work(), works)
    asked.ask(further(claims, asked))
    asked.ask(volumes_wanted(claims, asked))
    return _Answers(submitter, collector, person, pods_alive(asked) if exclusive(claims, asked) else ())


def _submitter_lacks(api: Api, namespace: str, plan: Plan, remembered: Remembered) -> Sequence[Right] | None:
    limited = plan.queue_limit is not None
    question = ("submitter", namespace, plan.run.kind, *(["queue"] if limited else []))
    if remembered.get(*question):
        return ()
    lacking = missing_rights(api, namespace, submitter_rights(plan.run.kind, limited=limited))
    if lacking is not None and not lacking:
        remembered.keep(True, *question)
    return lacking


def _collector_lacks(api: Api, namespace: str, account: str, remembered: Remembered) -> Sequence[bool] | None:
    if remembered.get("collector", namespace, account):
        return [False] * len(COLLECTOR)
    lacking = lacks(api, namespace, Person.service_account(namespace, account), [(right, "") for right in COLLECTOR])
    if lacking is not None and not any(lacking):
        remembered.keep(True, "collector", namespace, account)
    return lacking


def _needs(plan: Plan) -> tuple[Need, ...]:
    return (*needs_of(in_pod(plan)), *volume_needs(plan))


def _secrets(plan: Plan) -> list[Thing]:
    return [thing for thing in resources_of(plan) if thing.resource == "secrets"]


def _priority(plan: Plan) -> list[Thing]:
    name = plan.environment.get("priorityClassName")
    return [Thing("priorityclasses", str(name))] if name else []


def _problem(code: Code, where: str, message: str, hint: str, *, soft: bool = False) -> Problem:
    return Problem(code, message, hint, Place(field=where), warning=soft)


# --- objects


def _namespace_thing(asked: Asked) -> Thing:
    return Thing("namespaces", asked.namespace)


def _namespace(asked: Asked) -> Iterator[Problem]:
    """One that may not be looked at is there if anything in it is."""
    thing, name = _namespace_thing(asked), asked.namespace
    answer = asked[thing]
    if answer.denied and not asked.found_any():
        yield unchecked(thing, f"the namespace {name!r}", "", "namespace")
    elif answer.missing:
        message = f"there is no namespace {name!r} in the cluster {asked.api.server}"
        yield _problem(Code.OBJECT_MISSING, "namespace", message, f"`kubectl create namespace {name}`, or name another")
    elif answer.found and (answer.found.get("status") or {}).get("phase") == "Terminating":
        message = f"the namespace {name!r} is being deleted"
        yield _problem(
            Code.OBJECT_MISSING, "namespace", message, "wait until it is gone and make it anew, or name another"
        )


def _unseen(plan: Plan, asked: Asked) -> Iterator[Problem]:
    """Secrets and config maps that need not be there, and may not be looked at: which of their keys there are is not
    known then."""
    needed = {(need.resource, need.name) for need in _needs(plan)}
    for resource, plural in PLURALS.items():
        for thing in resources_of(plan):
            if thing.resource == plural and (resource, thing.name) not in needed and asked[thing].denied:
                yield unchecked(thing, f"the {WORDS[resource]} {thing.name!r}", asked.namespace, "")


def _claims(plan: Plan, asked: Asked) -> Iterator[Problem]:
    replicas = plan.service.replicas if plan.service else 1
    for claimed in claims_of(plan):
        yield from judge(claimed, replicas, asked)


def _environment(plan: Plan, asked: Asked, account: str) -> Iterator[Problem]:
    """Service account, image pull secrets, priority class."""
    own = "environment.serviceAccountName"
    hint = f"`{_apply_collector(asked)}` makes it" if account == SHIPPED_ACCOUNT else CORRECT
    yield from _there(asked, Thing("serviceaccounts", account), f"service account {account!r}", own, hint=hint)
    for name in pull_secrets_of(plan):
        thing, where = Thing("secrets", name), "environment.imagePullSecrets"
        yield from _there(asked, thing, f"secret {name!r}", where, Code.SECRET_MISSING)
        if asked[thing].found is not None and not LOGINS & set(asked[thing].keys):
            message = f"the secret {name!r} is no image pull secret: it has no key {' or '.join(sorted(LOGINS))}"
            hint = "`kubectl create secret docker-registry` makes one"
            yield _problem(Code.SECRET_MISSING, where, message, hint)
    for thing in _priority(plan):
        yield from _there(asked, thing, f"priority class {thing.name!r}", "environment.priorityClassName")


def _there(
    asked: Asked, thing: Thing, what: str, where: str, code: Code = Code.OBJECT_MISSING, hint: str = CORRECT
) -> Iterator[Problem]:
    answer, cluster_wide = asked[thing], thing.resource == "priorityclasses"
    if answer.denied:
        yield unchecked(thing, f"the {what}", "" if cluster_wide else asked.namespace, where)
    elif answer.missing:
        place = f"the cluster {asked.api.server}" if cluster_wide else f"the namespace {asked.namespace}"
        yield _problem(code, where, f"there is no {what} in {place}", hint)


def _known(plan: Plan, asked: Asked) -> dict[tuple[Resource, str], tuple[str, ...]]:
    words: dict[str, Resource] = {plural: resource for resource, plural in PLURALS.items()}
    things = resources_of(plan)
    return {(words[thing.resource], thing.name): asked[thing].keys for thing in things if not asked[thing].denied}


# --- rights


def _submitter(lacking: Sequence[Right] | None, namespace: str) -> Iterator[Problem]:
    """What whoever submits may not do, what follows from the same said once."""
    if lacking is None:
        message = f"your rights in the namespace {namespace} cannot be looked up; not checked"
        yield _problem(Code.NOT_CHECKED, "rights", message, "the cluster says so if one is missing", soft=True)
    for (why, vital, role), some in groupby(lacking or (), lambda right: (right.why, right.vital, role_of(right))):
        hint = f"ask the cluster's admin for the role {role} (`tieline roles show submitter`)"
        message = f"you may not {_listed(some)} in the namespace {namespace}: {why}"
        yield _problem(Code.NOT_PERMITTED, "rights", message, hint, soft=not vital)


def _collector(lacking: Sequence[bool] | None, asked: Asked, account: str) -> Iterator[Problem]:
    """What the run's service account may not do."""
    where, namespace = "environment.serviceAccountName", asked.namespace
    if asked[Thing("serviceaccounts", account)].missing:
        return  # that it is not there has been said
    if lacking is None:
        message = (
            f"whether the service account {account!r} may {_listed(COLLECTOR)} cannot be looked up: you may not create "
            f"localsubjectaccessreviews.authorization.k8s.io in the namespace {namespace}; not checked"
        )
        yield _problem(Code.NOT_CHECKED, where, message, ADMIN, soft=True)
    missed = [right for right, lacks_it in zip(COLLECTOR, lacking or (), strict=False) if lacks_it]
    if missed:
        vital = [right for right in missed if right.vital]
        whys = " and ".join(dict.fromkeys(right.why for right in vital or missed))
        message = f"the service account {account!r} may not {_listed(missed)} in the namespace {namespace}: \
the collector {whys}"
        hint = (
            f"`{_apply_collector(asked)}` gives it that role"
            if account == SHIPPED_ACCOUNT
            else f"\
`{_apply_collector(asked)}` makes the role, \
`kubectl create rolebinding {account}-collector {_there_for_kubectl(asked)} --role tieline-collector \
--serviceaccount {namespace}:{account}` gives it to the account"
        )
        yield _problem(Code.NOT_PERMITTED, where, message, hint, soft=not vital)


def _apply_collector(asked: Asked) -> str:
    return f"tieline roles show collector | kubectl apply {_there_for_kubectl(asked)} -f -"


def _there_for_kubectl(asked: Asked) -> str:
    context = f" --context {shlex.quote(asked.api.context)}" if asked.api.context else ""
    return f"-n {asked.namespace}{context}"


def _person(
    lacking: Sequence[bool] | None, plan: Plan, secrets: Sequence[Thing], namespace: str, behalf: Person | None
) -> Iterator[Problem]:
    """Secrets of the namespace that the one who is submitted for may not read: a job would show them."""
    if behalf is None or not secrets:
        return
    if lacking is None:
        message = f"whether {behalf.user} may get the run's secrets cannot be looked up; the run is not accepted unseen"
        yield _problem(Code.NOT_PERMITTED, "rights", message, "let Tieline create localsubjectaccessreviews there")
    places = {need.name: need.where for need in reversed(_needs(plan)) if need.resource == "secret"}
    for secret, lacks_it in zip(secrets, lacking or (), strict=False):
        if lacks_it:
            message = f"{behalf.user} may not get the secret {secret.name!r} in the namespace {namespace}"
            yield _problem(Code.NOT_PERMITTED, places.get(secret.name, ""), message, ADMIN)


def _listed(rights: Iterable[Right]) -> str:
    """``list and watch jobs.batch``; ``get pods and pods/log``."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        _, _, resource = str(right).partition(" ")
        verbs.setdefault(resource, []).append(right.verb)
    return ", ".join(f"{' and '.join(dict.fromkeys(found))} {resource}" for resource, found in verbs.items())


# --- what no cluster has to be asked for


def _unasked(plan: Plan) -> Iterator[Problem]:
    yield from missing_files(plan)
    for step in plan.steps:
        if isinstance(step, FetchStep) and isinstance(step.source, ObjectStore):
            yield from bucket_problems(step.source, f"init[{step.name}]")
    store, where = plan.store.access, f"artifactsStore[{plan.store.connection}]"
    if isinstance(store, ObjectStore):
        yield from bucket_problems(store, where)
    elif store.read_only:
        yield read_only_store(where)
    if paths := host_paths_of(plan):
        message = f"folders of the cluster's nodes cannot be looked at from here: {', '.join(paths)}; not checked"
        hint = "they have to be there on every node that the pod may come to"
        yield _problem(Code.NOT_CHECKED, "volumes", message, hint, soft=True)
