"""Where a step may write."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.errors import Code, StepFailed
from tieline.steps.paths import inside, within


def test_paths_inside_are_joined(tmp_path: Path) -> None:
    assert inside(tmp_path, "") == tmp_path
    assert inside(tmp_path, "a/./b//c") == tmp_path / "a/b/c"
    assert inside(tmp_path, "…/-x/a; touch y") == tmp_path / "…/-x/a; touch y"
    assert within(tmp_path, str(tmp_path)) == tmp_path
    assert within(tmp_path, f"{tmp_path}/a/b/") == tmp_path / "a/b"


@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "a/..", "/etc/passwd", "/", "a\0b"])
def test_paths_that_leave_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StepFailed) as caught:
        inside(tmp_path, path)
    assert caught.value.code == Code.UNSAFE_PATH


@pytest.mark.parametrize("path", ["/etc/passwd", "relative", "", "{root}x", "{root}/../x"])
def test_absolute_paths_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(StepFailed) as caught:
        within(tmp_path, path.format(root=tmp_path))
    assert caught.value.code == Code.UNSAFE_PATH


def test_links_on_the_way_may_stay_inside_and_not_leave(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "in").symlink_to("real")
    (root / "out").symlink_to(tmp_path)
    (root / "last").symlink_to("/etc/passwd")

    assert inside(root, "in/f") == root / "in/f"
    assert inside(root, "last") == root / "last"  # whoever writes it replaces the link
    with pytest.raises(StepFailed, match="leads through a link") as caught:
        inside(root, "out/new/f")
    assert caught.value.code == Code.UNSAFE_PATH


def test_a_root_that_is_itself_behind_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert inside(tmp_path / "link", "a/b") == tmp_path / "link/a/b"


@given(st.text("./ab", max_size=8))
def test_what_is_accepted_is_always_inside(path: str) -> None:
    root = Path("/nowhere/root")
    try:
        joined = inside(root, path)
    except StepFailed:
        assert path.startswith("/") or ".." in path.split("/")
    else:
        assert joined == root or root in joined.parents
        assert ".." not in joined.parts
