"""What a cluster answered a moment ago."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.engines.kubernetes import remembered
from tieline.engines.kubernetes.frames import END, Frames
from tieline.engines.kubernetes.remembered import NOTHING, Remembered


def test_an_answer_is_there_for_the_same_user_and_the_same_question(tmp_path: Path) -> None:
    path = tmp_path / "clusters.json"
    Remembered(path, "me at a").keep([1, 20], "version")
    Remembered(path, "me at a").keep(True, "collector", "team", "tieline")
    assert Remembered(path, "me at a").get("version") == [1, 20]
    assert Remembered(path, "me at a").get("collector", "team", "tieline") is True
    assert Remembered(path, "me at a").get("collector", "other", "tieline") is None
    assert Remembered(path, "you at a").get("version") is None
    assert "me at a" not in path.read_text()


def test_an_old_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Remembered(tmp_path / "clusters.json", "me")
    kept.keep(True, "x")
    now = remembered.time.time()
    monkeypatch.setattr(remembered.time, "time", lambda: now + remembered.SECONDS + 1)
    assert kept.get("x") is None
    kept.keep(True, "y")
    assert kept.path is not None
    assert len(remembered.json.loads(kept.path.read_text())) == 1
    monkeypatch.setattr(remembered.time, "time", lambda: now - 60)
    assert kept.get("y") is None  # the clock was set back: nobody knows how old it is


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', '{"x": [1]}', '{"x": ["a", 1]}'])
def test_a_broken_file_is_no_answer(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clusters.json"
    path.write_text(text)
    assert Remembered(path, "me").get("x") is None
    Remembered(path, "me").keep(True, "x")
    assert Remembered(path, "me").get("x") is True


def test_where_nothing_can_be_kept_nothing_is_remembered(tmp_path: Path) -> None:
    NOTHING.keep(True, "x")
    assert NOTHING.get("x") is None
    nowhere = Remembered(tmp_path / "gone" / "clusters.json", "me")
    nowhere.keep(True, "x")
    assert nowhere.get("x") is None


def test_the_last_frame_is_known() -> None:
    frames = Frames()
    assert list(frames.feed(b"=main 5\n= 0\n\n")) == [("main", b"= 0\n\n")]
    assert not frames.has_ended
    assert list(frames.feed(END[:2])) == []
    assert not frames.has_ended
    assert list(frames.feed(END[2:])) == []
    assert frames.has_ended
