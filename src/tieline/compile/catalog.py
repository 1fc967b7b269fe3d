"""Reads a deployment file into a catalog: every connection typed by its kind, every namespace's view made.

All problems of the file come at once. Names are unique in each namespace's view; the artifacts store is in the
catalog under its own name.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tieline.compile.channels import rule_issues
from tieline.documents.document import Document, FieldPath
from tieline.documents.forms import MANY, Issue, problems_of, validate
from tieline.errors import Code, InvalidInput, Problem, did_you_mean
from tieline.kinds import registry
from tieline.kinds.base import Kind
from tieline.model.access import ObjectStore, Volume
from tieline.model.catalog import (
    DEFAULT_NAMESPACE,
    Catalog,
    DeploymentForm,
    InputsCacheForm,
    NamespaceForm,
    PersistenceSection,
    SecretSourceForm,
    View,
)
from tieline.model.connection import Connection, ConnectionForm
from tieline.model.form import Form

EMPTY = Document("", "", {})
OLD_LOGS_PATHS = ("repos",)


@dataclass(frozen=True, slots=True)
class Home:
    """What a laptop adds to a catalog: where the default store and the folders of claims are."""

    artifacts: str
    claims: str
    user: str = ""  # the user's own home, for paths that begin with ~/


@dataclass(slots=True)
class _Reading:
    """One reading of a file: the issues so far, and the connections with the paths at which they stand."""

    document: Document
    base: str
    user: str = ""
    issues: list[Issue] = field(default_factory=list)
    stands: dict[int, FieldPath] = field(default_factory=dict)
    doubles: dict[FieldPath, tuple[str, FieldPath | None]] = field(default_factory=dict)
    """Where a name stands a second time: what to say, with a place for the line of the first, which stands there."""

    def issue(self, path: FieldPath, code: Code, message: str, hint: str = "", **flags: bool) -> None:
        self.issues.append(Issue(path, code, message, hint, **flags))


class _Enough(Exception):
    """So much is wrong that the rest is not looked at."""


def read_catalog(document: Document | None, home: Home, base: str) -> tuple[Catalog, list[Problem]]:
    """The catalog of a deployment file (None: the empty one), and its warnings.

    ``base`` is the folder that relative paths of the file are relative to. Raises InvalidInput with every problem.
    """
    reading = _Reading(document or EMPTY, base, home.user)
    data = reading.document.data
    form, found = validate(DeploymentForm, {} if data is None else data)
    reading.issues += found
    form = form or _salvage(data, found)
    try:
        catalog = _catalog(reading, form, home) if form else None
    except _Enough:
        catalog = None
        reading.issue((), Code.BAD_VALUE, f"there are more than {MANY} problems", "correct these first")
    _tell_doubles(reading)
    problems = problems_of(reading.document, reading.issues)
    if catalog is None or any(not problem.warning for problem in problems):
        raise InvalidInput(*problems)
    return catalog, problems


def _salvage(data: Any, issues: Iterable[Issue]) -> DeploymentForm | None:
    """The file without its broken top-level parts, so that the connections' own problems are told too."""
    broken = {issue.path[0] for issue in issues if issue.path}
    if not isinstance(data, Mapping):
        return None
    form, _ = validate(DeploymentForm, {key: value for key, value in data.items() if key not in broken})
    return form


def _catalog(reading: _Reading, form: DeploymentForm, home: Home) -> Catalog:
    keys = _spelt(reading.document.data)
    shared = _connections(reading, form.connections, (keys("connections"),))
    notifying = _connections(
        reading, form.notification_connections, (keys("notificationConnections"),), notifications_only=True
    )
    store = _store(reading, form.artifacts_store, (keys("artifactsStore"),)) or default_store(home)
    if form.persistence.logs:
        _persistence_slip(reading, form.persistence)
    default = _view(reading, DEFAULT_NAMESPACE, store, shared, notifying)
    views = {DEFAULT_NAMESPACE: default}
    for name, section in form.namespaces.items():
        views[name] = _namespace(reading, name, section, default, (keys("namespaces"), name), form)
    claims = {name: os.path.join(reading.base, folder.host_path) for name, folder in form.persistence.claims.items()}
    return Catalog(
        file=reading.document.file,
        digest=reading.document.digest,
        views=views,
        persistence=form.persistence,
        claims=claims,
        clusters=form.clusters,
        queues={name: queue.concurrency for name, queue in form.queues.items()},
        secrets=tuple(_settled_source(source, reading) for source in form.secrets),
        inputs_cache=_settled_cache(form.inputs_cache, reading),
        presets=os.path.join(reading.base, form.presets or "presets"),
        default_store=form.artifacts_store is None,
    )


