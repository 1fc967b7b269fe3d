"""What hypothesis feeds the two files with: bytes, text, soup, structured documents, and valid ones that were damaged.

Structured documents are drawn by walking the typed forms themselves, so a new field is fuzzed from the day it exists.
"""

from __future__ import annotations

import copy
import json
import types
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from hypothesis import strategies as st
from pydantic import BaseModel

from tieline.compile import support
from tieline.kinds import registry
from tieline.kinds.base import Kind
from tieline.model import container, job

Draw = Callable[..., Any]

NASTY_TEXT = (
    "", " ", "\0", "a\0b", "\n", "a\nb", "\r\n", "\t", "-", "--", "-rf", "--upload-pack=touch x", "..", ".", "/", "//",
    "../../etc/passwd", "/etc/passwd", "a/../../b", "./..", "a\n/../../b", "~/x", "C:\\x", "/dev/zero",
    "a; touch x", "$(touch x)", "`touch x`", "a && b", "a | b", "'", '"', "\\", "$HOME", "%s%n", "*", "?", "!", "&a",
    "*a", "<<", "#", "@", "|", ">", "{", "}", "[", "]", ":", "a:", ": a", "null", "~", "yes", "NaN", ".inf", "1e999",
    "0x" + "f" * 290, "9" * 299, "9" * 5000, "-" + "9" * 5000, "1_0", "0b1", "0o8", "1:30", "2026-02-30",
    "\u202egnp.exe", "\u200b", "\ufeff", "\u2028", "\x85", "\x7f", "e\u0301", "👩‍👩‍👧‍👦", "ſ", "İ", "Ⅷ", "٣", "²",
    "\ud800", "x" * 300, "x" * 5000, "__proto__", "__class__", "constructor", "[key]", "schema", "kind", "<<: *a",
    "ext::sh -c touch% x", "https://u:p@h/x", "ssh://-oProxyCommand=x/y", "file:///x", "git@h:x", "s3://../x",
    "jdbc:x://h:" + "9" * 5000, "postgres://h:" + "9" * 5000 + "/x", "ssh://h:" + "9" * 5000 + "/x", "http://[::1",
    "[email protected]", "%2e%2e%2f", "a=b", "a:b", "a,b", "+x", "0755", "u+rwx,go-w", "u=", "{{", "}}", "{% %}", "{#",
)  # fmt: skip
GOOD_NAMES = ("data", "code", "key", "db", "one", "two", "bucket", "team", "mine", "lr", "n", "xs", "main", "prep")
GOOD_TEXT = (
    "/data", "/srv/x", "a/b", "in.csv", "https://h.example/x", "https://git.example/org/code", "main", "v1", "redis",
    "s3://bucket-one/p", "5432", "10m", "0600", "true", "s3", "git", "host_path", "volume_claim", "custom", "slack",
    "int", "float", "str", "list", "bool", "dict", "uuid", "date", "artifacts", "python", "echo", "Always", "done",
)  # fmt: skip
RUNS_CODE = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}",
    "{{ lipsum.__globals__['os'].popen('touch pwned').read() }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch pwned') }}",
    "{{ ''|attr('__class__')|attr('__mro__') }}",
    "{{ ''['__cl' ~ 'ass__'] }}",
    "{{ request.application.__globals__ }}",
    "{{ config.items() }}",
    "{{ globals.__class__ }}",
    "{{ params.__init__.__globals__ }}",
    "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
    "{% set x = ''.format.__globals__ %}{{ x }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ ''|map('__class__')|list }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{{ dict(a=1).__class__.__mro__ }}",
    "{{ (lr|string).encode.__self__ }}",
    "{{ connections.items.__globals__ }}",
    "{{ ['touch pwned']|map('system') }}",
    "{{ (1).__add__.__objclass__ }}",
    "{{ range.__class__('x', (), {}) }}",
)
EATS_MEMORY = (
    "{{ 'a' * 10 ** 9 }}",
    "{{ range(10 ** 9)|list }}",
    "{{ [1]|batch(1000000000, 0)|list }}",
    "{{ 1|round(1000000000, 'ceil') }}",
    "{{ range(99999)|join('x' * 600000) }}",
    "{{ (1).to_bytes(1000000000, 'big') }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%(a)1000000000d' % {'a': 1} }}",
    "{{ [1]|tojson(indent=1000000000) }}",
    "{{ [[[[1] * 1000] * 1000] * 1000]|string }}",
    "{% set a = 'x' * 100000 %}" + "{% set a = a ~ a %}" * 30 + "{{ a }}",
    "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
    "{% for i in range(9999) %}{{ 'x' * 100000 }}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "{% for x in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "{{ range(99999)|map('replace', '', 'x' * 600000)|list }}",
    "{{ (10 ** 999) // 3 * 10 ** 999 }}",
    "{{ " + "9" * 5000 + " }}",
    "{{ 0x" + "f" * 5000 + " }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{{ " + "[" * 150 + "]" * 150 + " }}",
    "{{ " + "1+" * 5000 + "1 }}",
    "{{ 1" + "|abs" * 5000 + " }}",
    "{% if 1 %}" * 150 + "{% endif %}" * 150,
    "{{ x" + ".a" * 5000 + " }}",
)
TEMPLATES = (
    "{{ lr }}", "{{ n * 2 }}", "{{ xs }}", "{{ params.lr.value }}", "{{ params.lr.as_arg }}", "{{ params.as_args }}",
    "{{ globals.uuid }}/{{ globals.name }}", "{{ connections['data'].path }}", "{{ connections.one.bucket }}",
    "{{ init['code'].path }}", "{{ init.data.path }}/x", "{% if lr > 0 %}a{% else %}b{% endif %}",
    "{% for x in xs %}{{ x }},{% endfor %}", "{{ xs | join(',') }}", "{{ lr | round(1) }}", "{# c #}x", "{{ none }}",
    "{{ '' }}", "{{ [] }}", "{{ {} }}", "{{ {'a': [1, {'b': none}]} }}", "{{ 'a' ~ lr }}", "{{ '\\ud800' }}",
    "{{ '\\x00' }}", "{{ '../..' }}", "{{ 1e999 }}", "{{ -1e999 + 1e999 }}", "{{ 10 ** 400 }}", "{{ 1 / 0 }}",
    "{{ undefined_name }}", "{{ lrr }}", "{{", "{{ }}", "{{ lr", "{% if %}", "{% endfor %}", "{{ lr }} {{", "}}", "{#",
    "{{ lr | nofilter }}", "{{ lr is notest }}", "{{ lr() }}", "{{ params['x'] }}", "{{ range }}", "{{ dict }}",
    "{{ loop }}", "{{ self }}", "{{ 'é' | upper }}", "{{ 'a\nb' }}", "{% raw %}{{ lr }}{% endraw %}",
    "{{ (-1) ** 0.5 }}",
    "{{ xs | map('string') }}", "{{ '{{ lr }}' }}", "{{ '%d%%' % n }}", "{{ '\\q' }}", *RUNS_CODE, *EATS_MEMORY,
)  # fmt: skip


def among(items: Sequence[Any]) -> st.SearchStrategy[Any]:
    """One of these. Unlike ``sampled_from`` it is not told with all of them whenever hypothesis names a strategy."""
    return st.integers(0, len(items) - 1).map(items.__getitem__)


nasty_text = among(NASTY_TEXT)
templates = st.one_of(among(TEMPLATES), st.tuples(among(TEMPLATES), among(TEMPLATES)).map("-".join))
any_text = st.one_of(
    nasty_text, templates, st.text(max_size=20), st.text(st.characters(max_codepoint=0x10FFFF), max_size=8)
)
words = st.one_of(st.deferred(lambda: good_text), any_text)
good_text = among((*GOOD_NAMES, *GOOD_TEXT))
numbers = st.one_of(
    st.integers(-3, 40), st.integers(), st.floats(),
    st.sampled_from([2**63, -(2**63) - 1, 10**299, 16**290, 1e308, -0.0, 5e-324, 65536, 0o777, 0o1000]),
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), numbers, good_text, any_text)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)


