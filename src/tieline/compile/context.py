"""What a template may ask for: ``globals``, ``params``, ``connections[...]`` and ``init[...]``; and true paths.

Paths come from the engine's layout. Where a catalog's ``mountPath`` is not true for the job (a process without
isolation), the true path is what templates, variables and entries say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from tieline.kinds import derived
from tieline.kinds.base import Kind
from tieline.model.binding import Binding, ClaimSource, Derived, Entry, HostPathSource, Mount, Text, Value, Variable
from tieline.model.connection import Connection
from tieline.model.form import snake
from tieline.model.plan import Identity, Layout


def global_names(run: Identity, layout: Layout, store_path: str, ports: tuple[int, ...] = ()) -> dict[str, Any]:
    """``globals`` of the format."""
    owner = run.owner or "local"
    names: dict[str, Any] = {
        "owner_name": owner,
        "username": owner,
        "project_name": run.project,
        "project_unique_name": f"{owner}.{run.project}",
        "project_uuid": run.project,
        "run_info": f"{owner}.{run.project}.runs.{run.uuid}",
        "name": run.name,
        "uuid": run.uuid,
        "namespace": run.namespace,
        "context_path": layout.context_path,
        "artifacts_path": layout.artifacts_path,
        "run_artifacts_path": layout.outputs_path.rsplit("/", 1)[0],
        "run_outputs_path": layout.outputs_path,
        "run_relative_outputs_path": f"{run.uuid}/outputs",
        "store_path": store_path,
        "created_at": run.created_at,
        "compiled_at": run.created_at,
        "cloning_kind": None,
        "original_uuid": None,
        "is_independent": True,
        "iteration": None,
    }
    if run.kind == "service":
        names |= {"ports": list(ports), "base_url": f"http://localhost:{ports[0]}" if ports else ""}
    return names


def true_path(mount: Mount, layout: Layout) -> str:
    """Where the job finds what is mounted."""
    if layout.real_mounts:
        return mount.mount_path
    base = mount.mount_path
    if isinstance(mount.source, HostPathSource):
        base = mount.source.path
    elif isinstance(mount.source, ClaimSource):
        base = layout.claim_path(mount.source.claim)
    else:
        return inside_context(mount.mount_path, layout)
    return f"{base.rstrip('/')}/{mount.sub_path.strip('/')}" if mount.sub_path else base


def inside_context(path: str, layout: Layout) -> str:
    """An absolute path of the job; where paths are not real, one outside the run's own folder moves into it."""
    own = path == layout.context_path or path.startswith(f"{layout.context_path}/")
    return path if layout.real_mounts or own else f"{layout.context_path}/root{path}"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a connection's kind says of it, the same for every run: its binding, and what templates may ask."""

    binding: Binding
    names: Mapping[str, Any]
    moves: bool  # whether any value depends on the engine's layout


_BOUND: WeakKeyDictionary[Connection, Bound] = WeakKeyDictionary()


def bound(connection: Connection, kind: Kind) -> Bound:
    """The connection's binding and names, made once for as long as its catalog lives."""
    found = _BOUND.get(connection)
    if found is None:
        binding = kind.bind(connection)
        values = [*(entry.value for entry in binding.entries), *(variable.value for variable in binding.variables)]
        moves = bool(binding.mounts) or any(isinstance(value, Derived) and _has_path(value) for value in values)
        found = _BOUND[connection] = Bound(binding, _own_names(connection, binding), moves)
    return found


def _has_path(value: Derived) -> bool:
    return value.form == derived.ENTRY_PATH or any(
        isinstance(part, Derived) and _has_path(part) for part in value.parts.values()
    )


def settled(binding: Binding, layout: Layout) -> Binding:
    """The binding with every value that only depends on the layout (the path of a mount, of a binding file) as text.
    What stays as it is, is not made again."""
    paths = {mount.mount_path: true_path(mount, layout) for mount in binding.mounts}
    changed: dict[str, tuple[Entry | Variable, ...]] = {}
    given: tuple[tuple[str, tuple[Entry | Variable, ...]], ...] = (
        ("entries", binding.entries),
        ("variables", binding.variables),
    )
    for field, items in given:
        values = [_settled_value(item.value, paths, layout) for item in items]
        if any(value is not item.value for item, value in zip(items, values, strict=True)):
            changed[field] = tuple(map(_with_value, items, values))
    return binding.model_copy(update=changed) if changed else binding


def _with_value(item: Entry | Variable, value: Value) -> Entry | Variable:
    return item if value is item.value else item.model_copy(update={"value": value})


def _settled_value(value: Value, paths: Mapping[str, str], layout: Layout) -> Value:
    if value.type == "text":
        path = paths.get(value.text, value.text)
        return value if path == value.text else Text(text=path)
    if value.type != "derived":
        return value
    parts = {name: _settled_value(part, paths, layout) for name, part in value.parts.items()}
    if value.form == derived.ENTRY_PATH and "when" not in parts:
        known = {name: part.text for name, part in parts.items() if part.type == "text"}
        return Text(text=f"{layout.binding_root}/{known['connection']}/{known['entry']}".rstrip("/"))
    if all(part is value.parts[name] for name, part in parts.items()):
        return value
    return value.model_copy(update={"parts": parts})


def plain_text(value: Value) -> str | None:
    """What a template may see of a value: a literal, or an address without its user information."""
    if isinstance(value, Text):
        return value.text
    if not isinstance(value, Derived) or value.form != derived.URI:
        return None
    parts = {name: part.text for name, part in value.parts.items() if isinstance(part, Text)}
    if "base" in parts:
        return parts["base"]
    if "scheme" not in parts:
        return None
    host = parts.get("host", "")
    port = f":{parts['port']}" if parts.get("port") else ""
    database = f"/{parts['database'].lstrip('/')}" if parts.get("database") else ""
    query = f"?{parts['query']}" if parts.get("query") else ""
    return f"{parts['scheme']}://{host}{port}{database}{query}"


def _own_names(connection: Connection, binding: Binding) -> dict[str, Any]:
    """The schema's fields (both spellings), and the binding's plain entries."""
    names: dict[str, Any] = {"name": connection.name, "kind": connection.kind}
    if connection.schema_ is not None:
        for key, value in connection.schema_.model_dump(mode="json", by_alias=True).items():
            names[key] = names[snake(key)] = value
    for entry in binding.entries:
        text = plain_text(entry.value)
        if text is not None and names.get(entry.name) is None:
            names[entry.name] = text
    return names


def connection_names(connection: Connection, known: Bound, layout: Layout) -> dict[str, Any]:
    """``connections[NAME]``: the schema's fields, the binding's plain entries, and the paths of this run."""
    names = dict(known.names)
    mounts = known.binding.mounts
    mounted = next((m for m in mounts if isinstance(m.source, (HostPathSource, ClaimSource))), None)
    names["binding_path"] = f"{layout.binding_root}/{connection.name}"
    names["path"] = true_path(mounted, layout) if mounted else names.get("path") or names["binding_path"]
    names["uri"] = names.get("uri") or names.get("url") or (names["path"] if mounted else "")
    return names


class Names(Mapping[str, Any]):
    """A mapping for templates whose missing names say what to do."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = {**{name.replace("-", "_"): value for name, value in known.items()}, **known}

    def __getitem__(self, name: str) -> Any:
        return self._known[name]

    def __iter__(self) -> Any:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
