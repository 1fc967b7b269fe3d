"""Reads a job file: component or operation, presets and overrides, into one merged component that knows its sources.

What is read here is the *raw* form: templates are not rendered yet, so a field that holds one is judged later.
Merging
remembers which file a value came from, so that every later problem still points at a line.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tieline.compile import support
from tieline.compile.templates import is_template
from tieline.compile.unrendered import component_issues, operation_issues
from tieline.documents.document import Document, FieldPath, shortened
from tieline.documents.forms import Issue, most_of, validate
from tieline.errors import Code, InvalidInput, NotFound, Problem, did_you_mean
from tieline.model.job import Component, Operation, PatchStrategy

OVERRIDES = (
    "queue",
    "namespace",
    "cache",
    "termination",
    "plugins",
    "hooks",
    "build",
    "tags",
    "name",
    "description",
    "is_approved",
    "cost",
    "template",
)
PRESET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
MAX_PRESETS = 100
REFERENCES = ("component", "path_ref", "url_ref", "hub_ref", "dag_ref")


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of the merged component: a document, and where in it the component's fields stand.

    ``moved`` renames first steps of a path: an operation's ``runPatch`` is the component's ``run``.
    """

    document: Document
    root: FieldPath = ()
    moved: Mapping[str, str] = field(default_factory=dict)

    def path(self, path: FieldPath) -> FieldPath:
        if path and path[0] in self.moved:
            return (*self.root, self.moved[str(path[0])], *path[1:])
        return (*self.root, *path)

    def depth(self, path: FieldPath) -> int:
        """How many steps of the path this layer has."""
        data: Any = self.document.data
        steps = self.path(path)
        for count, part in enumerate(steps):
            found = (
                part in data
                if isinstance(data, Mapping)
                else isinstance(part, int) and part < len(data if isinstance(data, list) else ())
            )
            if not found:
                return count - len(self.root)
            data = data[part]
        return len(steps)


@dataclass(frozen=True, slots=True)
class Job:
    """A job file that was read: the merged component, and the operation's own part."""

    document: Document
    component: dict[str, Any]
    params: Mapping[str, Any]
    mount: tuple[Any, ...]
    strict_params: bool
    layers: tuple[Layer, ...]  # the strongest first
    remarks: tuple[tuple[FieldPath, support.Support], ...] = ()  # fields that are more than just "works"

    @property
    def file(self) -> str:
        return self.document.file

    def problems(self, issues: list[Issue]) -> list[Problem]:
        """Issues about the merged component, each at the place of the layer that said it."""
        said: list[list[Issue]] = [[] for _ in self.layers]
        for issue in most_of(dict.fromkeys(issues)):
            depths = [layer.depth(issue.path) for layer in self.layers]
            said[depths.index(max(depths))].append(issue)
        problems: dict[Problem, None] = {}  # at one place they stay in the order in which they were found
        for layer, its in zip(self.layers, said, strict=True):
            places = layer.document.places([(layer.path(issue.path), issue.at_key) for issue in its])
            problems.update({issue.at(place): None for issue, place in zip(its, places, strict=True)})
        return sorted(problems, key=lambda problem: problem.place)


Loader = Callable[[str], Document]


def read_job(document: Document, load: Loader, load_preset: Loader) -> tuple[Job, list[Problem]]:
    """The job of a file, and every problem of its shape, which :func:`~tieline.compile.planner.compile_job` refuses
    together with its own. ``load`` reads a path relative to the file, ``load_preset`` a preset by name.

    Raises InvalidInput where there is no component to look at.
    """
    data = document.data
    if not isinstance(data, Mapping):
        _, issues = validate(Component, data)
        raise InvalidInput(*_place(document, issues))
    kind = _file_kind(document, data)
    if kind == "component":
        job = Job(document, dict(data), {}, (), True, (Layer(document),))
        job = _with_presets(job, data.get("presets"), load_preset)
    else:
        job = _operation(document, data, load, load_preset)
    job = replace(job, remarks=tuple(_remarks(job.component)))
    return job, _check(job)


