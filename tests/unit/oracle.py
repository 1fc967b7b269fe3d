"""What must hold of every catalog and job, whatever its bytes are: success, or problems with a message and a place."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import currently_in_test_context, note

from tieline.compile.catalog import Home, read_catalog
from tieline.compile.jobs import read_job
from tieline.compile.planner import Request, check_job, compile_job
from tieline.documents.document import Document, parse_document
from tieline.errors import Code, NotFound, Problem, TielineError
from tieline.kinds import registry
from tieline.model.binding import Binding
from tieline.model.catalog import Catalog
from tieline.model.plan import Identity, Layout, Plan, Traits

VALID = Path(__file__).resolve().parents[1] / "corpus" / "valid"
HOME = Home("/h/artifacts", "/h/claims", "/home/u")
LAYOUT = Layout(
    context_path="/ctx",
    artifacts_path="/ctx/artifacts",
    outputs_path="/ctx/artifacts/u1/outputs",
    work_path="/ctx/cwd",
    binding_root="/ctx/bindings",
    store_path="/srv/artifacts",
    claims={"pvc": "/srv/pvc"},
    claims_root="/h/claims",
)
RUN = Identity(
    uuid="u1", name="n", project="p", namespace="default", kind="job", owner="u", created_at="2026-01-01T00:00:00"
)
LONGEST = 20.0
"""Seconds that one example may take on a busy machine; what never ends is stopped by pytest's own timeout."""
LINE_ENDS = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What ends a line in YAML 1.1."""


def valid(name: str) -> Any:
    """The data of one of the valid files."""
    return parse_document((VALID / name).read_bytes(), name).data


def shared_catalog() -> Catalog:
    """The catalog that jobs are compiled against."""
    return read_catalog(parse_document((VALID / "catalog.yaml").read_bytes(), "tieline.yaml"), HOME, "/srv")[0]


def told(raw: bytes | str, use: Callable[[Document], None], file: str = "f.yaml") -> TielineError | None:
    """Read and use a document; its error, found to be well-told, or None."""
    began = time.monotonic()
    if currently_in_test_context():
        note(repr(raw[:4000]))
    refused: TielineError | None = None
    try:
        use(parse_document(raw, file))
    except TielineError as error:
        refused = error
    assert time.monotonic() - began < LONGEST
    if refused is not None:
        assert refused.problems
        well_told(refused.problems, raw, file)
    return refused


def well_told(problems: tuple[Problem, ...] | list[Problem], raw: bytes | str, file: str) -> None:
    """Every problem has a message that a person can read, and stands somewhere in the text."""
    text = raw if isinstance(raw, str) else raw.decode("utf-8-sig", "replace")
    lines = LINE_ENDS.split(text)
    for problem in problems:
        assert problem.message.strip()
        assert "None" not in problem.message.split() or problem.message.startswith("'")
        assert len(str(problem)) < 10_000
        assert json.dumps(problem.as_json())
        place = problem.place
        if place.file != file:
            continue
        assert 1 <= place.line <= len(lines), problem
        assert 1 <= place.column <= len(lines[place.line - 1]) + 2, (problem, lines[place.line - 1])


def use_catalog(document: Document) -> None:
    """Read a catalog, and ask every kind all that commands ask of it."""
    catalog, warnings = read_catalog(document, HOME, "/srv")
    assert all(problem.warning for problem in warnings)
    well_told(warnings, document.text, document.file)
    for view in catalog.views.values():
        for connection in view:
            kind = registry.get(connection.kind)
            assert kind is not None
            kind.access(connection)
            binding = kind.bind(connection)
            assert Binding.model_validate(json_round_trip(binding.as_json())) == binding


def json_round_trip(data: Any) -> Any:
    text = json.dumps(data)
    text.encode("utf-8")
    return json.loads(text)


def user_of_jobs(catalog: Catalog, params: Mapping[str, Any] | None = None) -> Callable[[Document], None]:
    """Reads a job, checks it without values, and compiles it with them."""

    def use(document: Document) -> None:
        job, known = read_job(document, _load, lambda name: _load(f"presets/{name}.yaml"))
        well_told(known, document.text, document.file)
        service = _is_service(job.component)
        checked = check_job(job, catalog, _request(params, service=service, complete=False), known)
        well_told(checked, document.text, document.file)
        plan, warnings = compile_job(job, catalog, _request(params, service=service, complete=True), known)
        assert all(problem.warning for problem in (*known, *warnings))
        whole(plan)

    return use


def _is_service(component: Mapping[str, Any]) -> bool:
    run = component.get("run")
    return isinstance(run, Mapping) and run.get("kind") == "service"


def _request(params: Mapping[str, Any] | None, *, service: bool, complete: bool) -> Request:
    run = RUN.model_copy(update={"kind": "service"}) if service else RUN
    return Request(run, LAYOUT, Traits(name="process"), params or {}, base="/jobs", complete=complete)


def _load(name: str) -> Document:
    if name not in ("component.yaml", "presets/small.yaml", "job.yaml", "operation.yaml", "catalog.yaml"):
        raise NotFound(Problem(Code.FILE_NOT_FOUND, f"there is no file {name}"))
    return parse_document((VALID / name).read_bytes(), name)


def whole(plan: Plan) -> None:
    """A plan survives being stored, and can be carried out: real text everywhere, no path outside the run's folder."""
    again = Plan.model_validate(json_round_trip(plan.as_json()))
    assert json.dumps(again.as_json()) == json.dumps(plan.as_json())
    programs = [plan.main, *plan.sidecars, *(step.program for step in plan.steps if step.type == "program")]
    for program in programs:
        texts = [*program.command, *program.args, program.working_dir, program.name]
        texts += [part for v in program.env for part in (v.name, v.value.text if v.value.type == "text" else "")]
        assert not any("\0" in text for text in texts)
        assert "/" not in program.name
        assert "\n" not in program.name
    for step in plan.steps:
        path = step.path if step.type != "program" else "/"
        assert path.startswith("/")
        assert ".." not in path.split("/")
        assert "\0" not in path
