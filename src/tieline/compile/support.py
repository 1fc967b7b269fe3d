"""What Tieline does with each field of the format: one table, from which refusals, notices and the docs are made.

A field that is not in the table works. ``CLUSTER`` fields have an effect only where there are pods; ``REFUSED``
ones are
errors that say what to do instead; ``NO_EFFECT`` ones are accepted and said once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel

from tieline.documents.document import FieldPath
from tieline.documents.forms import form_in
from tieline.model import container, job


class Level(Enum):
    """What a field does."""

    WORKS = "works"
    CLUSTER = "cluster"
    REFUSED = "refused"
    NO_EFFECT = "no effect"


@dataclass(frozen=True, slots=True)
class Support:
    """One row: the level, and what a user is told."""

    level: Level
    message: str = ""
    but: frozenset[str] = frozenset()
    """Keys of the field's value with which it works everywhere."""

    def holds_for(self, value: Any) -> bool:
        """Whether the row is true of this value."""
        return not (isinstance(value, Mapping) and self.but & set(value))


def refused(message: str) -> Support:
    return Support(Level.REFUSED, message)


def cluster(message: str = "") -> Support:
    return Support(Level.CLUSTER, message)


LATER = "is not in this version of Tieline"
ONE_RUN = refused(f"{LATER}: a file is one run; start one run for each")
NOT_OURS = Support(Level.NO_EFFECT, "belongs to the older platform; it has no effect in Tieline")

TABLE: dict[tuple[type[BaseModel], str], Support] = {
    (job.Operation, "hub_ref"): refused("Tieline has no hub; put the component inline or use pathRef"),
    (job.Operation, "dag_ref"): ONE_RUN,
    (job.Operation, "url_ref"): refused("is off in this version; download the component and use pathRef"),
    (job.Operation, "matrix"): ONE_RUN,
    (job.Operation, "schedule"): refused(f"{LATER}; use cron and `tieline run`"),
    (job.Operation, "joins"): ONE_RUN,
    (job.Operation, "events"): ONE_RUN,
    (job.Operation, "dependencies"): ONE_RUN,
    (job.Operation, "trigger"): ONE_RUN,
    (job.Operation, "conditions"): ONE_RUN,
    (job.Operation, "skip_on_upstream_skip"): ONE_RUN,
    (job.Shared, "build"): refused(f"{LATER}; build the image first and name it in container.image"),
    (job.Shared, "template"): refused("Tieline does not run templates of files; remove it"),
    (job.Shared, "is_approved"): refused("Tieline has no approval of runs; remove it"),
    (job.Operation, "is_preset"): refused("a preset is no run; put it into the deployment's presets folder"),
    (job.Shared, "cost"): NOT_OURS,
    (job.Output, "to_init"): Support(Level.NO_EFFECT, "an output is made by the job: nothing is brought before it"),
    (job.IO, "delay_validation"): Support(Level.NO_EFFECT, "all values are known before a run is accepted"),
    (job.Param, "ref"): refused(f"{LATER}: params cannot refer to other runs; give the value itself"),
    (job.Cache, "ttl"): refused(f"{LATER}: runs are not reused; remove cache or set cache.disable"),
    (job.Cache, "io"): refused(f"{LATER}: runs are not reused; remove cache or set cache.disable"),
    (job.Cache, "sections"): refused(f"{LATER}: runs are not reused; remove cache or set cache.disable"),
    (job.Init, "tensorboard"): refused("Tieline has no tensorboard handler; use artifacts or paths"),
    (job.Init, "lineage_ref"): refused("Tieline has no lineage; use artifacts or paths with a connection"),
    (job.Init, "artifact_ref"): refused("Tieline has no artifact registry; use artifacts with a connection"),
    (job.Init, "model_ref"): refused("Tieline has no model registry; use artifacts with a connection"),
    (job.Hook, "hub_ref"): refused("Tieline has no hub; a hook with a channel's connection works"),
    (job.Hook, "conditions"): refused(f"{LATER}; use the trigger alone"),
    (job.Hook, "presets"): refused(f"{LATER} on hooks"),
    (job.Hook, "queue"): refused(f"{LATER} on hooks"),
    (job.Hook, "namespace"): refused(f"{LATER} on hooks"),
    (job.Hook, "params"): refused(f"{LATER} on hooks"),
    (job.Hook, "disable_defaults"): refused(f"{LATER} on hooks"),
    (job.Termination, "culling"): refused("Tieline has no culling; use termination.timeout"),
    (job.Termination, "probe"): refused("Tieline has no activity probes; use termination.timeout"),
    (job.Termination, "pod_failure_policy"): cluster(),
    (job.Plugins, "auth"): NOT_OURS,
    (job.Plugins, "docker"): cluster("the machine's own docker is there if it is there"),
    (job.Plugins, "shm"): cluster("the machine's own /dev/shm is used"),
    (job.Plugins, "tmux"): refused("Tieline has no tmux plugin"),
    (job.Plugins, "sandbox"): refused("Tieline has no sandbox plugin"),
    (job.Plugins, "ssh"): refused("Tieline has no ssh plugin"),
    (job.Plugins, "collect_resources"): NOT_OURS,
    (job.Plugins, "sync_statuses"): NOT_OURS,
    (job.Plugins, "auto_resume"): NOT_OURS,
    (job.Plugins, "log_level"): NOT_OURS,
    (job.Plugins, "external_host"): NOT_OURS,
    (job.Sidecar, "sleep_interval"): NOT_OURS,
    (job.Sidecar, "image"): NOT_OURS,
    (job.Sidecar, "image_tag"): NOT_OURS,
    (job.Sidecar, "image_pull_policy"): NOT_OURS,
    (job.Sidecar, "monitor_logs"): NOT_OURS,
    (job.Sidecar, "monitor_spec"): NOT_OURS,
    (job.Sidecar, "no_connections"): NOT_OURS,
    (job.Sidecar, "resources"): cluster(),
    (container.Container, "image"): cluster("a process runs the machine's own programs"),
    (container.Container, "image_pull_policy"): cluster(),
    (container.Container, "resources"): cluster("the machine's own limits hold"),
    (container.Container, "ports"): cluster("ports are the host's own"),
    (container.Container, "volume_mounts"): cluster("the machine's own paths are used"),
    (container.Container, "volume_devices"): cluster(),
    (container.Container, "lifecycle"): cluster(),
    (container.Container, "liveness_probe"): cluster(),
    (container.Container, "readiness_probe"): cluster(),
    (container.Container, "startup_probe"): cluster(),
    (container.Container, "restart_policy"): cluster(),
    (container.Container, "resize_policy"): cluster(),
    (container.Container, "security_context"): cluster(),
    (container.Container, "stdin"): cluster(),
    (container.Container, "stdin_once"): cluster(),
    (container.Container, "tty"): cluster(),
    (container.Container, "termination_message_path"): cluster(),
    (container.Container, "termination_message_policy"): cluster(),
    (container.VariableForm, "value_from"): Support(
        Level.CLUSTER,
        "the variable is not set here (from a secretKeyRef or a configMapKeyRef it is)",
        but=frozenset(container.KEY_REFS),
    ),
    (job.RunForm, "volumes"): cluster(
        "a process has mounts of its own only where it is isolated; else a hostPath is where it is"
    ),
    (job.RunForm, "rewrite_path"): cluster("a service is reached at its own port"),
    (job.RunForm, "is_external"): cluster("a service is reached at its own port"),
    (job.RunForm, "replicas"): cluster("one process runs here"),
    **{(job.Environment, name): cluster() for name in job.Environment.model_fields},
}
"""(form, field) → what Tieline does with it."""

