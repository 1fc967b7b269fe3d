"""Files made by hand to do harm: what each of them is told, and on which line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tieline.app.checking import check_file
from tieline.app.deployment import Deployment, load_deployment, read_deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted
from tieline.compile.catalog import Home, read_catalog
from tieline.documents.document import read_document
from tieline.errors import Code, InvalidInput, Problem

HERE = Path(__file__).resolve().parent
VALID = HERE / "valid" / "catalog.yaml"
Told = list[tuple[Code, int]]

NOTHING: Told = []
WHATEVER: Told = [(Code.BAD_VALUE, 0)]
"""Something; what exactly depends on a file of the machine."""
CATALOGS: dict[str, Told] = {
    "alias-as-a-key.yaml": [(Code.BAD_SYNTAX, 2)],
    "alias-before-anchor.yaml": [(Code.BAD_SYNTAX, 1)],
    "anchor-on-a-key.yaml": NOTHING,
    "billion-laughs-as-connections.yaml": [(Code.ALIAS_EXPANSION, 5)],
    "billion-laughs-merged.yaml": [(Code.ALIAS_EXPANSION, 5)],
    "billion-laughs.yaml": [(Code.ALIAS_EXPANSION, 5)],
    "binary-tag.yaml": [(Code.BAD_SYNTAX, 1)],
    "byte-order-mark.yaml": NOTHING,
    "comments-only.yaml": NOTHING,
    "complex-key.yaml": [(Code.BAD_SYNTAX, 1)],
    "control-character.yaml": [(Code.BAD_SYNTAX, 2)],
    "cyclic-alias-of-an-older-name.yaml": [(Code.BAD_SYNTAX, 3)],
    "cyclic-alias.yaml": [(Code.BAD_SYNTAX, 2)],
    "deep-blocks.yaml": [(Code.TOO_DEEP, 61)],
    "deep-through-aliases.yaml": [(Code.TOO_DEEP, 3)],
    "deep.yaml": [(Code.TOO_DEEP, 1)],
    "duplicate-key.yaml": [(Code.DUPLICATE_KEY, 3)],
    "duplicate-names.yaml": [(Code.DUPLICATE_NAME, 3), (Code.DUPLICATE_NAME, 5)],
    "duplicate-spelling.yaml": [(Code.DUPLICATE_KEY, 2)],
    "empty.yaml": NOTHING,
    "end-marks-only.yaml": NOTHING,
    "git.yaml": [(Code.BAD_VALUE, line) for line in range(2, 11)],
    "latin-1.yaml": [(Code.BAD_ENCODING, 2)],
    "line-ends-in-names.yaml": [(Code.BAD_VALUE, line) for line in range(2, 8)],
    "merge-chain.yaml": NOTHING,
    "merge-of-itself.yaml": [(Code.BAD_SYNTAX, 3)],
    "merge-of-text.yaml": [(Code.BAD_SYNTAX, 3)],
    "names.yaml": [(Code.BAD_VALUE, line) for line in range(2, 23)],
    "not-a-mapping.yaml": [(Code.WRONG_TYPE, 1)],
    "nul-byte.yaml": [(Code.BAD_SYNTAX, 2)],
    "nul-escape.yaml": [(Code.BAD_VALUE, 2)],
    "numbers.yaml": [
        (Code.BAD_VALUE, 2), (Code.BAD_VALUE, 3), (Code.BAD_VALUE, 4), (Code.BAD_VALUE, 5), (Code.BAD_VALUE, 6),
        (Code.BAD_VALUE, 7), (Code.BAD_VALUE, 9), (Code.BAD_VALUE, 10), (Code.BAD_VALUE, 10), (Code.BAD_VALUE, 10),
    ],
    "old-mac-line-ends.yaml": [(Code.UNKNOWN_KEY, 3)],
    "only-text.yaml": [(Code.WRONG_TYPE, 1)],
    "paths.yaml": [
        (Code.BAD_VALUE, 2), (Code.BAD_VALUE, 3), (Code.BAD_VALUE, 4), (Code.BAD_VALUE, 5), (Code.BAD_VALUE, 5),
        (Code.BAD_VALUE, 6), (Code.BAD_VALUE, 7), (Code.BAD_VALUE, 8), (Code.BAD_VALUE, 9), (Code.BAD_VALUE, 10),
        (Code.BAD_VALUE, 11), (Code.BAD_VALUE, 12), (Code.BAD_VALUE, 13), (Code.BAD_VALUE, 15), (Code.BAD_VALUE, 16),
    ],
    "patterns.yaml": [
        (Code.BAD_VALUE, 5), (Code.BAD_VALUE, 7), (Code.BAD_VALUE, 8), (Code.BAD_VALUE, 9), (Code.BAD_VALUE, 10),
    ],
    "python-name-tag.yaml": [(Code.BAD_SYNTAX, 1)],
    "python-tags.yaml": [(Code.BAD_SYNTAX, 1)],
    "surrogate-bytes.yaml": [(Code.BAD_ENCODING, 2)],
    "surrogate-escape.yaml": [(Code.BAD_SYNTAX, 2)],
    "tabs.yaml": [(Code.BAD_SYNTAX, 2)],
    "two-documents.yaml": [(Code.BAD_SYNTAX, 3)],
    "unknown-tag.yaml": [(Code.BAD_SYNTAX, 1)],
    "utf-16-without-mark.yaml": [(Code.BAD_SYNTAX, 1)],
    "utf-16.yaml": [(Code.BAD_ENCODING, 1)],
    "windows-line-ends.yaml": [(Code.UNKNOWN_KEY, 3)],
    "wrong-shapes.yaml": [
        (Code.WRONG_TYPE, 1), (Code.WRONG_TYPE, 3), (Code.WRONG_TYPE, 4), (Code.WRONG_TYPE, 5), (Code.WRONG_TYPE, 6),
        (Code.WRONG_TYPE, 7), (Code.WRONG_TYPE, 7), (Code.WRONG_TYPE, 8), (Code.WRONG_TYPE, 9), (Code.WRONG_TYPE, 10),
        (Code.WRONG_TYPE, 10), (Code.WRONG_TYPE, 10), (Code.WRONG_TYPE, 10), (Code.WRONG_TYPE, 10),
        (Code.BAD_VALUE, 11), (Code.WRONG_TYPE, 12), (Code.WRONG_TYPE, 13), (Code.WRONG_TYPE, 14),
        (Code.BAD_VALUE, 14), (Code.WRONG_TYPE, 15), (Code.WRONG_TYPE, 16),
    ],
}  # fmt: skip
JOBS: dict[str, Told] = {
    "billion-laughs.yaml": [(Code.ALIAS_EXPANSION, 5)],
    "byte-order-mark.yaml": NOTHING,
    "comments-only.yaml": [(Code.WRONG_TYPE, 1)],
    "connection-names.yaml": [
        (Code.UNKNOWN_CONNECTION, 5), (Code.UNKNOWN_CONNECTION, 5), (Code.UNKNOWN_CONNECTION, 5),
        (Code.UNKNOWN_CONNECTION, 5), (Code.UNKNOWN_CONNECTION, 5), (Code.UNKNOWN_CONNECTION, 5),
        (Code.WRONG_TYPE, 5), (Code.WRONG_TYPE, 5),
    ],
    "cyclic-alias.yaml": [(Code.BAD_SYNTAX, 4)],
    "deep-through-aliases.yaml": [(Code.TOO_DEEP, 7)],
    "dockerfile.yaml": [
        (Code.BAD_VALUE, 6), (Code.BAD_VALUE, 7), (Code.BAD_VALUE, 8), (Code.BAD_VALUE, 9), (Code.BAD_VALUE, 10),
    ],
    "empty.yaml": [(Code.WRONG_TYPE, 1)],
    "inputs-twice.yaml": [(Code.BAD_NAME, 2), (Code.DUPLICATE_NAME, 2), (Code.BAD_VALUE, 2)],
    "kind-is-a-list.yaml": [(Code.BAD_VALUE, 1)],
    "kinds-of-runs.yaml": [(Code.UNSUPPORTED, 2)],
    "later.yaml": [(Code.UNSUPPORTED, 2), (Code.UNSUPPORTED, 3), (Code.UNSUPPORTED, 4)],
    "latin-1.yaml": [(Code.BAD_ENCODING, 2)],
    "mount.yaml": [
        (Code.UNSAFE_PATH, 2), (Code.UNSAFE_PATH, 2), (Code.UNSAFE_PATH, 2), (Code.BAD_VALUE, 2), (Code.BAD_VALUE, 2),
    ],
    "names.yaml": [
        (Code.BAD_VALUE, 2), (Code.BAD_VALUE, 7), (Code.BAD_VALUE, 8), (Code.BAD_VALUE, 9), (Code.BAD_VALUE, 10),
    ],
    "not-a-mapping.yaml": [(Code.WRONG_TYPE, 1)],
    "nul-escape.yaml": [(Code.BAD_VALUE, 4)],
    "numbers.yaml": [
        (Code.BAD_VALUE, 2), (Code.BAD_VALUE, 2), (Code.BAD_PARAM, 4), (Code.BAD_PARAM, 5), (Code.BAD_PARAM, 6),
        (Code.BAD_PARAM, 7), (Code.BAD_PARAM, 8), (Code.BAD_PARAM, 9), (Code.BAD_PARAM, 10), (Code.BAD_VALUE, 14),
        (Code.BAD_VALUE, 15),
    ],
    "params-are-a-list.yaml": [(Code.WRONG_TYPE, 2)],
    "params-are-deep.yaml": [(Code.BAD_PARAM, 2)],
    "path-ref-absolute.yaml": WHATEVER,
    "path-ref-and-component.yaml": [(Code.MISSING_KEY, 1)],
    "path-ref-broken.yaml": [(Code.BAD_SYNTAX, 2)],
    "path-ref-catalog.yaml": [(Code.UNKNOWN_KEY, 1), (Code.UNKNOWN_KEY, 14), (Code.MISSING_KEY, 1)],
    "path-ref-empty.yaml": [(Code.FILE_UNREADABLE, 3)],
    "path-ref-endless.yaml": [(Code.FILE_UNREADABLE, 3)],
    "path-ref-folder.yaml": [(Code.FILE_UNREADABLE, 3)],
    "path-ref-home.yaml": [(Code.FILE_NOT_FOUND, 3)],
    "path-ref-input.yaml": [(Code.FILE_UNREADABLE, 3)],
    "path-ref-itself.yaml": [(Code.BAD_VALUE, 3)],
    "path-ref-long.yaml": [(Code.FILE_UNREADABLE, 3)],
    "path-ref-missing.yaml": [(Code.FILE_NOT_FOUND, 3)],
    "path-ref-number.yaml": [(Code.WRONG_TYPE, 3)],
    "path-ref-passwd.yaml": WHATEVER,
    "path-ref-shell.yaml": [(Code.FILE_NOT_FOUND, 3)],
    "path-ref-terminal.yaml": [(Code.FILE_UNREADABLE, 3)],
    "path-ref-to-nothing.yaml": [(Code.MISSING_KEY, 1)],
    "paths.yaml": [
        (Code.BAD_VALUE, 7), (Code.BAD_VALUE, 8), (Code.BAD_VALUE, 9), (Code.BAD_VALUE, 10), (Code.BAD_VALUE, 10),
        (Code.UNSAFE_PATH, 12), (Code.UNSAFE_PATH, 13), (Code.UNSAFE_PATH, 14), (Code.UNSAFE_PATH, 15),
        (Code.UNSAFE_PATH, 16), (Code.UNSAFE_PATH, 17), (Code.UNSAFE_PATH, 18), (Code.BAD_VALUE, 19),
        (Code.BAD_VALUE, 20), (Code.BAD_VALUE, 21),
    ],
    "presets-absolute.yaml": [(Code.BAD_NAME, 2)],
    "presets-long.yaml": [(Code.BAD_NAME, 2)],
    "presets-missing.yaml": [(Code.FILE_NOT_FOUND, 2)],
    "presets-of-presets.yaml": [(Code.WRONG_TYPE, 2)],
    "presets-shell.yaml": [(Code.BAD_NAME, 2)],
    "presets.yaml": [(Code.BAD_NAME, 2)],
    "run-is-missing.yaml": [(Code.MISSING_KEY, 1)],
    "run-is-text.yaml": [(Code.WRONG_TYPE, 2)],
    "seconds.yaml": [(Code.BAD_VALUE, 2)],
    "shell-text-is-text.yaml": NOTHING,
    "slow-regex.yaml": [(Code.BAD_PARAM, 3), (Code.BAD_PARAM, 4), (Code.BAD_PARAM, 5), (Code.BAD_PARAM, 6)],
    "templates-in-params.yaml": [
        (Code.BAD_TEMPLATE, 3), (Code.BAD_TEMPLATE, 4), (Code.BAD_TEMPLATE, 7), (Code.BAD_TEMPLATE, 7),
    ],
    "templates-of-an-operation.yaml": [
        (Code.BAD_TEMPLATE, 2), (Code.BAD_TEMPLATE, 3), (Code.BAD_TEMPLATE, 4), (Code.BAD_TEMPLATE, 5),
        (Code.BAD_TEMPLATE, 6), (Code.BAD_TEMPLATE, 7),
    ],
    "templates-that-are-broken.yaml": [
        (Code.BAD_TEMPLATE, 7), (Code.BAD_TEMPLATE, 8), (Code.BAD_TEMPLATE, 9), (Code.UNDEFINED_NAME, 11),
        (Code.BAD_TEMPLATE, 14), (Code.BAD_TEMPLATE, 15),
    ],
    "templates-that-eat-memory-when-rendered.yaml": [(Code.BAD_TEMPLATE, line) for line in range(8, 22)],
    "templates-that-eat-memory.yaml": [
        (Code.BAD_TEMPLATE, 10), (Code.BAD_TEMPLATE, 19), (Code.BAD_TEMPLATE, 20), (Code.BAD_TEMPLATE, 23),
    ],
    "templates-that-run-code-when-rendered.yaml": [
        (Code.BAD_TEMPLATE, line) for line in range(8, 23) if line != 16  # which maps nothing to []
    ],
    "templates-that-run-code.yaml": [
        (Code.UNDEFINED_NAME, 9), (Code.UNDEFINED_NAME, 10), (Code.BAD_TEMPLATE, 12), (Code.UNDEFINED_NAME, 14),
        (Code.UNDEFINED_NAME, 15), (Code.BAD_TEMPLATE, 22), (Code.BAD_TEMPLATE, 23),
    ],
    "templates-where-none-are-rendered.yaml": [
        (Code.BAD_TEMPLATE, 2), (Code.BAD_TEMPLATE, 3), (Code.UNKNOWN_NAMESPACE, 3), (Code.UNSUPPORTED, 4),
        (Code.BAD_TEMPLATE, 4),
    ],
    "two-documents.yaml": [(Code.BAD_SYNTAX, 5)],
    "windows-line-ends.yaml": [(Code.UNKNOWN_KEY, 5)],
    "wrong-shapes.yaml": [
        (Code.WRONG_TYPE, 2), (Code.WRONG_TYPE, 3), (Code.WRONG_TYPE, 4), (Code.WRONG_TYPE, 5), (Code.WRONG_TYPE, 6),
        (Code.WRONG_TYPE, 9), (Code.WRONG_TYPE, 10), (Code.WRONG_TYPE, 11), (Code.WRONG_TYPE, 12),
        (Code.WRONG_TYPE, 13), (Code.WRONG_TYPE, 14),
    ],
}  # fmt: skip


def told(problems: tuple[Problem, ...] | list[Problem]) -> Told:
    for problem in problems:
        assert problem.message.strip()
        assert len(str(problem)) < 2_000
    return [(problem.code, problem.place.line) for problem in problems if not problem.warning]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return load_deployment(VALID, HomeFolder(tmp_path_factory.mktemp("corpus")))


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Any:
    """Nor is anything run that would write: the working folder and Tieline's home stay empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []
    assert list(own_home.iterdir()) == []
    assert not list(HERE.rglob("pwned"))


