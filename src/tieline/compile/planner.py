"""``compile``: a job, a catalog and a run identity become a plan. The same three always make the same plan."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from tieline.compile.asking import (
    Request,
    Work,
    asked_connections,
    find_connections,
    names_of,
    rendered_component,
    values_of,
    view_of,
    with_params,
)
from tieline.compile.collisions import find_collisions
from tieline.compile.context import settled
from tieline.compile.inits import Inits, Refusal
from tieline.compile.jobs import Job
from tieline.compile.mounts import volumes_of
from tieline.compile.notices import notices_of
from tieline.compile.notifications import wanted_notifications
from tieline.compile.params import Resolved
from tieline.compile.pods import container_variables, pod_issues
from tieline.documents.forms import Issue
from tieline.errors import Code, InvalidInput, Problem
from tieline.kinds import registry
from tieline.model.access import ObjectStore, Volume
from tieline.model.binding import (
    Binding,
    ClaimSource,
    FromConfigMap,
    FromSecret,
    HostPathSource,
    Mount,
    Text,
    Variable,
    WholeResource,
)
from tieline.model.catalog import Catalog
from tieline.model.connection import Connection
from tieline.model.container import Container, VariableForm
from tieline.model.form import Form
from tieline.model.job import Component, Plugins, RunForm, Termination
from tieline.model.plan import (
    Collect,
    Ending,
    Layout,
    Plan,
    Program,
    ProgramStep,
    ServicePorts,
    Store,
    TakeStep,
)

__all__ = ["Request", "check_job", "compile_job"]

MAX_SECONDS = 315_360_000


def compile_job(
    job: Job, catalog: Catalog, request: Request, known: Iterable[Problem] = ()
) -> tuple[Plan, list[Problem]]:
    """The plan, and warnings; ``known``: what is wrong with the file's shape.

    Raises InvalidInput with every problem and its place.
    """
    made, problems = _compile(job, catalog, request, known)
    if made is None:
        raise InvalidInput(Problem(Code.MISSING_PARAM, "values are missing", "give them with -P"))
    return made(), problems


def check_job(job: Job, catalog: Catalog, request: Request, known: Iterable[Problem] = ()) -> list[Problem]:
    """Every problem of a job, errors included, as far as it can be known without the values that nobody gave."""
    try:
        return _compile(job, catalog, request, known)[1]
    except InvalidInput as error:
        return list(error.problems)


def _compile(
    job: Job, catalog: Catalog, request: Request, known: Iterable[Problem]
) -> tuple[Callable[[], Plan] | None, list[Problem]]:
    """What makes the plan (a check needs none), and the problems."""
    known = tuple(known)
    work = Work(job, catalog, view_of(job, catalog, request, known), request, known=known)
    values = values_of(work)
    work.job = with_params(job, values)
    names = names_of(work, values)
    find_connections(work, asked_connections(work, names), names)
    if not work.sound:
        wanted_notifications(work, names)
    work.stop_on_errors()
    component = rendered_component(work, names)
    made = _plan(work, component, values, names) if component else None
    work.stop_on_errors()
    return made, [*work.known, *job.problems(work.issues)]


def _plan(
    work: Work, component: Component, values: Mapping[str, Resolved], names: Mapping[str, Any]
) -> Callable[[], Plan]:
    request, run = work.request, component.run
    layout = request.layout
    inits = Inits(
        work.view, layout, lambda name: _known(work, name), lambda c, name: _program(c, name, layout), request.base
    )
    steps, issues = inits.steps(run.init or (), ("run", "init"))
    work.issues += issues
    bindings, volumes = _bindings(work, component)
    sidecars = tuple(_program(c, c.name or f"sidecar-{i}", layout) for i, c in enumerate(run.sidecars or ()))
    _distinct(work, [step.program.name for step in steps if isinstance(step, ProgramStep)], "init")
    _distinct(work, [program.name for program in sidecars], "sidecars")
    if request.traits.pods:
        work.issues += pod_issues(work, run)
    elif not (run.container.command or run.container.args):
        message, hint = (
            "the container has no command",
            "a process has no image to take one from; give container.command",
        )
        work.issues.append(Issue(("run", "container"), Code.MISSING_KEY, message, hint))
    main = _program(run.container, component.name or "main", layout, _param_variables(values))
    return partial(
        Plan,
        run=request.run,
        catalog_digest=work.catalog.digest,
        engine=request.traits.name,
        layout=layout,
        store=_store(work),
        bindings=bindings,
        volumes=volumes,
        pod_volumes=tuple(run.volumes or ()) if request.traits.pods else (),
        steps=(*_taken(work), *steps),
        main=main,
        sidecars=sidecars,
        collect=_collect(component.plugins),
        ending=_ending(work, component.termination),
        service=_service(run) if run.kind == "service" else None,
        environment=_as_written(run.environment),
        plugins=_as_written(component.plugins),
        notifications=wanted_notifications(work, names),
        queue=component.queue or "",
        queue_limit=work.catalog.queues.get(component.queue or ""),
        tags=component.tags,
        job_file=work.job.file,
        notices=notices_of(work.job, component, work.catalog, bindings, steps, (main, *sidecars), request),
    )


def _distinct(work: Work, names: list[str], where: str) -> None:
    """Programs of one run are told apart by their names: their logs have them."""
    for name in sorted(name for name, times in Counter(names).items() if times > 1):
        message = f"two containers are named {name!r}"
        work.issues.append(Issue(("run", where), Code.DUPLICATE_NAME, message, "give them different names"))


def _bindings(work: Work, component: Component) -> tuple[tuple[Binding, ...], tuple[Mount, ...]]:
    """What the connections of the main container put there, without what collides; and the pod's own volumes."""
    run = component.run
    wanted = dict.fromkeys(run.connections or ())
    if component.plugins and component.plugins.mount_artifacts_store:
        wanted[work.view.store.name] = None
    bound = tuple(_own_part(work, name) for name in wanted if name in work.found or name == work.view.store.name)
    volumes, issues = volumes_of(run, pods=work.request.traits.pods)
    bindings, collisions = find_collisions(bound, volumes, run.container)
    work.issues += [*issues, *collisions]
    return bindings, volumes