OTHER_RUNS = frozenset(
    [
        "tfjob",
        "pytorchjob",
        "paddlejob",
        "mxjob",
        "xgbjob",
        "xgboostjob",
        "mpijob",
        "rayjob",
        "raycluster",
        "daskjob",
        "daskcluster",
        "dask",
        "ray",
        "sparkjob",
        "spark",
        "dag",
        "flow",
        "tuner",
        "notifier",
        "watchdog",
        "cleaner",
        "builder",
    ]
)


def of(form: type[BaseModel], name: str) -> Support:
    """The row for a field; of its own form, or of a base of it."""
    for base in form.__mro__:
        found = TABLE.get((base, name))
        if found is not None:
            return found
    return Support(Level.WORKS)


def walk(
    form: type[BaseModel], data: Any, path: FieldPath = ()
) -> Iterator[tuple[type[BaseModel], str, Any, FieldPath]]:
    """Every field that raw data gives, with the form that it belongs to. Unknown keys are passed over."""
    if not isinstance(data, Mapping):
        return
    names = {spelling: name for name, info in form.model_fields.items() for spelling in (name, info.alias or name)}
    for key, value in data.items():
        name = names.get(str(key))
        if name is None or value is None:
            continue
        yield form, name, value, (*path, key)
        inner = form_in(form.model_fields[name].annotation)
        if inner is None:
            continue
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from walk(inner, item, (*path, key, index))
        else:
            yield from walk(inner, value, (*path, key))
