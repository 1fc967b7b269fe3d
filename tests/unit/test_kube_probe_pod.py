"""The pod of a connection's test: what it is asked, what it answers, and a manifest that a cluster takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kube_plans import check_valid

from tieline.engines.kubernetes.names import MANAGED_BY, RUN
from tieline.engines.kubernetes.probe_message import LONGEST, VARIABLE, Question, answer_text, report_of
from tieline.engines.kubernetes.probe_pod import OWN_VOLUME, probe_job, volume_path
from tieline.engines.kubernetes.settings import Cluster
from tieline.model.access import Access, Credentials, GitRemote, Http, SshHost, Volume
from tieline.model.binding import FromConfigMap, FromSecret
from tieline.probes import Limits, Operation, Outcome, Report, Result

CLUSTER = Cluster(None, "team-a", "tieline:1", service_account="tieline")
LIMITS = Limits(timeout=3, total=18, allow_link_local=True)


def login(**values: str) -> Credentials:
    found = {name: FromSecret(secret=secret, keys=(name, name.upper())) for name, secret in values.items()}
    return Credentials(secret=next(iter(values.values()), None), method="secret", values=found)


WEB = Http(url="https://h/$(HOME)", credentials=login(password="web"))
DISK = Volume(claim="disk", mount_path="/data", sub_path="a/b")
HOST = Volume(host_path="/srv/x", mount_path="/data", read_only=True)
GIT = GitRemote(url="ssh://h/r", credentials=login(), ssh=SshHost(url="ssh://h", credentials=login(key="keys")))
ACCESSES = [WEB, DISK, HOST, GIT]


def report(detail: str, hint: str = "") -> Report:
    results = (Result(operation, Outcome.FAIL, detail, 1.5, hint, "host") for operation in Operation)
    return Report(tuple(results), frozenset({Operation.READ}))


def job_of(access: Access, **more: Any) -> dict[str, Any]:
    return probe_job("ab12", Question(access, LIMITS, **more), CLUSTER)


def asked_of(job: dict[str, Any]) -> Question:
    """What the pod's container reads: Kubernetes makes ``$(`` of ``$$(``."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (text,) = [item["value"] for item in container["env"] if item["name"] == VARIABLE]
    return Question.of_text(text.replace("$$(", "$("))


def mounts_of(job: dict[str, Any]) -> dict[str, tuple[dict[str, Any], bool]]:
    """What is where: the source of each mount, and whether it is read-only."""
    pod = job["spec"]["template"]["spec"]
    volumes = {item["name"]: {key: value for key, value in item.items() if key != "name"} for item in pod["volumes"]}
    found = pod["containers"][0]["volumeMounts"]
    return {item["mountPath"]: (volumes[item["name"]], item.get("readOnly", False)) for item in found}


@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: type(access).__name__)
def test_a_manifest_that_every_version_takes(access: Access) -> None:
    check_valid([job_of(access)], native=False)


def test_it_is_no_run_and_ends_by_itself() -> None:
    job = job_of(WEB)
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels[MANAGED_BY] == "tieline"
        assert RUN not in labels
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 120 + 18 + 10
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "tieline"
    assert pod["automountServiceAccountToken"] is False


def test_the_question_arrives_as_it_was_asked() -> None:
    question = asked_of(job_of(WEB, known_hosts="h ssh-ed25519 AAAA\n", sends=True))
    assert question == Question(WEB, LIMITS, {}, "h ssh-ed25519 AAAA\n", False, True)


def test_secrets_are_mounted_and_need_not_be_there() -> None:
    mounts = mounts_of(job_of(GIT))
    (source, read_only) = mounts["/run/tieline/secrets/keys"]
    assert source["secret"]["secretName"] == "keys"
    assert source["secret"]["optional"] is True
    assert read_only
    both = Http(url="https://h", credentials=Credentials(values={"a": FromConfigMap(config_map="m", keys=("a",))}))
    assert "/run/tieline/configmaps/m" in mounts_of(job_of(both))


def test_a_claim_is_where_a_job_has_it() -> None:
    job = job_of(DISK)
    assert mounts_of(job)["/data"] == ({"persistentVolumeClaim": {"claimName": "disk"}}, False)
    assert asked_of(job).access == DISK
    assert asked_of(job).claims == {"disk": "/data"}


def test_a_folder_of_the_node_is_where_a_job_has_it() -> None:
    job = job_of(HOST)
    assert mounts_of(job)["/data"] == ({"hostPath": {"path": "/srv/x", "type": "Directory"}}, True)
    assert asked_of(job).access == HOST.model_copy(update={"host_path": "/data"})


@pytest.mark.parametrize(
    ("path", "place"),
    [("/data", "/data"), ("/usr/share/x", OWN_VOLUME), ("/", OWN_VOLUME), ("/tmp", OWN_VOLUME), ("/users", "/users")],
)
def test_a_volume_never_covers_what_the_pod_needs(path: str, place: str) -> None:
    assert volume_path(Volume(claim="c", mount_path=path)) == place


def test_a_short_report_comes_back_whole() -> None:
    assert report_of(answer_text(report("not so long", "do this"))) == report("not so long", "do this")


@pytest.mark.parametrize("word", ["x", "ü", "\N{PILE OF POO}", '"', "\n"])
def test_a_long_report_is_cut_until_it_fits(word: str) -> None:
    long = report(word * 600, word * 600)
    text = answer_text(long)
    assert len(text.encode()) <= LONGEST
    found = report_of(text)
    assert found is not None
    assert [result.outcome for result in found.results] == [Outcome.FAIL] * len(Operation)
    assert found.expected == long.expected
    assert all(result.detail.startswith(word * 20) for result in found.results)


@pytest.mark.parametrize("text", ["", "Killed", "[]", "{}", "null", json.dumps({"results": [{}], "expected": []})])
def test_what_is_no_answer(text: str) -> None:
    assert report_of(text) is None
