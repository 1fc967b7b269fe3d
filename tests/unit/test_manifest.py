"""The manifest's form: whatever the names are, what is written is what is read; what is spoiled is refused."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.steps.manifest import Entry, Manifest, lines, parsed

NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name).map(os.fsdecode)
MOMENT = 1_600_000_000_123_456_000
ENTRIES = st.builds(
    Entry,
    path=NAMES.map(lambda name: f"outputs/{name}"),
    size=st.integers(0, 2**60),
    sha256=st.none() | st.just("ab" * 32),
    mtime_ns=st.integers(-(10**18), 4 * 10**18),
    saved_ns=st.integers(0, 2**60).map(lambda moment: moment // 1000 * 1000),
)


@given(st.lists(ENTRIES, unique_by=lambda entry: entry.path), st.booleans())
def test_what_is_written_is_what_is_read(entries: list[Entry], complete: bool) -> None:
    manifest = Manifest(complete, MOMENT, {entry.path: entry for entry in entries})
    data = b"".join(lines(manifest))
    assert parsed(data.splitlines(keepends=True)) == manifest
    for line in data.decode("utf-8").splitlines():  # strictly: any program can read it
        json.loads(line)


def test_many_files_are_written_in_pieces() -> None:
    entries = {f"outputs/{n}": Entry(f"outputs/{n}", n, None, n, MOMENT) for n in range(10_000)}
    pieces = list(lines(Manifest(True, MOMENT, entries)))
    assert max(map(len, pieces)) < 500_000
    assert len(parsed(b"".join(pieces).splitlines(keepends=True)).entries) == 10_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: b"", "Expecting value"),
        (lambda data: b"[]\n", "has not the form 1"),
        (lambda data: data.replace(b'"tielineManifest":1', b'"tielineManifest":2'), "has not the form 1"),
        (lambda data: data[: data.rindex(b"{")], "1 entries, and says 2"),
        (lambda data: data.replace(b'"size"', b'"sise"'), "a line is no entry"),
        (lambda data: data[:-20] + b"\n", "Unterminated|Expecting|Invalid"),
    ],
)
def test_what_is_spoiled_is_refused(change: object, told: str) -> None:
    entries = [Entry(f"outputs/{name}", 1, "ab" * 32, 1, MOMENT) for name in "ab"]
    data = b"".join(lines(Manifest(True, MOMENT, {entry.path: entry for entry in entries})))
    with pytest.raises(ValueError, match=told):
        parsed(change(data).splitlines(keepends=True))  # type: ignore[operator]
