"""The least RBAC that works: under the roles that ship nothing is missed, and without any one right of them the
preflight says which it is, and what cannot be done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_rights import KINDS, RBAC, Rule, Space, opened, plan_of, space
from secrets_kube import kube

from servers import kube_here
from servers.processes import eventually
from tieline.engines.kubernetes.api import CONFIG_MAPS, JOBS, NAMESPACES, PODS, Api
from tieline.engines.kubernetes.finding import MINE
from tieline.engines.kubernetes.preflight import preflight
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.engines.kubernetes.rights import CHECKS, CLUSTER_CHECKS, COLLECTOR, SERVICES, Right, missing_rights
from tieline.engines.kubernetes.rights import JOBS as JOB_RIGHTS
from tieline.errors import Code, Refused
from tieline.model.plan import Plan
from tieline.secrets.memory import MemorySource
from tieline.secrets.sources import Sources

__all__ = ["kube"]
NO_CHANNELS = Sources([MemorySource({}, {})], "default")
CATALOG = {
    "artifactsStore": {"name": "st", "kind": "s3", "schema": {"bucket": "s3://bucket"}},
    "connections": [
        {"name": "db", "kind": "postgres", "schema": {"host": "h"}, "secret": {"name": "pg"}},
        {"name": "late", "kind": "volume_claim", "schema": {"volumeClaim": "late", "mountPath": "/late"}},
        {"name": "hand", "kind": "volume_claim", "schema": {"volumeClaim": "by-hand", "mountPath": "/hand"}},
        {"name": "named", "kind": "volume_claim", "schema": {"volumeClaim": "named", "mountPath": "/named"}},
    ],
}


def rules(rights: Sequence[Right]) -> list[Rule]:
    return [{"apiGroups": [r.group], "resources": [r.resource], "verbs": [r.verb]} for r in rights]


@pytest.fixture(scope="module")
def ns(kube: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A namespace with a job's every kind of thing, some of which can be judged with the cluster's own objects only."""
    with space(kube, tmp_path_factory.mktemp("kube")) as found:
        found.apply("collector.yaml")
        found.secret("pg", PGUSER="me")
        found.make("ConfigMap", "settings", data={"a": "1"})
        names = [("StorageClass", f"{found.name}-late"), ("PersistentVolume", f"{found.name}-hand"),
                 ("PersistentVolume", f"{found.name}-named")]  # fmt: skip
        try:
            _claims(found)
            yield found
        finally:
            for kind, name in names:
                found.admin.delete(KINDS[kind], "", name)


