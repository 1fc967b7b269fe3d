"""Templates: native values, errors that name the name, and a sandbox that holds."""

from __future__ import annotations

import time

import pytest

from tieline.compile.templates import TemplateProblem, render, undeclared_names
from tieline.errors import Code

NAMES = {"lr": 0.1, "n": 3, "xs": [1, 2], "none": None, "params": {"lr": {"value": 0.1, "as_arg": "--lr=0.1"}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ lr }}", 0.1),
        ("--lr={{ lr }}", "--lr=0.1"),
        ("{{ params.lr.as_arg }}", "--lr=0.1"),
        ("{{ params['lr'].value }}", 0.1),
        ("{{ n * 2 }}", 6),
        ("{{ n }}{{ n }}", "33"),
        ("{{ xs }}", [1, 2]),
        ("{{ none }}", None),
        ("{{ n > 2 }}", True),
        ("{% if n > 2 %}yes{% endif %}", "yes"),
        ("{{ xs | join(',') }}", "1,2"),
        ("{{ 'a-b' | replace('-', '_') }}", "a_b"),
        ("{# nothing #}x", "x"),
    ],
)
def test_values(text: str, value: object) -> None:
    assert render(text, NAMES) == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{{ lrr }}", Code.UNDEFINED_NAME),
        ("{{ params.rate.value }}", Code.UNDEFINED_NAME),
        ("{{ unclosed", Code.BAD_TEMPLATE),
        ("{{ 1 / 0 }}", Code.BAD_TEMPLATE),
        ("{{ ''.__class__.__mro__ }}", Code.BAD_TEMPLATE),
        ("{{ xs.append(3) }}", Code.BAD_TEMPLATE),
        ("{{ cycler.__init__.__globals__ }}", Code.BAD_TEMPLATE),
        ("{% include '/etc/passwd' %}", Code.BAD_TEMPLATE),
        ("{% import 'os' as os %}{{ os }}", Code.BAD_TEMPLATE),
        ("{{ range }}", Code.BAD_TEMPLATE),
    ],
)
def test_refusals(text: str, code: Code) -> None:
    with pytest.raises(TemplateProblem) as caught:
        render(text, NAMES)
    assert caught.value.code is code


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 999999999 }}",
        "{{ [1] * 999999999 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%099999999d' % 3 }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ 'a'.ljust(999999999) }}",
        "{{ range(999999999) | list }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ ('a' * 9999) | replace('a', 'b' * 9999) }}",
        "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    ],
)
def test_a_template_cannot_eat_the_machine(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(TemplateProblem):
        render(text, NAMES)
    assert time.monotonic() - began < 20  # not a speed test: without the limits these never end


def test_an_undefined_name_suggests_the_nearest() -> None:
    with pytest.raises(TemplateProblem) as caught:
        render("{{ parms }}", NAMES)
    assert "did you mean 'params'?" in caught.value.hint


def test_names_are_known_before_values_are() -> None:
    assert undeclared_names("{{ true }} {{ none }}") == set()
    assert undeclared_names("{{ a.b }} {{ c | upper }} {% for d in e %}{{ d }}{% endfor %}") == {"a", "c", "e"}
