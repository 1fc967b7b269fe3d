"""The folder that credentials are in: nobody else's to read, gone afterwards, and found again if nobody could tidy."""

from pathlib import Path

import pytest

from tieline.errors import StepFailed
from tieline.git import private
from tieline.git.private import memory, private_folder, remove_left, write_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with private_folder(tmp_path / "new" / "parent", "a-run") as folder:
        path = write_private(folder / "key", b"x")
        assert (mode(folder), mode(path)) == (0o700, 0o600)
        (folder / "more").mkdir()
    assert list((tmp_path / "new" / "parent").iterdir()) == []


def test_it_is_gone_also_when_everything_goes_wrong(tmp_path: Path) -> None:
    def stopped() -> None:
        with private_folder(tmp_path, "a-run") as folder:
            write_private(folder / "key", b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_found_by_its_mark(tmp_path: Path) -> None:
    killed = [private_folder(tmp_path, mark) for mark in ("a-run", "a-run", "another", "a", "*", "../a-run")]
    for folder in killed:
        write_private(folder.__enter__() / "key", b"x")
    (tmp_path / "tieline-git-a-run.link").symlink_to(tmp_path)

    def left() -> list[str]:
        return sorted(path.name.partition(".")[0].removeprefix("tieline-git-") for path in tmp_path.iterdir())

    remove_left("a-run", tmp_path, tmp_path / "none")
    assert left() == ["-", "---a-run", "a", "a-run", "another"], "a link is not ours"
    remove_left("*", tmp_path)
    remove_left("a", tmp_path)
    assert left() == ["---a-run", "a-run", "another"]


def test_a_folder_that_cannot_be_made_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StepFailed, match=r"cannot write credentials for git into .*file"),
        private_folder(tmp_path / "file" / "in", "a-run"),
    ):
        pass


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StepFailed):
        write_private(tmp_path / "key", b"x")
    assert not (tmp_path / "elsewhere").exists()


def test_memory_is_preferred_and_only_what_is_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # private, and on a disk
    tmp_path.chmod(0o700)
    monkeypatch.setattr(private, "SHARED_MEMORY", tmp_path / "none")
    if not private._is_memory(tmp_path):
        assert memory(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.setattr(private, "_is_memory", lambda path: path == tmp_path)
    assert memory(tmp_path / "mine") == tmp_path
    tmp_path.chmod(0o755)  # others could look which runs there are
    assert memory(tmp_path / "mine") == tmp_path / "mine"
