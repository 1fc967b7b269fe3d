"""Which kinds there are, and where each is found: nothing of a family is imported before one of its kinds is asked for.

The built-in kinds are a table of names. Other packages add kinds through the entry point group ``tieline.kinds`` (the
entry point's name is the kind's, its value a :class:`~tieline.kinds.base.Kind` class); they are looked for only when a
name is not built in, or when all kinds are listed, and can't take a built-in name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from tieline.errors import Code, InvalidInput, Problem

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tieline.kinds.base import Kind
    from tieline.model.connection import Connection

GROUP = "tieline.kinds"
FAMILIES = ("volumes", "buckets", "code", "images", "clouds", "databases", "services", "channels", "custom")
_MODULES = {
    "volumes": ("host_path", "volume_claim"),
    "buckets": ("s3", "gcs", "wasb"),
    "code": ("git", "ssh"),
    "images": ("registry",),
    "clouds": ("aws", "gcp", "azure"),
    "databases": ("postgres", "mysql", "mssql", "oracle", "vertica", "redis", "mongo", "cassandra", "sqlite"),
    "warehouses": (
        "presto",
        "snowflake",
        "databricks",
        "cloudant",
        "jdbc",
        "hive_cli",
        "hive_metastore",
        "hive_server2",
    ),
    "services": ("http", "grpc", "ftp", "hdfs", "samba", "jenkins", "pig_cli", "segment"),
    "channels": ("slack", "teams", "discord", "mattermost", "pagerduty", "hipchat", "webhook", "email", "apprise"),
    "custom": ("custom",),
}
_BUILT_IN = {name: module for module, names in _MODULES.items() for name in names}


def names() -> list[str]:
    """All kinds that are known by name: the built-in ones by family, then those of other packages. Loads none."""
    return [*_BUILT_IN, *sorted(name for name in _declared() if name not in _BUILT_IN)]


def kinds_of(module: str) -> tuple[str, ...]:
    """The built-in kinds of one module."""
    return _MODULES[module]


@cache
def get(name: str) -> Kind | None:
    """The kind of that name, or None. Raises InvalidInput where another package's kind can't be loaded."""
    module = _BUILT_IN.get(name)
    if module is not None:
        kind: Kind = import_module(f"tieline.kinds.{module}").KINDS[name]()
        return kind
    found = _declared().get(name)
    return _load(name, found) if found else None


def all_kinds() -> Iterator[Kind]:
    """Every kind, in the order of :func:`names`. Raises InvalidInput where another package's kind can't be used."""
    for name, points in _declared().items():
        if name in _BUILT_IN:
            raise _refused(name, points, "that name is built in, and can't be replaced")
    for name in names():
        kind = get(name)
        if kind is not None:
            yield kind


def store_names() -> list[str]:
    """The kinds that may be an artifacts store: volumes and buckets."""
    return [*_MODULES["volumes"], *_MODULES["buckets"]]


def local_folder(name: str, path: str, description: str = "") -> Connection:
    """A connection to a folder of this machine: what there is where nothing was configured."""
    from tieline.kinds.volumes import HostPath, HostPathSchema
    from tieline.model.connection import Connection

    schema = HostPathSchema(host_path=path, mount_path=path)
    return Connection(name=name, kind=HostPath.name, schema_=schema, description=description)


def forget() -> None:
    """Look for other packages' kinds again: for a process that installs packages, and for tests."""
    _declared.cache_clear()
    get.cache_clear()


@cache
def _declared() -> dict[str, tuple[EntryPoint, ...]]:
    from importlib.metadata import entry_points

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUP):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def _refused(name: str, points: tuple[EntryPoint, ...], reason: str) -> InvalidInput:
    packages = sorted({point.dist.name if point.dist else point.value for point in points})
    owners = f"the package{'s' if len(packages) > 1 else ''} {' and '.join(packages)}"
    hint = f"correct or uninstall {' or '.join(packages)}"
    return InvalidInput(Problem(Code.UNKNOWN_KIND, f"the kind {name!r} of {owners} can't be used: {reason}", hint))


def _load(name: str, points: tuple[EntryPoint, ...]) -> Kind:
    """Load one package's kind, and see that it is one. Whatever its import raises becomes an error that names it."""
    from tieline.kinds.base import Kind

    if len(points) > 1:
        raise _refused(name, points, "more than one package declares it")
    try:
        found = points[0].load()
        kind = found() if isinstance(found, type) else found
    except Exception as error:
        raise _refused(name, points, f"{type(error).__name__}: {error}") from error
    if not isinstance(kind, Kind):
        raise _refused(name, points, f"{points[0].value} is no tieline.kinds.base.Kind")
    lacking = [part for part in ("name", "family", "title", "schema") if not hasattr(kind, part)]
    if lacking:
        raise _refused(name, points, f"its class has no {', '.join(lacking)}")
    if kind.name != name:
        raise _refused(name, points, f"its class is named {kind.name!r}")
    return kind
