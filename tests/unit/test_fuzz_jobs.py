"""Any bytes given as a job file end in a plan, or in problems with a place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import VALID, shared_catalog, told, user_of_jobs, valid
from strategies import (
    among,
    any_text,
    damaged,
    good_text,
    in_words,
    mostly,
    nasty_text,
    of_form,
    scratched,
    soup,
    templates,
    values,
)

from tieline.compile.values import ALIASES, CONVERTERS
from tieline.model.job import IO, Component, Init, Operation

CATALOG = shared_catalog()
FILES = ("job.yaml", "service.yaml", "operation.yaml", "reference.yaml")
use_job = user_of_jobs(CATALOG)
names = mostly(good_text, nasty_text)


@pytest.mark.parametrize("name", FILES)
def test_the_valid_files_are_valid(name: str) -> None:
    assert told((VALID / name).read_bytes(), use_job) is None


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a file says: the working folder and Tieline's home stay as they are."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []
    assert list(own_home.iterdir()) == []


@given(st.one_of(st.binary(max_size=200), any_text, soup))
def test_anything(raw: bytes | str) -> None:
    told(raw, use_job)


@given(scratched(among([(VALID / name).read_text() for name in FILES])))
def test_valid_files_with_damaged_bytes(raw: bytes) -> None:
    told(raw, use_job)


@given(damaged(among([valid(name) for name in FILES])).flatmap(in_words))
def test_valid_files_with_damaged_nodes(text: str) -> None:
    told(text, use_job)


@given(of_form(Component, names, 7).flatmap(in_words))
def test_components_made_from_the_forms(text: str) -> None:
    told(text, use_job)


@st.composite
def operations(draw: Any) -> dict[str, Any]:
    """An operation with a component inside."""
    operation = draw(of_form(Operation, names, 5))
    inline = st.one_of(of_form(Component, names, 6), st.just(valid("operation.yaml")["component"]))
    references = {"component", "path_ref", "pathRef", "url_ref", "urlRef"}
    return {
        **{key: value for key, value in operation.items() if key not in references},
        "kind": "operation",
        "component": draw(inline),
        "params": draw(st.dictionaries(st.sampled_from(["lr", "n", "images", "x"]), values, max_size=3)),
    }


@given(operations().flatmap(in_words))
def test_operations_made_from_the_forms(text: str) -> None:
    told(text, use_job)


def job_with(**run: Any) -> dict[str, Any]:
    return {"kind": "component", "run": {"kind": "job", "container": {"command": ["main"]}, **run}}


@given(st.lists(of_form(Init, names, 4), max_size=3).map(lambda init: job_with(init=init)).flatmap(in_words))
def test_init_entries_made_from_the_form(text: str) -> None:
    told(text, use_job)


@st.composite
def inputs(draw: Any) -> dict[str, Any]:
    """A job with inputs of known names, which its arguments use."""
    made = [draw(of_form(IO, names, 3)) | {"name": name} for name in "abc"]
    for io in made:
        io["value"] = draw(values)
        if draw(st.integers(0, 3)):
            io["type"] = draw(mostly(among([*CONVERTERS, *ALIASES]), any_text))
    arguments = ["{{ a }}", "{{ params.b.as_arg }}", "{{ params.as_args }}", "{{ c }}-{{ params.c.as_str }}"]
    return {**job_with(container={"command": ["main"], "args": arguments}), "inputs": made}


@given(
    inputs().flatmap(in_words),
    st.dictionaries(mostly(among("abc"), any_text), st.one_of(any_text, values), max_size=3),
)
def test_inputs_and_the_values_of_a_command_line(text: str, params: dict[str, Any]) -> None:
    told(text, user_of_jobs(CATALOG, params))


@given(st.one_of(any_text, templates), st.sampled_from(["args", "env", "path", "file", "volume", "param", "queue"]))
def test_any_text_in_any_place(word: str, place: str) -> None:
    jobs = {
        "args": {**job_with(), "run": {"kind": "job", "container": {"command": [word], "args": word}}},
        "env": job_with(container={"command": ["a"], "workingDir": word, "env": [{"name": "A", "value": word}]}),
        "path": job_with(init=[{"connection": "data", "path": word, "artifacts": {"files": [word, [word, word]]}}]),
        "file": job_with(init=[{"path": word, "file": {"name": word, "content": word, "chmod": word}}]),
        "volume": job_with(
            volumes=[{"name": "v", "hostPath": {"path": word}}],
            container={"command": ["a"], "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": word}]},
        ),
        "param": {**job_with(), "inputs": [{"name": "lr", "value": word, "validation": {"regex": word}}]},
        "queue": {**job_with(), "queue": word, "tags": [word], "namespace": word},
    }
    told(json.dumps(jobs[place]), use_job)
