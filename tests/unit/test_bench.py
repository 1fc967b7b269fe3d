"""The bench: its inputs are what it says, and its verdicts follow from its figures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tieline.compile.catalog import Home, read_catalog
from tieline.compile.jobs import read_job
from tieline.documents.document import Document, parse_document, read_document

BENCH = Path(__file__).parents[2] / "bench"
HOME = Home("/h/artifacts", "/h/claims")


def module(name: str, bench: str = "control") -> ModuleType:
    """A module of a bench, which is no package: it runs as a script."""
    spec = importlib.util.spec_from_file_location(f"bench_{bench}_{name}", BENCH / bench / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


inputs, rows, plot = module("inputs"), module("rows"), module("growth_plot")
printed = module("inputs", "logs")


def no_file(name: str) -> Document:
    raise AssertionError(name)


@pytest.mark.parametrize("count", [0, 1, 25])
def test_a_catalog_has_as_many_connections_as_asked_for_and_no_problem(tmp_path: Path, count: int) -> None:
    document = read_document(inputs.write_catalog(tmp_path / "tieline.yaml", count))
    catalog, warnings = read_catalog(document, HOME, str(tmp_path))
    assert warnings == []
    assert len(catalog.views["default"].connections) == count + 1  # and the artifacts store


def test_both_tools_are_given_the_same_connections(tmp_path: Path) -> None:
    document = read_document(inputs.write_catalog(tmp_path / "tieline.yaml", 30))
    assert json.loads(inputs.as_json(30)) == document.data["connections"]
    assert document.data["artifactsStore"] == inputs.STORE


def test_an_operation_asks_for_five_connections_of_five_kinds() -> None:
    job, problems = read_job(parse_document(inputs.operation(20), "op.yaml"), no_file, no_file)
    assert problems == []
    known = {item["name"]: item["kind"] for item in json.loads(inputs.as_json(30))}
    asked = job.component["run"]["connections"]
    assert len({known[name] for name in asked}) == 5


@pytest.mark.parametrize(("own", "reached"), [([0.9, 1.0, 30.0], True), ([1.1, 1.1, 0.1], False)])
def test_so_many_times_better_than_the_peer_is_judged_by_medians(own: list[float], reached: bool) -> None:
    row = rows.Row("key", "what", "s", times=4)
    found = rows.result(row, {"key": {"tieline": own, "polyaxon": [4.0, 0.1, 5.0]}})
    assert found.reached is reached
    assert found.ratio == pytest.approx(4.0 / sorted(own)[1])


def test_a_limit_is_judged_without_a_peer_and_the_table_says_what_the_peer_does_instead() -> None:
    row = rows.Row("key", "what", "s", under=10)
    found = rows.result(row, {"key": {"tieline": [10.0]}})
    assert (found.reached, found.peer, found.ratio) == (False, None, None)
    head, rule, line = rows.table([found], {"key": "does not start"}).splitlines()
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "what", "10.00 s", "does not start", "–", "under 10 s", "NO",
    ]  # fmt: skip
    assert head.count("|") == rule.count("|") == line.count("|")


def test_a_row_without_a_goal_is_neither_reached_nor_missed() -> None:
    found = rows.result(rows.Row("key", "what", "MiB"), {"key": {"tieline": [40.0]}})
    assert found.reached is None
    assert rows.table([found], {}).splitlines()[-1].count("–") == 4


@pytest.mark.parametrize("end", [0.037, 1.0, 9.4, 378.0, 100_000.0])
def test_the_marks_of_an_axis_are_few_and_reach_beyond_the_end(end: float) -> None:
    marks = plot.marks(end)
    assert marks[0] == 0
    assert marks[-2] < end <= marks[-1]
    assert 3 <= len(marks) <= 7


def test_the_plot_is_an_svg_with_every_point() -> None:
    points = [(1_000.0, 0.4), (100_000.0, 9.0)]
    tree = ElementTree.fromstring(plot.growth_plot(points, points))
    assert len(tree.findall("{http://www.w3.org/2000/svg}circle")) == 2 * len(points)


def test_printed_lines_have_their_length_and_tell_how_they_must_be_saved() -> None:
    secrets = printed.values(100)
    lines = list(printed.lines(30_000, secrets))
    assert {len(line) for line, _ in lines} == {100}
    changed = [(line, saved) for line, saved in lines if line != saved]
    assert len(changed) == 300
    assert all(saved.count(b"***") == 1 for _, saved in changed)
    assert not any(secret.encode() in saved for _, saved in changed for secret in secrets)
    assert printed.values(10) == secrets[:10]
