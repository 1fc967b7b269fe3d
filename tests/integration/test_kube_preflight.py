"""Checked before it is accepted, on a real cluster and with the rights that ship: what is there, what is missing, what
may not be looked at; each object asked for once, and no value kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_rights import KINDS, Space, opened, plan_of, space
from secrets_kube import kube

from servers.processes import eventually
from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.asking import Asked, Thing
from tieline.engines.kubernetes.preflight import Checked, preflight
from tieline.engines.kubernetes.rights import Person
from tieline.errors import Code, Refused
from tieline.model.plan import Plan
from tieline.secrets.memory import MemorySource
from tieline.secrets.sources import Sources

__all__ = ["kube"]
CANARY = "canary-91f0c4"
NO_CHANNELS = Sources([MemorySource({}, {})], "default")
DB = {"name": "db", "kind": "postgres", "schema": {"host": "h"}, "secret": {"name": "pg"}}
STORE = {"artifactsStore": {"name": "st", "kind": "s3", "schema": {"bucket": "s3://bucket"}}}
ROLES = ("tieline-submitter", "tieline-service-submitter", "tieline-checks")


def data(claim: str, **more: Any) -> dict[str, Any]:
    return {"name": "data", "kind": "volume_claim", "schema": {"volumeClaim": claim, "mountPath": "/data", **more}}


def with_store(*connections: dict[str, Any], **run: Any) -> Plan:
    """A job that uses these connections, with a bucket as its store."""
    kind = run.pop("kind", "job")
    names = [connection["name"] for connection in connections]
    return plan_of({**STORE, "connections": list(connections)}, {"connections": names, **run}, kind=kind)


@pytest.fixture(scope="module")
def ns(kube: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    with space(kube, tmp_path_factory.mktemp("kube")) as found:
        for manifest in ("collector.yaml", "submitter.yaml"):
            found.apply(manifest)
        found.apply("checks.yaml", skip=("ClusterRole",))
        yield found


@pytest.fixture(scope="module")
def submitter(ns: Space) -> Iterator[Api]:
    """Somebody with the roles that ship, and no others."""
    with opened(ns.user("submitter", roles=ROLES)) as api:
        eventually(lambda: Asked(api, ns.name)[Thing("configmaps", "none")].missing)
        yield api


def check(ns: Space, api: Api, plan: Plan, **more: Any) -> Checked:
    return preflight(plan, api, ns.name, more.pop("channels", NO_CHANNELS), account="tieline", **more)


def refused(ns: Space, api: Api, plan: Plan, **more: Any) -> list[str]:
    with pytest.raises(Refused) as caught:
        check(ns, api, plan, **more)
    return [str(problem) for problem in caught.value.problems if not problem.warning]


def warned(ns: Space, api: Api, plan: Plan, **more: Any) -> list[str]:
    return [str(problem) for problem in check(ns, api, plan, **more).warnings]


def test_all_is_there_and_each_object_is_asked_for_once(ns: Space, submitter: Api) -> None:
    ns.secret("pg", PGUSER="me", password=CANARY)
    ns.make("ConfigMap", "settings", data={"a": "1"}, binaryData={"b": "/w=="})
    plan = with_store(
        DB, {**DB, "name": "twin", "envPrefix": "X_"},
        container={"envFrom": [{"configMapRef": {"name": "settings"}}],
                   "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]},
    )  # fmt: skip
    before = submitter.counted.copy()
    found = check(ns, submitter, plan)
    assert found.warnings == ()
    assert found.known == {("secret", "pg"): ("PGUSER", "password"), ("configMap", "settings"): ("a", "b")}
    assert submitter.counted - before == {
        "get namespaces": 1, "get secrets": 1, "get configmaps": 1, "get serviceaccounts": 1,
        "create selfsubjectrulesreviews": 1, "create localsubjectaccessreviews": 3,
    }  # fmt: skip


def test_everything_that_is_missing_is_told_at_once_with_its_place(ns: Space, submitter: Api) -> None:
    ns.secret("half", PGUSER="me")
    ns.secret("opaque", a="b")
    plan = with_store(
        {**DB, "secret": {"name": "nowhere"}},
        {"name": "items", "kind": "http", "schema": {"url": "https://h"},
         "secret": {"name": "half", "items": ["PGUSER", "TOKEN"], "mountPath": "/etc/login"}},
        data("gone"),
        container={"envFrom": [{"configMapRef": {"name": "no-map"}}],
                   "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "half", "key": "b"}}}]},
        environment={"serviceAccountName": "nobody", "imagePullSecrets": ["no-login", "opaque"]},
    )  # fmt: skip
    here = f"in the namespace {ns.name}"
    of = f"{here} of the cluster of the context {submitter.context!r}"
    remedy = f"-n {ns.name} --context {submitter.context}`"
    assert sorted(refused(ns, submitter, plan)) == sorted([
        f"connections[db]: there is no secret 'nowhere' {of}; "
        f"`kubectl create secret generic nowhere --from-file=KEY=… {remedy}",
        f"connections[items]: the secret 'half' {of} has no key 'TOKEN'; it has 'PGUSER'; "
        f"`kubectl create secret generic half --from-file=TOKEN=… {remedy}",
        f"main.env[A]: the secret 'half' {of} has no key 'b'; it has 'PGUSER'; "
        f"`kubectl create secret generic half --from-file=b=… {remedy}",
        f"main.envFrom: there is no config map 'no-map' {of}; "
        f"`kubectl create configmap no-map --from-file=KEY=… {remedy}",
        f"connections[data]: there is no claim 'gone' {here}; make the PersistentVolumeClaim, or correct its name",
        f"environment.serviceAccountName: there is no service account 'nobody' {here}; make it, or correct its name",
        f"environment.imagePullSecrets: there is no secret 'no-login' {here}; make it, or correct its name",
        "environment.imagePullSecrets: the secret 'opaque' is no image pull secret: it has no key "
        ".dockercfg or .dockerconfigjson; `kubectl create secret docker-registry` makes one",
    ])  # fmt: skip


def test_a_namespace_that_is_not_there_is_the_only_thing_told(ns: Space) -> None:
    with pytest.raises(Refused) as caught:
        preflight(with_store(DB, data("x")), ns.admin, "tl-nowhere", NO_CHANNELS)
    (problem,) = caught.value.problems
    assert problem.code is Code.OBJECT_MISSING
    assert "there is no namespace 'tl-nowhere'" in problem.message
    assert "kubectl create namespace tl-nowhere" in problem.hint


def test_what_may_not_be_looked_at_is_not_missing(ns: Space) -> None:
    """With the right to submit and nothing else: accepted, and each thing that nobody looked at is named once."""
    ns.secret("there", password=CANARY)
    plan = with_store(
        {**DB, "secret": {"name": "there"}},
        {**DB, "name": "other", "envPrefix": "O_", "secret": {"name": "not-there"}},
        data("some"), environment={"priorityClassName": "some-class", "imagePullSecrets": ["pull"]},
    )  # fmt: skip
    with opened(ns.user("blind", roles=("tieline-submitter",))) as api:
        eventually(lambda: not Asked(api, ns.name)[Thing("configmaps", "none")].denied)
        checked = check(ns, api, plan)
    here, hint = f" in the namespace {ns.name}", "ask the cluster's admin for that right"
    unseen = "cannot be looked up: you may not"
    assert sorted(map(str, checked.warnings)) == sorted([
        f"namespace: the namespace {ns.name!r} {unseen} get namespaces; not checked; {hint}",
        f"connections[db]: the secret 'there' {unseen} get secrets{here}; not checked; {hint}",
        f"connections[other]: the secret 'not-there' {unseen} get secrets{here}; not checked; {hint}",
        f"connections[data]: the claim 'some' {unseen} get persistentvolumeclaims{here}; not checked; {hint}",
        f"environment.serviceAccountName: the service account 'tieline' {unseen} get serviceaccounts{here}; "
        f"not checked; {hint}",
        f"environment.serviceAccountName: whether the service account 'tieline' may list and watch pods, "
        f"get pods/log {unseen} create localsubjectaccessreviews.authorization.k8s.io{here}; not checked; {hint}",
        f"environment.imagePullSecrets: the secret 'pull' {unseen} get secrets{here}; not checked; {hint}",
        f"environment.priorityClassName: the priority class 'some-class' {unseen} "
        f"get priorityclasses.scheduling.k8s.io; not checked; {hint}",
    ])  # fmt: skip
    assert checked.known == {}


def test_the_service_account_that_ships_is_missing(kube: Path, tmp_path: Path) -> None:
    """As in every namespace that nobody has set up."""
    with space(kube, tmp_path) as bare, pytest.raises(Refused) as caught:
        preflight(with_store(), bare.admin, bare.name, NO_CHANNELS, account="tieline")
    where = f"-n {bare.name} --context {bare.admin.context}" if bare.admin.context else f"-n {bare.name}"
    assert [str(problem) for problem in caught.value.problems if not problem.warning] == [
        f"environment.serviceAccountName: there is no service account 'tieline' in the namespace {bare.name}; "
        f"`tieline roles show collector | kubectl apply {where} -f -` makes it"
    ]


def test_no_value_is_kept(ns: Space) -> None:
    ns.make(
        "Secret", "full", stringData={"a": CANARY},
        metadata={"name": "full", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY}},
    )  # fmt: skip
    asked = Asked(ns.admin, ns.name)
    answer = asked[Thing("secrets", "full")]
    assert answer.keys == ("a",)
    assert CANARY not in repr(answer)
    assert "Y2FuYXJ5" not in repr(answer)


def test_a_name_that_is_none_is_never_sent(ns: Space, submitter: Api) -> None:
    before = submitter.requests
    assert Asked(submitter, ns.name)[Thing("secrets", "../../default/secrets/x")].missing
    assert submitter.requests == before


def test_of_several_candidates_the_known_keys_tell(ns: Space, submitter: Api) -> None:
    ns.secret("upper", PGPASSWORD="x")
    optional = {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "k", "optional": True}}}
    found = check(ns, submitter, with_store({**DB, "secret": {"name": "upper"}}, container={"env": [optional]}))
    assert found.known == {("secret", "upper"): ("PGPASSWORD",), ("secret", "nowhere"): ()}
    assert found.warnings == ()


def test_volumes_of_the_pod_itself(ns: Space, submitter: Api) -> None:
    ns.secret("files", a="b")
    plan = with_store(
        volumes=[
            {"name": "one", "secret": {"secretName": "files"}},
            {"name": "gone", "secret": {"secretName": "no-files"}},
            {"name": "maybe", "configMap": {"name": "no-map"}},
            {"name": "both", "projected": {"sources": [
                {"secret": {"name": "files", "items": [{"key": "b", "path": "x"}]}},
                {"configMap": {"name": "not-needed", "optional": True}},
            ]}},
            {"name": "disk", "persistentVolumeClaim": {"claimName": "no-claim"}},
        ],
        container={"volumeMounts": [{"name": "one", "mountPath": "/one"}, {"name": "gone", "mountPath": "/gone"}]},
    )  # fmt: skip
    assert sorted(told.partition(";")[0].partition(" in ")[0] for told in refused(ns, submitter, plan)) == [
        "volumes[both]: the secret 'files'",
        "volumes[disk]: there is no claim 'no-claim'",
        "volumes[gone]: there is no secret 'no-files'",
        "volumes[maybe]: there is no config map 'no-map'",
    ]


def test_two_whole_secrets_that_set_one_variable(ns: Space, submitter: Api) -> None:
    ns.secret("one", TOKEN="a")
    ns.secret("two", TOKEN="b")
    http = {"kind": "http", "schema": {"url": "https://h"}}
    plan = with_store(
        {**http, "name": "a", "secret": {"name": "one"}}, {**http, "name": "b", "secret": {"name": "two"}}
    )
    (told,) = refused(ns, submitter, plan)
    assert told.startswith("run.connections: 'a' and 'b' both set TOKEN")


def test_a_channels_secret_is_looked_for_where_messages_are_sent_from(ns: Space, submitter: Api) -> None:
    catalog = {
        **STORE, "connections": [],
        "notificationConnections": [{"name": "team", "kind": "slack", "secret": {"name": "hook"}}],
    }  # fmt: skip
    plan = plan_of(catalog, {"plugins": {"notifications": [{"connections": ["team"]}]}})
    assert refused(ns, submitter, plan)[0].startswith("notifications[team]: there is no secret 'hook' in memory")
    assert warned(ns, submitter, plan, channels=Sources([MemorySource({"hook": {"url": "x"}}, {})], "default")) == []


def test_folders_of_nodes_are_said_not_to_be_checked(ns: Space, submitter: Api) -> None:
    host = {"name": "host", "kind": "host_path", "schema": {"hostPath": "/srv/x", "mountPath": "/x"}}
    (told,) = warned(ns, submitter, with_store(host))
    assert "cannot be looked at from here: /srv/x; not checked" in told


def test_a_priority_class(ns: Space) -> None:
    plan = with_store(environment={"priorityClassName": "system-node-critical"})
    assert warned(ns, ns.admin, plan) == []
    (told,) = refused(ns, ns.admin, with_store(environment={"priorityClassName": "tl-no-class"}))
    assert told.startswith("environment.priorityClassName: there is no priority class 'tl-no-class' in the cluster")


def test_secrets_of_the_namespaces_users(ns: Space, submitter: Api) -> None:
    """Submitted for somebody else: they must be allowed to read the secrets that the job would show them."""
    ns.secret("theirs", PGUSER="x")
    ns.secret("not-theirs", PGUSER="x")
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["theirs"], "verbs": ["get"]}
    ns.user("alice", [rule])
    alice = Person.service_account(ns.name, "alice")
    mine = {**DB, "secret": {"name": "theirs"}}
    eventually(lambda: _passes(ns, submitter, with_store(mine), alice))
    other = {**DB, "name": "other", "envPrefix": "O_", "secret": {"name": "not-theirs"}}
    (told,) = refused(ns, submitter, with_store(mine, other), behalf=alice)
    assert told == (
        f"connections[other]: {alice.user} may not get the secret 'not-theirs' in the namespace {ns.name}; "
        "ask the cluster's admin for that right"
    )


def _passes(ns: Space, api: Api, plan: Plan, behalf: Person) -> bool:
    try:
        return check(ns, api, plan, behalf=behalf).warnings == ()
    except Refused:
        return False


def test_on_whose_behalf_nobody_can_tell_it_is_not_accepted(ns: Space) -> None:
    ns.secret("unseen", PGUSER="x")
    plan = with_store({**DB, "secret": {"name": "unseen"}})
    with opened(ns.user("unsure", roles=("tieline-submitter",))) as api:
        eventually(lambda: not Asked(api, ns.name)[Thing("configmaps", "none")].denied)
        told = refused(ns, api, plan, behalf=Person("bob"))
    assert told == [
        "rights: whether bob may get the run's secrets cannot be looked up; the run is not accepted unseen; "
        "let Tieline create localsubjectaccessreviews there"
    ]


# --- claims


def claim(ns: Space, name: str, mode: str = "ReadWriteOnce", size: str = "1Gi", **spec: Any) -> None:
    requests = {"requests": {"storage": size}}
    ns.make("PersistentVolumeClaim", name, spec={"accessModes": [mode], "resources": requests, **spec})


@pytest.fixture
def made(ns: Space) -> Iterator[list[tuple[str, str]]]:
    """What is in no namespace, and is removed again."""
    found: list[tuple[str, str]] = []
    yield found
    for kind, name in found:
        ns.admin.delete(KINDS[kind], "", name)


def volume(ns: Space, made: list[tuple[str, str]], name: str, mode: str = "ReadWriteOnce", **spec: Any) -> str:
    """A volume of the host, of a class of its own name."""
    whole = f"{ns.name}-{name}"
    path = {"path": f"/tmp/{whole}", "type": "DirectoryOrCreate"}
    found = {"storageClassName": whole, "capacity": {"storage": "1Gi"}, "accessModes": [mode], "hostPath": path, **spec}
    ns.make("PersistentVolume", whole, spec=found)
    made.append(("PersistentVolume", whole))
    return whole


def storage_class(ns: Space, made: list[tuple[str, str]], name: str, **parts: Any) -> str:
    whole = f"{ns.name}-{name}"
    ns.make("StorageClass", whole, **parts)
    made.append(("StorageClass", whole))
    return whole


def of_claim(ns: Space, name: str, **schema: Any) -> list[str]:
    try:
        return warned(ns, ns.admin, with_store(data(name, **schema)))
    except Refused as error:
        return [str(problem).removeprefix(f"connections[data]: the claim {name!r} ") for problem in error.problems]


def phase(ns: Space, name: str) -> str:
    found = ns.admin.get(KINDS["PersistentVolumeClaim"], ns.name, name) or {}
    return str(found.get("status", {}).get("phase"))


def test_a_bound_claim_and_one_that_lost_its_volume(ns: Space, made: list[tuple[str, str]]) -> None:
    name = volume(ns, made, "bound")
    claim(ns, "bound", storageClassName=name)
    eventually(lambda: phase(ns, "bound") == "Bound")
    assert of_claim(ns, "bound") == []
    ns.admin.delete(KINDS["PersistentVolume"], "", name)
    ns.admin.patch(KINDS["PersistentVolume"], "", name, {"metadata": {"finalizers": None}})
    eventually(lambda: phase(ns, "bound") == "Lost")
    assert of_claim(ns, "bound") == ["has lost its volume; make it anew, with a volume that is there"]


def test_a_claim_that_waits_for_the_first_pod(ns: Space, made: list[tuple[str, str]]) -> None:
    wait = storage_class(ns, made, "wait", provisioner="example.com/x", volumeBindingMode="WaitForFirstConsumer")
    claim(ns, "waiting", storageClassName=wait)
    assert of_claim(ns, "waiting") == []


def test_a_claim_that_nothing_will_bind(ns: Space, made: list[tuple[str, str]]) -> None:
    claim(ns, "alone", storageClassName="")
    assert of_claim(ns, "alone")[0].startswith(
        "is not bound, and no free volume without a class fits: it asks for 1Gi, ReadWriteOnce;"
    )
    claim(ns, "no-class", storageClassName="tl-no-such")
    assert "neither such a class nor a volume that fits" in of_claim(ns, "no-class")[0]
    claim(ns, "named", storageClassName="", volumeName="tl-no-such")
    assert "waits for the volume 'tl-no-such', which is not there" in of_claim(ns, "named")[0]


def test_a_volume_that_fits_once_the_pod_comes(ns: Space, made: list[tuple[str, str]]) -> None:
    """A class without a provisioner that waits: the claim stays unbound, and its volume is looked for."""
    by_hand = storage_class(
        ns, made, "hand", provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer"
    )
    claim(ns, "by-hand", size="2Gi", storageClassName=by_hand)
    volume(ns, made, "small", storageClassName=by_hand)
    assert f"no free volume of the class {by_hand!r} fits: it asks for 2Gi" in of_claim(ns, "by-hand")[0]
    volume(ns, made, "large", storageClassName=by_hand, capacity={"storage": "3Gi"})
    assert of_claim(ns, "by-hand") == []


def test_a_claim_that_is_being_deleted(ns: Space) -> None:
    ns.make(
        "PersistentVolumeClaim", "leaving", metadata={"name": "leaving", "finalizers": ["example.com/held"]},
        spec={"storageClassName": "", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    )  # fmt: skip
    try:
        ns.remove("PersistentVolumeClaim", "leaving")
        assert of_claim(ns, "leaving") == ["is being deleted: no new pod may mount it; name another claim"]
    finally:  # else the namespace could not be deleted
        ns.admin.patch(KINDS["PersistentVolumeClaim"], ns.name, "leaving", {"metadata": {"finalizers": None}})


def test_access_modes_are_said(ns: Space, made: list[tuple[str, str]]) -> None:
    claim(ns, "read", "ReadOnlyMany", storageClassName=volume(ns, made, "read", "ReadOnlyMany"))
    claim(ns, "once", storageClassName=volume(ns, made, "once"))
    eventually(lambda: phase(ns, "read") == phase(ns, "once") == "Bound")
    assert "can only be read (ReadOnlyMany), and the run is to write to it" in of_claim(ns, "read")[0]
    assert of_claim(ns, "read", readOnly=True) == []
    service = with_store(data("once"), kind="service", replicas=3, ports=[80])
    (told,) = warned(ns, ns.admin, service)
    assert "is for one node (ReadWriteOnce): all 3 replicas have to fit on it" in told


def test_a_claim_whose_volumes_may_not_be_listed(ns: Space, submitter: Api) -> None:
    claim(ns, "unseen", storageClassName="")
    (told,) = warned(ns, submitter, with_store(data("unseen")))
    assert "whether the claim 'unseen', not bound yet, will be cannot be looked up" in told
    assert "you may not list persistentvolumes; not checked" in told
