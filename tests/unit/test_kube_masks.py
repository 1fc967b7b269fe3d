"""A secret that is changed while a job runs is masked from then on, as its old values are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tieline.engines.kubernetes.inside.masks import GrowingMasker
from tieline.errors import Code, Refused
from tieline.secrets.redactor import MASK, Masker

OLD, NEW = b"the-old-value", b"the-new-value"


def write(folder: Path, value: bytes) -> None:
    """As the kubelet does: into a new folder, that a link then stands for."""
    number = len(list(folder.iterdir())) if folder.is_dir() else 0
    fresh = folder / f"..{number}"
    fresh.mkdir(parents=True)
    (fresh / "key").write_bytes(value)
    (folder / "..new").symlink_to(fresh.name)
    os.rename(folder / "..new", folder / "..data")
    os.utime(folder, ns=(number + 1, number + 1))  # a clock may be too slow to tell two writes apart
    if not (folder / "key").is_symlink():
        (folder / "key").symlink_to("..data/key")


def reading(folder: Path) -> Callable[[], Masker]:
    return lambda: Masker([(folder / "login" / "key").read_bytes()])


@pytest.fixture
def growing(tmp_path: Path) -> GrowingMasker:
    write(tmp_path / "login", OLD)
    return GrowingMasker(reading(tmp_path)(), reading(tmp_path), tmp_path)


def test_a_new_value_is_masked_and_the_old_one_stays_so(growing: GrowingMasker, tmp_path: Path) -> None:
    stream = growing.redactor()
    assert stream.feed(b"%s %s\n" % (OLD, NEW)) == b"%s %s\n" % (MASK, NEW), "nobody knows it yet"
    write(tmp_path / "login", NEW)
    assert stream.feed(b"%s %s\n" % (OLD, NEW)) == b"%s %s\n" % (MASK, MASK)
    assert growing.redactor().feed(NEW + b"\n") == MASK + b"\n"


@pytest.mark.parametrize("at", range(1, len(OLD)))
def test_a_value_that_is_cut_in_two_while_its_secret_is_changed(
    growing: GrowingMasker, tmp_path: Path, at: int
) -> None:
    stream = growing.redactor()
    given = stream.feed(b"x " + OLD[:at])
    write(tmp_path / "login", b"something-else")
    assert given + stream.feed(OLD[at:] + b" y\n") + stream.flush() == b"x %s y\n" % MASK


def test_a_secret_that_cannot_be_read_leaves_what_is_known(tmp_path: Path) -> None:
    write(tmp_path / "login", OLD)
    trouble = [Refused.of(Code.SECRET_MISSING, "it is gone", "")]

    def read() -> Masker:
        if trouble:
            raise trouble.pop()
        return reading(tmp_path)()

    stream = GrowingMasker(Masker([OLD]), read, tmp_path).redactor()
    write(tmp_path / "login", NEW)
    assert stream.feed(OLD + b"\n") == MASK + b"\n"
    assert stream.feed(NEW + b"\n") == MASK + b"\n", "it is tried again"
    shutil.rmtree(tmp_path / "login")
    assert stream.feed(NEW + b"\n") == MASK + b"\n"


def test_a_pod_without_secrets(tmp_path: Path) -> None:
    stream = GrowingMasker(Masker([]), lambda: Masker([]), tmp_path / "none").redactor()
    assert stream.feed(b"words\n") == b"words\n"