def _remarks(component: Mapping[str, Any]) -> Iterator[tuple[FieldPath, support.Support]]:
    """Every field of the component that Tieline has something to say about, each kind of field once."""
    seen = set()
    for form, name, value, path in support.walk(Component, component):
        row = support.of(form, name)
        told = row.level is not support.Level.WORKS and value is not False and row.holds_for(value)
        if told and (form, name) not in seen:
            seen.add((form, name))
            yield path, row


def _place(document: Document, issues: list[Issue]) -> list[Problem]:
    told = most_of(issues)
    places = document.places([(issue.path, issue.at_key) for issue in told])
    return [issue.at(place) for issue, place in zip(told, places, strict=True)]


def _file_kind(document: Document, data: Mapping[str, Any]) -> str:
    kind = data.get("kind")
    if kind in ("component", "operation"):
        return str(kind)
    if kind is None:
        plain = {str(key).replace("_", "").lower() for key in data}
        return "operation" if plain & {"component", "pathref", "urlref", "hubref", "dagref"} else "component"
    word = str(kind)
    hint = did_you_mean(word, ("component", "operation"), "a job file is 'kind: component' or 'kind: operation'")
    issue = Issue(("kind",), Code.BAD_VALUE, f"kind {shortened(word)!r} is no job file's", hint)
    raise InvalidInput(*_place(document, [issue]))


def _operation(document: Document, data: Mapping[str, Any], load: Loader, load_preset: Loader) -> Job:
    form, issues = validate(Operation, data, later=is_template)
    issues += _unsupported(Operation, {key: value for key, value in data.items() if key != "component"})
    issues += operation_issues(data)
    given = [key for key in data if str(key).replace("_", "").lower() in {r.replace("_", "") for r in REFERENCES}]
    if len(given) != 1 and not any(issue.code is Code.UNSUPPORTED for issue in issues):
        message = f"{' and '.join(given)} are given" if given else "there is no component"
        issues.append(Issue((), Code.MISSING_KEY, message, "give one of component and pathRef"))
    if issues:
        raise InvalidInput(*_place(document, issues))
    path_ref = next((data[key] for key in ("pathRef", "path_ref") if key in data), None)
    inline = data.get("component")
    if path_ref is None and not isinstance(inline, Mapping):
        _, issues = validate(Component, inline, ("component",))
        raise InvalidInput(*_place(document, issues))
    if path_ref is not None:
        layer = Layer(_referred(document, str(path_ref), load))
        component = layer.document.data
    else:
        layer = Layer(document, ("component",))
        component = data["component"]
    job = Job(
        document,
        copy.deepcopy(dict(component)),
        dict(data.get("params") or {}),
        tuple(form.mount or ()) if form else tuple(data.get("mount") or ()),
        not (form and form.strict_params is False),
        (layer,),
    )
    job = _with_presets(job, component.get("presets"), load_preset)
    job = _with_presets(job, data.get("presets"), load_preset)
    return _patched(job, document, data)


def _referred(document: Document, path: str, load: Loader) -> Document:
    try:
        found = load(path)
    except NotFound as error:
        raise _no_reference(document, Code.FILE_NOT_FOUND, error.problems[0].message) from None
    except InvalidInput as error:
        if error.code is not Code.FILE_UNREADABLE:
            raise
        raise _no_reference(document, error.code, f"{path!r} {error.problems[0].message}") from None
    if not isinstance(found.data, Mapping) or found.data.get("kind", "component") != "component":
        raise _no_reference(document, Code.BAD_VALUE, f"{path!r} is no component")
    return found


def _no_reference(document: Document, code: Code, message: str) -> InvalidInput:
    key = "pathRef" if "pathRef" in document.data else "path_ref"
    issue = Issue((key,), code, message, "pathRef names a component's file, relative to this one")
    return InvalidInput(*_place(document, [issue]))


