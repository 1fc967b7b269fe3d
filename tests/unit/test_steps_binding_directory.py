"""The directory that a job finds its connections in."""

import os
from pathlib import Path

import pytest

from tieline.errors import Code, StepFailed
from tieline.model.binding import Binding, Derived, Entry, FromSecret, Text, Value
from tieline.steps.binding_directory import write_bindings


def entry(name: str, value: str | Value) -> Entry:
    return Entry(name=name, value=Text(text=value) if isinstance(value, str) else value)


def nothing(value: Value) -> bytes | None:
    raise AssertionError(f"asked for {value}")


SECRET = FromSecret(secret="s", keys=("password",))
DERIVED = Derived(form="uri", parts={"password": SECRET}, optional=True)


def test_one_directory_per_connection(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "bindings"
    s3 = Binding(
        connection="images", type="s3", provider="minio", entries=(entry("bucket", "b"), entry("endpoint", ""))
    )
    pg = Binding(connection="warehouse", type="postgresql", entries=(entry("username", "naïve"),))

    assert write_bindings([s3, pg], root, nothing) == [root / "images", root / "warehouse"]
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert found == {
        "images/type": b"s3",
        "images/provider": b"minio",
        "images/bucket": b"b",
        "images/endpoint": b"",
        "warehouse/type": b"postgresql",
        "warehouse/username": "naïve".encode(),
    }


def test_only_the_user_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_bindings([Binding(connection="c", type="t")], tmp_path / "root", nothing)
    finally:
        os.umask(old)
    modes = [p.stat().st_mode & 0o777 for p in (tmp_path / "root", tmp_path / "root/c", tmp_path / "root/c/type")]
    assert modes == [0o700, 0o700, 0o600]


def test_values_that_are_not_in_the_plan_come_from_the_resolver(tmp_path: Path) -> None:
    def resolve(value: Value) -> bytes | None:
        return b"\xffpw\n" if isinstance(value, FromSecret) else None

    binding = Binding(connection="c", type="t", entries=(entry("password", SECRET), entry("uri", DERIVED)))
    write_bindings([binding], tmp_path, resolve)
    assert (tmp_path / "c/password").read_bytes() == b"\xffpw\n"
    assert not (tmp_path / "c/uri").exists()


def test_a_second_attempt_replaces_the_first_whole(tmp_path: Path) -> None:
    write_bindings([Binding(connection="c", type="t", entries=(entry("old", "1"),))], tmp_path, nothing)
    write_bindings([Binding(connection="c", type="t", entries=(entry("new", "2"),))], tmp_path, nothing)
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["new", "type"]
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_value_that_cannot_be_had_leaves_nothing_half(tmp_path: Path) -> None:
    def resolve(value: Value) -> bytes | None:
        raise StepFailed.of(Code.SECRET_MISSING, "no")

    with pytest.raises(StepFailed):
        write_bindings([Binding(connection="c", type="t", entries=(entry("p", SECRET),))], tmp_path, resolve)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "nul\0"])
def test_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    for binding in (
        Binding(connection=name, type="t"),
        Binding(connection="c", type="t", entries=(entry(name, "x"),)),
    ):
        with pytest.raises(StepFailed) as caught:
            write_bindings([binding], tmp_path / "root", nothing)
        assert caught.value.code == Code.UNSAFE_PATH
    assert list((tmp_path / "root").iterdir()) == []


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    binding = Binding(connection="c", type="t", entries=(entry("type", "x"),))
    with pytest.raises(StepFailed, match="'c' has two entries called 'type'") as caught:
        write_bindings([binding], tmp_path, nothing)
    assert caught.value.code == Code.PATH_COLLISION


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StepFailed, match=r"cannot write the binding directory .*file"):
        write_bindings([Binding(connection="c", type="t")], tmp_path / "file", nothing)