def test_the_tables_name_every_file() -> None:
    assert sorted(CATALOGS) == sorted(path.name for path in (HERE / "catalogs").iterdir())
    assert sorted(JOBS) == sorted(path.name for path in (HERE / "jobs").iterdir())


@pytest.mark.parametrize("name", CATALOGS)
def test_catalogs(name: str) -> None:
    try:
        document = read_document(HERE / "catalogs" / name)
        problems = read_catalog(document, Home("/h/artifacts", "/h/claims"), "/srv")[1]
    except InvalidInput as error:
        problems = list(error.problems)
    assert told(problems) == CATALOGS[name]


@pytest.mark.parametrize("name", JOBS)
def test_jobs(name: str, deployment: Deployment, own_home: Path) -> None:
    path = HERE / "jobs" / name
    checked = check_file(path, deployment, HomeFolder(own_home), Wanted(path))
    assert told(checked.problems) == JOBS[name] or (JOBS[name] is WHATEVER and not checked.ok)


@pytest.mark.parametrize("part", ["pathRef", "preset", "job"])
def test_a_pipe_is_not_waited_for(part: str, tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> None:
    folder = tmp_path_factory.mktemp("pipes")
    (folder / "presets").mkdir()
    for pipe in ("pipe.yaml", "presets/pipe.yaml"):
        os.mkfifo(folder / pipe)
    run = "kind: component\nrun: {kind: job, container: {command: [a]}}\n"
    texts = {"pathRef": "kind: operation\npathRef: pipe.yaml\n", "preset": f"presets: [pipe]\n{run}", "job": ""}
    job = folder / ("pipe.yaml" if part == "job" else "job.yaml")
    if texts[part]:
        job.write_text(texts[part])
    (folder / "tieline.yaml").write_text("presets: presets\n")
    home = HomeFolder(own_home)
    config = folder / "tieline.yaml"
    deployment = read_deployment(read_document(config), config, home)
    checked = check_file(job, deployment, home, Wanted(job))
    assert {problem.code for problem in checked.problems} <= {Code.FILE_UNREADABLE, Code.FILE_NOT_FOUND}
    assert checked.problems


def test_links_are_followed_and_their_targets_judged(tmp_path_factory: pytest.TempPathFactory, own_home: Path) -> None:
    """A link is the user's own; what it leads to is read as a component, and its text is never quoted."""
    folder = tmp_path_factory.mktemp("links")
    (folder / "secret").write_text("user: hunter2: canary\n")
    (folder / "link.yaml").symlink_to(folder / "secret")
    (folder / "round.yaml").symlink_to(folder / "round.yaml")
    for name in ("link.yaml", "round.yaml"):
        job = folder / "job.yaml"
        job.write_text(f"kind: operation\npathRef: {name}\n")
        checked = check_file(job, None, HomeFolder(own_home), Wanted(job))
        assert not checked.ok
        assert "hunter2" not in "".join(map(str, checked.problems))