def in_words(data: Any) -> st.SearchStrategy[str]:
    """The same data as YAML's blocks, YAML's flow, or JSON."""
    return st.sampled_from([_block, _flow, _json]).map(lambda write: write(data))


def _block(data: Any) -> str:
    return _yaml(data, flow=False)


def _flow(data: Any) -> str:
    return _yaml(data, flow=True)


def _yaml(data: Any, *, flow: bool) -> str:
    try:
        return yaml.dump(
            data, Dumper=yaml.CSafeDumper, default_flow_style=flow, allow_unicode=True, sort_keys=False, width=10**6
        )  # fmt: skip
    except (UnicodeEncodeError, yaml.YAMLError):  # a lone surrogate is no YAML; JSON has a word for it
        return _json(data)


def _json(data: Any) -> str:
    return json.dumps(data, indent=1)


def mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Right so often that most documents get as far as the later stages (hypothesis likes 0 too much to ask for it)."""
    return st.integers(0, 49).flatmap(lambda number: wrong if number == 37 else right)


CONNECTIONS = among(("data", "claim", "code", "key", "db", "one", "two", "bucket", "warehouse", "own", "artifacts"))
CHANNELS = among(("team", "mail"))
NAMED = {
    "connection": CONNECTIONS, "connections": st.lists(CONNECTIONS, max_size=3), "queue": st.just("gpu"),
    "notifications": st.lists(st.fixed_dictionaries({"connections": st.lists(CHANNELS, max_size=2)}), max_size=2),
    "hooks": st.lists(st.fixed_dictionaries({"connection": CHANNELS}), max_size=2), "presets": st.just(["small"]),
}  # fmt: skip
"""Fields of a job that name something of the catalog: mostly something that is there."""


GLOBALS = among((
    "{{ globals.uuid }}", "{{ globals.name }}-x", "{{ globals.run_outputs_path }}/a", "x{{ globals.name | upper }}",
    "{% if globals.uuid %}a{% endif %}", "{{ [globals.name, 1] | join('-') }}", "{{ globals.artifacts_path }}",
))  # fmt: skip
"""Templates that any job may have."""


def of_annotation(
    annotation: Any, known: st.SearchStrategy[str], depth: int, rules: Sequence[Any] = ()
) -> st.SearchStrategy[Any]:
    """Values that a field with this annotation may have (as far as its type says)."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return of_form(annotation, known, depth - 1) if depth > 0 else st.just({})
    if origin in (Union, types.UnionType):
        return st.one_of([of_annotation(item, known, depth) for item in arguments if item is not type(None)])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(of_annotation(arguments[0], known, depth), max_size=3)
    if origin is dict:
        return st.dictionaries(known, of_annotation(arguments[1], known, depth), max_size=3)
    if hasattr(annotation, "__metadata__"):
        return of_annotation(arguments[0], known, depth, annotation.__metadata__)
    plain = {str: _text(known, rules), int: st.integers(-1, 70), float: st.floats(), bool: st.booleans()}
    return plain.get(annotation, values)