def _claims(ns: Space) -> None:
    wait = f"{ns.name}-late"
    ns.make("StorageClass", wait, provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer")
    size: dict[str, Any] = {"requests": {"storage": "1Gi"}}
    for name, more in (("late", {"storageClassName": wait}), ("by-hand", {"storageClassName": wait}),
                       ("named", {"storageClassName": "", "volumeName": f"{ns.name}-named"})):  # fmt: skip
        ns.make("PersistentVolumeClaim", name, spec={"accessModes": ["ReadWriteOnce"], "resources": size, **more})
    for name, of_class in (("hand", wait), ("named", f"{ns.name}-none")):  # the named one fits no claim: it stays free
        path = {"path": f"/tmp/{ns.name}-{name}"}
        spec = {"storageClassName": of_class, "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
        ns.make("PersistentVolume", f"{ns.name}-{name}", spec={**spec, "hostPath": path})


def plan(kind: str = "job") -> Plan:
    run: dict[str, Any] = {
        "connections": ["db", "late", "hand", "named"],
        "environment": {"priorityClassName": "system-node-critical"},
        "container": {"envFrom": [{"configMapRef": {"name": "settings"}}]},
    }
    return plan_of(CATALOG, run | ({"ports": [80]} if kind == "service" else {}), kind=kind)


def told(ns: Space, api: Api, wanted: Plan) -> list[str]:
    """Everything that the preflight says, whatever it makes of it."""
    try:
        found: Sequence[Any] = preflight(wanted, api, ns.name, NO_CHANNELS, account="tieline").warnings
    except Refused as error:
        found = error.problems
    return [str(problem) for problem in found]


def somebody(ns: Space, number: int, here: Sequence[Right], everywhere: Sequence[Right]) -> Path:
    """Who has these rights in the namespace, and these on what is in none."""
    config = ns.user(f"user-{number}", rules(here))
    name = f"{ns.name}-{number}"
    subject = {"kind": "ServiceAccount", "name": f"user-{number}", "namespace": ns.name}
    ref = {"apiGroup": RBAC.partition("/")[0], "kind": "ClusterRole", "name": name}
    ns.make("ClusterRole", name, rules=rules(everywhere))
    ns.make("ClusterRoleBinding", name, roleRef=ref, subjects=[subject])
    return config


@pytest.fixture
def numbers(ns: Space) -> Iterator[list[int]]:
    """Those whose roles are in no namespace, to be removed again."""
    found: list[int] = []
    yield found
    for number in found:
        for kind in ("ClusterRole", "ClusterRoleBinding"):
            ns.admin.delete(KINDS[kind], "", f"{ns.name}-{number}")


ALL: dict[str, tuple[Right, ...]] = {
    "job": (*JOB_RIGHTS, *CHECKS, *CLUSTER_CHECKS),
    "service": (*(r for r in JOB_RIGHTS if r.group != "batch"), *SERVICES, *CHECKS, *CLUSTER_CHECKS),
}


SEES_NAMESPACES = next(right for right in CHECKS if right.resource == "namespaces")
"""That a namespace is there is known from what is in it, too; without this right nobody sees that it is going."""


def same(right: Right, other: Right | None) -> bool:
    return other is not None and (right.verb, right.group, right.resource) == (other.verb, other.group, other.resource)


@pytest.mark.parametrize("kind", ["job", "service"])
def test_with_all_rights_nothing_is_said_and_without_any_one_it_is_named(
    ns: Space, numbers: list[int], kind: str
) -> None:
    wanted, base = plan(kind), 100 if kind == "job" else 200
    for number, without in enumerate([None, *(right for right in ALL[kind] if right is not SEES_NAMESPACES)], base):
        numbers.append(number)
        here = [r for r in ALL[kind] if r not in CLUSTER_CHECKS and not same(r, without)]
        everywhere = [r for r in CLUSTER_CHECKS if not same(r, without)]
        with opened(somebody(ns, number, here, everywhere)) as api:
            _says(ns, api, wanted, f"you may not {without}" if without else "")


def _says(ns: Space, api: Api, wanted: Plan, words: str) -> None:
    """Wait (roles take a moment) until each thing that is said has these words; without any, until nothing is said."""
    found: list[str] = []

    def only_these() -> bool:
        found[:] = told(ns, api, wanted)
        return bool(found) == bool(words) and all(words in line for line in found)

    try:
        eventually(only_these, 10)
    except AssertionError:
        raise AssertionError(f"not only {words!r}: {found}") from None


def test_a_namespace_that_is_being_deleted(kube: Path, tmp_path: Path) -> None:
    with space(kube, tmp_path) as leaving:
        spec = {"storageClassName": "", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        held = {"name": "held", "finalizers": ["example.com/held"]}
        leaving.make("PersistentVolumeClaim", "held", metadata=held, spec=spec)
        seeing, blind = leaving.user("seeing", rules([SEES_NAMESPACES])), leaving.user("blind")
        wanted = plan_of({**CATALOG, "connections": []}, {})
        with opened(seeing) as sees, opened(blind) as does_not:
            eventually(lambda: not any("get namespaces" in line for line in told(leaving, sees, wanted)), 20)
            leaving.admin.delete(NAMESPACES, "", leaving.name)
            try:
                message = f"namespace: the namespace {leaving.name!r} is being deleted"
                assert [line.partition(";")[0] for line in told(leaving, sees, wanted)] == [message]
                assert any(
                    "you may not get namespaces; not checked" in line for line in told(leaving, does_not, wanted)
                )
            finally:
                nothing = {"metadata": {"finalizers": None}}
                leaving.admin.patch(KINDS["PersistentVolumeClaim"], leaving.name, "held", nothing)


def test_of_the_jobs_rights_some_are_vital_and_some_are_not(ns: Space) -> None:
    """One who may only look is refused, with all that is missing; one who may not remove is warned."""
    with opened(ns.user("looker", rules(CHECKS))) as api:
        eventually(lambda: not any("get secrets" in line for line in told(ns, api, plan())), 20)
        with pytest.raises(Refused) as caught:
            preflight(plan(), api, ns.name, NO_CHANNELS, account="tieline")
        refused = [problem for problem in caught.value.problems if not problem.warning]
        assert {problem.code for problem in refused} == {Code.NOT_PERMITTED}
        here = f"in the namespace {ns.name}"
        hint = "ask the cluster's admin for the role tieline-submitter (`tieline roles show submitter`)"
        assert [str(problem) for problem in refused] == [
            f"rights: you may not create configmaps {here}: the run's plan could not be given to its pod; {hint}",
            f"rights: you may not patch configmaps {here}: the plan's ConfigMap would outlive its Job; {hint}",
            f"rights: you may not create jobs.batch {here}: no Job could be made; {hint}",
            f"rights: you may not list jobs.batch, list and watch pods {here}: "
            f"how it goes on could not be seen; {hint}",
        ]


def how_to_give(ns: Space, account: str) -> str:
    where = f"-n {ns.name} --context {ns.admin.context}" if ns.admin.context else f"-n {ns.name}"
    return (
        f"`tieline roles show collector | kubectl apply {where} -f -` makes the role, "
        f"`kubectl create rolebinding {account}-collector {where} --role tieline-collector "
        f"--serviceaccount {ns.name}:{account}` gives it to the account"
    )


def test_a_service_account_without_any_of_the_collectors_rights_is_told_of_once(ns: Space) -> None:
    ns.user("bare")
    wanted = plan().model_copy(update={"environment": {"serviceAccountName": "bare"}})
    assert told(ns, ns.admin, wanted) == [
        f"environment.serviceAccountName: the service account 'bare' may not list and watch pods, get pods/log in the "
        f"namespace {ns.name}: the collector could not see the end of the job and could not read what the job prints; "
        + how_to_give(ns, "bare")
    ]


@pytest.mark.parametrize("without", COLLECTOR, ids=str)
def test_a_service_account_without_one_of_the_collectors_rights(ns: Space, without: Right) -> None:
    name = f"runner-{COLLECTOR.index(without)}"
    ns.user(name, rules([right for right in COLLECTOR if right is not without]))
    wanted = plan().model_copy(update={"environment": {"serviceAccountName": name}})
    missed = eventually(lambda: [lines] if len(lines := told(ns, ns.admin, wanted)) == 1 else None, 20)[0]
    assert missed == [
        f"environment.serviceAccountName: the service account {name!r} may not {without} in the namespace {ns.name}: "
        f"the collector {without.why}; {how_to_give(ns, name)}"
    ]
    ns.bind(name, "tieline-collector")
    eventually(lambda: told(ns, ns.admin, wanted) == [], 20)


def test_an_admin_lacks_nothing(ns: Space) -> None:
    rights = (*JOB_RIGHTS, *SERVICES, *CHECKS, *CLUSTER_CHECKS, *COLLECTOR)
    assert missing_rights(ns.admin, ns.name, rights) == []


def test_what_the_cluster_refuses_is_what_the_preflight_names(ns: Space) -> None:
    """The rights of the lists are those of the real requests: each is refused to one who has none, by that name."""
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}
    with opened(ns.user("nobody")) as api:
        requests = {
            "create jobs": lambda: api.create(JOBS, ns.name, job),
            "list jobs": lambda: api.list(JOBS, ns.name),
            "watch pods": lambda: list(api.watch(PODS, ns.name, {}, "0", 1)),
            "patch configmaps": lambda: api.patch(CONFIG_MAPS, ns.name, "x", {}),
            "delete configmaps": lambda: api.delete(CONFIG_MAPS, ns.name, "x"),
        }
        for right, request in requests.items():
            with pytest.raises(ClusterError, match=right) as caught:
                request()
            assert caught.value.why is Why.FORBIDDEN


def test_a_whole_run_under_the_roles_that_ship(ns: Space, tmp_path: Path) -> None:
    """Submitted, seen to its end, read and removed by one who has the roles, with the service account that ships."""
    for manifest in ("submitter.yaml", "checks.yaml"):
        ns.apply(manifest, skip=("ClusterRole",))
    config = ns.user("user-of-all", roles=("tieline-submitter", "tieline-checks"))
    server = yaml.safe_load(ns.config.read_text())["clusters"][0]["cluster"]["server"].rpartition("/")[2]
    host, _, port = server.partition(":")
    store = {"name": "st", "kind": "host_path", "schema": {"hostPath": str(tmp_path / "store"), "mountPath": "/store"}}
    patch = kube_here.pod_patch("tieline-*", inits=True, hostNetwork=True)
    (tmp_path / "tieline.yaml").write_text(yaml.safe_dump({
        "artifactsStore": store, "connections": CATALOG["connections"][:1],
        "clusters": {"node": {"serviceAccount": "tieline", "podPatch": patch}},
        "namespaces": {ns.name: {"cluster": "node", "inherit": "all"}},
    }))  # fmt: skip
    container = {"image": kube_here.IMAGE, "command": ["sh", "-c", "echo hello; echo 1 > $TIELINE_OUTPUTS/a"]}
    run = {"kind": "job", "connections": ["db"], "container": container}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"kind": "component", "run": run}))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TIELINE_HOME": str(tmp_path / "home"),
           "KUBECONFIG": str(config), "TIELINE_KUBERNETES_HOST": host, "TIELINE_KUBERNETES_PORT": port}  # fmt: skip

    def tieline(*words: str) -> str:
        command = [sys.executable, "-m", "tieline", *words]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    said = tieline("run", "job.yaml", "--engine", "kubernetes", "--namespace", ns.name, "--name", "whole")
    assert "hello" in said
    assert said.count("not checked") == 1, "but for the node's folder that is the store"
    assert "hello" in tieline("runs", "logs", "whole")
    assert [path.read_text() for path in (tmp_path / "store").rglob("outputs/a")] == ["1\n"]
    tieline("runs", "rm", "whole")
    eventually(lambda: not any(ns.admin.list(kind, ns.name, MINE)["items"] for kind in (JOBS, PODS, CONFIG_MAPS)))
