"""Testing connections: what each one's access answers, operation by operation, and which field of the catalog to mend.

Several are asked side by side. Secrets are looked up here, given to the probe, and in nothing that comes out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tieline.app.deployment import Deployment, shown
from tieline.app.home import HomeFolder
from tieline.app.secrets import sources_for
from tieline.documents.document import Document, FieldPath, field_text, read_document
from tieline.errors import Place, Problem, TielineError
from tieline.kinds import registry
from tieline.model.access import Access, Channel, Volume
from tieline.model.binding import Derived, FromConfigMap, FromSecret, Value
from tieline.model.catalog import View
from tieline.model.connection import Connection
from tieline.model.form import camel
from tieline.probes import Limits, Operation, Outcome, Report, Result, credential_values, end_all, probe, remove_dead
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources

NOWHERE = Place()
AT_ONCE = 4
"""Connections that are asked side by side."""
ADDRESSES = ("uri", "url", "endpoint", "bucket")
"""Fields that say a whole address, where the one for a part of it has no value."""
IN_ADDRESSES = frozenset({"host", "port", "database", "username", *ADDRESSES})


@dataclass(frozen=True, slots=True)
class Mend:
    """Where to mend what failed: a place of the catalog, or the keys of a secret. ``missing``: what is not there."""

    place: Place = NOWHERE
    keys: str = ""
    missing: Problem | None = None


@dataclass(frozen=True, slots=True)
class Tested:
    """One connection that was tested. ``required``: what its ``health`` says that it must pass."""

    connection: Connection
    report: Report
    mends: Mapping[Operation, Mend]
    required: frozenset[Operation]

    @property
    def failed(self) -> tuple[Result, ...]:
        """What stands in the way of a job."""
        return self.report.failed(self.required)

    def counts(self, operation: Operation) -> bool:
        """Whether the connection has to pass this operation."""
        return operation in (self.required or self.report.expected)


@dataclass(frozen=True, slots=True)
class _Found:
    """A connection with what its probe is given."""

    connection: Connection
    access: Access
    secrets: Mapping[str, Secret]
    missing: Mapping[str, Problem] = field(default_factory=dict)


def check_connections(
    connections: Sequence[Connection],
    deployment: Deployment,
    view: View,
    home: HomeFolder,
    limits: Limits,
    *,
    sends: bool = False,
) -> list[Tested]:
    """Test these connections, in their order. ``view``: the namespace's, whose secrets they use; ``sends``: channels
    are sent a marked test message."""
    remove_dead()
    sources = sources_for(deployment, view.namespace, home)
    resolver = Resolver(sources, Places("", ""))
    found = [_found(connection, sources, resolver) for connection in connections]

    def ask(one: _Found) -> Report:
        access, store = one.access, one.connection is view.store
        known_hosts = known_hosts_of(home, view.namespace, one.connection.name)
        return probe(
            access, one.secrets, limits, claims=_claims(access, deployment, home), known_hosts=known_hosts,
            makes_folder=store, sends=sends,
        )  # fmt: skip

    reports = _side_by_side(ask, found)
    places = _Places(deployment, view.namespace, sources)
    return [_tested(one, report, places, sends=sends) for one, report in zip(found, reports, strict=True)]


def tested_elsewhere(
    connection: Connection, report: Report, deployment: Deployment, namespace: str, *, sends: bool
) -> Tested:
    """A report that was made where this machine's secrets do not count, with the places to mend."""
    found = _Found(connection, access_of(connection), {})
    return _tested(found, report, _Places(deployment, namespace, Sources((), namespace)), sends=sends)


def access_of(connection: Connection) -> Access:
    """How to open it."""
    kind = registry.get(connection.kind)
    assert kind is not None  # noqa: S101 - a catalog has connections of known kinds only
    return kind.access(connection)


def known_hosts_of(home: HomeFolder, namespace: str, connection: str) -> Path:
    """Where the host keys are recorded that this connection's servers had at the first meeting."""
    return home.root / "known_hosts" / namespace / connection


def _side_by_side(ask: Callable[[_Found], Report], found: Iterable[_Found]) -> list[Report]:
    """Each one's report. Ctrl-C ends all of them: what a probe has made is removed, and nobody is waited for."""
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tieline-test")
    try:
        return [asked.result() for asked in [pool.submit(ask, one) for one in found]]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        end_all()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _claims(access: Access, deployment: Deployment, home: HomeFolder) -> dict[str, str]:
    if not isinstance(access, Volume) or access.claim is None:
        return {}
    return {access.claim: deployment.catalog.claims.get(access.claim) or str(home.claims / access.claim)}


def _found(connection: Connection, sources: Sources, resolver: Resolver) -> _Found:
    """The access, and the secrets that there are; of those that there aren't, where they were looked for."""
    access = access_of(connection)
    secrets: dict[str, Secret] = {}
    missing: dict[str, Problem] = {}
    for name, value in credential_values(access).items():
        try:
            one = resolver.resolve(value)
        except TielineError as error:
            missing[name] = error.problems[0]
            continue
        if one is not None:
            secrets[name] = one
        elif isinstance(value, FromSecret):
            missing[name] = sources.missing("secret", value.secret, value.keys)
        elif isinstance(value, Derived) and connection.secret is not None:
            missing[name] = sources.missing("secret", connection.secret.name, _keys(value))
    return _Found(connection, access, secrets, missing)


