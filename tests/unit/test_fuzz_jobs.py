"""Any bytes given as a job file end in a plan, or in problems with a place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import VALID, shared_catalog, told, user_of_jobs, valid
from strategies import any_text, damaged, good_text, in_words, nasty_text, of_form, scratched, soup, templates, values

from tieline.model.job import IO, Component, Init, Operation

CATALOG = shared_catalog()
FILES = ("job.yaml", "service.yaml", "operation.yaml", "reference.yaml")
use_job = user_of_jobs(CATALOG)
names = st.one_of(good_text, good_text, nasty_text)
SMALL = {"kind": "component", "run": {"kind": "job", "container": {"command": ["main"]}}}


@pytest.mark.parametrize("name", FILES)
def test_the_valid_files_are_valid(name: str) -> None:
    assert told((VALID / name).read_bytes(), use_job) is None


@given(st.one_of(st.binary(max_size=200), any_text, soup))
def test_anything(raw: bytes | str) -> None:
    told(raw, use_job)


@given(scratched(st.sampled_from([(VALID / name).read_text() for name in FILES])))
def test_valid_files_with_damaged_bytes(raw: bytes) -> None:
    told(raw, use_job)


@given(damaged(st.sampled_from([valid(name) for name in FILES])).flatmap(in_words))
def test_valid_files_with_damaged_nodes(text: str) -> None:
    told(text, use_job)


@given(of_form(Component, names).flatmap(in_words))
def test_components_made_from_the_forms(text: str) -> None:
    told(text, use_job)


@given(of_form(Operation, names, 3), st.one_of(of_form(Component, names, 4), st.just(SMALL)))
def test_operations_made_from_the_forms(operation: dict[str, Any], component: dict[str, Any]) -> None:
    operation = {key: value for key, value in operation.items() if "ref" not in key.lower()}
    for key in ("matrix", "schedule", "joins", "events", "dependencies", "trigger", "conditions"):
        operation.pop(key, None)
    for text in (in_words({**operation, "kind": "operation", "component": component}),):
        _each(text)


def _each(texts: st.SearchStrategy[str]) -> None:
    raise NotImplementedError