def _own_part(work: Work, name: str) -> Binding:
    """A connection's binding; of the artifacts store, a volume is limited to the run's own folder."""
    store, layout = work.view.store, work.request.layout
    kind = registry.get(store.kind)
    if name != store.name or kind is None:
        return work.found[name][1]
    binding = kind.bind(store)
    own = work.request.store_prefix or work.request.run.uuid
    mounts = tuple(
        mount.model_copy(update={"sub_path": f"{mount.sub_path}/{own}" if mount.sub_path else own})
        if isinstance(mount.source, (HostPathSource, ClaimSource))
        else mount
        for mount in binding.mounts
    )
    return settled(binding.model_copy(update={"mounts": mounts}), layout)


def _collect(plugins: Plugins | None) -> Collect:
    interval = plugins.sidecar.sync_interval if plugins and plugins.sidecar else None
    return Collect(
        outputs=not plugins or plugins.collect_artifacts is not False,
        logs=not plugins or plugins.collect_logs is not False,
        sync_interval=10 if interval is None else interval,
    )


def _ending(work: Work, form: Termination | None) -> Ending:
    if form is None:
        return Ending()
    for name, seconds in (("timeout", form.timeout), ("ttl", form.ttl)):
        if (seconds or 0) > MAX_SECONDS:
            message = f"is more than {MAX_SECONDS} seconds, which are ten years"
            work.issues.append(Issue(("termination", name), Code.BAD_VALUE, message, "leave it out for no limit"))
    policy = form.pod_failure_policy if isinstance(form.pod_failure_policy, dict) else None
    return Ending(max_retries=form.max_retries or 0, timeout=form.timeout, ttl=form.ttl, pod_failure_policy=policy)


def _as_written(form: Form | None) -> dict[str, Any]:
    return form.model_dump(mode="json", by_alias=True, exclude_none=True) if form else {}


def _known(work: Work, name: str) -> Connection:
    if name not in work.found:
        raise Refusal(("connection",), Code.UNKNOWN_CONNECTION, f"there is no connection {name!r}")
    return work.found[name][0]


