"""From a job's file to a plan for a new run: read and compile. Nothing here is touched, recorded or started."""

from __future__ import annotations

import os
import re
import uuid as uuid_module
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tieline.app.cache import cache_of
from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.app.isolation import Isolation, choose, hidden_folders
from tieline.app.jobs import load_job
from tieline.compile.jobs import Job
from tieline.compile.planner import Request, check_job, compile_job
from tieline.documents.forms import PATTERN_WORDS
from tieline.engines.folders import RunFolder
from tieline.engines.process.layout import layout_of
from tieline.errors import Code, InvalidInput, Place, Problem
from tieline.model.catalog import DEFAULT_NAMESPACE
from tieline.model.connection import NAME_PATTERN
from tieline.model.job import RUN_NAME_PATTERN
from tieline.model.plan import Identity, Layout, Plan, Traits

if TYPE_CHECKING:
    from tieline.engines.kubernetes.settings import Cluster
    from tieline.model.catalog import SecretSourceForm

Engine = Literal["process", "kubernetes"]
NAMES = {
    "name": (RUN_NAME_PATTERN, PATTERN_WORDS[RUN_NAME_PATTERN]),
    "project": (r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,98}[A-Za-z0-9])?", "use letters, digits, '-', '_' and '.'"),
    "namespace": (NAME_PATTERN, PATTERN_WORDS[NAME_PATTERN]),
}
"""What the one who runs a job may call it, where it belongs, and who sees which catalog; with what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the one who runs a job says beside the file."""

    file: Path
    params: Mapping[str, Any] = field(default_factory=dict)
    namespace: str | None = None
    project: str = "default"
    name: str | None = None
    isolation: Isolation = "auto"
    engine: Engine = "process"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan that can be explained, or accepted."""

    plan: Plan
    folder: RunFolder
    warnings: tuple[Problem, ...]
    sources: tuple[SecretSourceForm, ...] = ()  # where its secrets come from
    cluster: Cluster | None = None  # where it runs, if not on this machine


def prepare(wanted: Wanted, deployment: Deployment, home: HomeFolder) -> Prepared:
    """Read and compile. Raises NotFound, InvalidInput or Refused; touches nothing."""
    from tieline.app.secrets import source_settings

    job, known = load_job(wanted.file, deployment.catalog)
    chosen = choose(wanted.isolation if wanted.engine == "process" else "none")  # a pod has a root of its own
    request = request_for(job, wanted, deployment, home, isolated=chosen.isolated)
    plan, warnings = compile_job(job, deployment.catalog, request, known)
    if chosen.why:
        plan = plan.model_copy(update={"notices": (chosen.notice, *plan.notices)})
    cluster = None
    if wanted.engine == "kubernetes":
        from tieline.engines.kubernetes.notices import notices_of

        cluster = cluster_for(deployment, plan.run.namespace)
        plan = plan.model_copy(update={"notices": (*plan.notices, *notices_of(plan, {}))})
    sources = source_settings(deployment, plan.run.namespace)
    if cluster is not None:
        sources = with_cluster(sources, cluster)
    folder = RunFolder(home.runs / plan.run.uuid)
    return Prepared(plan, folder, (*deployment.warnings, *warnings), sources, cluster)


def with_cluster(sources: tuple[SecretSourceForm, ...], cluster: Cluster) -> tuple[SecretSourceForm, ...]:
    """Where this machine finds the secrets of a cluster's run: where it finds its own, and then in the cluster."""
    from tieline.model.catalog import ClusterSecrets, EnvironmentSecrets, HomeSecrets, SecretSourceForm

    own = sources or (SecretSourceForm(home=HomeSecrets()), SecretSourceForm(environment=EnvironmentSecrets()))
    there = ClusterSecrets(context=cluster.context, namespace=cluster.namespace)
    return (*own, SecretSourceForm(kubernetes=there))


def cluster_for(deployment: Deployment, namespace: str) -> Cluster:
    """The cluster that a namespace's runs go to. Raises Refused for one that cannot be reached from here."""
    from tieline.app.catalogs import view_of
    from tieline.engines.kubernetes.settings import cluster_of

    name = view_of(deployment, namespace).cluster
    return cluster_of(deployment.catalog.clusters.get(name), name, namespace, os.environ)


def check(wanted: Wanted, deployment: Deployment, home: HomeFolder) -> list[Problem]:
    """Every problem of a job file, without the values that only a run gives. Raises NotFound."""
    job, known = load_job(wanted.file, deployment.catalog)
    return check_job(job, deployment.catalog, request_for(job, wanted, deployment, home, complete=False), known)


def request_for(
    job: Job,
    wanted: Wanted,
    deployment: Deployment,
    home: HomeFolder,
    *,
    complete: bool = True,
    isolated: bool = False,
) -> Request:
    """A new run's identity and paths. Raises InvalidInput for a name, project or namespace that is none."""
    component = job.component
    uuid = uuid_module.uuid4().hex
    _check_names({"name": wanted.name, "project": wanted.project, "namespace": wanted.namespace})
    identity = Identity(
        uuid=uuid,
        name=wanted.name or str(component.get("name") or "") or default_name(wanted.file),
        project=wanted.project,
        namespace=wanted.namespace or str(component.get("namespace") or DEFAULT_NAMESPACE),
        kind="service" if _kind(component) == "service" else "job",
        owner=user() if complete else "",
        created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    return Request(
        run=identity,
        layout=_layout(uuid, wanted.engine, deployment, home, isolated=isolated),
        traits=Traits(name=wanted.engine, pods=wanted.engine == "kubernetes"),
        params=wanted.params,
        base=str(wanted.file.absolute().parent),
        complete=complete,
    )


def _layout(uuid: str, engine: Engine, deployment: Deployment, home: HomeFolder, *, isolated: bool) -> Layout:
    if engine == "kubernetes":
        from tieline.engines.kubernetes.layout import layout_of as pod_layout

        return pod_layout(uuid)
    return layout_of(
        RunFolder(home.runs / uuid),
        uuid,
        deployment.catalog.claims,
        home.claims,
        isolated=isolated,
        hidden=hidden_folders(deployment, home),
        inputs_cache=cache_of(deployment, home),
    )


def _check_names(given: Mapping[str, str | None]) -> None:
    """They are shown, searched for, and part of paths. Those in the job's file have been checked with it."""
    problems = [
        Problem(Code.BAD_VALUE, f"{text!r} is no {what}", hint, Place(field=what))
        for what, text in given.items()
        for pattern, hint in (NAMES[what],)
        if text is not None and not re.fullmatch(pattern, text)
    ]
    if problems:
        raise InvalidInput(*problems)


def _kind(component: Mapping[str, Any]) -> str:
    run = component.get("run")
    return str(run.get("kind")) if isinstance(run, Mapping) else ""


def default_name(file: Path) -> str:
    """A run's name, from its file's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", file.stem).strip("-._")[:60] or "run"


def user() -> str:
    """Who runs it, as this machine knows them."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