def _tested(one: _Found, report: Report, places: _Places, *, sends: bool) -> Tested:
    values = credential_values(one.access)
    mends = {
        result.operation: places.mend(one, result.part, values.get(result.part))
        for result in report.results
        if result.outcome is Outcome.FAIL and result.part
    }
    health = one.connection.health
    required = frozenset(Operation(name) for name in health.require) if health else frozenset[Operation]()
    if required and sends and isinstance(one.access, Channel):  # whoever has it sent wants to know whether it arrived
        required |= {Operation.WRITE}
    return Tested(one.connection, report, mends, required)


def _there(value: Value, sources: Sources) -> tuple[str, ...]:
    """Of the keys that a value may be made from, those that the secret has; else all of them."""
    match value:
        case FromSecret():
            located = sources.locate("secret", value.secret)
            found = located.pick(value.keys) if located else None
            return (found,) if found else ()
        case Derived():
            return tuple(dict.fromkeys(key for part in value.parts.values() for key in _there(part, sources)))
        case _:
            return ()


def _keys(value: Value) -> tuple[str, ...]:
    """The keys that a value may be made from."""
    match value:
        case FromSecret() | FromConfigMap():
            return value.keys
        case Derived():
            return tuple(dict.fromkeys(key for part in value.parts.values() for key in _keys(part)))
        case _:
            return ()


class _Places:
    """Where in the deployment file a part of a connection stands. The file is read when it is first needed."""

    def __init__(self, deployment: Deployment, namespace: str, sources: Sources) -> None:
        self._deployment, self._namespace, self._sources = deployment, namespace, sources
        self._document: Document | None = None

    def mend(self, one: _Found, part: str, value: Value | None) -> Mend:
        """The place of a part: the credential's, where it comes from a secret, else the schema's field."""
        keys = _keys(value) if value is not None else ()
        secret = one.connection.secret
        if value is not None and keys and secret is not None:
            missing = one.missing.get(part)
            words = " or ".join(keys if missing else _there(value, self._sources) or keys)
            return Mend(self._place(one.connection, ("secret",)), f"{words} of the secret {secret.name}", missing)
        return Mend(self._place(one.connection, _field(one.connection, part)))

    def _place(self, connection: Connection, path: FieldPath) -> Place:
        """File, line and column; the field alone where there is no file, or it was changed meanwhile."""
        start = self._stands(connection)
        try:
            return self._read().place((*start, *path)) if self._deployment.path else Place(field=field_text(path))
        except TielineError:
            return Place(field=field_text((*start, *path)))

    def _read(self) -> Document:
        path = self._deployment.path
        if self._document is None and path is not None:
            self._document = read_document(path, shown_as=shown(path))
        assert self._document is not None  # noqa: S101 - whoever asks has a path
        return self._document

    def _stands(self, connection: Connection) -> FieldPath:
        """``("connections", 3)``, as the file spells it."""
        if self._deployment.path is None:
            return ()
        data = self._read().data
        top = data if isinstance(data, Mapping) else {}
        space = _at(_at(top, "namespaces"), self._namespace)
        for start, within in ((("namespaces", self._namespace), space), ((), top)):
            for key, items in (within or {}).items() if isinstance(within, Mapping) else ():
                plain = str(key).replace("_", "").lower()
                if plain == "artifactsstore" and isinstance(items, Mapping) and items.get("name") == connection.name:
                    return (*start, key)
                if plain in ("connections", "notificationconnections") and isinstance(items, list):
                    index = next((n for n, item in enumerate(items) if _at(item, "name") == connection.name), None)
                    if index is not None:
                        return (*start, key, index)
        return (connection.name,)


def _at(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, Mapping) else None


def _field(connection: Connection, part: str) -> FieldPath:
    """The field of a part; where a whole address says it, that one's."""
    schema, steps = connection.schema_, tuple(part.split("."))
    if steps[0] in ("secret", "auth"):
        return steps
    names = {camel(name): name for name in type(schema).model_fields} if schema is not None else {}
    if steps[0] in IN_ADDRESSES and getattr(schema, names.get(steps[0], ""), None) is None:
        whole = next((name for name in ADDRESSES if getattr(schema, name, None) is not None), None)
        if whole is not None:
            return ("schema", whole)
    return ("schema", *steps)


def tested_json(tested: Tested) -> dict[str, Any]:
    """One connection as JSON. Every key is always there; times are in milliseconds."""
    return {
        "name": tested.connection.name,
        "kind": tested.connection.kind,
        "ok": not tested.failed,
        "operations": [_operation_json(tested, result) for result in tested.report.results],
    }


def _operation_json(tested: Tested, result: Result) -> dict[str, Any]:
    mend = tested.mends.get(result.operation, Mend())
    return {
        "operation": result.operation.value,
        "outcome": result.outcome.value,
        "required": tested.counts(result.operation),
        "detail": result.detail,
        "hint": hint_of(tested, result),
        "milliseconds": result.milliseconds,
        "file": mend.place.file,
        "line": mend.place.line,
        "column": mend.place.column,
        "field": mend.place.field,
        "secretKeys": mend.keys,
    }


def hint_of(tested: Tested, result: Result) -> str:
    """What to do: of a secret that is not there, what the sources say about it."""
    missing = tested.mends.get(result.operation, Mend()).missing
    return f"{missing.message}; {missing.hint}" if missing else result.hint
