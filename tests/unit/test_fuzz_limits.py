"""Large and repetitive files: time and memory grow with the file, never with its square, and never beyond it.

Each limit is generous (a machine may be busy), and far below what the square of the size would take.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from oracle import shared_catalog, told, use_catalog, user_of_jobs

from tieline.documents.document import parse_document
from tieline.documents.forms import MANY
from tieline.errors import Code, TielineError, nearest

LARGE = 50_000 if os.environ.get("TIELINE_SOAK") else 3_000
use_job = user_of_jobs(shared_catalog())


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def lines(text: str, number: int = LARGE) -> str:
    return "".join(text.replace("#", str(index)) + "\n" for index in range(number))


def refused(text: str | bytes, use: Callable[..., None], seconds: float = LARGE / 500) -> TielineError:
    with within(seconds):
        error = told(text, use)
    assert error is not None
    assert len(error.problems) <= 4 * MANY
    return error


REDIS = "kind: redis, schema: {host: h}"
MANY_TIMES = ", ".join(["{name: A, value: b}"] * LARGE)
CATALOGS = {
    "every connection with a misspelt key": "connections:\n" + lines(f"- {{name: a#, {REDIS}, tgas: [a]}}"),
    "every connection with a key of its own": "connections:\n" + lines(f"- {{name: a#, {REDIS}, tgas#: [a]}}"),
    "every connection of an unknown kind": "connections:\n" + lines("- {name: a#, kind: redsi#}"),
    "every connection of one name": "connections:\n" + lines(f"- {{name: a, {REDIS}}}"),
    "every second connection of one label": "connections:\n"
    + lines(f"- {{name: a-#, {REDIS}}}\n- {{name: a_#, {REDIS}}}"),
    "every name inherited is misspelt": "connections:\n"
    + lines(f"- {{name: team-data-#, {REDIS}}}")
    + "namespaces:\n  a:\n    inherit:\n"
    + lines("    - team-dta-#", 2000),
    "unknown keys at the top": lines("key#: 1"),
    "wrong names of queues": "queues:\n" + lines("  Q#: {concurrency: 1}"),
    "wrong items": "connections:\n" + lines("- #"),
    "a variable many times": f"connections:\n- {{name: a, {REDIS}, env: [{MANY_TIMES}]}}\n",
    "unknown keys of one connection": "connections:\n- name: a\n  kind: redis\n" + lines("  key#: 1"),
    "wrong types in a list": f"connections:\n- {{name: a, {REDIS}, tags: [" + "1, " * LARGE + "]}\n",
}
RUN = "kind: component\nrun:\n  kind: job\n"
JOB = f"{RUN}  container: {{command: [a]}}\n"
ARGS = f"{RUN}  container:\n    command: [a]\n    args:\n"
VALUES, OPTIONS = ", ".join(map(str, range(LARGE))), ", ".join(str(-number) for number in range(LARGE))
JOBS = {
    "unknown connections": f"{JOB}  connections:\n" + lines("  - team-data-#"),
    "undefined names": ARGS + lines('    - "{{ nmae# }}"'),
    "undefined names in expressions": ARGS + lines('    - "{{ nmae# + 1 }}"'),
    "templates": ARGS + lines('    - "{{ globals.uuid }}#"', 5_001),
    "unknown keys": JOB + lines("  key#: 1"),
    "inputs": "inputs:\n" + lines("- {name: a#, value: '{{ a0 }}'}") + JOB,
    "params": f"kind: operation\ncomponent: {{{'run: {kind: job, container: {command: [a]}}'}}}\nparams:\n"
    + lines("  a#: 1"),
    "names of containers": f"{JOB}  sidecars:\n" + lines("  - {name: a, command: [b]}"),
    "wrong init entries": f"{JOB}  init:\n" + lines("  - {file: {content: a}}"),
    "presets": "presets:\n" + lines("- small") + JOB,
    "options": f"inputs:\n- {{name: a, isList: true, type: int, value: [{VALUES}], options: [{OPTIONS}]}}\n{JOB}",
}


@pytest.mark.parametrize("text", CATALOGS.values(), ids=list(CATALOGS))
def test_a_catalog_with_everything_wrong(text: str) -> None:
    refused(text, use_catalog)


@pytest.mark.parametrize("text", JOBS.values(), ids=list(JOBS))
def test_a_job_with_everything_wrong(text: str) -> None:
    refused(text, use_job)


def test_warnings_of_a_large_catalog() -> None:
    text = "connections:\n" + lines("- {name: a#, kind: redis, schema: {host: h, prot: 1}}", LARGE // 4)
    with within(20):
        assert told(text, use_catalog) is None


HUGE = "x" * 10_000_000


@pytest.mark.parametrize(
    "text", [f"presets: {HUGE}", f"{HUGE}: 1", f"connections: [{{name: {HUGE}, kind: {HUGE}}}]", f"# {HUGE}"],
    ids=["value", "key", "name and kind", "comment"],
)  # fmt: skip
def test_large_scalars_of_a_catalog(text: str) -> None:
    with within(20):
        told(text, use_catalog)


@pytest.mark.parametrize(
    "text", [f"{RUN}  container: {{command: [{HUGE}]}}", f"kind: {HUGE}", f"name: {HUGE}\n{JOB}", f"pathRef: {HUGE}"],
    ids=["argument", "kind", "name", "pathRef"],
)  # fmt: skip
def test_large_scalars_of_a_job(text: str) -> None:
    with within(20):
        told(text, use_job)


def test_many_keys() -> None:
    with within(20):
        assert len(parse_document(lines("key#: value", 100_000), "f").data) == 100_000


@pytest.mark.parametrize(
    "text",
    [
        "a: &a " + "x" * 100_000 + "\nb:\n" + "- *a\n" * 5_000,
        "a: &a [" + "x" * 100_000 + "]\nb:\n" + "- *a\n" * 5_000,
        "a: &a {k: " + "x" * 100_000 + "}\nb:\n" + "- {<<: *a}\n" * 5_000,
        "a: &a [" + "x, " * 2_000 + "]\nb:\n" + "- *a\n" * 5_000,
        "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}\n" for n in range(1, 2_000)),
    ],
    ids=["one text", "a text in a list", "a text in a merged mapping", "a list", "a chain of merges"],
)  # fmt: skip
def test_aliases_that_repeat_much(text: str) -> None:
    assert refused(text, use_catalog).code is Code.ALIAS_EXPANSION


def test_a_list_that_holds_the_one_before_it_twice() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    assert refused(text, use_catalog).code in (Code.ALIAS_EXPANSION, Code.TOO_DEEP)


@pytest.mark.parametrize(
    "piece", ["[", "{a: ", "- ", "? ", "!!x ", "&a ", "'", "a: ", "|\n ", "\t", "<<: ", "*a ", "#", "%", "\n "]
)
def test_one_thing_very_often(piece: str) -> None:
    refused_or_not(piece * 100_000)


def refused_or_not(text: str) -> None:
    with within(20):
        told(text, use_catalog)


def test_a_typo_in_a_large_catalog_costs_little() -> None:
    known = {f"team-{index % 97}-data-{index}": None for index in range(100_000)}
    with within(2):
        for word in ["team-5-dta-5", "team-5-data5", "tean-5-data-5", "nothing", "x" * 1_000_000] * 4:
            nearest(word, known)
    assert nearest("team-5-dta-5", known) == "team-5-data-5"
    assert nearest("team-5-data_5", known) == "team-5-data-5"
    assert nearest("team_5_data_5", list(known)) == "team-5-data-5"


@pytest.mark.parametrize("kind", ["https://h/", "s3://bucket/", "/", "a:", "ssh://h/", "git@h:", "[::", "postgres://h"])
def test_long_addresses(kind: str) -> None:
    """The expressions for addresses may take the square of a text's length."""
    for piece in ("a:", "/", "../", "[::", "?password", "@", "-", "a."):
        text = f'"{kind}{piece * (50_000 // len(piece))}"'
        fields: list[dict[str, Any] | str] = [
            f"{{name: a, kind: git, schema: {{url: {text}, caBundle: {text}, proxy: {text}}}}}",
            f"{{name: b, kind: s3, schema: {{bucket: {text}, endpoint: {text}}}}}",
            f"{{name: c, kind: postgres, schema: {{uri: {text}}}}}",
            f"{{name: d, kind: host_path, schema: {{hostPath: {text}, mountPath: {text}, subPath: {text}}}}}",
        ]
        refused("connections: [" + ", ".join(map(str, fields)) + "]", use_catalog)
