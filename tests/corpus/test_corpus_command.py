"""The corpus through the real command: an exit code that says what happened, no traceback, and nothing left behind.

One process for each file is the soak; CI gives all files to one ``check``, and runs a few one by one.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_corpus import CATALOGS, HERE, JOBS, NOTHING, VALID

SOAK = bool(os.environ.get("TIELINE_SOAK"))
REFUSED = [name for name in JOBS if JOBS[name] is not NOTHING]
NASTIEST = (
    "templates-that-run-code-when-rendered.yaml", "templates-that-eat-memory-when-rendered.yaml", "slow-regex.yaml",
    "billion-laughs.yaml", "path-ref-endless.yaml", "path-ref-input.yaml", "presets.yaml", "paths.yaml",
)  # fmt: skip
MOST_MEMORY = 1 << 30
PATIENCE = 60


def command(*words: str, home: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One ``tieline`` that may have so much memory; its standard input is a terminal that nobody types at."""
    own, other = os.openpty()
    try:
        return subprocess.run(
            [sys.executable, "-m", "tieline", *words],
            cwd=cwd,
            env={**os.environ, "TIELINE_HOME": str(home), "TIELINE_CONFIG": str(VALID)},
            stdin=other,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY)),
        )
    finally:
        os.close(own)
        os.close(other)


def left_nothing(done: subprocess.CompletedProcess[str], home: Path, cwd: Path, codes: Sequence[int]) -> None:
    said = done.stdout + done.stderr
    assert done.returncode in codes, said
    assert "Traceback" not in said
    assert "defect in Tieline" not in said
    assert not home.exists() or list(home.rglob("*")) == []
    assert list(cwd.iterdir()) == []


def test_check_of_all_files_at_once(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = [*(f"catalogs/{name}" for name in CATALOGS), *(f"jobs/{name}" for name in JOBS)]
    home = tmp_path_factory.mktemp("places") / "home"
    done = command("check", "--output", "json", *(str(HERE / name) for name in files), home=home, cwd=tmp_path)
    left_nothing(done, home, tmp_path, [65])
    checked = json.loads(done.stdout)
    assert len(checked) == len(files)
    for item, name in zip(checked, files, strict=True):
        folder, file = name.split("/")
        if folder == "jobs":
            assert item["ok"] == (JOBS[file] is NOTHING), item
        assert all(problem["message"] for problem in item["problems"])


@pytest.mark.parametrize("word", ["check", "run"])
def test_one_by_one(word: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """``run`` of a job that is refused records no run, and makes no folder."""
    names = REFUSED if SOAK else NASTIEST
    files = [HERE / "jobs" / name for name in names]
    if SOAK and word == "check":
        files += [HERE / "catalogs" / name for name in CATALOGS]

    def one(file: Path) -> None:
        place = tmp_path_factory.mktemp("place")
        done = command(word, str(file), home=place.with_name(f"{place.name}-home"), cwd=place)
        left_nothing(done, place.with_name(f"{place.name}-home"), place, [0, 65, 66] if word == "check" else [65, 66])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, files)) == [None] * len(files)


def test_a_pipe_given_to_run_is_refused_at_once(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    pipe = tmp_path_factory.mktemp("pipe") / "job.yaml"
    os.mkfifo(pipe)
    home = pipe.parent / "home"
    left_nothing(command("run", str(pipe), home=home, cwd=tmp_path), home, tmp_path, [65])
