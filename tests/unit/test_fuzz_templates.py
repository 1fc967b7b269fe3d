"""Templates: none runs code, none eats the machine, and each ends in a plain value or in a TemplateProblem."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import EATS_MEMORY, RUNS_CODE, TEMPLATES, any_text, templates

from tieline.compile.templates import TemplateProblem, render, undeclared_names
from tieline.errors import Code

NAMES = {
    "lr": 0.1, "n": 3, "xs": [1, 2, [3]], "word": "a-b", "none": None, "flag": True, "deep": {"a": {"b": [1]}},
    "params": {"lr": {"value": 0.1, "as_arg": "--lr=0.1"}, "as_args": ["--lr=0.1"]},
    "globals": {"uuid": "u1", "name": "n"}, "connections": {"data": {"path": "/data"}}, "init": {},
}  # fmt: skip
LONGEST = 10.0
HARMLESS = frozenset({"{{ ''|map('__class__')|list }}"})
BOMBS = Path(__file__).with_name("strategies.py")

names = st.sampled_from([*NAMES, "x", "loop", "self", "range(3)", "dict(a=1)", "'é'", "1e3", "0x10", "[]", "''"])
attributes = st.sampled_from([
    ".value", ".as_arg", "[0]", "['a']", "[-1]", "[:1]", "[::-1]", ".upper()", ".split('-')", ".items()", ".keys()",
    ".__class__", ".format(1)", "|join(',')", "|upper", "|list", "|map('string')", "|sort", "|length", "|first",
    "|sum", "|int", "|float", "|round(2)", "|tojson", "|replace('a', 'b')", "|default(1)", "|select('odd')", "|unique",
    "|groupby('a')", "|dictsort", "|trim", "|basename", "|string", "|attr('real')", "|reverse", "|min", "|e", "()",
    " is defined", " is string", " ** 2", " // 0", " % 3", " ~ 'x'", " * 3", " + [1]", " == 1", " in xs", " if flag",
    " if none else 2", ".get('a')", ".count('a')", ".to_bytes(9)", "|tojson(1)", "|sum('a')", "|batch(2)", "|wordcount",
])  # fmt: skip
expressions = st.tuples(names, st.lists(attributes, max_size=5)).map(lambda parts: parts[0] + "".join(parts[1]))
wrappers = st.sampled_from([
    "{{ %s }}", "a {{ %s }} b", "{%% if %s %%}x{%% endif %%}", "{%% for i in %s %%}{{ i }}{%% endfor %%}",
    "{%% set y = %s %%}{{ y }}", "{%% with y = %s %%}{{ y ~ y }}{%% endwith %%}", "{{ [%s] }}", "{{ {'k': %s} }}",
    "{%% set y %%}%s{%% endset %%}{{ y }}", "{%% filter upper %%}{{ %s }}{%% endfilter %%}", "{{ (%s) ~ (lr) }}",
])  # fmt: skip
PIECES = (
    "{{", "}}", "{%", "%}", "{#", "#}", "a", " ", "'", "(", "[", "|", ".", "-", "if", "for", "in", "end", "\n", "\\",
    "raw",
)  # fmt: skip
made = st.tuples(wrappers, expressions).map(lambda parts: parts[0] % parts[1])


def outcome(text: str) -> Any:
    """The value, which is plain data; or the problem, which says something."""
    began = time.monotonic()
    value = render_or_problem(text, NAMES)
    assert time.monotonic() - began < LONGEST
    if isinstance(value, TemplateProblem):
        assert value.message.strip()
    else:
        json.dumps(value).encode()
    return value


def render_or_problem(text: str, names: dict[str, Any]) -> Any:
    try:
        undeclared_names(text)
        return render(text, names)
    except TemplateProblem as problem:
        return problem


@given(st.one_of(made, made, templates, any_text, st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_a_template_becomes_a_plain_value_or_is_refused(text: str) -> None:
    outcome(text)


@pytest.mark.parametrize("text", [text for text in RUNS_CODE if text not in HARMLESS])
def test_no_template_runs_code(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(outcome(text), TemplateProblem)
    assert list(tmp_path.iterdir()) == []


def test_no_template_eats_the_memory() -> None:
    """In a process that may have 400 MB; what would take more ends it."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2)\n"
        f"sys.path.insert(0, {str(BOMBS.parent)!r})\n"
        "from test_fuzz_templates import *\n"
        "for text in EATS_MEMORY:\n"
        "    problem = outcome(text)\n"
        "    assert isinstance(problem, TemplateProblem), text[:80]\n"
        "    assert 'MemoryError' not in problem.message, text[:80]\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert EATS_MEMORY


@pytest.mark.parametrize(
    "code",
    [
        "{{ [" + "n," * 50_000 + "] }}",
        "{{ n }}{{ n + 1 }}" * 5_000,
        "{{ n + " + "1 + " * 50_000,
        "{% set a = n %}" * 5_000,
        "{{ '" + "x" * 50_000 + "' }}",
    ],
)
def test_a_template_is_no_program(code: str) -> None:
    problem = outcome(code)
    assert isinstance(problem, TemplateProblem)
    assert problem.code is Code.TOO_LARGE


def test_a_name_often_enough_makes_too_much() -> None:
    problem = render_or_problem("{{ long }}{{ long }}" * 500, {"long": "x" * 1_000_000})
    assert isinstance(problem, TemplateProblem)


def test_text_around_a_template_may_be_long() -> None:
    assert outcome("x" * 1_000_000 + "{{ n }}") == "x" * 1_000_000 + "3"


def test_what_templates_are_for_still_works() -> None:
    assert [
        outcome(text)
        for text in (
            "{{ '%03d' % n }}", "{{ xs | map('string') | join(' ') }}", "{{ word.split('-') }}",
            "{{ range(3) | list }}",
            "{% for x in xs %}{{ loop.index }}{% if not loop.last %},{% endif %}{% endfor %}", "{{ '-' * 3 }}",
            "{{ {'a': xs} | tojson }}", "{{ deep.a.b | sum }}", "{{ lr | round(1) }}", "{{ 2 ** 10 }}",
            "{{ dict(a=1) }}", "{{ word | replace('-', '_') }}", "{{ '/a/b' | basename }}", "{{ n if flag else 0 }}",
        )
    ] == [
        "003", "1 2 [3]", ["a", "b"], [0, 1, 2], "1,2,3", "---", '{"a": [1, 2, [3]]}', 1, 0.1, 1024, {"a": 1}, "a_b",
        "b", 3,
    ]  # fmt: skip


def test_all_templates_that_are_shared_end_somehow() -> None:
    for text in TEMPLATES:
        outcome(text)
