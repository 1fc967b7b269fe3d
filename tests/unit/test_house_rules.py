"""The rules of docs/architecture.md that a reading of the source can hold; who may import whom is in .importlinter."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tieline.errors import Code
from tieline.kinds import pages, registry

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "tieline"
MODULES = sorted(SOURCE.rglob("*.py"))
GUARD = SOURCE / "engines" / "process" / "guard.py"

MAX_MODULE = 400
MAX_FUNCTION = 50
LONGER: dict[str, str] = {}
"""Modules (``room/module.py``) and functions (``room/module.py:function``) that may be longer, and why."""

PURE_ROOMS = ("model", "kinds", "compile")
IMPURE_FUNCTIONS = frozenset({"open", "print", "input", "uuid4", "urlopen", "getenv"})
IMPURE_METHODS = frozenset({
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "exists", "is_file", "is_dir", "stat", "mkdir",
    "unlink", "rmdir", "iterdir", "glob", "rglob", "listdir", "scandir", "getenv", "expanduser", "resolve", "realpath",
    "cwd", "getcwd", "now", "today", "utcnow", "uuid1", "uuid4", "urlopen",
})  # fmt: skip
IMPURE_NAMES = frozenset({"environ", "stdin", "stdout", "stderr"})
OTHER_WORDS = frozenset({"git", "ssh", "http", "grpc", "ftp", "registry", "email", "custom", "sqlite"})
"""Kinds whose name also means a protocol, an access or a SQL dialect: only a comparison with a *kind* counts."""


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def last_name(node: ast.expr) -> str:
    """``kind`` of ``kind``, ``connection.kind`` and ``connection.kind()``."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def nodes(*kinds: type[ast.AST], outside: tuple[str, ...] = ()) -> Iterator[tuple[Path, Any]]:
    """All nodes of these types in the whole source, but for some rooms."""
    for path in MODULES:
        if room_of(path) not in outside:
            yield from ((path, node) for node in ast.walk(tree_of(path)) if isinstance(node, kinds))


def length(node: ast.FunctionDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def test_every_module_says_why_it_is_there() -> None:
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))] == []


def test_modules_are_short() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > MAX_MODULE and name not in LONGER} == {}


def test_every_module_of_tests_has_a_name_of_its_own() -> None:
    """pytest takes two of one name for the same module, and runs neither."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_functions_are_short() -> None:
    long = {
        f"{name_of(path)}:{node.name}": length(node)
        for path, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if length(node) > MAX_FUNCTION
    }
    assert {name: lines for name, lines in long.items() if name not in LONGER} == {}
    assert {name for name in LONGER if ":" in name} <= set(long), "exceptions that are no longer needed"


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


def test_nobody_outside_kinds_knows_a_kind_by_name() -> None:
    kinds = set(registry.names())
    found = [
        f"{name_of(path)}:{node.lineno}: a comparison with {word!r}"
        for path, node in nodes(ast.Match, ast.Compare, outside=("kinds",))
        for word, other in compared_words(node)
        if word in kinds and (word not in OTHER_WORDS or other.endswith("kind"))
    ]
    assert found == [], "dispatch on the access, or ask the kind"


def test_the_pure_rooms_ask_nothing_of_the_world() -> None:
    others = tuple({room_of(path) for path in MODULES} - set(PURE_ROOMS))
    found = [f"{name_of(path)}:{node.lineno}: {node.attr}" for path, node in nodes(ast.Attribute, outside=others)
             if node.attr in IMPURE_NAMES]  # fmt: skip
    for path, node in nodes(ast.Call, outside=others):
        words = IMPURE_FUNCTIONS if isinstance(node.func, ast.Name) else IMPURE_METHODS
        if last_name(node.func) in words:
            found.append(f"{name_of(path)}:{node.lineno}: {last_name(node.func)}()")
    assert found == []


def test_only_the_command_line_and_the_guard_print() -> None:
    printing = [
        f"{name_of(path)}:{node.lineno}"
        for path, node in nodes(ast.Call, outside=("cli", "__main__"))
        if last_name(node.func) == "print" and path != GUARD
    ]
    assert printing == []


def test_an_error_that_is_passed_over_says_why() -> None:
    silent = [
        f"{name_of(path)}:{node.lineno}"
        for path, node in nodes(ast.ExceptHandler)
        if all(isinstance(statement, ast.Pass) for statement in node.body)
        and not any("#" in line for line in path.read_text().splitlines()[node.lineno - 1 : node.end_lineno])
    ]
    assert silent == []


def test_the_guard_imports_nothing_of_tieline() -> None:
    imported = set()
    for node in ast.walk(tree_of(GUARD)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add("." * node.level + (node.module or ""))
    assert [name for name in imported if name.startswith(("tieline", "."))] == []


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


def test_every_field_of_a_job_is_documented() -> None:
    page = ROOT / "docs" / "jobs.md"
    made = subprocess.run([sys.executable, str(ROOT / "scripts" / "job_fields.py"), "-"], input=page.read_text(),
                          capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert made == page.read_text(), "make docs writes the tables of docs/jobs.md"