def _param_variables(values: Mapping[str, Resolved]) -> tuple[Variable, ...]:
    variables = []
    for name, item in values.items():
        to_env = (item.given.to_env if item.given else None) or item.io.to_env
        if to_env and item.value is not None:
            variables.append(
                Variable(name=to_env, value=Text(text=item.context["as_str"]), origin="param", why=f"the input {name}")
            )
    return tuple(variables)


def _program(container: Container, name: str, layout: Layout, env: tuple[Variable, ...] = ()) -> Program:
    own = tuple(variable for form in container.env if (variable := _variable(form)))
    rest = container.model_dump(
        mode="json", by_alias=True, exclude_none=True,
        exclude={"command", "args", "env", "env_from", "working_dir", "name"},
    )  # fmt: skip
    return Program(
        name=name,
        command=container.command,
        args=container.args,
        env=(*env, *own),
        env_from=tuple(_whole_resources(container)),
        working_dir=container.working_dir or layout.work_path,
        container={**rest, **container_variables(container)},
    )


def _whole_resources(container: Container) -> Iterator[WholeResource]:
    """``envFrom``, as Kubernetes has it."""
    for form in container.env_from or ():
        for ref, resource in ((form.secret_ref, "secret"), (form.config_map_ref, "configMap")):
            if ref is not None:
                yield WholeResource.model_validate(
                    {"resource": resource, "name": ref.name, "prefix": form.prefix, "optional": ref.optional}
                )


def _variable(form: VariableForm) -> Variable | None:
    if form.value_from is None:
        return Variable(name=form.name, value=Text(text=form.value or ""), origin="job")
    for key, make in (("secretKeyRef", FromSecret), ("configMapKeyRef", FromConfigMap)):
        ref = form.value_from.get(key)
        if isinstance(ref, Mapping) and ref.get("name") and ref.get("key"):
            optional, keys = bool(ref.get("optional")), (str(ref["key"]),)
            value: Any = (
                FromSecret(secret=str(ref["name"]), keys=keys, optional=optional)
                if make is FromSecret
                else FromConfigMap(config_map=str(ref["name"]), keys=keys, optional=optional)
            )
            return Variable(name=form.name, value=value, origin="job")
    return None


def _store(work: Work) -> Store:
    connection = work.view.store
    kind = registry.get(connection.kind)
    access = kind.access(connection) if kind else None
    if not isinstance(access, (Volume, ObjectStore)):  # pragma: no cover - the catalog's reader has refused it
        raise InvalidInput(Problem(Code.WRONG_STORE_KIND, f"{connection.name!r} cannot store artifacts"))
    return Store(connection=connection.name, access=access, prefix=work.request.store_prefix or work.request.run.uuid)


def _service(run: RunForm) -> ServicePorts:
    return ServicePorts(
        ports=run.ports or (),
        rewrite_path=bool(run.rewrite_path),
        is_external=bool(run.is_external),
        replicas=1 if run.replicas is None else run.replicas,
    )


def _taken(work: Work) -> tuple[TakeStep, ...]:
    """``mount``: local files that are taken along, into the working folder."""
    taken = []
    for index, item in enumerate(work.job.mount):
        source, target = _mount_pair(item)
        if not source:
            work.issues.append(
                Issue(("mount", index), Code.BAD_VALUE, "is neither a path nor 'from:to'", "write a path")
            )
            continue
        to = posixpath.normpath(target or posixpath.basename(source.rstrip("/")) or ".")
        if posixpath.isabs(to) or to.startswith(".."):
            work.issues.append(
                Issue(("mount", index), Code.UNSAFE_PATH, f"{target!r} leaves the working folder", "no '..' here")
            )
            continue
        whole = posixpath.normpath(posixpath.join(work.request.base, source))
        taken.append(
            TakeStep(name=source, source=whole, path=posixpath.normpath(f"{work.request.layout.work_path}/{to}"))
        )
    return tuple(taken)


def _mount_pair(item: Any) -> tuple[str, str]:
    if isinstance(item, str):
        source, _, target = item.partition(":")
        return source, target
    if isinstance(item, Mapping):
        return str(item.get("from") or ""), str(item.get("to") or "")
    return "", ""
