"""Files of values for a job: exactly these, with exactly these modes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.errors import Code, StepFailed
from tieline.secrets.secret import Secret
from tieline.secrets.writing import write_files, write_made


@pytest.fixture(params=[0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


@pytest.mark.usefixtures("umask")
def test_files_have_their_modes_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "mounts" / "tls"
    write_files(folder, {"key": (Secret(b"\0k\n"), 0o400), "ca": (Secret(b""), 0o644)})
    assert modes(folder) == {"key": 0o400, "ca": 0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "key").read_bytes() == b"\0k\n"
    write_files(folder, {"key": (Secret(b"new"), 0o600)})
    assert (folder / "key").read_bytes() == b"new"
    assert modes(folder) == {"key": 0o600, "ca": 0o644}


def test_what_a_resolver_has_made(tmp_path: Path) -> None:
    write_made(tmp_path / "made", {"docker-a/config.json": Secret("{}"), "docker-b/config.json": Secret("{}")})
    assert modes(tmp_path / "made") == {
        "docker-a": 0o700, "docker-b": 0o700, "docker-a/config.json": 0o600, "docker-b/config.json": 0o600,
    }  # fmt: skip


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "key").symlink_to(tmp_path / "victim")
    write_files(tmp_path / "m", {"key": (Secret("x"), 0o600)})
    assert (tmp_path / "victim").read_text() == "untouched"
    assert not (tmp_path / "m" / "key").is_symlink()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../x", "", "a//b", ".", "a\0"])
def test_names_that_are_none_write_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepFailed) as caught:
        write_files(tmp_path / "m", {"good": (Secret("canary"), 0o600), name: (Secret("canary"), 0o600)})
    assert caught.value.code is Code.UNSAFE_PATH
    assert "canary" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StepFailed, match="file/m cannot be written: Not a directory"):
        write_files(tmp_path / "file" / "m", {"key": (Secret("canary"), 0o600)})
    (tmp_path / "m" / "key").mkdir(parents=True)
    with pytest.raises(StepFailed, match="cannot be written: Is a directory"):
        write_files(tmp_path / "m", {"key": (Secret("canary"), 0o600)})
    assert os.listdir(tmp_path / "m") == ["key"], "nothing half-written stays"