def _text(known: st.SearchStrategy[str], rules: Sequence[Any]) -> st.SearchStrategy[str]:
    """Text for a field: where it has to match something, mostly text that does."""
    deeper = [inner for rule in rules for inner in getattr(rule, "metadata", ())]
    for rule in (*rules, *deeper):
        if isinstance(pattern := getattr(rule, "pattern", None), str):
            return mostly(st.from_regex(pattern, fullmatch=True), known)
    return mostly(st.one_of(known, known, known, GLOBALS), templates)


@st.composite
def of_form(draw: Draw, form: type[BaseModel], known: st.SearchStrategy[str], depth: int = 5) -> dict[str, Any]:
    """Data for a form: what it requires, some of what it allows, in either spelling; now and then something wrong."""
    data: dict[str, Any] = {}
    fields = form.model_fields
    carried_out = sorted(name for name in fields if support.of(form, name).level is not support.Level.REFUSED)
    chosen = draw(st.sets(mostly(among(carried_out), among(sorted(fields))), max_size=5)) if carried_out else set()
    for name, info in fields.items():
        if name in chosen or info.is_required() or (form is container.Container and name == "command"):
            spelt = draw(st.sampled_from([info.alias or name, info.alias or name, name]))
            right = of_annotation(info.annotation, known, depth, info.metadata)
            if name in NAMED and form.__module__ == job.__name__:
                right = mostly(NAMED[name], right)
            data[spelt] = draw(mostly(right, values))
    if draw(st.integers(0, 49)) == 37:
        data[draw(any_text)] = draw(values)
    return data


def _paths(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(path for key, value in inner for path in _paths(value, (*at, key)))]


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


@st.composite
def damaged(draw: Draw, examples: st.SearchStrategy[Any], most: int = 3) -> Any:
    """A valid document with some nodes deleted, doubled, replaced, moved or renamed."""
    data = copy.deepcopy(draw(examples))
    for _ in range(draw(st.integers(0, most))):
        path = draw(among(_paths(data)))
        if not path:
            continue
        parent, key = _at(data, path[:-1]), path[-1]
        match draw(st.sampled_from(["delete", "double", "replace", "replace", "template", "move", "rename"])):
            case "delete":
                del parent[key]
            case "double" if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case "move":
                parent[key] = copy.deepcopy(_at(data, draw(among(_paths(data)))))
            case "rename" if isinstance(parent, dict):
                parent[draw(st.one_of(any_text, st.just(str(key) + "x")))] = parent.pop(key)
            case "template":
                parent[key] = draw(templates)
            case _:
                parent[key] = draw(values)
    return data


SOUP = (
    "\n", "\n  ", "\n    ", "\n\t", "- ", "? ", ": ", ":", "[", "]", "{", "}", ",", "#", "&a ", "*a", "!!str ", "!x ",
    "!!python/object/apply:os.system ", "!!binary ", "|", ">", "|2-\n", "%YAML 1.1\n", "---\n", "...\n", "'", '"', "\\",
    "<<: ", "<<: *a", "<<: [*a, *a]", "&b [*b]", "key", "key: ", "kind: component\n", "run:\n", "connections:\n", "\r",
    "\x85", "\u2028", "\ufeff", "\0", "\x1b[31m", "1", "0x", "~", "\U0001f40d", "\ud800",
)  # fmt: skip
soup = st.lists(among(SOUP), max_size=40).map("".join)


@st.composite
def scratched(draw: Draw, texts: st.SearchStrategy[str]) -> bytes:
    """A text with some of its bytes changed, lost or doubled, and with soup in it."""
    raw = draw(texts).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        end = min(len(raw), at + draw(st.integers(0, 12)))
        piece = draw(st.one_of(st.binary(max_size=3), among(SOUP).map(_bytes), st.just(raw[at:end] * 2)))
        raw = raw[:at] + piece + raw[end:]
    return raw


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def all_kinds() -> list[Kind]:
    """The built-in kinds; not what else is installed."""
    return [kind for module in registry._MODULES for name in registry.kinds_of(module) if (kind := registry.get(name))]
