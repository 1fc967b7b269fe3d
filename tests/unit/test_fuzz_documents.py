"""Documents: any bytes end in plain data or in one problem with a place, and good YAML means what PyYAML says."""

from __future__ import annotations

import math
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from oracle import told
from strategies import among, any_text, damaged, in_words, scratched, soup, values

from tieline.documents.document import MAX_DEPTH, Document, parse_document
from tieline.errors import TielineError

TRICKY = (
    "a: &x {k: [1, 2]}\nb: {<<: *x, c: 3}\nd: *x\n",
    "- &a [x]\n- *a\n- ? key\n  : value\n",
    "a: |\n  text\n  more\nb: >-\n  folded\n  too\nc: 'it''s'\nd: \"\\u00e9\\n\"\n",
    "%YAML 1.1\n---\na: !!str 1\nb: !!int '2'\nc: !!float 3\nd: ! x\n...\n",
    "{a: [1, {b: 2}], c: {}, d: [], ? e : f}\n",
    "a:\n- 1\n-\n- - 2\n  - 3\nb:\n  c:\n    d: ~\n",
)


def plain(document: Document) -> None:
    """Only plain data, of no more than so many levels; and a place for everything in it."""
    paths = list(_paths(document.data))
    for place in document.places([(path, at_key) for path in paths[:50] for at_key in (False, True)]):
        assert place.line >= 1
        assert place.column >= 1


def _paths(data: Any, at: tuple[Any, ...] = ()) -> Any:
    assert len(at) <= MAX_DEPTH + 1
    assert data is None or type(data) in (str, int, float, bool, list, dict)
    assert "\0" not in data if isinstance(data, str) else True
    yield at
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        assert type(key) in (str, int)
        yield from _paths(value, (*at, key))


@given(st.one_of(st.binary(max_size=300), st.text(max_size=100), any_text, soup, scratched(among(TRICKY))))
def test_any_bytes(raw: bytes | str) -> None:
    told(raw, plain)


@given(damaged(values, 1).flatmap(in_words))
def test_data_comes_back_as_it_was_written(text: str) -> None:
    """Where PyYAML's own reader and this one both read a text, they say the same, but for words that YAML 1.2 reads
    otherwise (dates, base 60, ``1e3``), which PyYAML's base loader tells as their text."""
    try:
        found = parse_document(text, "f.yaml").data
        expected = yaml.load(text, yaml.CBaseLoader)
    except (TielineError, yaml.YAMLError, UnicodeEncodeError):
        return
    assert _same(found, expected), (found, expected)


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return isinstance(found, dict) and list(found) == list(expected) and all(
            _same(found[key], value) for key, value in expected.items()
        )  # fmt: skip
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_same, found, expected))
    if isinstance(found, str):
        return bool(found == expected)
    return not isinstance(found, float) or math.isnan(found) or _number_of(expected) in (found, None)


def _number_of(text: str) -> float | None:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return None
