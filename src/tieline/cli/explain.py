"""``tieline explain``: the plan of a job, before it is run. Secrets are named in it, and never read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.cli.layout import aligned, section
from tieline.cli.options import job_options
from tieline.cli.problems import show_problems
from tieline.cli.terminal import has_colour, out_json, page, paint

if TYPE_CHECKING:
    from tieline.app.isolation import Isolation
    from tieline.app.preparing import Engine, Prepared
    from tieline.model.plan import Plan


ENGINES = {"process": "process: the programs of this machine", "kubernetes": "kubernetes: a pod of a cluster"}


@click.command(short_help="Show what a job would get, and why; runs nothing.")
@job_options
def explain(
    file: Path,
    params: dict[str, str],
    namespace: str | None,
    project: str,
    name: str | None,
    engine: Engine,
    isolation: Isolation,
    config: Path | None,
    output: str,
) -> None:
    """Show what a job would get, and why: connections, steps, the program, the store. Runs nothing.

    \b
    tieline explain job.yaml -P lr=0.1
    """
    from tieline.app.deployment import load_deployment
    from tieline.app.home import HomeFolder
    from tieline.app.preparing import Wanted, prepare

    home = HomeFolder.find()
    deployment = load_deployment(config, home)
    prepared = prepare(Wanted(file, params, namespace, project, name, isolation, engine), deployment, home)
    made = _manifests(prepared) if prepared.cluster is not None else None
    show_problems(prepared.warnings, sys.stderr)
    if output == "json":
        plan = prepared.plan.as_json()
        out_json(plan if made is None else {"plan": plan, "manifests": made})
        return
    lines = explained(prepared.plan, deployment.catalog.file, colour=has_colour(sys.stdout))
    page([*lines, *_as_yaml(made)] if made is not None else lines)


def _manifests(prepared: Prepared) -> list[dict[str, Any]]:
    """The objects that would be made in the cluster; nothing of it is asked."""
    from tieline.engines.kubernetes.manifests import manifests

    return manifests(prepared.plan, prepared.cluster) if prepared.cluster else []


def _as_yaml(made: list[dict[str, Any]]) -> list[str]:
    import json

    import yaml

    lines: list[str] = []
    for part in made:
        whole = json.loads(json.dumps(part))  # without what is one object here: YAML would write references
        lines += ["---", *yaml.safe_dump(whole, sort_keys=False, width=100_000, allow_unicode=True).splitlines()]
    return lines


def explained(plan: Plan, catalog: str, *, colour: bool = False) -> list[str]:
    """The plan as lines of text."""
    lines = aligned(_head(plan, catalog), 0, colour=colour)
    lines += section("Connections", _connections(plan, colour=colour), colour=colour)
    lines += section("Steps, in this order", aligned(_steps(plan)), colour=colour)
    for title, rows in (
        ("Main program", _program(plan)),
        ("Variables that Tieline sets", _own(plan)),
        ("Sidecars", _sidecars(plan)),
        ("What the job sees", _seen(plan)),
        ("How it ends", _ending(plan)),
        ("Notices", ((notice.field, notice.message) for notice in plan.notices)),
    ):
        lines += section(title, aligned(rows, colour=colour), colour=colour)
    return lines


def _head(plan: Plan, catalog: str) -> Iterable[tuple[str, str]]:
    from tieline.app.wording import store_words

    run, collect = plan.run, plan.collect
    yield "run", f"{run.name}, a {run.kind} of project {run.project} in namespace {run.namespace}"
    yield "folder", f"{plan.layout.context_path} (every run has its own)"
    yield "engine", ENGINES[plan.engine]
    if plan.engine == "process":
        isolated = "with bubblewrap: mount paths are true" if plan.layout.real_mounts else "none"
        yield "isolation", isolated
    yield "catalog", f"{catalog or 'none was found'}, digest {plan.catalog_digest[:12]}"
    yield "store", f"{plan.store.connection}: {store_words(plan)}"
    kept = [word for word, wanted in (("outputs", collect.outputs), ("logs", collect.logs)) if wanted]
    when = "at the end" if collect.sync_interval < 0 else f"every {collect.sync_interval} s and at the end"
    yield "saved", f"{' and '.join(kept)}, {when}" if kept else "nothing: plugins say so"
    if plan.queue:
        limit = f"at most {plan.queue_limit} at once" if plan.queue_limit else "without a limit"
        yield "queue", f"{plan.queue}, {limit}"


def _connections(plan: Plan, *, colour: bool) -> list[str]:
    from tieline.cli.bindings import binding_lines

    lines = []
    for binding in plan.bindings:
        title = f"  {binding.connection} ({binding.provider or binding.type})"
        lines += [paint(title, "cyan", on=colour), *binding_lines(binding, plan.layout)]
    return lines


def _steps(plan: Plan) -> Iterable[tuple[str, str, str]]:
    from tieline.app.wording import step_words

    for number, step in enumerate(plan.steps, 1):
        yield f"{number}. {step.type}", step.name, step_words(step)


def _program(plan: Plan) -> Iterable[tuple[str, ...]]:
    from tieline.app.wording import command_words, resource_words, value_words

    yield "command", command_words(plan.main)
    yield "folder", plan.main.working_dir
    for resource in plan.main.env_from:
        yield "variables", resource_words(resource), "(envFrom)"
    for variable in plan.main.env:
        yield "variable", f"{variable.name} = {value_words(variable.value)}", f"({variable.origin})"
    for mount in plan.volumes:
        yield "volume", mount.mount_path


def _own(plan: Plan) -> Iterable[tuple[str, str]]:
    from tieline.engines.variables import own_variables

    if plan.engine == "process":
        yield from own_variables(plan, plan.run.attempt).items()  # of a pod, the manifests have them


def _seen(plan: Plan) -> Iterable[tuple[str, ...]]:
    """What is where in the job's own root, if it gets one."""
    from tieline.engines.process.isolation import appearing, scratch_folders, writable_folders

    if not plan.layout.real_mounts or plan.engine != "process":
        return
    for found in appearing(plan):
        item = found.appears
        yield item.target, f"{item.source}{' (read-only)' if item.read_only else ''}", f"({found.why})"
    for folder in writable_folders(plan, os.environ):
        yield folder, "the machine's own, writable"
    for folder in scratch_folders(os.environ):
        yield folder, "empty, the job's own"
    for folder in plan.layout.hidden:
        yield folder, "absent, but for the run's own folder"
    yield "all else", "the machine's own, read-only"


def _sidecars(plan: Plan) -> Iterable[tuple[str, str]]:
    from tieline.app.wording import command_words

    return ((program.name, command_words(program)) for program in plan.sidecars)


def _ending(plan: Plan) -> Iterable[tuple[str, str]]:
    ending = plan.ending
    if plan.service:
        yield (
            "service",
            "runs until it is stopped"
            + (f"; ports {', '.join(map(str, plan.service.ports))}" if plan.service.ports else ""),
        )
    yield "retries", str(ending.max_retries) if ending.max_retries else "none"
    yield "timeout", f"{ending.timeout} s" if ending.timeout else "none"
    yield "work folder", f"kept for {ending.ttl} s" if ending.ttl else "removed at the end"
    for notify in plan.notifications:
        asked = " (the catalog's events)" if notify.asked_by == "catalog" else ""
        yield "tells", f"{notify.connection} when the run is {notify.trigger}{asked}"
