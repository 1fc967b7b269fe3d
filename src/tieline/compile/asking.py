"""What a job asks for: the values of its inputs, the connections that it names, and the names its templates may use.

Names of connections may be templates themselves (a param can carry one), so inputs come first, connections second, and
everything else is rendered when both are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tieline.compile.context import Names, bound, connection_names, global_names, inside_context, settled
from tieline.compile.jobs import Job
from tieline.compile.params import Resolved, connection_of, init_of, params_context, resolve
from tieline.compile.templates import TemplateProblem, is_template, render
from tieline.compile.unrendered import RENDERED
from tieline.documents.document import FieldPath
from tieline.documents.forms import MANY, Issue, validate
from tieline.errors import Code, InvalidInput, Problem, did_you_mean
from tieline.kinds import registry
from tieline.model.binding import Binding
from tieline.model.catalog import Catalog, View
from tieline.model.connection import Connection
from tieline.model.job import IO, Component
from tieline.model.plan import Identity, Layout, Traits

MAX_INPUTS = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """What the one who runs a job says beside the file."""

    run: Identity
    layout: Layout
    traits: Traits
    params: Mapping[str, Any] = field(default_factory=dict)
    teams: tuple[str, ...] = ()
    store_prefix: str = ""
    base: str = ""  # the folder that `mount` is relative to
    complete: bool = True  # False: a check before a run, without all values


@dataclass(slots=True)
class Work:
    job: Job
    catalog: Catalog
    view: View
    request: Request
    issues: list[Issue] = field(default_factory=list)
    found: dict[str, tuple[Connection, Binding]] = field(default_factory=dict)
    known: tuple[Problem, ...] = ()  # of the file's shape

    @property
    def sound(self) -> bool:
        return all(issue.warning for issue in self.issues) and all(problem.warning for problem in self.known)

    def stop_on_errors(self) -> None:
        """Raise InvalidInput with everything that was found so far, if any of it is an error."""
        if not self.sound:
            problems = dict.fromkeys((*self.known, *self.job.problems(self.issues)))
            raise InvalidInput(*problems)


def run_of(component: Mapping[str, Any]) -> Mapping[str, Any]:
    """``run`` of a component that may not be well-formed."""
    run = component.get("run")
    return run if isinstance(run, Mapping) else {}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def view_of(job: Job, catalog: Catalog, request: Request, known: tuple[Problem, ...]) -> View:
    name = request.run.namespace
    view = catalog.views.get(name)
    if view is None and len(catalog.views) == 1:
        return catalog.views["default"]
    if view is None:
        hint = did_you_mean(name, catalog.views, f"known: {', '.join(catalog.views)}")
        issue = Issue(("namespace",), Code.UNKNOWN_NAMESPACE, f"there is no namespace {name!r}", hint)
        raise InvalidInput(*known, *job.problems([issue]))
    return view


def values_of(work: Work) -> dict[str, Resolved]:
    inputs, issues = _inputs(work.job.component)
    work.issues += issues
    params = {**work.job.params, **work.request.params}
    globals_ = global_names(work.request.run, work.request.layout, work.request.layout.store_path)
    values, found = resolve(
        inputs, params, {"globals": globals_}, strict=work.job.strict_params, complete=work.request.complete
    )
    work.issues += [_placed(issue, work) for issue in found]
    return values


def with_params(job: Job, values: Mapping[str, Resolved]) -> Job:
    """The job with what its params ask for: a connection bound, or (``init: true``) an init entry after its own."""
    inits, connections = [], []
    for resolved in values.values():
        entry = init_of(resolved)
        if entry is not None:
            inits.append(entry)
        elif (name := connection_of(resolved)) is not None:
            connections.append(name)
    run = run_of(job.component)
    asked = run.get("connections")
    if not (inits or connections) or not run or not (asked is None or isinstance(asked, list)):
        return job
    more = [name for name in connections if name not in listed(asked)]
    changed = {**run, "init": [*listed(run.get("init")), *inits], "connections": [*listed(asked), *more]}
    return replace(job, component={**job.component, "run": changed})


def _placed(issue: Issue, work: Work) -> Issue:
    """A param of the command line has no place in the file."""
    if issue.path[:1] == ("params",) and issue.path[1] in work.request.params:
        return Issue((), issue.code, f"-P {issue.path[1]}: {issue.message}", issue.hint)
    return issue


def _inputs(component: Mapping[str, Any]) -> tuple[list[IO], list[Issue]]:
    inputs: list[IO] = []
    issues: list[Issue] = []
    names: set[str] = set()
    items = listed(component.get("inputs"))
    if len(items) > MAX_INPUTS:
        return [], [Issue(("inputs",), Code.TOO_LARGE, f"there are more than {MAX_INPUTS} inputs", "bring a file")]
    for index, item in enumerate(items):
        io, found = validate(IO, item, ("inputs", index))
        issues += found
        if io is not None and io.name in names:
            issues.append(
                Issue(("inputs", index, "name"), Code.DUPLICATE_NAME, f"there are two inputs {io.name!r}", "rename one")
            )
        elif io is not None:
            inputs.append(io)
            names.add(io.name)
    return inputs, issues


def names_of(work: Work, values: Mapping[str, Resolved]) -> dict[str, Any]:
    ports = run_of(work.job.component).get("ports")
    numbers = tuple(port for port in listed(ports) if isinstance(port, int))
    globals_ = global_names(work.request.run, work.request.layout, work.request.layout.store_path, numbers)
    return {
        **{name: item.value for name, item in values.items()},
        "globals": globals_,
        "params": params_context(values),
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """A name that the job asks for, where it does, and for what."""

    name: str
    path: FieldPath
    use: str  # connections | init


def asked_connections(work: Work, names: Mapping[str, Any]) -> list[_Asked]:
    """Every connection that the job names, after rendering the names themselves."""
    run = run_of(work.job.component)
    spelled: list[tuple[Any, FieldPath, str]] = []
    names_asked = try_render(work, run.get("connections"), ("run", "connections"), names)
    for index, name in enumerate(listed(names_asked)):
        spelled.append((name, ("run", "connections", index), "connections"))
    for index, entry in enumerate(listed(run.get("init"))):
        if isinstance(entry, Mapping) and entry.get("connection") is not None:
            spelled.append((entry["connection"], ("run", "init", index, "connection"), "init"))
    asked = []
    for value, path, use in spelled:
        name = try_render(work, value, path, names)
        if isinstance(name, str):
            asked.append(_Asked(name, path, use))
    return asked


def try_render(work: Work, value: Any, path: FieldPath, names: Mapping[str, Any]) -> Any:
    """A name that may be a template, rendered; None where that fails, with an issue."""
    if not is_template(value):
        return value
    try:
        return render(value, names)
    except TemplateProblem as problem:
        if (work.request.complete and work.sound) or problem.code is not Code.UNDEFINED_NAME:
            work.issues.append(Issue(path, problem.code, problem.message, problem.hint))
        return None


def find_connections(work: Work, asked: list[_Asked], names: dict[str, Any]) -> None:
    """Finds what is asked for, checks that it may be used, and adds it to the template's names."""
    layout = work.request.layout
    used: dict[str, dict[str, Any]] = {"connections": {}, "init": {}}
    for item in asked:
        if len(work.issues) > MANY:
            break
        connection = _find(work, item)
        kind = registry.get(connection.kind) if connection else None
        if connection is None or kind is None:
            continue
        what = bound(connection, kind)
        if item.name not in work.found:
            work.found[item.name] = (connection, settled(what.binding, layout) if what.moves else what.binding)
        known = connection_names(connection, what, layout)
        if item.use == "init":
            known = {**known, "path": f"{layout.artifacts_path}/{connection.name}"}
            if connection is work.view.store:
                known["path"] = layout.artifacts_path
        used[item.use].setdefault(item.name, known)
    _init_paths(work, names, used["init"])
    names["connections"] = Names(used["connections"])
    names["init"] = Names(used["init"])


