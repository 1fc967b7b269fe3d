"""The rules of docs/architecture.md that a reading of the source can hold; who may import whom is in .importlinter."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.errors import Code
from tieline.kinds import pages, registry

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "tieline"
MODULES = sorted(SOURCE.rglob("*.py"))

MAX_MODULE = 400
MAX_FUNCTION = 50
LONGER: dict[str, str] = {}
"""Modules (``room/module.py``) and functions (``room/module.py:function``) that may be longer, and why."""

PURE_ROOMS = ("model", "kinds", "compile")
IMPURE_CALLS = frozenset({
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "exists", "is_file", "is_dir", "stat", "mkdir",
    "unlink", "rmdir", "iterdir", "glob", "rglob", "listdir", "scandir", "getenv", "expanduser", "resolve", "realpath",
    "cwd", "getcwd", "now", "today", "utcnow", "uuid1", "uuid4", "urlopen", "print", "input",
})  # fmt: skip
IMPURE_NAMES = frozenset({"environ", "stdin", "stdout", "stderr"})
ALSO_PROTOCOLS = frozenset({"git", "ssh", "http", "grpc", "ftp", "registry", "email", "custom", "redis"})
"""Kinds whose name is also a protocol's, an access's or a field's: only a comparison with something named *kind* counts."""


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def last_name(node: ast.expr) -> str:
    """``kind`` of ``kind``, ``connection.kind`` and ``connection.kind()``."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@pytest.fixture(params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_module_says_why_it_is_there(module: Path) -> None:
    assert ast.get_docstring(tree_of(module)), f"{name_of(module)} has no docstring"


def test_modules_are_short(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= MAX_MODULE or name_of(module) in LONGER, f"{name_of(module)} has {lines} lines: it is two things"


def test_functions_are_short(module: Path) -> None:
    long = [
        f"{module}:{node.lineno}: {node.name} has {length} lines"
        for node in functions(tree_of(module))
        if (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
        and f"{name_of(module)}:{node.name}" not in LONGER
    ]
    assert not long


def compared_words(node: ast.AST) -> Iterator[tuple[str, str]]:
    """``(word, what it is compared with)`` for ``==``, ``in (…)`` and ``case``."""
    if isinstance(node, ast.Match):
        for pattern in ast.walk(node):
            if isinstance(pattern, ast.MatchValue) and isinstance(pattern.value, ast.Constant):
                yield str(pattern.value.value), last_name(node.subject)
    if isinstance(node, ast.Compare):
        for operator, left, right in zip(node.ops, [node.left, *node.comparators], node.comparators, strict=False):
            for side, other in ((left, right), (right, left)):
                group = isinstance(operator, ast.In | ast.NotIn) and isinstance(side, ast.Tuple | ast.List | ast.Set)
                for item in side.elts if group else [side]:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        yield item.value, last_name(other)


def test_nobody_outside_kinds_knows_a_kind_by_name(module: Path) -> None:
    if room_of(module) == "kinds":
        return
    kinds = set(registry.names())
    found = [
        f"{module}:{getattr(node, 'lineno', 0)}: a comparison with {word!r}"
        for node in ast.walk(tree_of(module))
        for word, other in compared_words(node)
        if word in kinds and (word not in ALSO_PROTOCOLS or other.endswith("kind"))
    ]
    assert not found, "dispatch on the access, or ask the kind"


def test_the_pure_rooms_ask_nothing_of_the_world(module: Path) -> None:
    if room_of(module) not in PURE_ROOMS:
        return
    found = []
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and last_name(node.func) in IMPURE_CALLS:
            found.append(f"{module}:{node.lineno}: {last_name(node.func)}()")
        if isinstance(node, ast.Attribute) and node.attr in IMPURE_NAMES:
            found.append(f"{module}:{node.lineno}: {node.attr}")
    assert not found


def test_only_the_command_line_prints(module: Path) -> None:
    if room_of(module) == "cli":
        return
    printing = [
        f"{module}:{node.lineno}"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing


def test_an_error_that_is_passed_over_says_why(module: Path) -> None:
    lines = module.read_text().splitlines()
    silent = [
        f"{module}:{node.lineno}"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(statement, ast.Pass) for statement in node.body)
        and not any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
    ]
    assert not silent


def test_the_guard_imports_nothing_of_tieline() -> None:
    guard = SOURCE / "engines" / "process" / "guard.py"
    imported = {
        name
        for node in ast.walk(tree_of(guard))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."])
    }
    assert not [name for name in imported if name.startswith(("tieline", "."))]


def test_every_code_is_used() -> None:
    source = "\n".join(path.read_text() for path in MODULES)
    used = set(re.findall(r"\bCode\.([A-Z_]+)\b", source))
    assert sorted(code.name for code in Code if code.name not in used) == []


def test_every_code_is_documented() -> None:
    headings = re.findall(r"^#+ `?([a-z-]+)`?\s*$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    codes = {code.value for code in Code}
    assert sorted(codes - set(headings)) == [], "codes that docs/errors.md has no heading for"
    single = {heading for heading in headings if "-" in heading}
    assert sorted(single - codes) == [], "headings of docs/errors.md that are no code"


def test_every_kind_is_documented() -> None:
    folder = ROOT / "docs" / "kinds"
    wanted = {f"{kind.name}.md": pages.page(kind) for kind in registry.all_kinds()} | {"index.md": pages.index()}
    there = {path.name: path.read_text() for path in folder.glob("*.md")}
    assert sorted(there) == sorted(wanted), "make docs writes docs/kinds/"
    assert [name for name, text in wanted.items() if there[name] != text] == [], "make docs writes docs/kinds/"


def test_what_may_be_longer_is_still_there_and_long() -> None:
    for name in LONGER:
        path, _, function = name.partition(":")
        found = [node for node in functions(tree_of(SOURCE / path)) if node.name == function]
        lengths = [(node.end_lineno or 0) - node.lineno + 1 for node in found]
        long = lengths and max(lengths) > MAX_FUNCTION if function else True
        assert long, f"{name} is no longer long"