def _with_presets(job: Job, names: Any, load_preset: Loader) -> Job:
    listed = names if isinstance(names, list) else []
    if len(listed) > MAX_PRESETS:
        issue = Issue(("presets",), Code.TOO_LARGE, f"there are more than {MAX_PRESETS} presets", "merge some")
        raise InvalidInput(*job.problems([issue]))
    for index, name in enumerate(listed):
        if not isinstance(name, str):
            continue  # its shape is judged with all others
        if not PRESET_NAME.fullmatch(name):
            hint = "write the name of a file in the deployment's presets folder, without its suffix"
            issue = Issue(("presets", index), Code.BAD_NAME, f"{name!r} is no preset's name", hint)
            raise InvalidInput(*job.problems([issue]))
        try:
            preset = load_preset(name)
        except NotFound as error:
            raise InvalidInput(*job.problems([
                Issue(("presets", index), Code.FILE_NOT_FOUND, f"there is no preset {name!r}",
                      error.problems[0].hint)
            ])) from None  # fmt: skip
        _, issues = validate(Operation, preset.data, later=is_template)
        issues += operation_issues(preset.data) if isinstance(preset.data, Mapping) else []
        if issues:
            raise InvalidInput(*_place(preset, issues))
        job = _patched(job, preset, preset.data)
    return job


def _patched(job: Job, document: Document, data: Mapping[str, Any]) -> Job:
    """The job with an operation's (or preset's) own fields over the component's."""
    strategy: PatchStrategy = data.get("patchStrategy") or data.get("patch_strategy") or "post_merge"
    patch = {}
    for key, value in data.items():
        plain = str(key).replace("_", "").lower()
        if plain == "runpatch":
            patch["run"] = value
        elif plain in {name.replace("_", "") for name in OVERRIDES} and value is not None:
            patch[key] = value
    run_key = next((key for key in ("runPatch", "run_patch") if key in data), "runPatch")
    layer = Layer(document, (), {"run": run_key})
    return Job(
        job.document,
        merge(job.component, patch, strategy),
        job.params,
        job.mount,
        job.strict_params,
        (layer, *job.layers),
    )


def merge(base: Any, patch: Any, strategy: PatchStrategy) -> Any:
    """``patch`` over ``base``: mappings key by key, lists appended (or prepended); see the format's patchStrategy."""
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        merged = dict(base)
        spelt = {str(key).replace("_", "").lower(): key for key in base}
        for key, value in patch.items():
            own = str(spelt.get(str(key).replace("_", "").lower(), key))
            merged[own] = _merge_key(merged, own, value, strategy)
        return merged
    if isinstance(base, list) and isinstance(patch, list) and strategy != "replace":
        first, second = (base, patch) if strategy == "post_merge" else (patch, base)
        there = {_identity(item) for item in first}
        return base if strategy == "isnull" else [*first, *(item for item in second if _identity(item) not in there)]
    return base if strategy in ("isnull", "pre_merge") and base is not None else patch


def _identity(item: Any) -> str:
    """The same text for the same data: comparing each item with all others would take a long list's square."""
    import json

    return json.dumps(item, sort_keys=True)


def _merge_key(merged: dict[str, Any], key: str, value: Any, strategy: PatchStrategy) -> Any:
    current = merged.get(key)
    if current is None:
        return value
    if strategy == "replace" and key != "run":
        return value
    return merge(current, value, strategy)


def _check(job: Job) -> list[Problem]:
    """Everything that can be said of the merged component before its templates are rendered."""
    issues = run_kind_issues(job.component)
    if not issues:
        _, issues = validate(Component, job.component, later=is_template)
        issues += _unsupported(Component, job.component)
    issues += component_issues(job.component, job.params)
    return job.problems(issues)


def run_kind_issues(component: Mapping[str, Any]) -> list[Issue]:
    """A kind of run that Tieline does not carry out is refused by name, before its own fields are judged."""
    run = component.get("run")
    kind = run.get("kind") if isinstance(run, Mapping) else None
    if isinstance(kind, str) and kind.lower() in support.OTHER_RUNS:
        return [Issue(("run", "kind"), Code.UNSUPPORTED, f"Tieline does not run {kind!r}", "it runs job and service")]
    return []


def _unsupported(form: Any, data: Mapping[str, Any]) -> list[Issue]:
    return [
        Issue(path, Code.UNSUPPORTED, row.message, at_key=True)
        for owner, name, value, path in support.walk(form, data)
        if (row := support.of(owner, name)).level is support.Level.REFUSED and value is not False
    ]