def _init_paths(work: Work, names: Mapping[str, Any], used: dict[str, dict[str, Any]]) -> None:
    """``init[NAME].path`` is the entry's own ``path`` where it gives one."""
    layout = work.request.layout
    for index, entry in enumerate(listed(run_of(work.job.component).get("init"))):
        if not isinstance(entry, Mapping) or not entry.get("path") or not entry.get("connection"):
            continue
        if len(work.issues) > MANY:
            break
        path = try_render(work, entry["path"], ("run", "init", index, "path"), names)
        name = try_render(work, entry["connection"], ("run", "init", index, "connection"), names)
        if isinstance(path, str) and isinstance(name, str) and name in used:
            whole = path if path.startswith("/") else f"{layout.artifacts_path}/{path}"
            used[name]["path"] = inside_context(whole, layout)


def _find(work: Work, asked: _Asked) -> Connection | None:
    view = work.view
    connection = view.connections.get(asked.name)
    if connection is None and asked.name in view.notifications:
        work.issues.append(
            Issue(
                asked.path,
                Code.NOTIFICATION_ONLY,
                f"{asked.name!r} is for notifications only",
                "use it in plugins.notifications or hooks",
            )
        )
        return None
    if connection is None:
        where = work.catalog.file or "the catalog (no tieline.yaml was found)"
        hint = did_you_mean(asked.name, view.connections, f"`tieline connections list` shows what {where} has")
        work.issues.append(Issue(asked.path, Code.UNKNOWN_CONNECTION, f"there is no connection {asked.name!r}", hint))
        return None
    if reason := forbidden(connection, work.request):
        work.issues.append(
            Issue(asked.path, Code.NOT_ALLOWED, f"{asked.name!r} may not be used {reason}", "ask its admin")
        )
        return None
    return connection


