"""The Job of a probe: one pod that has what a job's pod has of one connection, and nothing else. Pure.

It is a Job so that the cluster ends it (``activeDeadlineSeconds``) and removes it (``ttlSecondsAfterFinished``), when
whoever asked was killed. It has no label of a run: it is none. Network policies that select Tieline's pods by their
first label fit it like any run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tieline.engines.kubernetes.layout import CONFIG_MAPS, SECRETS
from tieline.engines.kubernetes.names import DOMAIN, MANAGED_BY, MANAGER
from tieline.engines.kubernetes.patching import patched
from tieline.engines.kubernetes.probe_message import VARIABLE, Question
from tieline.engines.kubernetes.settings import Cluster
from tieline.engines.kubernetes.users import User, own_security
from tieline.engines.kubernetes.volumes import Volumes, claim, host_path, mount, resource_files
from tieline.model.access import GitRemote, Volume
from tieline.model.binding import FromConfigMap, FromSecret
from tieline.probes import credential_values
from tieline.secrets.needs import references

PROBE = f"{DOMAIN}probe"
CONTAINER = "probe"
INSIDE = ("python", "-m", "tieline.engines.kubernetes.inside_probe")
READABLE = 0o444
STARTING = 120
"""Seconds in which the pod has to start: its image may have to be pulled."""
KEPT = 60
"""Seconds that a Job stays that nobody removed."""
OWN_VOLUME = "/run/tieline/volume"
SYSTEM = frozenset(
    {"", "bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr"}
)
"""Folders that the pod's own image needs: a volume that belongs below one is mounted elsewhere."""


def probe_name(id_: str) -> str:
    """The name of the Job."""
    return f"tieline-probe-{id_}"


def probe_labels(id_: str) -> dict[str, str]:
    """Of the Job and its pod."""
    return {MANAGED_BY: MANAGER, PROBE: id_}


def probe_job(id_: str, question: Question, cluster: Cluster, account: str = "") -> dict[str, Any]:
    """The Job. ``account``: the service account; else the cluster's setting, or the namespace's default."""
    seconds = STARTING + int(question.limits.total) + 10
    metadata = {"name": probe_name(id_), "namespace": cluster.namespace, "labels": probe_labels(id_)}
    template = {"metadata": {"labels": probe_labels(id_)}, "spec": _spec(question, cluster, account)}
    spec = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": seconds,
        "ttlSecondsAfterFinished": KEPT,
        "template": patched(template, cluster.pod_patch),
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _spec(question: Question, cluster: Cluster, account: str) -> dict[str, Any]:
    volumes = Volumes()
    scratch = volumes.name_of({"emptyDir": {}}, "tieline-scratch")
    mounts = [mount(scratch, "/tmp"), *_resources(question, volumes)]  # noqa: S108
    asked = question
    if isinstance(question.access, Volume):
        path = volume_path(question.access)
        asked = replace(question, access=_at(question.access, path), claims={question.access.claim or "": path})
        mounts.append(_volume(question, volumes, path))
    container = {
        "name": CONTAINER,
        "image": cluster.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(INSIDE),
        "workingDir": "/tmp",  # noqa: S108
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108
            {"name": VARIABLE, "value": asked.as_text().replace("$(", "$$(")},
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": own_security(User()),
        "volumeMounts": mounts,
    }
    account = account or cluster.service_account
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        **({"serviceAccountName": account} if account else {}),
        "containers": [container],
        "volumes": volumes.listed(),
    }


def volume_path(access: Volume) -> str:
    """Where the volume is in the pod: as in a job, unless that would cover what the pod itself needs."""
    first = access.mount_path.strip("/").partition("/")[0]
    return OWN_VOLUME if first in SYSTEM else access.mount_path


def _at(access: Volume, path: str) -> Volume:
    """A folder of the node is at another path inside."""
    return access if access.claim else access.model_copy(update={"host_path": path})


def _volume(question: Question, volumes: Volumes, path: str) -> dict[str, Any]:
    access = question.access
    assert isinstance(access, Volume)  # noqa: S101 - whoever calls has looked
    if access.claim:
        source, name = claim(access.claim), f"claim-{access.claim}"
    else:
        source, name = host_path(access.host_path or "/", made=question.makes_folder), "host"
    return mount(volumes.name_of(source, name), path, read_only=access.read_only)


def _resources(question: Question, volumes: Volumes) -> Iterator[dict[str, Any]]:
    """The secrets and config maps of the connection's login. One that is not there is the probe's to tell."""
    for resource, name in dict.fromkeys(_named(question)):
        source = resource_files(resource, name, READABLE, optional=True)  # type: ignore[arg-type]
        folder = SECRETS if resource == "secret" else CONFIG_MAPS
        yield mount(volumes.name_of(source, f"{resource.lower()}-{name}"), f"{folder}/{name}", read_only=True)


def _named(question: Question) -> Iterator[tuple[str, str]]:
    access = question.access
    for whose in (access, access.ssh if isinstance(access, GitRemote) else None):
        if secret := getattr(getattr(whose, "credentials", None), "secret", None):
            yield "secret", secret
    for value in credential_values(access).values():
        for reference in references(value):
            match reference:
                case FromSecret():
                    yield "secret", reference.secret
                case FromConfigMap():
                    yield "configMap", reference.config_map
