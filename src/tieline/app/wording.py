"""Where things of a plan come from, in words: what ``tieline explain`` prints and a page of the server shows.

A value that is in a secret is said to be there; its value is not known here.
"""

from __future__ import annotations

import shlex

from tieline.compile.context import true_path
from tieline.kinds import derived
from tieline.model.access import ObjectStore, Volume
from tieline.model.binding import (
    ClaimSource,
    Derived,
    FromConfigMap,
    FromSecret,
    HostPathSource,
    Mount,
    ResourceSource,
    Text,
    Value,
    WholeResource,
)
from tieline.model.plan import CloneStep, FetchStep, FileStep, Layout, Plan, Program, ProgramStep, Step, TakeStep
from tieline.stores.given import address


def value_words(value: Value) -> str:
    """The text of a literal; of anything else, where it is."""
    match value:
        case Text():
            return value.text
        case FromSecret():
            return _reference("secret", value.secret, value.keys, value.optional)
        case FromConfigMap():
            return _reference("config map", value.config_map, value.keys, value.optional)
        case Derived():
            return _derived(value)


def _reference(what: str, name: str, keys: tuple[str, ...], optional: bool) -> str:
    first, *others = keys
    key = f"{first} (or {', '.join(others)})" if others else first
    return f"from {what} {name} key {key}" + (", if it is there" if optional else "")


def _derived(value: Derived) -> str:
    words = {name: value_words(part) for name, part in value.parts.items()}
    if value.form == derived.FIRST:
        return ", else ".join(words.values())
    if value.form == derived.ENTRY_PATH:
        return f"the path of the file {words.get('entry', '')}, if there is one"
    known = [f"{name} {words[name]}" for name, part in value.parts.items() if isinstance(part, Text)]
    hidden = dict.fromkeys(source for part in value.parts.values() for source in _sources(part))
    return f"made ({value.form}) of {', '.join([*known, *(f'keys of {source}' for source in hidden)])}"


def _sources(value: Value) -> list[str]:
    """The secrets and config maps that a value is made from."""
    match value:
        case FromSecret():
            return [f"secret {value.secret}"]
        case FromConfigMap():
            return [f"config map {value.config_map}"]
        case Derived():
            return [source for part in value.parts.values() for source in _sources(part)]
        case _:
            return []


def resource_words(resource: WholeResource) -> str:
    """A secret or config map that is injected whole, or some keys of it."""
    what = "secret" if resource.resource == "secret" else "config map"
    prefix = f", each with the prefix {resource.prefix}" if resource.prefix else ""
    if resource.items is None:
        return f"every key of {what} {resource.name}{prefix} (which keys there are is not known here)"
    return f"the keys {', '.join(resource.items)} of {what} {resource.name}{prefix}"


def mount_words(mount: Mount, layout: Layout | None) -> str:
    """What is mounted, and where it truly is, if the run's layout is known."""
    source, access = mount.source, " (read-only)" if mount.read_only else ""
    true = true_path(mount, layout) if layout else mount.mount_path
    match source:
        case HostPathSource():
            what = "the host's folder " + (
                true if layout and not layout.real_mounts else _below(source.path, mount.sub_path)
            )
        case ClaimSource():
            what = f"the claim {source.claim}"
        case ResourceSource():
            kind = "secret" if source.resource == "secret" else "config map"
            what = f"the files of {kind} {source.name}"
        case _:
            what = "an empty folder"
    here = "" if true == mount.mount_path or what.endswith(true) else f", here at {true}"
    return f"{what}{here}{access}"


def _below(path: str, sub_path: str | None) -> str:
    return f"{path.rstrip('/')}/{sub_path}" if sub_path else path


def store_words(plan: Plan) -> str:
    """Where the run's outputs and logs go."""
    access = plan.store.access
    if isinstance(access, ObjectStore):
        return f"{address(access)}/{plan.store.prefix}".rstrip("/")
    root = access.host_path or plan.layout.claim_path(access.claim or "")
    if access.claim and plan.engine == "kubernetes":
        root = f"claim {access.claim}:"
    return "/".join(part.rstrip("/") for part in (root, access.sub_path or "", plan.store.prefix) if part)


def step_words(step: Step) -> str:
    """What a step does, with what, and where to."""
    match step:
        case CloneStep():
            return f"{step.remote.url} at {step.remote.revision or 'its default branch'} → {step.path}"
        case FetchStep():
            items = ", ".join(item.source + ("/" if item.what == "dir" else "") or "everything" for item in step.items)
            return f"{items or 'everything'} of {_source(step.source)} → {step.path}"
        case FileStep():
            return f"{step.path}, {len(step.content.encode('utf-8', 'surrogateescape'))} bytes, mode {step.mode:04o}"
        case TakeStep():
            return f"{step.source} → {step.path}"
        case ProgramStep():
            return command_words(step.program)


def _source(source: Volume | ObjectStore) -> str:
    if isinstance(source, ObjectStore):
        return f"the bucket {source.bucket}/{source.prefix}".rstrip("/")
    place = f"the folder {source.host_path}" if source.host_path else f"the claim {source.claim}"
    return f"{place}/{source.sub_path}" if source.sub_path else place


def command_words(program: Program) -> str:
    """The argv, as a shell would be told."""
    return shlex.join((*program.command, *program.args))