def _settled_source(source: SecretSourceForm, reading: _Reading) -> SecretSourceForm:
    """A source of secrets; its folders are relative to the file."""
    folder = source.directory
    if folder is None:
        return source
    paths = {"path": folder.path, "config_maps": folder.config_maps}
    settled = {
        name: os.path.join(reading.base, _absolute_path(path, reading))
        for name, path in paths.items()
        if path is not None
    }
    return source.model_copy(update={"directory": folder.model_copy(update=settled)})


def _settled_cache(cache: InputsCacheForm, reading: _Reading) -> InputsCacheForm:
    if cache.path is None:
        return cache
    return cache.model_copy(update={"path": os.path.join(reading.base, _absolute_path(cache.path, reading))})


def _spelt(data: Any) -> Any:
    """How the file itself spells a top-level key (camelCase or snake_case)."""
    plain = {str(key).replace("_", "").lower(): key for key in data} if isinstance(data, Mapping) else {}
    return lambda key: plain.get(key.lower(), key)


def default_store(home: Home) -> Connection:
    """With no ``artifactsStore``: a local path on this machine, so that everything works at once."""
    return registry.local_folder("artifacts-store", home.artifacts, "The default: a folder in Tieline's home.")


def _store(reading: _Reading, data: Any, path: FieldPath) -> Connection | None:
    if data is None:
        return None
    connection = _connection(reading, data, path)
    if connection is None:
        return None
    kind = registry.get(connection.kind)
    if kind and not isinstance(kind.access(connection), (Volume, ObjectStore)):
        able = ", ".join(registry.store_names())
        reading.issue(
            (*path, "kind"),
            Code.WRONG_STORE_KIND,
            f"a connection of kind {connection.kind!r} cannot store artifacts",
            f"use one of {able}",
        )
    return connection


def _connections(
    reading: _Reading, items: Iterable[Any], path: FieldPath, *, notifications_only: bool = False
) -> list[Connection]:
    found = []
    for index, item in enumerate(items):
        connection = _connection(reading, item, (*path, index), notifications_only=notifications_only)
        if connection is not None:
            found.append(connection)
        elif sum(not issue.warning for issue in reading.issues) > MANY:
            raise _Enough
    return found


def _connection(
    reading: _Reading, data: Any, path: FieldPath, *, notifications_only: bool = False
) -> Connection | None:
    form, issues = validate(ConnectionForm, data, path)
    reading.issues += issues
    kind = _kind(reading, data, path)
    schema = _schema(reading, kind, data, path) if kind else None
    if form is None or kind is None or (schema is None and (data.get("schema") is not None or kind.needs_schema)):
        return None
    connection = Connection.from_form(form, schema, notifications_only=notifications_only, origin=str(path[0]))
    for where, message, hint in kind.check(connection):
        reading.issue((*path, *_steps(where)), Code.BAD_VALUE, message, hint)
    reading.issues += rule_issues(connection, path)
    reading.stands[id(connection)] = path
    return connection


def _steps(where: str) -> FieldPath:
    """``env.1.name`` → ``("env", 1, "name")``."""
    return tuple(int(part) if part.isdecimal() and len(part) < 10 else part for part in where.split("."))


def _kind(reading: _Reading, data: Any, path: FieldPath) -> Kind | None:
    name = data.get("kind") if isinstance(data, Mapping) else None
    if not isinstance(name, str):
        return None
    kind = registry.get(name)
    if kind is None:
        hint = did_you_mean(name, registry.names(), "`tieline kinds` lists what there is")
        reading.issue((*path, "kind"), Code.UNKNOWN_KIND, f"{name!r} is not a known kind", hint)
    return kind


def _schema(reading: _Reading, kind: Kind, data: Mapping[str, Any], path: FieldPath) -> Any:
    """The typed schema; relative paths of this machine are made absolute first."""
    raw = data.get("schema")
    if raw is None:
        if kind.needs_schema:
            reading.issue(path, Code.MISSING_KEY, f"a connection of kind {kind.name} needs a schema", "add 'schema:'")
            return None
        raw = {}
    if isinstance(raw, Mapping) and kind.relative_paths:
        raw = _absolute(raw, kind.relative_paths, reading)
    schema, issues = validate(kind.schema, raw, (*path, "schema"))
    reading.issues += issues
    for key in (schema.model_extra or {}) if schema is not None and not kind.own_keys else {}:
        reading.issue(
            (*path, "schema", key),
            Code.UNKNOWN_KEY,
            f"{key!r} is no key of kind {kind.name}",
            _near_key(str(key), kind.schema),
            at_key=True,
            warning=True,
        )
    return schema


@lru_cache(maxsize=4096)
def _near_key(key: str, schema: type[Form]) -> str:
    """What to do about an extra key; thousands of connections have the same one."""
    known = [info.alias or name for name, info in schema.model_fields.items()]
    return did_you_mean(key, known, "it becomes an entry of the binding")