def forbidden(connection: Connection, request: Request) -> str:
    """Why its ``allow`` keeps this run from using it; empty where it does not."""
    allow = connection.allow
    if allow is None:
        return ""
    if allow.namespaces is not None and request.run.namespace not in allow.namespaces:
        return f"in namespace {request.run.namespace!r}"
    if allow.projects is not None and request.run.project not in allow.projects:
        return f"by project {request.run.project!r}"
    if allow.users is not None and request.run.owner not in allow.users:
        return f"by user {request.run.owner!r}"
    if allow.teams is not None and not set(allow.teams) & set(request.teams):
        return "by your teams"
    return ""


def rendered_component(work: Work, names: Mapping[str, Any]) -> Component | None:
    """The component with every template rendered, typed; None where values are missing and need not be there."""
    data = {key: value for key, value in work.job.component.items() if key not in ("inputs", "outputs")}
    for key in list(data):
        if key in RENDERED:
            data[key] = _render_tree(work, data[key], (key,), names)
    work.stop_on_errors()
    component, issues = validate(Component, data, later=None if work.request.complete else is_template)
    work.issues += issues
    work.stop_on_errors()
    return component


def _render_tree(work: Work, value: Any, path: FieldPath, names: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _render_tree(work, item, (*path, key), names) for key, item in value.items()}
    if isinstance(value, list):
        return _render_list(work, value, path, names)
    if not is_template(value):
        return value
    try:
        return render(value, names)
    except TemplateProblem as problem:
        if not work.request.complete and problem.code is Code.UNDEFINED_NAME:
            return value
        work.issues.append(Issue(path, problem.code, problem.message, problem.hint))
        return ""


def _render_list(work: Work, items: list[Any], path: FieldPath, names: Mapping[str, Any]) -> list[Any]:
    """A template that renders to a list (``{{ params.as_args }}``) stands for its items; an empty argument is none."""
    rendered: list[Any] = []
    for index, item in enumerate(items):
        value = _render_tree(work, item, (*path, index), names)
        if isinstance(item, str) and is_template(item) and path[-1] in ("command", "args"):
            if isinstance(value, list):
                rendered += [str(part) for part in value]
                continue
            if value == "" and "as_arg" in item:
                continue
            value = "" if value is None else str(value) if isinstance(value, (int, float, bool)) else value
        rendered.append(value)
    return rendered
