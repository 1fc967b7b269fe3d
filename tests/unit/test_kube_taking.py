"""Local files that go along with a job: packed the same each time, without what is of this machine."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from kube_plans import planned

from tieline.engines.kubernetes.taking import packed
from tieline.errors import Code, Refused
from tieline.model.plan import Plan, TakeStep


def taking(*sources: Path) -> Plan:
    plan = planned("kind: component\nrun: {kind: job, container: {image: i}}\n")
    steps = tuple(TakeStep(name=source.name, source=str(source), path="/tieline/here/x") for source in sources)
    return plan.model_copy(update={"steps": steps})


def content(data: bytes) -> dict[str, str]:
    """Each entry: a file's text, a link's target, or "/" of a folder; with the mode of what is executable."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            text = file.read().decode() if file else member.linkname if member.issym() else "/"
            found[member.name] = text + ("*" if member.isreg() and member.mode & 0o100 else "")
            assert (member.uid, member.mtime) == (0, 0)
    return found


def test_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("history")
    (folder / "deep" / "b.py").write_text("b")
    (folder / "a.sh").write_text("a")
    (folder / "a.sh").chmod(0o755)
    (folder / "link").symlink_to("deep/b.py")
    (tmp_path / "notes.md").write_text("n")
    (tmp_path / "other").symlink_to(folder)
    plan = taking(folder, tmp_path / "notes.md", tmp_path / "other")
    first = packed(plan)
    tree = {"": "/", "/a.sh": "a*", "/deep": "/", "/deep/b.py": "b", "/link": "deep/b.py"}
    expected = {f"{index}{name}": text for index in (0, 2) for name, text in tree.items()}
    assert content(first) == {**expected, "1": "n"}
    os.utime(folder / "a.sh", (1, 1))
    assert packed(plan) == first


def test_nothing_to_take() -> None:
    assert packed(taking()) == b""


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        packed(taking(tmp_path / "missing"))
    assert (caught.value.code, caught.value.problems[0].place.field) == (Code.PATH_MISSING, "mount[missing]")


def test_what_is_far_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(Refused) as caught:
        packed(taking(tmp_path / "large"))
    assert caught.value.code is Code.TOO_LARGE