def _absolute(raw: Mapping[str, Any], fields: Iterable[str], reading: _Reading) -> Mapping[str, Any]:
    changed = dict(raw)
    for key, value in raw.items():
        if key.replace("_", "").lower() in {name.replace("_", "").lower() for name in fields} and isinstance(
            value, str
        ):
            changed[key] = _absolute_path(value, reading)
    return changed


def _absolute_path(value: str, reading: _Reading) -> str:
    """``./data`` is beside the file, ``~/data`` in the user's home; everything else stays as it is."""
    if value.startswith("~/") and reading.user:
        return os.path.join(reading.user, value[2:])
    if value not in (".", "..") and not value.startswith(("./", "../")):
        return value
    return os.path.normpath(os.path.join(reading.base, value))


def _persistence_slip(reading: _Reading, persistence: PersistenceSection) -> None:
    logs = persistence.logs
    if logs and any(word in logs.mount_path for word in OLD_LOGS_PATHS) and persistence.repos is None:
        reading.issue(
            ("persistence", "logs"),
            Code.BAD_VALUE,
            f"logs are to be kept at {logs.mount_path}",
            "did you mean persistence.repos?",
            at_key=True,
            warning=True,
        )


def _namespace(
    reading: _Reading, name: str, section: NamespaceForm, shared: View, path: FieldPath, form: DeploymentForm
) -> View:
    raw = _spelt(_at(reading.document.data, path))
    own = _connections(reading, section.connections, (*path, raw("connections")))
    notifying = _connections(
        reading, section.notification_connections, (*path, raw("notificationConnections")), notifications_only=True
    )
    store = _store(reading, section.artifacts_store, (*path, raw("artifactsStore"))) or shared.store
    if section.cluster is not None and section.cluster not in form.clusters:
        reading.issue(
            (*path, "cluster"),
            Code.UNKNOWN_CLUSTER,
            f"there is no cluster {section.cluster!r}",
            did_you_mean(section.cluster, form.clusters, "name it under 'clusters:'"),
        )
    taken = _inherited(reading, section, shared, path)
    return _view(
        reading,
        name,
        store,
        [*own, *(item for item in taken if not item.notifications_only)],
        [*notifying, *(item for item in taken if item.notifications_only)],
        cluster=section.cluster or "",
    )


def _at(data: Any, path: FieldPath) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _inherited(reading: _Reading, section: NamespaceForm, shared: View, path: FieldPath) -> list[Connection]:
    everything = [item for item in shared if item is not shared.store]
    if section.inherit == "all":
        return everything
    if section.inherit == "none":
        return []
    by_name = {item.name: item for item in everything}
    for index, name in enumerate(section.inherit):
        if name not in by_name and name != shared.store.name:
            reading.issue(
                (*path, "inherit", index),
                Code.UNKNOWN_CONNECTION,
                f"the shared catalog has no connection {name!r}",
                did_you_mean(name, by_name),
            )
    return [by_name[name] for name in section.inherit if name in by_name]


def _view(
    reading: _Reading,
    namespace: str,
    store: Connection,
    connections: Iterable[Connection],
    notifying: Iterable[Connection],
    *,
    cluster: str = "",
) -> View:
    """A namespace's view; two connections of one name, or whose names make one label, are refused."""
    usable = {store.name: store}
    telling: dict[str, Connection] = {}
    labels = {store.name.replace("_", "-"): store}
    for connection in (*connections, *notifying):
        if connection is store:
            continue
        label = connection.name.replace("_", "-")
        if label in labels:
            _same_name(reading, connection, labels[label], namespace)
            continue
        labels[label] = connection
        (telling if connection.notifications_only else usable)[connection.name] = connection
    return View(namespace, store, usable, telling, cluster)


def _same_name(reading: _Reading, second: Connection, first: Connection, namespace: str) -> None:
    here, there = reading.stands.get(id(second)), reading.stands.get(id(first))
    path = here if here is not None and (there is None or here >= there or "namespaces" in here) else there
    other = there if path is here else here
    view = "" if namespace == DEFAULT_NAMESPACE else f" in namespace {namespace!r}"
    if first.name != second.name:
        message = f"{second.name!r} and {first.name!r} ({{}}) make the same Kubernetes name{view}"
    else:
        message = f"there are two connections named {second.name!r}{view}; the other is at {{}}"
    reading.doubles.setdefault((*(path or ()), "name"), (message, other))
    if len(reading.doubles) > MANY:
        raise _Enough


def _tell_doubles(reading: _Reading) -> None:
    """Each with the line of the other, all of which are found in one reading."""
    others = [other for _, other in reading.doubles.values() if other]
    places = reading.document.places([(other, False) for other in others])
    lines = {other: place.line for other, place in zip(others, places, strict=True)}
    for path, (message, other) in reading.doubles.items():
        line = f"line {lines[other]}" if other else "the default store"
        reading.issue(path, Code.DUPLICATE_NAME, message.format(line), "rename one of them")
