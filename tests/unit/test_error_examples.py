"""docs/errors.md: every example that shows a file prints just what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tieline.app.checking import check_file
from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
CATALOG = re.search(r'```yaml title="tieline.yaml"\n(.*?)```', PAGE, re.DOTALL)
EXAMPLES = re.findall(
    r'^### ([a-z-]+)\n((?:(?!^###).)*?)```yaml title="([a-z.]+)"\n(.*?)```\n\n```text\n(.*?)```',
    PAGE,
    re.DOTALL | re.MULTILINE,
)


def test_there_are_examples() -> None:
    assert CATALOG is not None
    assert len(EXAMPLES) >= 25


@pytest.mark.parametrize("example", EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_an_example_prints_what_the_page_says(
    example: tuple[str, str, str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, name, content, printed = example
    monkeypatch.chdir(tmp_path)
    home = HomeFolder.find()
    assert CATALOG is not None
    (tmp_path / "shared.yaml").write_text(CATALOG[1])
    (tmp_path / name).write_text(content)
    deployment = load_deployment(tmp_path / "shared.yaml", home) if name == "job.yaml" else None
    checked = check_file(Path(name), deployment, home, Wanted(Path(name)))
    assert "\n".join(map(str, checked.problems)) == printed.strip()
    assert code in [problem.code for problem in checked.problems]
