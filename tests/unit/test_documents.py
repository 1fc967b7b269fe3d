"""Documents: what YAML means here, and that every problem of a file has its place."""

from __future__ import annotations

import pytest

from tieline.documents.document import Document, parse_document, read_document
from tieline.documents.forms import problems_of, validate
from tieline.documents.scalars import plain_value
from tieline.errors import Code, InvalidInput, NotFound
from tieline.model.catalog import DeploymentForm


def refused(text: str | bytes) -> tuple[Code, int, int]:
    with pytest.raises(InvalidInput) as caught:
        parse_document(text, "f.yaml")
    problem = caught.value.problems[0]
    assert problem.place.file == "f.yaml"
    return problem.code, problem.place.line, problem.place.column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("off", False), ("null", None), ("~", None), ("", None), ("12", 12), ("0600", 384),
        ("0o600", 384), ("0x1F", 31), ("1e-3", 0.001), ("1.5", 1.5), (".5", 0.5), ("-2", -2), ("1_000", 1000),
        ("12:30", "12:30"), ("2026-01-31", "2026-01-31"), ("1.2.3", "1.2.3"), ("08", "08"), ("n", "n"),
        ("+", "+"), ("-", "-"), ("9" * 400, "9" * 400), ("0b101", 5), ("True", True), ("nothing", "nothing"),
    ],
)  # fmt: skip
def test_unquoted_words(text: str, value: object) -> None:
    found = plain_value(text)
    assert found == value
    assert type(found) is type(value)


def test_quoted_words_stay_text() -> None:
    assert parse_document("a: 'yes'\nb: \"1\"\nc: !!str 5\nd: |\n  x\n", "f").data == {
        "a": "yes", "b": "1", "c": "5", "d": "x\n",
    }  # fmt: skip


def test_anchors_and_merge_keys() -> None:
    data = parse_document("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\nboth: {<<: [*b, {x: 9, z: 4}]}", "f").data
    assert data["mine"] == {"x": 1, "y": 3}
    assert data["both"] == {"x": 1, "y": 2, "z": 4}


def test_keys_are_always_text() -> None:
    assert parse_document("on: 1\n8080: 2\n", "f").data == {"on": 1, "8080": 2}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\na: 2\n", Code.DUPLICATE_KEY, 2),
        ("a: [1\nb: 2", Code.BAD_SYNTAX, 2),
        ("a:\n\tb: 1", Code.BAD_SYNTAX, 2),
        ("a: *nothing", Code.BAD_SYNTAX, 1),
        ("x: &a [*a]", Code.BAD_SYNTAX, 1),
        ("a: !!python/object/apply:os.system [id]", Code.BAD_SYNTAX, 1),
        ("a: !!timestamp 2026-01-01", Code.BAD_SYNTAX, 1),
        ("a: !!int nope", Code.BAD_SYNTAX, 1),
        ("a: 1\n---\nb: 2", Code.BAD_SYNTAX, 2),
        ("? [a, b]\n: 1", Code.BAD_SYNTAX, 1),
        ("<<: 5", Code.BAD_SYNTAX, 1),
        ("\x00", Code.BAD_SYNTAX, 1),
        ("[" * 5000, Code.TOO_DEEP, 1),
        ("- " * 5000, Code.TOO_DEEP, 1),
        ("{a: " * 5000, Code.TOO_DEEP, 1),
    ],
)
def test_what_cannot_be_read_has_a_place(text: str, code: Code, line: int) -> None:
    found, at, _ = refused(text)
    assert (found, at) == (code, line)


def test_bytes_that_are_not_utf8_are_pointed_at() -> None:
    assert refused(b"a: 1\nb: caf\xe9\n") == (Code.BAD_ENCODING, 2, 7)


def test_a_byte_order_mark_is_no_trouble() -> None:
    assert parse_document("a: 1".encode("utf-8-sig"), "f").data == {"a": 1}


def test_aliases_that_explode_are_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert refused("\n".join(lines))[0] is Code.ALIAS_EXPANSION


def test_places_point_at_values_and_keys() -> None:
    text = "a:\n  - {b: 1}\n  - c: two\n    d: [x,\n        y]\n"
    document = parse_document(text, "f.yaml")
    assert str(document.place(("a", 1, "d", 1))) == "f.yaml:5:9: a[1].d[1]"
    assert str(document.place(("a", 1, "c"), at_key=True)) == "f.yaml:3:5: a[1].c"
    assert document.place(("a", 7, "zz")).line == 2  # the nearest thing that is there


def test_a_missing_file_and_a_folder(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    with pytest.raises(NotFound):
        read_document(folder / "nothing.yaml")
    with pytest.raises(InvalidInput) as caught:
        read_document(folder)
    assert caught.value.code is Code.FILE_UNREADABLE


def test_all_problems_of_a_file_come_at_once_and_in_order() -> None:
    document = parse_document(
        "conections: []\nartifactsStore: [1]\nqueues: {x: {concurrency: a}, y: 3}\n"
        "persistence:\n  repos: {mountPath: x, hostPath: /a, existingClaim: b}\n",
        "t.yaml",
    )
    _, issues = validate(DeploymentForm, document.data)
    told = [str(problem) for problem in problems_of(document, issues)]
    assert told[0] == "t.yaml:1:1: conections: 'conections' is not a known key; did you mean 'connections'?"
    assert [line.split(": ")[0] for line in told] == [
        "t.yaml:1:1", "t.yaml:2:17", "t.yaml:3:27", "t.yaml:3:34", "t.yaml:5:22",
    ]  # fmt: skip


def test_both_spellings_are_read_but_not_together() -> None:
    one: Document = parse_document("notification_connections: []", "f")
    assert validate(DeploymentForm, one.data)[1] == []
    both = parse_document("notification_connections: []\nnotificationConnections: []", "f")
    assert [issue.code for issue in validate(DeploymentForm, both.data)[1]] == [Code.DUPLICATE_KEY]
